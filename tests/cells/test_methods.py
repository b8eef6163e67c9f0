"""Methods beside each other: what is trained, what counts, and what may be said of it."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fade_ray.cells.cell_job import AnyPlan
from fade_ray.cells.cell_trials import CellHistory
from fade_ray.cells.cells_config import CellPlan, CellsConfig, GridConfig, RetrainingOptions
from fade_ray.cells.method_page import blocks, method_table, write_methods
from fade_ray.cells.method_scores import Scored, scored
from fade_ray.cells.method_table import MethodTable
from fade_ray.cells.retrainings import RetrainPlan, first_to_find, retrainings
from fade_ray.data.data_config import DataConfig
from fade_ray.report.page import Verdict
from fade_ray.report.words import ACCURACY
from searchers import Outcome
from spaces.errors import InvalidInput

SIZES = {"retrain_epochs": (3,), "retrain_cells": (3,), "retrain_channels": (4, 8)}


def config(**options: object) -> CellsConfig:
    return CellsConfig(
        data=DataConfig(limit=120),
        grid=GridConfig(recipes=("darts-1st", "random"), spaces=("s5", "s3"), seeds=(0, 1)),
        retraining=RetrainingOptions(retrain=True, **SIZES, **options),  # type: ignore[arg-type]
    )


def found(*genotypes: str | None) -> dict[str, Outcome]:
    return {
        f"{number:03d}": Outcome.failed("diverged", "") if text is None else Outcome(found=text)
        for number, text in enumerate(genotypes)
    }


def test_equal_genotypes_of_a_space_are_trained_but_once() -> None:
    """Searches 0, 1 and 4, 5 are on s5, the others on s3."""
    outcomes = found("a", "b", "a", "b", "a", None, "c", "b")
    assert first_to_find(config(), outcomes) == {
        **{"000": "000", "001": "001", "002": "002", "003": "003"},
        **{"004": "000", "006": "006", "007": "003"},
    }
    plans = retrainings(config(retrain_seeds=2), outcomes)
    sizes = ("quick-3x4-3", "quick-3x8-3")
    assert [(plan.seed, plan.of, plan.setting) for plan in plans] == [
        (seed, id, setting)
        for seed in (0, 1)
        for id in ("000", "001", "002", "003", "006")
        for setting in sizes
    ]
    assert len({plan.id for plan in plans}) == len(plans)
    assert retrainings(config(), found(*8 * [None])) == []


def test_more_seeds_change_nothing_of_what_was_trained_before() -> None:
    few, many = (retrainings(config(retrain_seeds=n), found(*"aabbabba")) for n in (1, 3))
    assert many[: len(few)] == few


def test_plans_of_every_sort_come_back_from_their_record() -> None:
    searches = config().plans()
    for plan in [*searches, *retrainings(config(), found(*"abababab"))]:
        assert AnyPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan
    assert "sort" not in searches[0].to_dict()  # as in records of earlier versions
    with pytest.raises(InvalidInput, match="event 1"):
        CellHistory([{"event": "proposed", "time": "", "proposal": {"id": "x", "sort": "other"}}])


def test_records_of_earlier_versions_tell_what_was_found_in_the_metrics() -> None:
    plan = config().plans()[0]
    ended = {
        "event": "finished",
        "time": "2026-01-01T00:00:00+00:00",
        "id": "000",
        "outcome": {"score": 0.5},
    }
    events = [
        {"event": "proposed", "time": "2026-01-01T00:00:00+00:00", "proposal": plan.to_dict()},
        ended | {"metrics": {"genotype": "a"}},
    ]
    assert CellHistory(events).outcomes["000"] == Outcome(score=0.5, found="a")


def record(accuracies: Mapping[str, Mapping[int, float | None]]) -> CellHistory:
    """Three searches, the first two of the same genotype; [trained genotype][seed] -> accuracy, of
    one setting; None for a training that failed.
    """
    history = CellHistory()
    for number, genotype in enumerate("aab"):
        plan = CellPlan(f"{number:03d}", number, 0, "darts-1st", "s5", number, 1)
        history.proposals[plan.id] = plan
        history.outcomes[plan.id] = Outcome(found=genotype)
        history.metrics[plan.id] = {"seconds": 5.0 + number, "images": 100}
    for genotype, by_seed in accuracies.items():
        for seed, accuracy in by_seed.items():
            first = "000" if genotype == "a" else "002"
            trained = RetrainPlan(f"{first}-q-{seed}", first, "s5", genotype, "q", seed, 1)
            history.proposals[trained.id] = trained
            measured = {"parameters": 7, "network_multiply_adds": 9, "latency_ms": 1.0 + seed}
            known = {} if accuracy is None else {"test_accuracy": accuracy, **measured}
            history.metrics[trained.id] = known
    return history


def test_a_search_is_scored_by_all_trainings_of_its_genotype() -> None:
    scores = scored(record({"a": {0: 0.5, 1: 0.7}, "b": {0: 0.2, 1: 0.2}}))
    assert [(s.trial, s.trained, s.accuracies) for s in scores] == [
        ("000", "000", (0.5, 0.7)),
        ("001", "000", (0.5, 0.7)),
        ("002", "002", (0.2, 0.2)),
    ]
    assert scores[0].accuracy == pytest.approx(0.6)
    assert (scores[1].search_seconds, scores[1].latency_ms) == (6.0, 1.5)
    # a training that failed, or is not there yet, leaves its searches out
    for gap in ({0: 0.2}, {0: 0.2, 1: None}):
        partly = scored(record({"a": {0: 0.5, 1: 0.7}, "b": gap}))
        assert [s.trial for s in partly] == ["000", "001"]


def table(values: Mapping[tuple[str, str, str], list[float]]) -> MethodTable:
    """[setting, space, method] -> accuracies over the seeds of the search, each trained twice with
    one point between.
    """
    scores = [
        Scored(s, space, m, seed, "t", "t", (x - 0.005, x + 0.005), 10, 20, 1.0, 5.0, 100)
        for (s, space, m), by_seed in values.items()
        for seed, x in enumerate(by_seed)
        if math.isfinite(x)
    ]
    searches = [(m, p, seed) for (_, p, m), xs in values.items() for seed in range(len(xs))]
    made = MethodTable.of(scores, list(dict.fromkeys(searches)))
    assert made is not None
    return made


def test_the_unit_of_replication_is_the_search() -> None:
    made = table(
        {("q", "s5", "darts-1st"): [0.1, 0.2, 0.3], ("q", "s5", "random"): [0.1, 0.1, 0.1]}
    )
    row = made.row("q", ("s5",), "darts-1st")
    assert (row.searches, row.missing) == (3, 0)
    assert (row.mean, row.std) == (pytest.approx(0.2), pytest.approx(0.1))
    assert row.low == pytest.approx(0.2 - 4.30265273 * 0.1 / math.sqrt(3))
    assert row.retraining_std == pytest.approx(0.01 / math.sqrt(2))
    assert made.ranks["q"] == {"darts-1st": pytest.approx(7 / 6), "random": pytest.approx(11 / 6)}


def test_searches_that_are_missing_are_counted_and_tested_in_pairs() -> None:
    gap = [0.1, math.nan, 0.3]
    made = table({("q", "s5", "darts-1st"): gap, ("q", "s5", "random"): [0.0, 0.0, 0.0]})
    assert made.row("q", ("s5",), "darts-1st").missing == 1
    (family,) = made.families
    assert (len(family.tests[0].seeds), family.tests[0].difference) == (2, pytest.approx(0.2))


def test_too_few_seeds_show_nothing_and_it_says_so() -> None:
    made = table({("q", "s5", "gdas"): [0.9] * 4, ("q", "s5", "random"): [0.1, 0.2, 0.3, 0.4]})
    (sentence,) = made.verdict(("s5",))
    assert "No difference shown" in sentence
    assert "whatever is found, no difference can be shown" in sentence
    assert "at least 6 seeds" in sentence


def test_two_spaces_together_show_what_neither_can_alone() -> None:
    better = [0.5, 0.6, 0.55, 0.52]
    values = {("q", space, "gdas"): better for space in ("s3", "s5")}
    values |= {("q", space, "random"): [0.4, 0.41, 0.42, 0.43] for space in ("s3", "s5")}
    made = table(values)
    assert made.verdict(("s3", "s5"))[0] == "q, s3 and s5: Shown to be better than random: gdas."
    assert all("No difference shown" in made.verdict((space,))[0] for space in ("s3", "s5"))
    # a spread over spaces would say nothing
    assert math.isnan(made.row("q", ("s3", "s5"), "gdas").std)


def test_better_is_said_only_where_the_lower_bound_is_above_zero() -> None:
    """Every pair speaks for it, but the mean difference is all one search's."""
    gains = [0.001] * 7 + [0.5]
    made = table({("q", "s5", "gdas"): [0.4 + x for x in gains], ("q", "s5", "random"): [0.4] * 8})
    (test,) = made.families[0].tests
    assert test.corrected <= 0.05
    assert test.low < 0
    assert "No difference shown" in made.verdict(("s5",))[0]


def test_methods_are_tested_against_each_other_as_a_family_of_their_own() -> None:
    names = ("darts-1st", "gdas", "pc-darts", "random")
    made = table({("q", "s5", name): [0.1, 0.2, 0.3] for name in names})
    against, others = made.families
    assert [len(against.tests), len(others.tests)] == [3, 3]
    assert against.tests[0].family == others.tests[0].family == 3
    assert all("random" not in (t.searcher, t.baseline) for t in others.tests)
    without = table({("q", "s5", name): [0.1, 0.2, 0.3] for name in names[:3]})
    assert [family.baseline for family in without.families] == [""]


@settings(max_examples=12, deadline=None)
@given(st.permutations([0.1, 0.2, 0.3, 0.4]))
def test_rankings_of_two_settings_are_told_by_kendalls_tau(other: list[float]) -> None:
    names = ("darts-1st", "gdas", "pc-darts", "random")
    values = {
        (setting, "s5", name): [height, height]
        for setting, heights in (("p", [0.1, 0.2, 0.3, 0.4]), ("q", other))
        for name, height in zip(names, heights, strict=True)
    }
    between = next(each for each in table(values).rankings if each.first != each.second)
    pairs = [(i, j) for i in range(4) for j in range(i)]
    tau = sum(1 if other[i] > other[j] else -1 for i, j in pairs) / len(pairs)
    assert between.of_means == pytest.approx(tau)
    assert between.within == pytest.approx(tau)


def test_what_is_written_and_shown(tmp_path: Path) -> None:
    history = record({"a": {0: 0.5, 1: 0.7}, "b": {0: 0.2, 1: 0.2}})
    scores, made = method_table(history)
    assert made is not None
    write_methods(scores, made, ACCURACY, tmp_path)
    told = json.loads((tmp_path / "methods.json").read_text())
    assert told["rows"][0]["mean"] == pytest.approx((0.6 + 0.6 + 0.2) / 3)
    assert {path.stem for path in (tmp_path / "tables").iterdir()} == {"methods", "retrained"}
    first, *_ = blocks(scores, made, ACCURACY, "cpu")
    assert first == Verdict("Nothing was tested: there is one method.", [])
    assert method_table(CellHistory()) == ([], None)
