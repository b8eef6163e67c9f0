"""Stages of a depth, width and length of their own, and one that lets operations in again."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fade_ray.cells.cell_job import CellJob
from fade_ray.cells.cell_recipes import RECIPES, Recipe, Stage
from fade_ray.cells.cell_trial import CellSearch
from fade_ray.cells.cells_config import CellsConfig, GridConfig
from fade_ray.cells.discretise import DISCRETISERS, Learned, Whole
from fade_ray.data import Splits, load
from fade_ray.run.run_config import RunConfig
from fade_ray.training import SGD, TrainConfig
from fade_ray.training.edge_architecture import CellArchitectureConfig
from fade_ray.trials.job import events
from spaces.cell import CellSpace


def one_each(learned: Learned, searched: CellSpace, whole: Whole) -> CellSpace:
    """Some operations of each edge: a stand-in for representatives of groups."""
    mask = whole.cell.mask
    mask[:, 2:] = False
    return whole.cell.narrowed(mask)


def groups_of_best(learned: Learned, searched: CellSpace, whole: Whole) -> CellSpace:
    """The best operation of each edge with the others of its group, none of which was searched."""
    best = np.where(searched.mask, learned.weights, -np.inf).argmax(axis=1)
    mask = np.zeros_like(whole.cell.mask)
    for edge, op in enumerate(best):
        mask[edge, [op, -1]] = True
    return whole.cell.narrowed(mask)


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Recipe:
    stages = (
        Stage("one-each", epochs=1, channels=4),
        Stage("groups-of-best", cells=5, channels=4, epochs=2),
        Stage("top-edges", cells=3, channels=8),
    )
    for name, discretiser in (("one-each", one_each), ("groups-of-best", groups_of_best)):
        monkeypatch.setitem(DISCRETISERS, name, discretiser)
    grouped = Recipe("groups, then their members", CellArchitectureConfig(), stages)
    monkeypatch.setitem(RECIPES, "grouped", grouped)
    return grouped


@pytest.fixture(scope="module")
def splits() -> Splits:
    return load("digits", limit=72)


def config() -> CellsConfig:
    return CellsConfig(
        grid=GridConfig(recipes=("grouped",), spaces=("s5",), epochs=1, cells=4, channels=4),
        train=TrainConfig(batch_size=24, optimiser=SGD()),
        run=RunConfig(device="cpu"),
    )


def test_each_stage_is_as_long_deep_and_wide_as_it_says(recipe: Recipe, splits: Splits) -> None:
    (plan,) = config().plans()
    assert plan.epochs == 1 + 2 + 1
    search, sizes = CellSearch(plan, splits, config()), []
    while not search.finished:
        network = search.network
        sizes.append((len(network.places), network.config.channels))
        search.run_epoch()
    assert sizes == [(4, 4), (5, 4), (5, 4), (3, 8)]


def test_the_genotype_now_holds_what_was_searched_alone(
    recipe: Recipe, splits: Splits, tmp_path: Path
) -> None:
    (plan,) = config().plans()
    search = CellSearch(plan, splits, config())
    search.run_epoch()
    assert search.stage == 1
    searched = search.searched
    now = search.genotype_now()
    assert now.is_discrete
    assert now <= searched
    search.run_epoch(), search.run_epoch()
    assert search.stage == 2
    assert not search.searched <= searched  # members came in
    *_, last = events(CellJob(config()), plan.to_dict(), splits, tmp_path)
    assert "failure" not in last["outcome"]


def test_a_search_in_its_second_stage_goes_on_with_the_same_bits(
    recipe: Recipe, splits: Splits, tmp_path: Path
) -> None:
    (plan,) = config().plans()

    def run(folder: Path) -> Iterator[dict]:  # type: ignore[type-arg]
        return events(CellJob(config()), plan.to_dict(), splits, folder)

    def weights(told: list[dict]) -> list[object]:  # type: ignore[type-arg]
        return [event["metrics"].get("weights") for event in told]

    whole = list(run(tmp_path / "whole"))
    begun = run(tmp_path / "stopped")
    assert weights([next(begun) for _ in range(3)]) == weights(whole[:3])
    begun.close()  # type: ignore[attr-defined]
    assert weights(list(run(tmp_path / "stopped"))) == weights(whole)
