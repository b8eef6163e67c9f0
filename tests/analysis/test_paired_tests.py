"""Paired tests, corrections and intervals: exact, by hand, against scipy and by simulation."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fade_ray.analysis.paired_tests import (
    effect_size,
    holm,
    paired_tests,
    signed_rank,
    smallest_p,
    superiority,
)
from fade_ray.analysis.resampling import percentiles, t_interval


def test_five_pairs_of_one_sign_give_one_in_sixteen_on_either_side() -> None:
    assert signed_rank([1, 2, 3, 4, 5]) == 1 / 16
    assert signed_rank([1, 1, 1, 1, 1]) == 1 / 16
    assert signed_rank([-1, -2, -3, -4, -5]) == 1 / 16
    assert signed_rank([0.0, 0.0]) == 1.0
    assert [smallest_p(n) for n in (0, 1, 5)] == [1.0, 1.0, 1 / 16]


def test_the_signed_rank_test_is_that_of_scipy_without_ties() -> None:
    for n in (4, 9, 20, 40):
        differences = np.random.default_rng(n).normal(0.3, 1, n)
        expected = stats.wilcoxon(differences, alternative="two-sided", method="exact").pvalue
        assert signed_rank(differences) == pytest.approx(expected, rel=1e-9)


@settings(deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=9))
def test_with_ties_and_zeros_it_is_the_share_of_all_signs(differences: list[int]) -> None:
    data = np.array(differences)
    ranks = stats.rankdata(np.abs(data))[data != 0]
    found = ranks[data[data != 0] > 0].sum()
    sums = [np.dot(signs, ranks) for signs in itertools.product((0, 1), repeat=len(ranks))]
    upper, lower = (
        np.mean(np.asarray(sums) >= found - 1e-9),
        np.mean(np.asarray(sums) <= found + 1e-9),
    )
    assert signed_rank(data / 7) == pytest.approx(min(1.0, 2 * min(upper, lower)))
    assert signed_rank(-data / 7) == signed_rank(data / 7)


def test_the_signed_rank_test_keeps_its_level() -> None:
    """Under the hypothesis p <= 0.05 in at most 5% of cases; 2,000 draws, alpha 1e-4."""
    draws = np.random.default_rng(0).normal(size=(2000, 8))
    found = sum(signed_rank(row) <= 0.05 for row in draws)
    assert stats.binomtest(found, 2000, 0.05, alternative="greater").pvalue > 1e-4


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_effect_sizes_by_hand() -> None:
    assert effect_size([1, 2, 3]) == 2.0
    assert math.isnan(effect_size([1, 1, 1]))
    assert math.isnan(effect_size([1]))
    assert superiority([1, 0, -1, 2]) == 0.625


def test_intervals_cover_what_they_should() -> None:
    """400 samples of 40: the 90% interval holds the mean in about 90%."""
    generator = np.random.default_rng(1)
    samples = generator.exponential(size=(400, 40))
    covered = [low <= 1 <= high for low, high in (t_interval(row, 0.9) for row in samples)]
    assert abs(np.mean(covered) - 0.88) < 0.06


def test_percentiles_leave_undefined_draws_out() -> None:
    nan = math.nan
    assert percentiles(np.array([nan, 1.0, 1.0, nan])) == (1.0, 1.0)
    assert math.isnan(percentiles(np.full(4, nan)).low)
    assert percentiles(np.arange(101.0), 0.9) == pytest.approx((5, 95))


@settings(deadline=None)
@given(
    st.lists(st.integers(-2, 2), min_size=1, max_size=8),
    st.lists(st.integers(-2, 2), min_size=1, max_size=8),
)
def test_no_p_is_below_what_is_attainable(one: list[int], two: list[int]) -> None:
    values = {
        name: dict(enumerate(map(float, data))) for name, data in (("one", one), ("two", two))
    }
    tests = paired_tests(values | {"random": dict.fromkeys(range(8), 0.0)}, ["random"], "final")
    for test in tests:
        assert test.smallest <= test.p
        assert test.smallest_corrected <= test.attainable <= test.corrected
    best = {
        name: {seed: abs(value) for seed, value in data.items()} for name, data in values.items()
    }
    reached = paired_tests(best | {"random": dict.fromkeys(range(8), 0.0)}, ["random"], "final")
    assert [test.corrected for test in reached] == [test.attainable for test in tests]
