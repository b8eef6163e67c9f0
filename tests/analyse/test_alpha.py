"""A study of alpha: what is swapped, which points its record gives, a run of it, wrong commands."""

import json
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from fade_ray import results
from fade_ray.analyse.alpha_config import AlphaStudy, SwapOptions
from fade_ray.analyse.alpha_figures import pictures
from fade_ray.analyse.alpha_points import Point, dropped, last_weights, points
from fade_ray.analyse.alpha_summary import WITHOUT, findings, in_words
from fade_ray.analyse.alpha_trials import LOOKED_UP, neighbours, swaps
from fade_ray.cells.cell_trials import CellHistory
from fade_ray.cells.cells_config import GridConfig, RetrainingOptions
from fade_ray.cli import main
from fade_ray.data.data_config import DataConfig
from fade_ray.kinds import kind_in
from fade_ray.records.journal import read_events
from fade_ray.report.style import house_style
from fade_ray.run.lifecycle import Interrupted
from fade_ray.run.run_config import RunConfig
from fade_ray.run.watcher import Watcher
from fade_ray.training import SGD, TrainConfig
from searchers import Outcome
from spaces import nasbench201
from spaces.darts import published
from spaces.genotype import GENOTYPES

TIMES = {"seconds", "trial_seconds", "images_per_second", "peak_memory_mib", "latency_ms"}
CELL = "|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_1x1~1|skip_connect~2|"


def study(*spaces: str, edges: tuple[str, ...] = (), seeds: tuple[int, ...] = (0,)) -> AlphaStudy:
    """Small enough to be carried out."""
    return AlphaStudy(
        data=DataConfig(limit=120),
        grid=GridConfig(
            recipes=("darts-1st",), spaces=spaces, seeds=seeds, epochs=1, cells=3, channels=2
        ),
        train=TrainConfig(batch_size=24, optimiser=SGD()),
        retraining=RetrainingOptions(
            retrain=True, retrain_seeds=1, retrain_epochs=(1,), retrain_cells=(3,)
        ),
        swaps=SwapOptions(edges),
        run=RunConfig(engine="local", device="cpu"),
    )


@pytest.mark.parametrize("edge", ["cell:0-1", "cell:0-2", "cell:2-3"])
def test_neighbours_of_a_benchmark_cell_are_all_five(edge: str) -> None:
    found = neighbours(CELL, published("nasbench201").macro, edge)
    assert tuple(found) == nasbench201.OPS
    number = [f"cell:{u}-{v}" for u, v in nasbench201.EDGES].index(edge)
    base = nasbench201.numbers(CELL)
    for op, macro in found.items():
        wanted = list(base)
        wanted[number] = nasbench201.OPS.index(op)
        assert nasbench201.numbers(macro) == tuple(wanted)
    assert sum(macro.notation == CELL for macro in found.values()) == 1


def test_neighbours_keep_all_other_genes_and_none_is_no_operation_where_edges_are_dropped() -> None:
    space, genotype = published("s1").macro, GENOTYPES["DARTS_V2"]
    found = neighbours(genotype.notation, space, "normal:0-2")
    assert list(found) == [op for op in space.cells["normal"].ops if op != "none"]
    for op, macro in found.items():
        assert macro.cells["reduce"].genes == genotype.cells["reduce"].genes
        assert macro.cells["normal"].genes[0] == (0, 2, op)
        assert macro.cells["normal"].genes[1:] == genotype.cells["normal"].genes[1:]
        assert macro <= space
    assert neighbours(genotype.notation, space, "normal:2-3") == {}  # an edge it has not kept


def test_every_network_is_trained_once() -> None:
    config = study("s1", edges=("normal:0-2", "normal:1-2"), seeds=(0, 1, 2))
    same, other = GENOTYPES["DARTS_V2"].notation, GENOTYPES["DARTS_V1"].notation
    outcomes = {
        plan.id: Outcome(found=text)
        for plan, text in zip(config.plans(), (same, same, other), strict=True)
    }
    plans = swaps(config, outcomes)
    assert len({plan.id for plan in plans}) == len(plans)
    assert len({plan.genotype for plan in plans}) == len(plans)
    assert len(plans) == 2 * (1 + 2 * 6)  # the second search has found the same
    assert plans[0].genotype == same
    twice = replace(config, retraining=replace(config.retraining, retrain_seeds=2))
    assert len(swaps(twice, outcomes)) == 2 * len(plans)
    assert swaps(twice, outcomes)[: len(plans)] == plans  # seeds are added behind


def event(**fields: Any) -> dict[str, Any]:
    return {"time": "2026-01-01T00:00:00+00:00", **fields}


def recorded(config: AlphaStudy, weights: Any, accuracy: Any) -> CellHistory:
    """A history of searches that found CELL; `weights` by seed [E][O], `accuracy` of a network, all
    of it looked up.
    """
    events, space = [], config.macro("nasbench201")
    near = {
        macro.notation: macro
        for edge in config.edges("nasbench201")
        for macro in neighbours(CELL, space, edge).values()
    }
    known = {
        text: {"params_c10": 10 * number, **dict.fromkeys(LOOKED_UP, accuracy(macro))}
        for number, (text, macro) in enumerate(near.items())
    }
    for plan in config.plans():
        events.append(event(event="proposed", proposal=plan.to_dict()))
        told = {"stage": 0, "search": 0, "weights": {"cell": weights(plan.seed)}}
        events.append(event(event="epoch", id=plan.id, epoch=1, metrics=told))
        outcome = Outcome(found=CELL).to_dict()
        metrics = {"genotype": CELL, "looked_up": known}
        events.append(event(event="finished", id=plan.id, outcome=outcome, metrics=metrics))
    return CellHistory(events)


def on_table(tmp_path: Path, *seeds: int) -> AlphaStudy:
    """A study whose table is never read here."""
    return replace(
        study("nasbench201", seeds=seeds),
        grid=replace(study("nasbench201", seeds=seeds).grid, table=str(tmp_path / "table.parquet")),
    )


def test_points_are_weights_and_accuracies_of_what_was_swapped(tmp_path: Path) -> None:
    config = on_table(tmp_path, 0, 1)
    assert config.edges("nasbench201") == tuple(f"cell:{u}-{v}" for u, v in nasbench201.EDGES)
    order = np.arange(30).reshape(6, 5) / 100 + 0.1

    def accuracy(macro: Any) -> float:
        return 50.0 + sum(nasbench201.numbers(macro))

    history = recorded(config, lambda seed: order.tolist(), accuracy)
    told = points(history, config)
    assert len(told) == 2 * len(LOOKED_UP) * 30
    one = next(p for p in told if (p.edge, p.op, p.seed) == ("cell:1-2", "nor_conv_1x1", 1))
    assert (one.weight, one.chosen, one.trainings) == (pytest.approx(order[2, 2]), False, 0)
    assert one.accuracy == pytest.approx(accuracy(CELL) / 100 - 0.02)  # 4 -> 2
    assert sum(p.chosen for p in told) == 2 * len(LOOKED_UP) * 6
    found = findings(told)
    right = [each for each in found if each.predictor == "weight"]
    assert all(each.agreement.value == pytest.approx(1) for each in right)
    assert {each.agreement.points for each in right if each.points == WITHOUT} == {48}
    words = in_words(found)
    assert "60 points: 2 searches, 12 edges" in words
    assert "Also in the report: c100_test_200 and in16_test_200." in words
    reversed_ = recorded(config, lambda seed: order[:, ::-1].tolist(), accuracy)
    pearson = findings(points(reversed_, config))[0]
    assert (pearson.measure, pearson.agreement.value) == ("pearson", pytest.approx(-1))


def test_an_edge_that_was_not_kept_is_told() -> None:
    config, found = study("s1", edges=("normal:0-2", "normal:2-3")), GENOTYPES["DARTS_V2"].notation
    plan, outcome = config.plans()[0], Outcome(found=found).to_dict()
    told = {"stage": 0, "search": 0, "weights": {"normal": np.ones((14, 8)).tolist()}}
    history = CellHistory(
        [
            event(event="proposed", proposal=plan.to_dict()),
            event(event="epoch", id=plan.id, epoch=1, metrics=told),
            event(event="finished", id=plan.id, outcome=outcome, metrics={}),
        ]
    )
    assert dropped(history, config) == ["darts-1st-s1-seed0 has not kept normal:2-3"]
    assert points(history, config) == []  # nothing is trained yet


def test_methods_are_compared_in_pairs_and_few_points_say_so(tmp_path: Path) -> None:
    base = Point("s4", "a", 0, 0, "normal:0-2", "skip_connect", True, 0.1, "quick", 0.5, 1, 10)
    rng, numbers = np.random.default_rng(0), count()
    told = [
        replace(base, recipe=recipe, seed=seed, op=f"op{k}", parameters=next(numbers), weight=w,
                accuracy=(w if recipe == "a" else 0.0) + 0.1 * rng.random(), chosen=False)
        for recipe in ("a", "b")
        for seed in range(6)
        for k, w in enumerate(rng.random(5))
    ]  # fmt: skip
    words = in_words(findings(told))
    assert "b against a, Pearson's correlation on s4, quick, 6 seeds: " in words
    four = [point for point in told if (point.recipe, point.seed) == ("a", 0)][:4]
    words = in_words(findings(four))
    assert "4 points show little: even a perfect order of them has a p of 0.083 at best." in words
    assert "One search: nothing is known of another seed." in words
    with house_style():
        assert len(list(pictures(told, findings(told)))) == 2


def test_weights_are_those_at_the_end_of_each_stage_of_the_last_search() -> None:
    told = [(0, 0, "start"), (0, 0, "a"), (0, 1, "b"), (1, 0, "c"), (1, 0, "d"), (1, 1, "e")]
    epochs = {
        number: {"search": search, "stage": stage, "weights": weights}
        for number, (search, stage, weights) in enumerate(told)
    }
    assert last_weights(epochs) == {0: "d", 1: "e"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return carry_out(study("s5"), tmp_path_factory.mktemp("alpha") / "run")


def carry_out(config: AlphaStudy, folder: Path, *watchers: Watcher) -> Path:
    return results.carry_out("analyse alpha", replace(config, out=str(folder)), watchers).folder


def story(folder: Path) -> dict[Any, Any]:
    """What the record says of every trial, without times."""
    told: dict[Any, Any] = {}
    for line in read_events(folder / "records.jsonl"):
        if line["event"] in ("epoch", "finished"):
            metrics = {name: v for name, v in line["metrics"].items() if name not in TIMES}
            metrics.pop("step_memory_mib", None)
            told[line["event"], line["id"], line.get("epoch")] = metrics
    return told


def test_a_study_trains_the_swapped_networks(whole: Path) -> None:
    summary = json.loads((whole / "summary.json").read_text())
    table = pq.read_table(whole / "tables" / "points.parquet").to_pylist()
    assert [row["op"] for row in table] == ["skip_connect", "sep_conv_3x3"]
    assert {row["edge"] for row in table} == {"normal:0-2"}
    assert sum(row["chosen"] for row in table) == 1
    assert [row["trainings"] for row in table] == [1, 1]
    assert table[0]["parameters"] < table[1]["parameters"]
    assert {each["points"] for each in summary["findings"]} == {2}
    assert (whole / "report.html").exists()


def test_a_stopped_study_goes_on_with_the_same_bits(whole: Path, tmp_path: Path) -> None:
    class Stop(Watcher):
        def __init__(self, after: int) -> None:
            self.left = after

        def finished(self, proposal: Any, outcome: Outcome, metrics: Any) -> None:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt

    for after in (1, 1):  # behind the search, and between two trainings
        with pytest.raises(Interrupted):
            carry_out(study("s5"), tmp_path / "run", Stop(after))
    carry_out(study("s5"), tmp_path / "run")
    assert story(tmp_path / "run") == story(whole)
    found = [(folder / "summary.json").read_text() for folder in (tmp_path / "run", whole)]
    assert found[0] == found[1]


def test_a_study_grows_by_seeds(whole: Path, tmp_path: Path) -> None:
    kind = kind_in(whole)
    more = replace(study("s5"), retraining=replace(study("s5").retraining, retrain_seeds=3))
    assert kind.grows(study("s5"), more)
    assert kind.grows(study("s5"), study("s5", seeds=(0, 4)))
    assert not kind.grows(study("s5"), study("s5", edges=("all",)))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--edges", "normal:0-22"], "Did you mean 'normal:0-2'"),
        (["--edges", "cell:0-1"], "An edge of s1 must be one of all, normal:0-2"),
        (["--no-retrain"], "Leave --no-retrain out, or give a --table"),
        (["--table", "t.parquet"], "A table belongs to the space nasbench201"),
        (["--spaces", "amended-s2"], "genotypes that the field has a notation for"),
    ],
)
def test_wrong_commands_are_met_with_the_remedy(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["analyse", "alpha", *arguments, "--out", str(tmp_path / "run")])
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
