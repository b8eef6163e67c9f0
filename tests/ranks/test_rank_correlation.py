"""Rank studies: measures against scipy and by hand, intervals, noise ceilings, and the agreement
with a whole table.
"""

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ranks_against_size import partial_spearman, top_overlap
from scipy import stats

from fade_ray.analysis.rank_measures import (
    Rows,
    chance_regret,
    kendall,
    log_psis,
    regret,
    spearman,
)
from fade_ray.ranks.rank_correlation import Ceiling, RankStudy, rank_against_table
from fade_ray.ranks.rank_courses import EqualComputation
from fade_ray.ranks.rank_records import Alone, RankEpoch, RankRun
from fade_ray.records.journal import plain
from fade_ray.records.json_form import as_json
from spaces.errors import InvalidInput
from spaces.nasbench_macro import MacroTable

WEIGHTS: Rows = ((0.7, 0.2, 0.1), (0.6, 0.4))
CHOICES = list(itertools.product(range(3), range(2)))
PSI = [0.42, 0.28, 0.12, 0.08, 0.06, 0.04]
VALUES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=3, max_size=9)


def run(
    setting: str, seed: int, *weights: Rows, each: int | None = 10, seconds: float = 10.0
) -> RankRun:
    """A run whose epochs take `each` multiply-adds."""
    epochs = tuple(
        RankEpoch(i, i * seconds, rows, None if each is None else i * each)
        for i, rows in enumerate(weights, start=1)
    )
    return RankRun(setting, seed, epochs, 0.5)


def alone(accuracies: list[float]) -> list[Alone]:
    return [Alone(choice, (value,)) for choice, value in zip(CHOICES, accuracies, strict=True)]


def study(runs: list[RankRun], truth: list[Alone], **options: object) -> RankStudy:
    return RankStudy.of(
        runs, truth, np.random.default_rng(0), **{"resamples": 500, "ks": (1, 2), **options}
    )  # type: ignore[arg-type]


def test_psi_is_the_product_of_the_weights() -> None:
    np.testing.assert_allclose(np.exp(log_psis(WEIGHTS, CHOICES)), PSI, rtol=1e-9)
    assert np.isfinite(log_psis(((1.0, 0.0), (1.0,)), [(1, 0)])).all()


@settings(deadline=None)
@given(VALUES)
def test_correlations_are_those_of_scipy(pairs: list[tuple[int, int]]) -> None:
    x, y = np.asarray(pairs, float).T
    constant = np.ptp(x) == 0 or np.ptp(y) == 0
    rho = math.nan if constant else stats.spearmanr(x, y).statistic
    tau = math.nan if constant else stats.kendalltau(x, y).statistic
    np.testing.assert_allclose(spearman(x, y), rho, atol=1e-12)
    np.testing.assert_allclose(kendall(x, y), [tau], atol=1e-12)


@settings(deadline=None)
@given(VALUES, st.integers(0, 1000))
def test_tau_of_counts_is_tau_of_the_resample(pairs: list[tuple[int, int]], seed: int) -> None:
    x, y = np.asarray(pairs, float).T
    draw = np.random.default_rng(seed).integers(len(x), size=len(x))
    counts = np.bincount(draw, minlength=len(x))[None]
    np.testing.assert_allclose(kendall(x, y, counts), kendall(x[draw], y[draw]), atol=1e-12)


def test_regret_by_hand() -> None:
    true = np.array([0.5, 0.9, 0.7, 0.6])
    predicted = np.array([4.0, 1.0, 3.0, 3.0])
    assert [float(regret(predicted, true, k)) for k in (1, 2, 3, 4, 9)] == pytest.approx(
        [0.4, 0.3, 0.2, 0, 0]
    )
    assert regret(np.zeros(4), true, 1) == pytest.approx(0.4)  # nothing predicted: the worst


def test_the_regret_of_chance_is_the_mean_over_all_draws() -> None:
    true = np.array([0.5, 0.9, 0.7, 0.6, 0.6])
    for k in range(1, 6):
        best = [max(draw) for draw in itertools.combinations(true, k)]
        assert chance_regret(true, k) == pytest.approx(0.9 - np.mean(best))


def test_perfect_ranks_agree_perfectly() -> None:
    found = study([run("default", seed, WEIGHTS) for seed in range(3)], alone(PSI))
    [setting] = found.settings
    for agreement in (
        setting.mean,
        setting.overall,
        setting.pooled,
        *(one.agreement for one in setting.seeds),
    ):
        for one in (agreement.spearman, agreement.kendall):
            assert (one.value, one.low, one.high) == pytest.approx((1, 1, 1))
        assert [one.value for one in agreement.regrets] == [0, 0]
    assert found.chance_regrets == pytest.approx(
        [chance_regret(np.asarray(PSI), k) for k in (1, 2)]
    )


def test_reversed_ranks_disagree_perfectly_and_settings_differ() -> None:
    runs = [run("default", 0, WEIGHTS), run("shared", 0, ((0.1, 0.2, 0.7), (0.4, 0.6)))]
    found = study(runs, alone(PSI))
    assert [setting.mean.spearman.value for setting in found.settings] == pytest.approx([1, -1])
    [(name, difference)] = found.differences
    assert name == "shared"
    assert (difference.value, difference.low, difference.high) == pytest.approx((-2, -2, -2))


def test_pooling_averages_logs_not_ranks() -> None:
    """One confident right seed outweighs one unsure wrong seed; their mean rho is 0."""
    runs = [
        run("default", 0, ((0.9, 0.1, 1e-3), (0.8, 0.2))),
        run("default", 1, ((0.3, 0.33, 0.37), (0.49, 0.51))),
    ]
    truth = alone(np.exp(log_psis(runs[0].epochs[0].weights, CHOICES)).tolist())
    [setting] = study(runs, truth).settings
    assert abs(setting.mean.spearman.value) < 0.1
    assert setting.pooled.spearman.value == pytest.approx(1)


def test_intervals_widen_when_seeds_are_drawn_too() -> None:
    generator = np.random.default_rng(3)
    n = 40
    truth = [Alone((i,), (float(a),)) for i, a in enumerate(generator.random(n))]
    runs = []
    for seed in range(6):
        logits = np.asarray([one.accuracies[0] for one in truth]) + generator.normal(
            0, 0.2 + 0.3 * (seed % 2), n
        )
        runs.append(run("default", seed, (tuple(np.exp(logits) / np.exp(logits).sum()),)))
    [setting] = study(runs, truth).settings
    width = [each.spearman.high - each.spearman.low for each in (setting.mean, setting.overall)]
    assert 0 < width[0] < width[1]
    assert setting.mean.spearman.low < setting.mean.spearman.value < setting.mean.spearman.high


def test_the_interval_covers_the_correlation_of_the_population() -> None:
    """200 samples of 30 architectures from normal pairs of r = 0.6, whose rho is 6/pi asin(r/2): a
    90% interval holds it in about 90%.
    """
    rho, generator, covered = 6 / math.pi * math.asin(0.3), np.random.default_rng(8), 0
    for _ in range(200):
        x, noise = generator.normal(size=(2, 30))
        y = 0.6 * x + 0.8 * noise
        weights = (tuple(np.exp(x) / np.exp(x).sum()),)
        truth = [Alone((i,), (float(1 / (1 + np.exp(-value))),)) for i, value in enumerate(y)]
        found = RankStudy.of([run("default", 0, weights)], truth, generator, (1,), 300, 0.9)
        covered += (
            found.settings[0].mean.spearman.low <= rho <= found.settings[0].mean.spearman.high
        )
    assert 0.82 <= covered / 200 <= 0.97


def test_the_ceiling_by_hand_and_by_simulation() -> None:
    accuracies = np.array([[0.1, 0.2], [0.2, 0.1], [0.3, 0.3], [0.4, 0.4]])
    found = Ceiling.of([Alone((i,), tuple(row)) for i, row in enumerate(accuracies.tolist())])
    assert (found.repeats, found.between) == (2, pytest.approx(0.8))
    assert (found.reliability, found.bound) == (
        pytest.approx(1.6 / 1.8),
        pytest.approx(math.sqrt(1.6 / 1.8)),
    )
    assert math.isnan(Ceiling.of([Alone((i,), (0.5,)) for i in range(3)]).between)
    generator = np.random.default_rng(0)
    true = generator.normal(size=2000)
    repeats = true[:, None] + generator.normal(size=(2000, 3))
    shares = 1 / (1 + np.exp(-repeats))
    bound = Ceiling.of([Alone((i,), tuple(row)) for i, row in enumerate(shares.tolist())]).bound
    assert bound == pytest.approx(float(spearman(true, shares.mean(axis=1))), abs=0.03)


WRONG: Rows = ((0.1, 0.2, 0.7), (0.4, 0.6))


def test_epochs_and_equal_computation() -> None:
    runs = [
        run("default", 0, WRONG, WEIGHTS, each=10),
        run("shared", 0, WRONG, WRONG, WEIGHTS, each=8),
    ]
    found = study(runs, alone(PSI))
    assert [(p.setting, p.epoch, p.multiply_adds, round(p.spearman, 6)) for p in found.points] == [
        ("default", 1, 10, -1),
        ("default", 2, 20, 1),
        ("shared", 1, 8, -1),
        ("shared", 2, 16, -1),
        ("shared", 3, 24, 1),
    ]
    equal = found.equal_computation
    assert equal is not None
    assert equal.multiply_adds == 20
    assert [(one.setting, one.seeds, round(one.value, 6)) for one in equal.settings] == [
        ("default", 1, 1),
        ("shared", 1, -1),
    ]
    assert [curve.multiply_adds for curve in equal.curves] == [(10, 20), (8, 16, 24)]
    assert equal.curves[1].spearman == pytest.approx((-1, -1, 1))


def test_the_curve_of_a_setting_is_the_mean_while_all_its_seeds_train() -> None:
    """Epochs of one seed end at 10 and 20, of the other at 7, 14 and 21: between 10, when both have
    ended one, and 20, the first end.
    """
    runs = [
        run("default", 0, WRONG, WEIGHTS, each=10),
        run("default", 1, WRONG, WEIGHTS, WRONG, each=7),
    ]
    equal = study(runs, alone(PSI)).equal_computation
    assert equal is not None
    [curve] = equal.curves
    assert curve.multiply_adds == (10, 14, 20)
    assert curve.spearman == pytest.approx((-1, 0, 1))


def test_a_setting_that_has_ended_no_epoch_by_then_is_left_out() -> None:
    equal = study(
        [run("default", 0, WEIGHTS), run("slow", 0, WEIGHTS, each=30)], alone(PSI)
    ).equal_computation
    assert equal is not None
    assert [one.setting for one in equal.settings] == ["default"]
    assert [curve.setting for curve in equal.curves] == ["default", "slow"]


@settings(deadline=None, max_examples=15)
@given(st.lists(st.floats(0.1, 1000), min_size=4, max_size=4))
def test_how_fast_the_machine_was_changes_nothing_at_equal_computation(
    seconds: list[float],
) -> None:
    """Trials that share a core take their turns: the same epochs may last three times as long."""
    cases = [("default", 0, 10), ("default", 1, 11), ("shared", 0, 8), ("shared", 1, 9)]

    def judged(times: list[float]) -> EqualComputation | None:
        runs = [
            run(name, seed, WRONG, WEIGHTS, WRONG, each=each, seconds=time)
            for (name, seed, each), time in zip(cases, times, strict=True)
        ]
        return study(runs, alone(PSI), resamples=20).equal_computation

    found = judged(seconds)
    assert found is not None
    assert found == judged([10.0] * 4)


def test_the_interval_at_the_end_of_all_runs_is_that_of_the_study() -> None:
    truth = alone([0.5, 0.4, 0.6, 0.3, 0.2, 0.45])
    found = study(
        [run("default", seed, WRONG, WEIGHTS if seed else WRONG) for seed in range(3)], truth
    )
    assert found.equal_computation is not None
    [one], [setting] = found.equal_computation.settings, found.settings
    overall = setting.overall.spearman
    assert (one.value, one.low, one.high) == pytest.approx(
        (overall.value, overall.low, overall.high)
    )


def test_without_multiply_adds_nothing_is_compared_at_equal_computation() -> None:
    found = study([run("default", 0, WEIGHTS), run("old", 0, WEIGHTS, each=None)], alone(PSI))
    assert found.equal_computation is None


def test_a_mean_that_is_undefined_has_no_interval() -> None:
    """One seed warms up: resamples that miss it would give an interval of the others."""
    uniform: Rows = ((1 / 3, 1 / 3, 1 / 3), (0.5, 0.5))
    equal = study([run("late", 0, uniform), run("late", 1, WEIGHTS)], alone(PSI)).equal_computation
    assert equal is not None
    [one] = equal.settings
    assert all(math.isnan(value) for value in (one.value, one.low, one.high))


def test_the_dictionary_is_json_and_the_generator_decides() -> None:
    runs = [run("default", seed, WEIGHTS, ((0.2, 0.5, 0.3), (0.5, 0.5))) for seed in range(2)]
    truth = alone([0.5, 0.4, 0.6, 0.3, 0.2, 0.45])
    first, again = (plain(as_json(study(runs, truth))) for _ in range(2))
    assert json.loads(json.dumps(first, allow_nan=False)) == json.loads(json.dumps(again))
    assert first["ceiling"]["bound"] is None


def test_a_table_is_ranked_whole() -> None:
    weights = ((0.7, 0.2, 0.1), (0.6, 0.4))
    accuracies = np.asarray(PSI).reshape(3, 2)
    found = rank_against_table(weights, accuracies, ks=(1,))
    assert (found.architectures, found.spearman, found.kendall) == (
        6,
        pytest.approx(1),
        pytest.approx(1),
    )
    assert (found.regrets, found.percentile) == ((0.0,), 5 / 6)
    with pytest.raises(InvalidInput, match="row lengths"):
        rank_against_table(weights, accuracies.T)


def test_marginals_of_the_real_table_rank_it(real_data: Path) -> None:
    table = MacroTable.read(real_data / "nasbench_macro.parquet").accuracies.mean(axis=-1)
    weights = []
    for row in range(8):
        means = table.mean(axis=tuple(axis for axis in range(8) if axis != row))
        weights.append(tuple((np.exp(20 * means) / np.exp(20 * means).sum()).tolist()))
    found = rank_against_table(tuple(weights), table)
    psis = log_psis(tuple(weights), np.indices(table.shape).reshape(8, -1).T)
    assert found.architectures == 6561
    assert found.spearman == pytest.approx(
        stats.spearmanr(psis, table.reshape(-1)).statistic, abs=1e-9
    )
    assert found.spearman > 0.9
    assert found.regrets[0] < found.chance_regrets[0]


@pytest.mark.parametrize(
    ("runs", "truth", "text"),
    [
        ([], alone(PSI), "at least one run"),
        ([run("default", 0, WEIGHTS)], alone(PSI)[:2], "at least 3 architectures"),
        ([run("default", 0, WEIGHTS)], alone(PSI) + alone(PSI)[:1], "each architecture once"),
        ([run("default", 0, WEIGHTS)] * 2, alone(PSI), "each seed of a setting once"),
        ([run("default", 0)], alone(PSI), "a run has epochs"),
        (
            [run("default", 0, ((0.5, 0.5), (0.5, 0.5)))],
            alone(PSI),
            "one distinct candidate per row",
        ),
        (
            [run("default", 0, WEIGHTS)],
            [replace(one, accuracies=()) for one in alone(PSI)],
            "one accuracy or more",
        ),
        ([run("default", 0, WEIGHTS)], alone([math.nan, *PSI[1:]]), "each of them a number"),
    ],
)
def test_what_is_no_rank_study_is_refused(
    runs: list[RankRun], truth: list[Alone], text: str
) -> None:
    with pytest.raises(InvalidInput, match=text):
        study(runs, truth)


def test_a_partial_correlation_takes_off_what_the_others_say() -> None:
    generator = np.random.default_rng(0)
    size, x_own, y_own = generator.normal(size=(3, 4000))
    x, y = size + 0.5 * x_own, size + 0.5 * y_own
    assert float(spearman(x, y)) > 0.7
    # independent given the size: 4 sigma
    assert abs(partial_spearman(x, y, [size])) < 4 / np.sqrt(4000)
    assert partial_spearman(size + 0.5 * x_own, x_own, [size]) > 0.9
    assert partial_spearman(x, y, []) == pytest.approx(float(spearman(x, y)))
    assert math.isnan(partial_spearman(size, y, [size]))


def test_a_partial_correlation_is_that_of_the_formula_for_one_variable() -> None:
    x, y, z = np.random.default_rng(1).normal(size=(3, 50)) + np.random.default_rng(2).normal(
        size=50
    )
    xy, xz, yz = (float(spearman(*pair)) for pair in ((x, y), (x, z), (y, z)))
    expected = (xy - xz * yz) / math.sqrt((1 - xz**2) * (1 - yz**2))
    assert partial_spearman(x, y, [z]) == pytest.approx(expected)


def test_the_overlap_of_the_best_counts_ties_by_their_probability() -> None:
    true = np.arange(10.0)
    assert top_overlap(true, true, 0.2) == 1
    assert top_overlap(-true, true, 0.2) == 0
    assert top_overlap(np.zeros(10), true, 0.2) == pytest.approx(0.2)
    assert top_overlap(np.array([0, 0, 0, 0, 0, 0, 0, 1, 1, 2.0]), true, 0.2) == pytest.approx(
        (1 + 0.5) / 2
    )
