"""A search whose objective measures no accuracy: its score is told as one, to the end."""

import json
from pathlib import Path

import pytest

from fade_ray.cli import main

OBJECTIVE = """
from dataclasses import dataclass
from typing import ClassVar
from torch.nn import functional as F
from fade_ray.training import Objective

@dataclass(frozen=True)
class Surprise(Objective, name="surprise"):
    higher_is_better: ClassVar = {"surprise": False}

    def loss(self, scores, batch, *, training):
        return F.cross_entropy(scores.main, batch[1])

    def measured(self, scores, batch):
        sum = F.cross_entropy(scores.main, batch[1], reduction="sum")
        return {"surprise": sum.detach()}

    def score(self, means):
        return -means["surprise"]
"""


def test_a_search_without_accuracies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own, out = tmp_path / "own.py", tmp_path / "run"
    own.write_text(OBJECTIVE)
    options = (
        f"search --use {own} --objective surprise --engine local --limit 240 --depth 3 "
        "--final-channels 8 --iterations 1 --walks 1 --rank-epochs 1 --evaluate-every 1 "
        f"--evaluation-epochs 1 --retrain-epochs 1 --finalists 1 --out {out} "
        "--baselines off"
    )
    main(options.split())
    result = json.loads((out / "result.json").read_text())
    assert result["test_score"] == -result["test_surprise"] < 0
    assert result["valid_score"] < 0
    assert "test_accuracy" not in result
    assert f"test score     {result['test_score']:.4f}" in capsys.readouterr().out
    assert "test score" in (out / "report.html").read_text()
