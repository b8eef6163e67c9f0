"""What waits for the device in a step, counted on a device that stands for any."""

import pytest
import torch
from _crossings import Crossings
from _gpu_sections import FAILED, Machine, _waits
from _gpu_steps import STEPS, Placement, Size

QUICK = ("one path", "rows, score-function", "rows, penalty", "cells, sampled")
SIMULATED = [name for name, kind in STEPS.items() if kind.simulated]


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in SIMULATED]
)
def test_a_step_waits_for_what_it_must_alone(name: str, tmp_path) -> None:
    checks = list(_waits(name, STEPS[name], Machine("cpu", tmp_path)))
    assert [check.verdict for check in checks] == ["ok", "ok"], checks
    assert checks[0].value == STEPS[name].reads


def test_a_read_more_is_seen_and_its_line_named(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = STEPS["one path"]
    measured = kind.training(*_small()).config.objective.measured

    def reading(self, scores, batch):
        scores.main.sum().item()
        return measured(scores, batch)

    monkeypatch.setattr("fade_ray.training.objectives.Classification.measured", reading)
    reads, sends = _waits("one path", kind, Machine("cpu", tmp_path))
    assert (reads.verdict, reads.value, sends.verdict) == (FAILED, 1, "ok")
    assert reads.note.startswith("1x fade_ray/training/loop.py:")


def _small():
    return Placement(torch.device("meta")), Size(4, 6), 1


def test_what_counts_as_a_crossing() -> None:
    there, here = torch.ones(3, device="meta"), torch.ones(3)
    with Crossings() as crossings:
        assert there.sum().item() == 1.0
        assert there.tolist() == [1.0, 1.0, 1.0]
        here.copy_(there)
        assert bool((there > 0).any()) is False  # the stand-in's answer
    assert (crossings.reads.total(), crossings.sends.total()) == (4, 0)
    with Crossings() as crossings:
        here.to("meta")
        torch.tensor([1, 2], device="meta")
        there.copy_(here)
    assert (crossings.reads.total(), crossings.sends.total()) == (0, 3)
    with Crossings() as crossings:
        here.to(there, non_blocking=True)
        there.copy_(here, non_blocking=True)
        here.sum().item()
        there.add_(2.0)
        torch.where(there > 0, there, torch.zeros(()))
    assert (crossings.reads.total(), crossings.sends.total()) == (0, 0)
