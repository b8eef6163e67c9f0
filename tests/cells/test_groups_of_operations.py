"""StacNAS: from the representatives of groups to their members to a genotype."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fade_ray.cells import cell_trial
from fade_ray.cells.cell_job import CellJob
from fade_ray.cells.cell_recipes import RECIPES, EarlyStop
from fade_ray.cells.cell_trial import CellSearch
from fade_ray.cells.cells_config import CellsConfig, GridConfig
from fade_ray.cells.discretise import Learned, Whole, activate_groups, drop_edges, top_edges
from fade_ray.cells.search_data import ImageData
from fade_ray.cells.search_setup import SearchSetup, after
from fade_ray.data import Splits, load
from fade_ray.records.json_form import as_json, from_json
from fade_ray.run.run_config import RunConfig
from fade_ray.training import SGD, TrainConfig
from fade_ray.trials.job import events
from spaces.cell import NONE, CellSpace, Macro
from spaces.darts import SPACES
from spaces.errors import InvalidInput

GROUPED = [name for name, space in SPACES.items() if space.groups is not None]


def set_up(recipe: str, space: str, **grid: Any) -> SearchSetup:
    config = CellsConfig(grid=GridConfig(recipes=(recipe,), spaces=(space,), **grid))
    return config.setup(recipe, space)


def learned(cell: CellSpace, rng: np.random.Generator) -> Learned:
    """Any weights, of equal size where two of them tie."""
    return Learned(np.where(cell.mask, rng.integers(1, 5, cell.mask.shape), 0.0), None, np.zeros(0))


def walk(made: SearchSetup, seed: int) -> list[Macro]:
    """What every stage searches, whatever it learns, and at last the genotype."""
    rng, spaces = np.random.default_rng(seed), [made.start(made.groups, seed)]
    for stage in made.stages:
        searched = spaces[-1].at_depth(stage.cells)
        known = {kind: learned(cell, rng) for kind, cell in searched.cells.items()}
        spaces.append(after(stage, known, searched, made.wholes(searched, made.groups, seed)))
    return spaces


@given(
    seed=st.integers(0, 2**31 - 1),
    space=st.sampled_from(GROUPED),
    recipe=st.sampled_from(["stacnas", "stacnas-2019"]),
    how=st.sampled_from(["same-kernel", "random"]),
)
@settings(max_examples=60, deadline=None)
def test_whatever_is_learned_stages_stay_in_the_space_and_in_the_active_group(
    seed: int, space: str, recipe: str, how: str
) -> None:
    made = set_up(recipe, space, representatives=how, cells=4)
    assert made.groups is not None
    first, second, *_, genotype = spaces = walk(made, seed)
    for searched in spaces:
        assert searched <= made.whole.at_depth(searched.depth)
    for kind, cell in first.at_depth(second.depth).cells.items():
        for row in cell.allowed:
            one_each = {op for op, allowed in zip(cell.ops, row, strict=True) if allowed} - {NONE}
            assert [len(one_each & set(group)) for group in made.groups] == [1] * len(made.groups)
        for row in second.cells[kind].allowed:
            members = {op for op, allowed in zip(cell.ops, row, strict=True) if allowed}
            assert NONE in members
            assert members - {NONE} in [set(group) for group in made.groups]
    assert genotype.is_discrete
    assert genotype <= second.at_depth(genotype.depth)
    assert all(gene.op != NONE for cell in genotype.cells.values() for gene in cell.genes)
    into = [len({gene.target for gene in cell.genes}) for cell in genotype.cells.values()]
    assert into == [4] * len(into)


CELL = SPACES["s1"].macro.cells["normal"]
WHOLE = Whole(CELL, groups=SPACES["s1"].groups or ())


def test_the_heaviest_group_is_activated_none_apart() -> None:
    weights = np.zeros(CELL.mask.shape)
    weights[:, CELL.ops.index("none")] = 0.9
    weights[:, CELL.ops.index("dil_conv_3x3")] = 0.05
    weights[0, CELL.ops.index("skip_connect")] = 0.06
    found = activate_groups(Learned(weights, None, np.zeros(0)), CELL, WHOLE)
    named = [{op for op, on in zip(CELL.ops, row, strict=True) if on} for row in found.allowed]
    assert named[0] == {"none", "skip_connect"}
    assert named[1:] == [{"none", "dil_conv_3x3", "dil_conv_5x5"}] * 13


def test_an_edge_whose_none_wins_is_dropped_but_for_the_last_of_a_node() -> None:
    ops = ("none", "skip_connect")
    cell = CellSpace.create(2, 4, ops, keep=2)  # edges 0>2, 1>2, 0>3, 1>3, 2>3
    searched = cell.narrowed(np.array([[1, 1], [1, 1], [1, 1], [0, 0], [1, 1]], dtype=bool))
    weights = np.array([[0.6, 0.4], [0.7, 0.3], [0.2, 0.8], [0.0, 0.0], [0.9, 0.1]])
    found = drop_edges(Learned(weights, None, np.zeros(0)), searched, Whole(cell))
    assert [gene[:2] for gene in found.genes] == [(0, 2), (0, 3)]


def test_raw_scores_change_with_a_shift_per_edge_and_weights_do_not() -> None:
    """Algorithms C.4: why weights are the usual score."""
    logits = np.random.default_rng(0).normal(size=CELL.mask.shape)
    shifted = logits + np.linspace(-5, 5, len(logits))[:, None]

    def found(values: Any, raw: bool) -> CellSpace:
        weights = np.exp(values) / np.exp(values).sum(axis=1, keepdims=True)
        known = Learned(weights, None, np.zeros(0), values)
        return top_edges(known, CELL, Whole(CELL, raw_edges=raw))

    assert found(logits, raw=False) == found(shifted, raw=False)
    assert found(logits, raw=True) != found(shifted, raw=True)


@pytest.mark.parametrize(("cells", "size"), [(14, 1_550_266), (17, 1_861_402), (20, 2_172_538)])
def test_the_first_stage_has_its_published_size(cells: int, size: int) -> None:
    """Algorithms C.7, F.2: 5 operations, 16 channels; 140 logits."""
    made = set_up("stacnas", "s1", stage_cells=(cells, 20))
    splits = load("digits", limit=72)
    macro = made.start(made.groups, 0)
    with torch.device("meta"):
        drawn = torch.Generator("cpu")
        network = ImageData.network(macro, splits, made, made.stages[0], drawn)
    # digits have one channel in place of three: 2 * 9 * 48 weights of the stem less
    assert sum(p.numel() for p in network.parameters()) == size - 864
    assert sum(int(cell.mask.sum()) for cell in macro.cells.values()) == 140


# one search through all stages


@pytest.fixture(scope="module")
def splits() -> Splits:
    return load("digits", limit=72)


def small(recipe: str, space: str = "s4", **grid: Any) -> CellsConfig:
    sizes = {"epochs": 1, "cells": 3, "channels": 2, **grid}
    return CellsConfig(
        grid=GridConfig(recipes=(recipe,), spaces=(space,), **sizes),
        train=TrainConfig(batch_size=24, optimiser=SGD()),
        run=RunConfig(device="cpu"),
    )


def test_later_stages_keep_their_proportion_to_the_first() -> None:
    def depths(recipe: str, space: str, **grid: Any) -> list[int]:
        return [stage.cells for stage in set_up(recipe, space, **grid).stages]

    assert depths("stacnas", "s1") == [14, 20]
    assert depths("stacnas", "s1", cells=7) == [7, 10]
    assert depths("stacnas", "s1", cells=7, stage_cells=(5, 6)) == [5, 6]
    assert depths("p-darts", "s1", cells=10) == [10, 22, 34]
    # NAS-Bench-201 has three equal parts; its groups are measured first
    assert depths("stacnas", "nasbench201", groups="measured") == [15, 15, 21]
    assert depths("darts-1st", "s1", cells=7, stage_cells=()) == [7]


STOPS = {"stacnas-2019": (1, 2, 3), "p-darts": (2,)}


@pytest.mark.parametrize("recipe", STOPS)
def test_a_search_stopped_in_any_stage_goes_on_with_the_same_bits(
    recipe: str, splits: Splits, tmp_path: Path
) -> None:
    config = small(recipe, stage_cells=(3, 3, 3))
    (plan,) = config.plans()

    def told(folder: Path, count: int | None = None) -> list[Any]:
        running = events(CellJob(config), plan.to_dict(), splits, folder)
        told = list(running) if count is None else [next(running) for _ in range(count)]
        running.close()  # type: ignore[attr-defined]
        for event in told:
            for name in ("seconds", "images_per_second", "peak_memory_mib", "step_memory_mib"):
                event["metrics"].pop(name, None)
        return told

    whole = told(tmp_path / "whole")
    for stop in STOPS[recipe]:
        assert told(tmp_path / f"{stop}", stop + 1) == whole[: stop + 1]
        assert told(tmp_path / f"{stop}") == whole


def test_an_early_end_takes_the_genotype_of_before_and_goes_on_with_the_same_bits(
    splits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = replace(RECIPES["darts-es"], stops=EarlyStop(window=1, ratio=0.4))
    monkeypatch.setitem(RECIPES, "darts-es", early)
    monkeypatch.setattr(cell_trial, "eigenvalue", lambda search: 3.0**search.training.epoch)
    config = small("darts-es", "nasbench201", cells=3, epochs=6)
    (plan,) = config.plans()

    def told(folder: Path) -> Iterator[Any]:
        return events(CellJob(config), plan.to_dict(), splits, folder)

    before, stopped = [], told(tmp_path / "stopped")
    for _ in range(3):  # 0, and the two epochs after which it ends
        before.append(next(stopped))
    stopped.close()  # type: ignore[attr-defined]
    *again, last = told(tmp_path / "stopped")
    assert again == before
    *whole, end = told(tmp_path / "whole")
    assert (len(whole), end["metrics"]["ended_early"]) == (3, True)
    assert end["outcome"] == last["outcome"]
    search = CellSearch(plan, splits, config)
    search.run_epoch()
    assert end["metrics"]["genotype"] == search.genotype_now().notation


def test_nothing_held_out_is_all_images_and_is_said(splits: Splits, tmp_path: Path) -> None:
    config = small("stacnas", held_out=0.0)
    search = CellSearch(config.plans()[0], splits, config)
    parts = [search.data.plain(held_out) for held_out in (False, True)]
    assert [part.count for part in parts] == [len(splits.all_but_test)] * 2
    first, *_, last = events(CellJob(config), config.plans()[0].to_dict(), splits, tmp_path)
    for event in (first, last):
        assert event["metrics"]["proxy_images"] == "training"
    for recipe in ("darts-1st", "amended"):
        with pytest.raises(InvalidInput, match="--held-out"):
            small(recipe, held_out=0.0)
    small("single-level-other-batch", held_out=0.0)


def test_random_representatives_are_of_the_seed(splits: Splits) -> None:
    made = set_up("stacnas", "s1", representatives="random")
    drawn = {made.start(made.groups, seed).cells["normal"].allowed for seed in range(8)}
    assert len(drawn) > 2
    assert made.start(made.groups, 3) == made.start(made.groups, 3)


BAD = {
    "a representative": [["max_pool_3x3"], []],
    "overlap": [["skip_connect", "sep_conv_3x3"], ["sep_conv_3x3"]],
    "hold every operation": [["skip_connect"]],
}


@pytest.mark.parametrize("said", BAD)
def test_groups_that_are_none_are_one_message(said: str, tmp_path: Path) -> None:
    path = tmp_path / "groups.json"
    path.write_text(json.dumps(BAD[said]))
    with pytest.raises(InvalidInput, match=said):
        set_up("stacnas", "s1", groups=str(path))


def test_the_groups_of_a_file_are_kept_with_the_run(tmp_path: Path) -> None:
    path = tmp_path / "groups.json"
    path.write_text(json.dumps({"groups": SPACES["s5"].groups}))
    config = CellsConfig(grid=GridConfig(recipes=("stacnas",), groups=str(path)))
    path.unlink()
    assert from_json(CellsConfig, as_json(config)) == config
    assert config.setup("stacnas", "s5").groups == SPACES["s5"].groups


def test_what_a_space_or_a_depth_cannot_have_is_one_message() -> None:
    with pytest.raises(InvalidInput, match="--groups measured"):
        set_up("stacnas", "darts", groups="published")
    with pytest.raises(InvalidInput, match="two reduction cells"):
        set_up("stacnas", "s1", stage_cells=(1, 20))
    with pytest.raises(InvalidInput, match="have 2 stages"):
        set_up("stacnas", "s1", stage_epochs=(1, 2, 3))
    with pytest.raises(InvalidInput, match="stage_cells >= 1"):
        set_up("stacnas", "s1", stage_cells=(0, 3))
