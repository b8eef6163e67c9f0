"""The main job as the README promises it, and the paper's setting on real CIFAR-10."""

import subprocess
import sys
from pathlib import Path

import pytest

from fade_ray.results import open_run

pytestmark = pytest.mark.ray


def run(*arguments: str, timeout: float) -> str:
    call = [sys.executable, "-m", "fade_ray.cli", "search", "--address", "local", *arguments]
    answer = subprocess.run(call, capture_output=True, text=True, timeout=timeout)
    assert answer.returncode == 0, answer.stderr[-3000:]
    assert "Traceback" not in answer.stdout + answer.stderr
    return answer.stdout


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_main_job_on_digits(tmp_path: Path) -> None:
    said = run("--recipe", "quick", "--out", str(tmp_path / "run"), timeout=1400)
    print(said)
    result = open_run(tmp_path / "run")
    assert result.test_accuracy >= 0.95
    assert result.summary["trials"]["failed"] == 0
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000
    assert "report" in said
    assert "earned?" in said
    assert len(result.summary["beside"]["tests"]) == 3


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_papers_setting_on_cifar10(tmp_path: Path, real_data: Path) -> None:
    data = ["--data", str(real_data / "cifar10" / "train.parquet"), "--limit", "500"]
    test = ["--test-data", str(real_data / "cifar10" / "test.parquet"), "--test-limit", "200"]
    budget = [
        "--baselines",
        "off",
        "--iterations",
        "1",
        "--rank-epochs",
        "1",
        "--evaluation-epochs",
        "1",
        "--retrain-epochs",
        "1",
    ]
    run(
        "--recipe",
        "paper",
        "--out",
        str(tmp_path / "run"),
        *data,
        *test,
        *budget,
        "--evaluations",
        "1",
        timeout=800,
    )
    result = open_run(tmp_path / "run")
    assert result.summary["shape"] == {"side": 32, "channels": 3, "num_classes": 10}
    assert result.architecture.depth == 4
