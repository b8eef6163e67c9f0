"""Restarts are counted by kind of loss, without progress in between."""

import pytest

from searchers.outcome import Failure, FailureKind
from searchers.restarts import LIMITS, Restarts


def losses(counted: Restarts, kind: FailureKind, times: int) -> list[bool]:
    return [counted.again("a", Failure(kind, "-")) for _ in range(times)]


@pytest.mark.parametrize("kind", ["worker lost", "out of memory"])
def test_a_loss_is_bounded_until_the_trial_gets_on(kind: FailureKind) -> None:
    counted, limit = Restarts(), int(LIMITS[kind])
    assert losses(counted, kind, limit + 1) == [True] * limit + [False]
    counted.reached("a", 1)
    assert losses(counted, kind, 1) == [True]
    counted.reached("a", 1)  # told again
    assert losses(counted, kind, limit) == [True] * (limit - 1) + [False]
    assert counted.again("b", Failure(kind, "-"))


def test_lost_nodes_are_never_final_and_count_apart() -> None:
    counted = Restarts()
    assert all(losses(counted, "node lost", 1000))
    assert losses(counted, "worker lost", 1) == [True]


@pytest.mark.parametrize("kind", ["crashed", "diverged", "bad input"])
def test_an_error_is_no_loss(kind: FailureKind) -> None:
    assert losses(Restarts(), kind, 1) == [False]
