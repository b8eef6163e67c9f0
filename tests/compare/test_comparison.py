"""Comparisons of searchers: curves and areas by hand, and verdicts that claim no more than the
tests.
"""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fade_ray.analysis.resampling import t_interval
from fade_ray.compare.compare_config import ContestConfig
from fade_ray.compare.comparison import Comparison
from fade_ray.compare.comparison_output import COLUMNS, comparison_tables
from fade_ray.compare.trace import Trace, anytime, area, final, incumbents, top_reports
from fade_ray.records.journal import plain
from fade_ray.records.json_form import as_json
from fade_ray.report.tables import write_tables
from fade_ray.report.verdict import foreseen
from spaces.errors import InvalidInput

STEPS = Trace(
    "random", 0, 10.0, "evaluations", (2, 4, 6, 8), (0.5, 0.7, 0.7, 0.6), (0.55, 0.6, 0.9, 0.8)
)
"""Best scores 0.5, 0.7, 0.7 (tie: the earlier), 0.7."""


def trace(searcher: str, seed: int, report: float, **changed: object) -> Trace:
    """One evaluation at half the budget."""
    return replace(
        Trace(searcher, seed, 10.0, "evaluations", (5.0,), (report,), (report,)), **changed
    )  # type: ignore[arg-type]


def test_the_curve_reports_the_best_scored_and_the_earlier_of_equal_ones() -> None:
    found = anytime(STEPS, [0, 1.99, 2, 3, 4, 7, 10])
    np.testing.assert_array_equal(found.reports, [np.nan, np.nan, 0.55, 0.55, 0.6, 0.6, 0.6])
    np.testing.assert_array_equal(found.scores, [np.nan, np.nan, 0.5, 0.5, 0.7, 0.7, 0.7])
    assert anytime(STEPS, [0], floor=0.1).reports == 0.1
    assert incumbents(STEPS).tolist() == [[0.5, 0.55], [0.7, 0.6], [0.7, 0.6], [0.7, 0.6]]


def test_evaluations_of_one_architecture_are_pooled_and_a_lucky_one_is_not_chosen() -> None:
    """`a` scores 0.9 once and 0.5 then; `b` scores 0.7 twice: its mean is the best one."""
    lucky = Trace(
        *("random", 0, 10.0, "evaluations", (1, 2, 3, 4), (0.9, 0.7, 0.5, 0.75)),
        *((0.2, 0.6, 0.4, 0.8), True, ("a", "b", "a", "b")),
    )
    pooled = [(0.9, 0.2), (0.9, 0.2), (0.7, 0.3), (0.725, 0.7)]
    np.testing.assert_allclose(incumbents(lucky), pooled)
    np.testing.assert_allclose(top_reports([lucky], 10), [(0.725, 0.7), (0.7, 0.3)])
    [result] = Comparison.of([lucky]).results
    assert (result.score, result.final) == pytest.approx((0.725, 0.7))
    again = replace(lucky, seed=1, scores=(0.1,) * 4)
    [summary] = Comparison.of([lucky, again]).summaries
    np.testing.assert_allclose(summary.top, (0.7, 0.3))  # two architectures in two searches


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 4)), max_size=12))
def test_the_best_is_that_of_the_best_mean_after_each_evaluation(
    told: list[tuple[str, int]],
) -> None:
    names, scores = zip(*told, strict=True) if told else ((), ())
    costs = tuple(range(len(told)))
    one = Trace("s", 0, 99.0, "evaluations", costs, scores, scores, True, names)
    for count, (score, report) in enumerate(incumbents(one), start=1):
        seen = [[s for n, s in told[:count] if n == name] for name in set(names[:count])]
        assert score == report == max(np.mean(scores) for scores in seen)


def test_the_area_is_that_of_the_steps_over_the_budget() -> None:
    assert area(STEPS, floor=0.1) == pytest.approx((2 * 0.1 + 2 * 0.55 + 6 * 0.6) / 10)
    assert final(STEPS) == 0.6
    assert area(replace(STEPS, costs=(), scores=(), reports=()), floor=0.1) == pytest.approx(0.1)


def test_what_ends_after_the_budget_counts_nowhere() -> None:
    late = replace(STEPS, costs=(2, 4, 6, 10.5), scores=(0.5, 0.7, 0.7, 0.99))
    assert final(late) == 0.6
    assert area(late, 0.1) == area(STEPS, 0.1)
    assert top_reports([late], 10) == ((0.7, 0.6), (0.7, 0.9), (0.5, 0.55))
    [result] = Comparison.of([late]).results
    assert (result.evaluations, result.spent, result.score) == (3, 6, 0.7)


def test_the_rounding_of_a_sum_of_costs_costs_no_evaluation() -> None:
    rounded = replace(
        STEPS, budget=0.3, costs=(0.0, 0.1, 0.2, 0.1 + 0.2), scores=(0.1, 0.2, 0.3, 0.4)
    )
    assert rounded.costs[-1] > 0.3
    assert final(rounded) == 0.8
    assert len(top_reports([rounded], 10)) == Comparison.of([rounded]).results[0].evaluations == 4


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 12), st.floats(0, 1), st.floats(0, 1)), max_size=8),
    st.floats(0, 1),
)
def test_the_area_is_the_mean_of_a_fine_curve(
    found: list[tuple[float, float, float]], floor: float
) -> None:
    found.sort(key=lambda one: one[0])
    costs, scores, reports = zip(*found, strict=True) if found else ((), (), ())
    one = Trace("s", 0, 10.0, "evaluations", costs, scores, reports)
    fine = anytime(one, (np.arange(20_000) + 0.5) / 2000, floor)
    assert area(one, floor) == pytest.approx(fine.reports.mean(), abs=1e-3)
    assert (np.diff(anytime(one, np.linspace(0, 12, 50), 0.0).scores) >= 0).all()  # all differ


def test_identical_traces_show_no_difference() -> None:
    reports = [0.5, 0.6, 0.7, 0.65, 0.62, 0.61, 0.6, 0.55]
    traces = [
        trace(name, seed, report)
        for name in ("random", "fade")
        for seed, report in enumerate(reports)
    ]
    found = Comparison.of(traces, floor=0.1)
    assert [(test.p, test.corrected, test.zeros, test.difference) for test in found.tests] == [
        (1.0, 1.0, 8, 0.0)
    ] * 2
    assert all(
        "no difference shown" in sentence and "8 seeds" in sentence for sentence in found.verdict
    )
    assert [summary.rank for summary in found.summaries] == [1.5, 1.5]


def test_a_better_searcher_is_said_to_be_better_and_a_worse_one_to_be_worse() -> None:
    traces = [trace("random", seed, 0.5) for seed in range(8)]
    traces += [trace("fade", seed, 0.6 + seed / 100) for seed in range(8)]
    traces += [trace("bayes", seed, 0.4 - seed / 100) for seed in range(8)]
    found = Comparison.of(traces, floor=0.1)
    fade, bayes = (test for test in found.tests if test.measure == "final")
    assert (fade.p, fade.corrected, fade.family, fade.finding) == (1 / 128, 2 / 128, 2, "better")
    assert (bayes.p, bayes.corrected, bayes.finding) == (1 / 128, 2 / 128, "worse")
    assert fade.difference == pytest.approx(0.135)
    assert (
        "fade against random, the final report, 8 seeds: better (mean difference +13.50 points"
        in found.verdict[0]
    )
    assert (
        "bayes against random, the final report, 8 seeds: worse (mean difference -13.50 points"
        in found.verdict[1]
    )
    assert [summary.rank for summary in found.summaries] == [2, 1, 3]


def test_nothing_is_better_beside_an_interval_that_holds_0() -> None:
    """Many small gains and one large loss: ranks speak for the searcher, the mean for nobody."""
    traces = [trace("random", seed, 0.5) for seed in range(12)]
    traces += [trace("fade", seed, 0.51 + seed / 1000) for seed in range(11)] + [
        trace("fade", 11, 0.3)
    ]
    test = Comparison.of(traces).tests[0]
    assert test.corrected <= 0.05
    assert test.low < 0 < test.high
    assert (test.finding, test.shown) == ("no difference shown", False)


def test_with_too_few_seeds_the_verdict_says_that_nothing_could_be_shown() -> None:
    traces = [
        trace(name, seed, value)
        for name, value in (("random", 0.5), ("fade", 0.9))
        for seed in range(4)
    ]
    found = Comparison.of(traces)
    assert not any(test.shown for test in found.tests)
    assert "With 4 seeds no p can be below 0.125" in found.verdict[-1]
    assert "at least 6 seeds" in found.verdict[-1]


def test_where_few_seeds_differ_the_sentence_of_that_test_says_so() -> None:
    """Pairs without a difference cannot speak for anyone: one that differs gives p = 1 at best,
    whatever the number of seeds.
    """
    traces = [
        trace(name, seed, 0.5)
        for name in ("random", "fade", "bayes", "evolution")
        for seed in range(8)
    ]
    traces[8] = trace("fade", 0, 0.9)
    traces[16:24] = [trace("bayes", seed, 0.9) for seed in range(8)]
    found = Comparison.of(traces)
    fade, bayes, evolution = (test for test in found.tests if test.measure == "final")
    assert (fade.p, fade.attainable, fade.can_show, fade.differ_enough) == (1.0, 1.0, True, False)
    assert (bayes.differing, bayes.attainable, bayes.differ_enough) == (8, 3 / 128, True)
    assert (evolution.differing, evolution.smallest) == (0, 1 / 128)
    sentences = found.verdict[:3]
    assert "no difference shown, and none could be: only 1 of 8 seeds differs (" in sentences[0]
    assert "none of 8 seeds differs (" in sentences[2]
    assert "differ" not in sentences[1].replace("mean difference", "")


def test_few_seeds_of_one_searcher_do_not_count_against_the_others() -> None:
    counts = {"random": 20, "fade": 20, "evolution": 20, "bayes": 3}
    found = Comparison.of(
        [trace(name, seed, 0.5) for name, count in counts.items() for seed in range(count)]
    )
    assert [test.can_show for test in found.tests] == [True, True, False] * 2
    assert "With 3 seeds no p can be below 0.250" in found.verdict[-1]
    # of bayes alone: Holm multiplies the last p by 1
    assert "at least 6 seeds" in found.verdict[-1]


def test_partial_traces_are_reported_and_left_out() -> None:
    traces = [
        trace(name, seed, value)
        for name, value in (("random", 0.5), ("fade", 0.6))
        for seed in range(6)
    ]
    traces[0] = replace(traces[0], complete=False)
    found = Comparison.of(traces)
    assert found.tests[0].seeds == found.common_seeds == (1, 2, 3, 4, 5)
    assert (found.summaries[0].seeds, found.summaries[0].partial) == (5, 1)
    assert "random: 1 partial trace left out" in found.verdict[-1]
    assert len(found.results) == 12


def test_only_partial_traces_leave_nothing_to_test() -> None:
    found = Comparison.of([trace("random", 0, 0.5, complete=False), trace("fade", 0, 0.6)])
    assert "no pair of complete traces" in found.verdict[0]
    json.dumps(plain(as_json(found)), allow_nan=False)


def test_searches_that_evaluated_nothing_are_named() -> None:
    """They are complete, as their budget is spent, and stand at the floor: no reader may take that
    for something they found.
    """
    nothing = trace("walk", 0, 0.9, costs=(), scores=(), reports=())
    found = Comparison.of(
        [nothing, trace("walk", 1, 0.9), trace("random", 0, 0.5), trace("random", 1, 0.5)],
        floor=0.4,
    )
    (told,) = [sentence for sentence in found.verdict if "without a single evaluation" in sentence]
    assert told == "walk: 1 trace without a single evaluation within the budget, counted as 40.00%."


def test_each_pair_of_baselines_is_tested_once() -> None:
    traces = [
        trace(name, seed, 0.5) for name in ("random", "evolution", "fade") for seed in range(3)
    ]
    found = Comparison.of(traces, baseline=("random", "evolution"))
    pairs = [(test.searcher, test.baseline) for test in found.tests if test.measure == "area"]
    assert pairs == [("evolution", "random"), ("fade", "random"), ("fade", "evolution")]


def test_the_top_of_all_seeds_is_by_score_and_shows_reports() -> None:
    traces = [
        Trace("random", 0, 10.0, "evaluations", (1, 2), (0.5, 0.9), (0.1, 0.2)),
        Trace("random", 1, 10.0, "evaluations", (1, 2), (0.7, 0.6), (0.3, 0.4)),
    ]
    [summary] = Comparison.of(traces, k=3).summaries
    assert summary.top == (0.2, 0.3, 0.4)
    assert summary.top_mean == pytest.approx((0.15 + 0.35) / 2)


def test_bands_begin_where_all_seeds_have_evaluated() -> None:
    traces = [trace("random", 0, 0.4), trace("random", 1, 0.6, costs=(7.0,))]
    [band] = Comparison.of(traces).bands
    assert math.isnan(band.mean[60])
    assert band.mean[70] == 0.5
    low, high = t_interval([0.4, 0.6])
    assert (band.low[70], band.high[70]) == (low, high)


def test_the_dictionary_is_json_and_the_tables_hold_the_same(tmp_path: Path) -> None:
    traces = [
        trace(name, seed, 0.5 + seed / 10) for name in ("random", "fade") for seed in range(2)
    ]
    found = Comparison.of(traces, spent_on_ranks={("fade", 0): 3.0, ("fade", 1): 4.0})
    values = json.loads(json.dumps(plain(as_json(found)), allow_nan=False))
    assert values["summaries"][1]["spent_on_ranks"] == 3.5
    write_tables(comparison_tables(found, traces), tmp_path, "csv", "parquet")
    for name, columns in COLUMNS.items():
        table = pq.read_table(tmp_path / f"{name}.parquet").to_pylist()
        with (tmp_path / f"{name}.csv").open() as file:
            assert len(list(csv.DictReader(file))) == len(table) > 0
        assert list(table[0]) == columns.names
    # equal differences
    assert pq.read_table(tmp_path / "tests.parquet").to_pylist()[0]["effect"] is None


@pytest.mark.parametrize(
    ("traces", "text"),
    [
        ([], "at least one trace"),
        ([trace("random", 0, 0.5), trace("fade", 0, 0.5, budget=9.0)], "one budget and unit"),
        ([trace("random", 0, 0.5)] * 2, "repeated"),
        ([trace("fade", 0, 0.5)], "A baseline must be one of the searchers fade, but got 'random'"),
        ([trace("random", 0, math.nan)], "finite scores and reports"),
        ([trace("random", 0, 0.5, costs=(1.0, 2.0))], "one of each per evaluation"),
        ([replace(STEPS, costs=(4, 2, 6, 8))], "ascending costs"),
    ],
)
def test_what_cannot_be_compared_is_refused(traces: list[Trace], text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        Comparison.of(traces)


@settings(deadline=None, max_examples=20)
@given(st.permutations(range(8)))
def test_the_order_of_the_traces_does_not_matter(order: list[int]) -> None:
    generator = np.random.default_rng(5)
    traces = [
        trace(name, seed, float(generator.random()))
        for name in ("random", "fade")
        for seed in range(4)
    ]
    usual = {test.measure: test for test in Comparison.of(traces).tests}
    for test in Comparison.of([traces[i] for i in order]).tests:
        assert test == usual[test.measure]


@pytest.mark.parametrize(("searchers", "fewest"), [(2, 6), (3, 7), (4, 7), (5, 8)])
def test_what_seeds_cannot_show_is_foreseen_exactly(searchers: int, fewest: int) -> None:
    """Two-sided, n pairs reach 2^(1-n), and Holm multiplies that by the number of tests."""
    names = ["random", *"abcd"][:searchers]
    assert foreseen(names, range(fewest), "random") == ()
    (sentence,) = foreseen(names, range(fewest - 1), "random")
    assert f"at least {fewest} seeds" in sentence


def test_seeds_by_default_can_show_a_difference() -> None:
    contest = ContestConfig()
    assert foreseen(contest.searchers, contest.seeds, contest.baseline) == ()
    assert foreseen(contest.searchers, contest.seeds[1:], contest.baseline)
