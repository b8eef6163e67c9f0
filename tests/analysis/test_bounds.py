"""Theorem 3.1 of the single-level paper against runs of the dynamics it speaks of."""

import itertools
import math

import numpy as np
import pytest
from _bounds import corrected_bound, first_step_above, printed_bound, softmax_bound
from hypothesis import given, settings
from hypothesis import strategies as st

from spaces.errors import InvalidInput


def constant_run(n: int, eps: float, eta: float, delta: float) -> int:
    """Steps of the slowest run: all logits equal, every margin exactly delta."""
    slopes = np.zeros(n)
    slopes[0] = delta
    steps = first_step_above(itertools.repeat(slopes), eps, eta, np.zeros(n))
    assert steps is not None
    return steps


@pytest.mark.parametrize(
    ("case", "steps", "printed", "corrected"),
    [
        ((5, 0.1, 0.1, 1.0), 159, 75.2, 179.2),
        ((8, 0.05, 0.05, 0.5), 1246, 649.0, 1564.9),
        ((5, 0.5, 0.1, 1.0), 53, 45.8, 69.3),
    ],
)
def test_known_cases(
    case: tuple[int, float, float, float], steps: int, printed: float, corrected: float
) -> None:
    assert constant_run(*case) == steps
    assert printed_bound(*case) == pytest.approx(printed, abs=0.05)
    assert corrected_bound(*case) == pytest.approx(corrected, abs=0.05)
    assert printed_bound(*case) < steps <= min(softmax_bound(*case), corrected_bound(*case))


def test_the_printed_gap_does_not_give_the_weight() -> None:
    n, eps = 5, 0.1
    weight = 1 / (1 + (n - 1) * math.exp(-math.log((1 - eps) * n)))
    assert weight == pytest.approx(0.529, abs=5e-4)  # and not 0.9
    weight = 1 / (1 + (n - 1) * math.exp(-math.log((n - 1) * (1 - eps) / eps)))
    assert weight == pytest.approx(0.9)


def test_mending_the_gap_alone_is_not_enough() -> None:
    case = (5, 0.01, 0.1, 1.0)
    assert corrected_bound(*case) == pytest.approx(299.1, abs=0.05)
    assert constant_run(*case) == 917 <= softmax_bound(*case)


def test_steps_grow_like_the_inverse_of_eps() -> None:
    few, many = constant_run(4, 1e-3, 0.5, 1.0), constant_run(4, 1e-4, 0.5, 1.0)
    assert many / few == pytest.approx(10, rel=0.05)
    assert corrected_bound(4, 1e-4, 0.5, 1.0) < 2 * corrected_bound(4, 1e-3, 0.5, 1.0)


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(2, 12),
    eps=st.floats(0.01, 0.98),
    eta=st.floats(0.05, 1.0),
    delta=st.floats(0.5, 4.0),
    wide=st.sampled_from([0.0, 0.1, 10.0]),
    apart=st.sampled_from([0.0, 3.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_bound_holds_for_any_margins_and_any_start(
    n: int, eps: float, eta: float, delta: float, wide: float, apart: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    start = rng.uniform(-apart, 0, n)
    start[0] = start.max()
    slopes = (
        np.concatenate([[0.0], -delta - rng.uniform(0, wide, n - 1)]) for _ in itertools.count()
    )
    steps = first_step_above(slopes, eps, eta, start)
    assert steps is not None
    assert steps <= softmax_bound(n, eps, eta, delta)


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(2, 12), eps=st.floats(0.02, 0.45), speed=st.sampled_from([0.05, 0.2, 1.0, 4.0])
)
def test_the_bound_is_near_the_slowest_run(n: int, eps: float, speed: float) -> None:
    # with small steps the run follows the equation that the bound integrates; larger ones may be
    # ahead of it
    bound = softmax_bound(n, eps, speed, 1.0)
    steps = constant_run(n, eps, speed, 1.0)
    assert steps <= bound
    if speed <= 0.05:
        assert steps >= 0.95 * bound - 2


def test_a_run_may_begin_above_and_may_end_too_early() -> None:
    slopes = [np.array([1.0, 0.0])] * 3
    assert first_step_above(slopes, 0.6, 0.1, np.zeros(2)) == 0
    assert softmax_bound(2, 0.6, 0.1, 1.0) == 0
    assert first_step_above(slopes, 0.1, 0.1, np.zeros(2)) is None


@pytest.mark.parametrize(
    "case",
    [
        (1, 0.1, 0.1, 1.0),
        (5, 0.0, 0.1, 1.0),
        (5, 1.0, 0.1, 1.0),
        (5, 0.1, 0.0, 1.0),
        (5, 0.1, 0.1, 0.0),
    ],
)
def test_wrong_values_are_refused(case: tuple[int, float, float, float]) -> None:
    for bound in (printed_bound, corrected_bound, softmax_bound):
        with pytest.raises(InvalidInput, match="must hold"):
            bound(*case)
    with pytest.raises(InvalidInput, match="eta delta <= 4"):
        softmax_bound(5, 0.1, 5.0, 1.0)
