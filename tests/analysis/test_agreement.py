"""Correlations within groups: known values, intervals, what chance gives."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau, pearsonr

from fade_ray.analysis.agreement import MEASURES, RESAMPLES, Group, agreement
from spaces.errors import InvalidInput

THEIRS = {"pearson": pearsonr, "kendall": kendalltau}


def groups(seed: int, count: int, signal: float = 0.0, points: int = 5) -> list[Group]:
    rng = np.random.default_rng(seed)
    truths = rng.normal(size=(count, points))
    return [Group(signal * y + rng.normal(size=points), y) for y in truths]


@pytest.mark.parametrize("measure", MEASURES)
@given(values=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=8))
@settings(max_examples=50, deadline=None)
def test_one_group_is_the_plain_correlation(measure: str, values: list[tuple[int, int]]) -> None:
    x, y = np.array(values, float).T
    found = agreement({"search": [Group(x, y)]}, measure)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        assert math.isnan(found.value)
        return
    assert found.value == pytest.approx(THEIRS[measure](x, y).statistic)
    assert (found.groups, found.points) == (1, len(values))
    assert math.isnan(found.interval.low)


@pytest.mark.parametrize("measure", MEASURES)
def test_differences_between_groups_count_for_nothing(measure: str) -> None:
    plain = groups(0, 6, signal=1.0)
    moved = [Group(g.predictor + 10 * i, g.truth - 5 * i) for i, g in enumerate(plain)]
    ours, theirs = (agreement({"search": part}, measure) for part in (plain, moved))
    assert ours.value == pytest.approx(theirs.value)
    assert ours.value > 0.25


def test_the_published_four_points_show_little() -> None:
    """Four points of correlation 0.907, as in StacNAS Fig. 5: here 4 of 24 orders reach as much."""
    x = np.array([0.1, 0.2, 0.3, 0.4])
    y = np.array([0.9, 0.95, 0.94, 1.0])
    found = agreement({"search": [Group(x, y)]})
    assert found.value == pytest.approx(0.907, abs=0.01)
    assert found.p == pytest.approx(4 / 24, abs=4 * math.sqrt(4 / 24 / RESAMPLES))


@pytest.mark.parametrize("measure", MEASURES)
def test_no_signal_is_within_chance_and_signal_is_not(measure: str) -> None:
    noise = {str(seed): groups(seed, 6) for seed in range(4)}
    signal = {str(seed): groups(seed, 6, signal=2.0) for seed in range(4)}
    found = agreement(noise, measure)
    assert abs(found.value) < found.chance
    assert found.p > 0.05
    assert found.interval.low < 0 < found.interval.high
    found = agreement(signal, measure)
    assert found.value > found.chance
    assert found.p == pytest.approx(1 / (1 + RESAMPLES))
    assert 0 < found.interval.low < found.value < found.interval.high
    assert list(found.units) == list("0123")


def test_units_that_differ_widen_the_interval() -> None:
    """Two searches, one of correlation 1, one of -1: their groups alone would not show it."""
    line = np.arange(4.0)
    units = {"up": [Group(line, line)] * 6, "down": [Group(line, -line)] * 6}
    found = agreement(units)
    assert (found.value, found.units) == (pytest.approx(0), {"up": 1, "down": -1})
    assert found.interval == (pytest.approx(-1), pytest.approx(1))


def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(InvalidInput, match="two points in some group"):
        agreement({"search": [Group(np.zeros(1), np.zeros(1))]})
    with pytest.raises(InvalidInput, match="two points"):
        agreement({})
