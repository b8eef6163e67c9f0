"""The ratio that the benchmarks print: alternating, median, one line, JSON."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def ratio() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "scripts" / "_ratio.py"
    spec = importlib.util.spec_from_file_location("ratio_under_test", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_sides_alternate_and_times_become_ratios(
    ratio: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, calls, costs = [0.0], [], iter([8.0, 9.0, 12.0])

    def slow() -> None:
        calls.append("slow")
        clock[0] += next(costs) if len(calls) > 2 else 100.0  # the warm-up counts for nothing

    def fast() -> None:
        calls.append("fast")
        clock[0] += 2.0

    monkeypatch.setattr(ratio.time, "perf_counter", lambda: clock[0])
    found = ratio.ratios(slow, fast, repeats=3)
    assert calls == ["slow", "fast", "slow", "fast", "fast", "slow", "slow", "fast"]
    assert found == ratio.Ratio(median=4.5, low=4.0, high=6.0, n=3)


def test_a_ratio_is_one_line_and_valid_json(
    ratio: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figure = ratio.Ratio(21.34, 19.0, 24.06, 7)
    ratio.print_ratio("augmented batches", figure)
    assert capsys.readouterr().out == "augmented batches: 21.3x [19.0, 24.1] n=7\n"
    ratio.write_json(tmp_path / "f.json", {"augmented batches": figure, "memory": 3})
    content = json.loads((tmp_path / "f.json").read_text())
    assert content["figures"] == {
        "augmented batches": {"median": 21.34, "low": 19.0, "high": 24.06, "n": 7},
        "memory": 3,
    }
    assert {"versions", "device", "threads"} <= content.keys()
