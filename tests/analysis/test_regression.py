"""Regressions, densities and intervals of shares: against scipy, by hand and by simulation."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from fade_ray.analysis.regression import density, regress, wilson

coordinates = st.floats(-100, 100, allow_nan=False).map(lambda value: round(value, 3))


@given(st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=30))
def test_regression_agrees_with_scipy(points: list[tuple[float, float]]) -> None:
    x, y = zip(*points, strict=True)
    assume(np.ptp(x) > 0.1 and np.ptp(y) > 0.1)
    ours, theirs = regress(x, y), stats.linregress(x, y)
    assume(abs(theirs.rvalue) < 0.9999)  # the residuals of an exact fit are rounding
    assert ours is not None
    assert ours.r is not None
    assert ours.p is not None
    scale = np.ptp(y) / np.ptp(x)
    assert ours.slope == pytest.approx(theirs.slope, rel=1e-6, abs=1e-9 * scale)
    assert ours.intercept == pytest.approx(theirs.intercept, abs=1e-6)
    assert ours.r == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-9)
    assert ours.p == pytest.approx(stats.pearsonr(x, y).pvalue, abs=1e-6)
    # At x = 0 the standard error of the line is that of the intercept.
    half = stats.t.ppf(0.975, len(x) - 2) * theirs.intercept_stderr
    assert ours.band(np.zeros(1))[0] == pytest.approx(half, rel=1e-5, abs=1e-5)


def test_regression_of_a_case_worked_by_hand() -> None:
    """x = 0, 1, 2 and y = 0, 2, 1: slope 1/2, mean 1, residuals -1/2, 1, -1/2, so s^2 = 3/2 with
    one degree of freedom.
    """
    regression = regress([0, 1, 2], [0, 2, 1])
    assert regression is not None
    assert (regression.slope, regression.intercept) == (pytest.approx(0.5), pytest.approx(0.5))
    assert (regression.r, regression.p) == (pytest.approx(0.5), pytest.approx(2 / 3))
    t = math.tan(math.pi * 0.475)  # Student's t with one degree of freedom is Cauchy's distribution
    expected = [t * math.sqrt(1.5 * (1 / 3 + d * d / 2)) for d in (-1, 0, 1)]
    assert regression.band(np.array([0.0, 1.0, 2.0])) == pytest.approx(expected)


def test_the_band_holds_the_true_line_as_often_as_it_says() -> None:
    """2,000 draws of a known line: the count within the band is binomial with p = 0.95; 4 sigma is
    alpha = 6e-5.
    """
    rng = np.random.default_rng(0)
    x, at, draws = np.arange(8.0), np.array([6.0]), 2000
    hits = 0
    for _ in range(draws):
        regression = regress(x, 1 + 2 * x + rng.normal(size=8))
        assert regression is not None
        hits += abs(regression.line(at) - 13)[0] <= regression.band(at)[0]
    assert abs(hits - 0.95 * draws) < 4 * math.sqrt(draws * 0.95 * 0.05)


def test_no_regression_where_there_is_none() -> None:
    assert regress([], []) is None
    assert regress([1, 2], [0.1, 0.2]) is None
    assert regress([3, 3, 3], [0.1, 0.2, 0.3]) is None
    flat = regress([1, 2, 3], [0.5, 0.5, 0.5])
    assert flat is not None
    assert (flat.slope, flat.r, flat.p) == (0, None, None)
    exact = regress([1, 2, 3], [1, 2, 3])
    assert exact is not None
    assert (exact.r, exact.p) == (pytest.approx(1), pytest.approx(0, abs=1e-6))


@settings(deadline=None)
@given(st.lists(st.floats(0, 7).map(lambda value: round(value, 4)), min_size=3, max_size=40))
def test_a_density_integrates_to_one_within_its_bounds(values: list[float]) -> None:
    assume(np.ptp(values) > 0.01)
    found = density(values, 0.0, 7.0, points=4000)
    assert found is not None
    x, y = found
    assert x[0] >= 0
    assert x[-1] <= 7
    assert (y >= 0).all()
    assert np.trapezoid(y, x) == pytest.approx(1, abs=0.03)


def test_density_agrees_with_scipy_far_from_the_bounds() -> None:
    values = np.random.default_rng(1).normal(50, 1, size=60)
    found = density(list(values), 0.0, 100.0)
    assert found is not None
    assert found[1] == pytest.approx(stats.gaussian_kde(values)(found[0]), rel=1e-6)


def test_no_density_of_equal_values() -> None:
    assert density([1.0, 1.0, 1.0, 1.0], 0, 2) is None
    assert density([0.2, 0.9], 0, 2) is None


@pytest.mark.parametrize(("share", "n"), [(0.0, 10), (0.5, 40), (0.97, 300), (1.0, 25)])
def test_wilson_interval_agrees_with_scipy(share: float, n: int) -> None:
    interval = stats.binomtest(round(share * n), n).proportion_ci(method="wilson")
    assert wilson(share, n) == pytest.approx((interval.low, interval.high))
