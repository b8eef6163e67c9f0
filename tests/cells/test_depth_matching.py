"""The depth of a first stage by gradient confusion, as trials before the searches of a run."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fade_ray import results
from fade_ray.cells.cell_trials import CellHistory
from fade_ray.cells.cells_config import CellPlan, CellsConfig, GridConfig
from fade_ray.cells.confusion_plan import ConfusionPlan, MatchOptions
from fade_ray.cells.confusion_trial import MEASURE
from fade_ray.cells.depth_matching import (
    Matching,
    at_matched_depths,
    depth_search,
    matched,
    most_trainings,
)
from fade_ray.cli import main
from fade_ray.data.data_config import DataConfig
from fade_ray.records.journal import read_events
from fade_ray.records.standings import Cost
from fade_ray.run.run_config import RunConfig
from fade_ray.training.train_config import CELL_TRAINING
from searchers import Outcome
from searchers.depth_match import Match
from spaces.errors import InvalidInput

CONFIG = CellsConfig(
    data=DataConfig(limit=96),
    grid=GridConfig(recipes=("stacnas", "random"), spaces=("s5",), channels=2, epochs=1),
    train=replace(CELL_TRAINING, batch_size=8),
    matching=MatchOptions(
        match_depth=True, match_cells=4, match_channels=2, match_epochs=1, match_batches=2
    ),
    run=RunConfig(engine="local", device="cpu"),
)
FLAGS = (
    *("--limit", "96", "--recipes", "stacnas", "random", "--spaces", "s5", "--channels", "2"),
    *("--epochs", "1", "--batch-size", "8", "--match-depth", "--match-cells", "4"),
    *("--match-channels", "2", "--match-epochs", "1", "--match-batches", "2"),
    *("--engine", "local", "--device", "cpu"),
)
TIMES = {"seconds", "images_per_second", "peak_memory_mib", "step_memory_mib", "trial_seconds"}


def told(folder: Path) -> list[Any]:
    """What the record has of each trial, without times."""
    kept = []
    for event in read_events(folder / "records.jsonl"):
        if event["event"] in ("proposed", "epoch", "finished"):
            metrics = event.get("metrics", {})
            event["metrics"] = {k: v for k, v in metrics.items() if k not in TIMES}
            kept.append({name: value for name, value in event.items() if name != "time"})
    return kept


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was not interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    results.carry_out("cells", replace(CONFIG, out=str(folder)))
    return folder


def test_the_first_stage_has_the_nearest_depth(whole: Path) -> None:
    history = CellHistory.read(whole / "records.jsonl")
    values = {
        plan.cells: history.outcomes[plan.id].measures[MEASURE]
        for plan in history.plans(ConfusionPlan)
        if not plan.final
    }
    (final,) = [plan for plan in history.plans(ConfusionPlan) if plan.final]
    target = history.outcomes[final.id].measures[MEASURE]
    nearest = min(values, key=lambda depth: abs(values[depth] - target))
    cells = {plan.recipe: plan.cells for plan in history.plans(CellPlan)}
    assert cells == {"stacnas": nearest, "random": None}
    (depth,) = json.loads((whole / "cells.json").read_text())["depths"]
    assert (depth["cells"], depth["final"]) == (nearest, target)
    assert depth["trainings"] == len(values) + 1
    assert depth["images"] > 0
    assert f"{nearest} cells, of confusion" in (whole / "report.html").read_text()


@pytest.mark.slow
def test_a_process_killed_while_it_matches_goes_on_with_the_same_bits(
    whole: Path, tmp_path: Path
) -> None:
    program = f"""
import os, signal
from fade_ray.cells.confusion_trial import ConfusionTrial
measure = ConfusionTrial.measurement
def killed(trial):
    if trial.plan.id == "match-stacnas-s5-3-0" and trial.measured == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return measure(trial)
ConfusionTrial.measurement = killed
from fade_ray.cli import main
main({["cells", *FLAGS, "--out", str(tmp_path / "run")]!r})
"""
    ended = subprocess.run([sys.executable, "-c", program], check=False, env=os.environ)
    assert ended.returncode == -signal.SIGKILL
    main(["cells", "--out", str(tmp_path / "run")])
    assert told(tmp_path / "run") == told(whole)


def measured(config: CellsConfig, values: dict[int | None, float]) -> dict[str, Outcome]:
    """The outcomes of a match in which depths have these values; None: the final network."""
    search, outcomes = depth_search(config, "stacnas", "s5"), {}
    while (plan := search.ask()) is not None:
        value = values.get(None if plan.final else plan.cells)
        failed = Outcome.failed("diverged", "bad luck")
        outcomes[plan.id] = failed if value is None else Outcome(measures={MEASURE: value})
        search.tell(plan.id, outcomes[plan.id])
    return outcomes


@pytest.mark.parametrize(("target", "cells"), [(0.1, 3), (0.44, 9), (0.46, 9), (5.0, 20)])
def test_plans_get_the_depth_that_was_found(target: float, cells: int) -> None:
    config = replace(CONFIG, matching=MatchOptions(match_depth=True))
    outcomes = measured(config, {None: target} | {depth: depth / 20 for depth in range(3, 21)})
    plans = at_matched_depths(config, outcomes)
    assert [(plan.recipe, plan.cells) for plan in plans] == [("stacnas", cells), ("random", None)]
    assert len(outcomes) <= most_trainings(config) == 7
    assert [CellPlan.from_dict(plan.to_dict()) for plan in plans] == plans


def test_nothing_is_searched_where_the_final_network_fails() -> None:
    with pytest.raises(InvalidInput, match="no training of the one or the other ended well"):
        at_matched_depths(CONFIG, measured(CONFIG, {3: 1.0, 4: 2.0}))


def test_no_depth_is_matched_unless_that_is_asked() -> None:
    config = replace(CONFIG, matching=MatchOptions())
    assert matched(config) == []
    assert at_matched_depths(config, {}) == config.plans()


def said(values: dict[int, float], target: float, depth: int) -> str:
    match = Match(depth, target, values)
    return Matching("stacnas", "s5", 16, range(3, 21), match, True, 4, Cost(seconds=90.0)).text


def test_the_words_say_what_may_be_wrong() -> None:
    plain = said({9: 0.4, 12: 0.6}, 0.5, 9)
    assert "9 cells, of confusion 0.4 per million parameters beside 0.5 of" in plain
    assert "took 4 trainings, 1 min 30 s" in plain
    assert "grow" not in plain
    assert "allowed" not in plain
    assert "do not grow with the depth" in said({9: 0.6, 12: 0.4}, 0.5, 9)
    assert "No depth beyond it was allowed" in said({15: 0.4, 20: 0.6}, 0.9, 20)
    assert "confusion of 0" in said({3: 0.0, 20: 0.6}, 0.0, 3)
    assert "allowed" not in said({3: 0.0, 20: 0.6}, 0.0, 3)
    assert "No depth beyond it was allowed" in said({3: 0.4, 20: 0.6}, 0.1, 3)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--match-batches", "1"], "batches >= 2"),
        (["--match-cells", "2"], "two reduction cells"),
        (["--match-deepest", "2"], "two reduction cells"),
        (["--cells", "5"], "no cells are given with --match-depth"),
        (["--recipes", "darts-1st"], "several stages"),
        (["--match-genotype", "DARTS_V9"], "Did you mean"),
        (["--batch-size", "40"], "fill all batches"),
    ],
)
def test_mistakes_are_one_message(
    flags: Sequence[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["cells", *FLAGS, "--out", str(tmp_path / "run"), *flags])
    captured = capsys.readouterr()
    assert message in " ".join((captured.err + captured.out).split())
    assert not (tmp_path / "run").exists()
