"""Whole cell searches as plain functions: every recipe, resumed anywhere, with what they promise to
report.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fade_ray.cells.cell_job import CellJob
from fade_ray.cells.cell_recipes import RECIPES, recipe
from fade_ray.cells.cell_trial import CellSearch
from fade_ray.cells.cells_config import CellPlan, CellsConfig, GridConfig
from fade_ray.cells.discretise import Learned, Whole, top_edges
from fade_ray.cells.search_data import halves
from fade_ray.cells.watch import Drawn, misgivings, parameter_free, share
from fade_ray.data import Splits, load
from fade_ray.records.json_form import as_json, from_json
from fade_ray.run.run_config import RunConfig
from fade_ray.training import SGD, TrainConfig
from fade_ray.training.hessian import dominant_eigenvalue
from fade_ray.training.step_memory import step_memory
from fade_ray.training.updates import asking
from fade_ray.trials.job import events
from spaces import nasbench201
from spaces.cell import Macro
from spaces.darts import published
from spaces.errors import InvalidInput

PLAIN = TrainConfig(batch_size=24, optimiser=SGD())
TIMES = {"seconds", "images_per_second", "peak_memory_mib", "step_memory_mib"}
OTHER = {"amended-fixed": "amended-s2-fixed", "p-darts": "s4"}
PAIRS = [(name, OTHER.get(name, "s5")) for name in RECIPES]


@pytest.fixture(scope="module")
def splits() -> Splits:
    return load("digits", limit=72)


def small(*recipes: str, space: str = "s5", epochs: int = 2, **grid: Any) -> CellsConfig:
    return CellsConfig(
        grid=GridConfig(
            recipes=recipes,
            spaces=(space,),
            epochs=epochs,
            **{"cells": 3, "channels": 4, **grid},
        ),
        train=PLAIN,
        run=RunConfig(device="cpu"),
    )


def timeless(event: dict[str, Any]) -> dict[str, Any]:
    return event | {
        "metrics": {key: value for key, value in event["metrics"].items() if key not in TIMES}
    }


def run(
    config: CellsConfig, splits: Splits, folder: Path, plan: CellPlan | None = None
) -> Iterator[dict[str, Any]]:
    return events(CellJob(config), (plan or config.plans()[0]).to_dict(), splits, folder)


@pytest.mark.parametrize(("name", "space"), PAIRS)
def test_every_recipe_ends_with_a_genotype_of_its_space(
    name: str, space: str, splits: Splits, tmp_path: Path
) -> None:
    config = small(name, space=space, epochs=1, channels=max(4, 2 * RECIPES[name].partial))
    *told, last = run(config, splits, tmp_path)
    assert "failure" not in last["outcome"]
    genotype = Macro.from_dict(json.loads((tmp_path / "genotypes" / "000.json").read_text()))
    assert genotype.is_discrete
    assert genotype <= config.macro(space)
    assert last["metrics"]["parameter_free_share"] == share(genotype)
    assert [event["epoch"] for event in told] == list(range(len(told)))
    assert len(told) - 1 == config.plans()[0].epochs * (
        1 if name != "single-level" else last["metrics"]["searches"]
    )
    if RECIPES[name].trains:
        assert 0 <= last["metrics"]["proxy_accuracy"] <= 1
        assert told[-1]["metrics"]["weights"].keys() == genotype.cells.keys()


RESUMED = {
    "darts-2nd": "nasbench201",
    "amended-edges": "s5",
    "gdas": "nasbench201",
    "single-level": "nasbench201",
}


@pytest.fixture(scope="module")
def undisturbed(
    splits: Splits, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], list[dict[str, Any]]]:
    """All events of a recipe's search that nothing stops, run once."""

    @cache
    def told(name: str) -> list[dict[str, Any]]:
        return [
            timeless(event) for event in run(resumable(name), splits, tmp_path_factory.mktemp(name))
        ]

    return told


def resumable(name: str) -> CellsConfig:
    config = small(name, space=RESUMED[name], cells=3, channels=2)
    return replace(config, train=replace(PLAIN, drop_path=0.2))


@pytest.mark.parametrize(
    ("name", "stop"), [("darts-2nd", 2), ("amended-edges", 3), ("gdas", 1), ("single-level", 4)]
)
def test_a_search_that_was_stopped_goes_on_with_the_same_bits(
    name: str,
    stop: int,
    undisturbed: Callable[[str], list[dict[str, Any]]],
    splits: Splits,
    tmp_path: Path,
) -> None:
    stopped = run(resumable(name), splits, tmp_path)
    before = [timeless(next(stopped)) for _ in range(stop)]
    stopped.close()
    after = [timeless(event) for event in run(resumable(name), splits, tmp_path)]
    assert before == undisturbed(name)[:stop]
    assert after == undisturbed(name)


def test_single_level_searches_again_at_a_lower_rate_while_too_much_is_free_of_parameters(
    splits: Splits, tmp_path: Path
) -> None:
    """Algorithms E.4: at most twice, each time a fifth of the learning rate."""
    *told, last = run(small("single-level", epochs=1, space="s5"), splits, tmp_path)
    rates = [event["metrics"]["learning_rate"] for event in told if event["epoch"]]
    assert rates == pytest.approx([0.025, 0.005, 0.001][: len(rates)])
    if last["metrics"]["parameter_free_share"] > 0.3:
        assert len(rates) == 3
    config = small("single-level", epochs=1, lower_rate=False)
    *_, last = run(config, splits, tmp_path / "off")
    assert last["metrics"]["searches"] == 1


def test_all_recipes_start_from_the_same_images_and_weights(splits: Splits) -> None:
    config = small("darts-1st", "single-level", "amended")
    searches = [CellSearch(plan, splits, config) for plan in config.plans()]
    first = searches[0].network.state_dict()
    for search in searches[1:]:
        for key, value in search.network.state_dict().items():
            assert torch.equal(first[key], value)


def test_the_halves_are_disjoint_and_stratified(splits: Splits) -> None:
    ours, theirs = halves(splits, 0.5)
    total = len(splits.weights) + len(splits.architecture)
    assert len(ours) + len(theirs) == total
    difference = np.bincount(ours.labels, minlength=10) - np.bincount(theirs.labels, minlength=10)
    assert abs(difference).max() <= 1
    joined = {image.tobytes() for image in np.concatenate([ours.images, theirs.images])}
    assert len(joined) == len(
        {i.tobytes() for part in (splits.weights, splits.architecture) for i in part.images}
    )


def test_a_step_for_memory_changes_nothing(splits: Splits) -> None:
    config = replace(small("gdas"), train=replace(PLAIN, drop_path=0.3))
    search = CellSearch(config.plans()[0], splits, config)
    before = {key: value.clone() for key, value in search.network.state_dict().items()}
    states = [generator.get_state() for generator in search.training.problem.generators]
    assert step_memory(search.training) > 0
    assert all(
        torch.equal(before[key], value) for key, value in search.network.state_dict().items()
    )
    after = [generator.get_state() for generator in search.training.problem.generators]
    assert all(torch.equal(a, b) for a, b in zip(states, after, strict=True))
    assert all(weight.grad is None for weight in search.training.problem.weights)


def test_a_batch_that_does_not_fit_is_answered_with_one_that_does(splits: Splits) -> None:
    config = small("darts-1st")
    search = CellSearch(config.plans()[0], splits, config)
    real = search.training.problem.loss

    def greedy(batch: Any) -> Any:
        if len(batch[1]) > 7:
            raise MemoryError
        return real(batch)

    search.training.problem.loss = greedy  # type: ignore[method-assign]
    with pytest.raises(InvalidInput, match="batch_size=24 does not; 6 fit"):
        step_memory(search.training)


def test_a_loss_that_is_not_finite_ends_the_search_with_a_reason(
    splits: Splits, tmp_path: Path
) -> None:
    config = replace(
        small("darts-1st"),
        train=replace(PLAIN, optimiser=SGD(learning_rate=1e30, clip=0)),
    )
    *_, last = run(config, splits, tmp_path)
    assert last["outcome"].keys() == {"failure"}
    assert last["outcome"]["failure"]["kind"] == "diverged"
    assert last["outcome"]["failure"]["reason"].startswith("the loss")
    assert "lower" in last["outcome"]["failure"]["reason"]


def test_the_eigenvalue_is_that_of_the_whole_hessian(splits: Splits) -> None:
    """Second derivatives pass through the fast forms of the operations too. (Differences of
    gradients would not do: kinks of ReLU.)
    """
    config = small("darts-1st", space="nasbench201", cells=3, channels=4)
    search = CellSearch(config.plans()[0], splits, config)
    problem = search.training.problem
    batch = next(search.data.plain(held_out=True).ordered())
    with asking(problem, problem.logits):
        (logits,) = problem.logits
        (gradient,) = torch.autograd.grad(problem.loss(batch), (logits,), create_graph=True)
        rows = [
            torch.autograd.grad(g, (logits,), retain_graph=True)[0].flatten()
            for g in gradient.flatten()
        ]
    values = torch.linalg.eigvalsh(torch.stack(rows).double())
    found = dominant_eigenvalue(
        problem, batch, 30, torch.Generator().manual_seed(0), tolerance=1e-4
    )
    assert found.value == pytest.approx(float(values[values.abs().argmax()]), rel=1e-2)


def test_a_table_gives_the_true_accuracy_of_everything_found(
    splits: Splits, tmp_path: Path, real_data: Path
) -> None:
    config = small(
        "single-level",
        space="nasbench201",
        cells=3,
        epochs=1,
        table=str(real_data / "nasbench201.parquet"),
    )
    *told, last = run(config, splits, tmp_path)
    assert last["metrics"]["true"]["architecture"] == last["metrics"]["genotype"]
    assert last["metrics"]["true"]["c10_test_200"] == told[-1]["metrics"]["true_accuracy"]


def test_an_all_skip_genotype_is_called_a_collapse() -> None:
    macro = published("s5").macro
    genes = [(source, node, "skip_connect") for node in range(2, 6) for source in (0, 1)]
    skips = macro.with_cells({kind: cell.genotype(genes) for kind, cell in macro.cells.items()})
    assert share(skips, skip=True) == share(skips) == 1
    told = "100% of its operations are skip-connects (of genotypes drawn at random from the space "
    assert told + "50% on average, and at most 69% in 95 of 100)" in misgivings(skips, macro)[0]
    others = macro.with_cells(
        {
            k: c.genotype([(u, v, "sep_conv_3x3") for u, v, _ in genes])
            for k, c in macro.cells.items()
        }
    )
    assert misgivings(others, macro) == []
    assert [parameter_free(op) for op in ("none", "avg_pool_5x5", "dil_conv_3x3")] == [
        True,
        True,
        False,
    ]


def test_shares_of_drawn_genotypes_are_those_of_all_of_them() -> None:
    space = Macro({"cell": nasbench201.space()}, "nasbench201", 3)
    ops = np.array([nasbench201.numbers(cell) for cell in nasbench201.cells()])
    for skip, counted in (
        (False, [parameter_free(op) for op in nasbench201.OPS]),
        (True, ops == 1),
    ):
        shares = (np.array(counted)[ops] if not skip else counted).mean(axis=1)
        drawn = Drawn.of(space, skip=skip)
        assert drawn.mean == pytest.approx(shares.mean())
        assert (shares <= drawn.most).mean() >= 0.95 > (shares < drawn.most).mean()


@pytest.mark.parametrize("name", ["s1", "s4", "nasbench201"])
def test_logits_without_signal_are_discretised_like_that(name: str) -> None:
    space, rng = published(name).macro, np.random.default_rng(0)
    whole, drawn, shares = next(iter(space.cells.values())), Drawn.of(space), []
    for _ in range(300):
        weights = rng.random((len(space.cells), *whole.mask.shape))
        cells = (top_edges(Learned(w, None, np.zeros(0)), whole, Whole(whole)) for w in weights)
        shares.append(share(space.with_cells(dict(zip(space.cells, cells, strict=True)))))
    assert np.mean(shares) == pytest.approx(drawn.mean, abs=4 * np.std(shares) / 300**0.5)
    assert np.mean(np.array(shares) > drawn.most) < 0.05 + 4 * (0.05 * 0.95 / 300) ** 0.5


def test_wrong_names_and_pairs_are_answered_with_the_remedy() -> None:
    with pytest.raises(InvalidInput, match="Did you mean 'single-level'"):
        recipe("singel-level")
    for name, space in (
        ("amended-edges", "nasbench201"),
        ("amended-edges", "amended-s2-fixed"),
        ("amended-fixed", "s5"),
    ):
        with pytest.raises(InvalidInput, match=f"'{name}' makes no sense on space '{space}'"):
            CellsConfig(grid=GridConfig(recipes=(name,), spaces=(space,)))
    with pytest.raises(InvalidInput, match="multiple of 4"):
        CellsConfig(grid=GridConfig(recipes=("pc-darts",), channels=10))


def test_the_configuration_survives_json() -> None:
    config = small("gdas", "random", seeds=(3, 4))
    assert from_json(CellsConfig, json.loads(json.dumps(as_json(config)))) == config
    assert [plan.id for plan in config.plans()] == ["000", "001", "002", "003"]
    assert [plan.seed for plan in config.plans()] == [3, 3, 4, 4]
