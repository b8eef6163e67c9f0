"""How far a run is: `fade-ray status`, once, followed and for programs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ToyConfig, ToyHistory

from fade_ray.records.journal import FORMAT, Journal
from fade_ray.records.standings import TrialStanding
from fade_ray.run import standing
from fade_ray.run.kind import RunKind
from searchers import Outcome

COST = {"images": 100, "multiply_adds": 1000, "seconds": 2.0}
TOY: RunKind[Any, Any] = RunKind.table["toy"]


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A run of three trials that was left: one is done, one has told two epochs, one none."""
    config = ToyConfig(trials=3)
    (tmp_path / "config.json").write_text(json.dumps(TOY.to_json(config)))
    with Journal(tmp_path / "records.jsonl") as journal:
        journal.append("start", format=FORMAT)
        for plan in config.plans:
            journal.append("proposed", proposal=plan.to_dict())
        for id, epoch in (("00000", 1), ("00000", 2), ("00001", 1), ("00001", 2)):
            loss = {"loss": 1.0 / epoch, "node": "n2"} | COST
            journal.append("epoch", id=id, epoch=epoch, metrics=loss)
        sums = {name: 2 * value for name, value in COST.items()}
        journal.append("finished", id="00000", outcome=Outcome(score=0.5).to_dict(), metrics=sums)
    return tmp_path


def test_every_trial_is_told_with_what_it_has_cost_so_far(begun: Path) -> None:
    done, running, waiting = ToyHistory.read(begun / "records.jsonl").standings
    assert [each.state for each in (done, running, waiting)] == ["done", "running", "waiting"]
    assert (running.reached, running.node, running.loss) == ("2 of 3 epochs", "n2", 0.5)
    assert running.images_per_second == 50
    assert (done.cost.images, running.cost.images, waiting.cost.images) == (200, 200, 0)
    assert done.score == 0.5


def test_a_trial_that_has_begun_does_not_wait_until_its_process_is_lost(begun: Path) -> None:
    told: list[tuple[str, dict[str, Any], tuple[str, str | None]]] = [
        ("begun", {"node": "n3"}, ("0 of 2 epochs", "n3")),
        ("restarted", {"failure": {"kind": "node lost", "reason": "gone"}}, ("waits", None)),
        ("begun", {"node": None}, ("0 of 2 epochs", None)),  # in the plain loop
    ]
    for event, fields, expected in told:
        with Journal(begun / "records.jsonl") as journal:
            journal.append(event, id="00002", **fields)
        trial = ToyHistory.read(begun / "records.jsonl").standings[2]
        reached = trial.reached if trial.state == "running" else "waits"
        assert (reached, trial.node) == expected
        row = standing.status(TOY, begun).splitlines()[-1]
        assert row.startswith("00002")
        assert expected[0] in row
    with Journal(begun / "records.jsonl") as journal:
        journal.append("start", format=FORMAT, resumed=True)
    waiting = ToyHistory.read(begun / "records.jsonl").standings[1:]
    assert [(trial.state, trial.epoch) for trial in waiting] == [("waiting", 2), ("waiting", 0)]


def test_the_cost_of_trials_in_flight_counts(begun: Path) -> None:
    said = standing.status(TOY, begun)
    assert "400 training images" in said
    assert "1 for a place and its process; a trial takes 1 CPU" in said
    row = next(line for line in said.splitlines() if line.startswith("00001"))
    assert row.split()[:7] == ["00001", "trial", "2", "of", "3", "epochs", "n2"]


def test_programs_get_one_object(begun: Path) -> None:
    told = json.loads(standing.status_object(TOY, begun))
    assert (told["kind"], told["state"], told["images_per_second"]) == ("toy", "not finished", 50)
    assert [trial["state"] for trial in told["trials"]] == ["done", "running", "waiting"]
    assert told["cost"]["images"] == 400


def test_who_follows_is_told_what_is_new_until_the_end(
    begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter([lambda: None, lambda: (begun / "result.json").write_text('{"kind": "toy"}')])
    monkeypatch.setattr(standing.time, "sleep", lambda seconds: next(looks)())
    told = list(standing.following(TOY, begun, standing.status))
    assert ["not finished" in text for text in told] == [True, False]


def test_a_stage_is_told_where_there_are_several() -> None:
    epochs = {0: {"stages": 3}, 1: {"stage": 0}, 2: {"stage": 1}}
    standing = TrialStanding.of("1", "cells", epochs, 9, None, {}, None)
    assert standing.reached == "2 of 9 epochs, stage 2 of 3"


def test_toys_are_told_to_their_end(
    tmp_path: Path, toy: Callable[..., Path], toy_config: Callable[..., Any]
) -> None:
    folder = toy(toy_config(tmp_path / "run"))
    states = [trial["state"] for trial in json.loads(standing.status_object(TOY, folder))["trials"]]
    assert (states.count("done"), states.count("failed")) == (3, 3)
