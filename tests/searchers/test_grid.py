"""A grid asks each of its plans once, whatever the order of the answers, and gives up after a
bounded number of failures.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchers.grid import GridSearch
from searchers.outcome import Outcome
from spaces.errors import InvalidInput


@dataclass(frozen=True)
class Dish:
    """A plan of nothing in particular."""

    id: str
    number: int
    attempt: int = 0
    epochs: int = 2
    sides: tuple[str, ...] = ("rice", "beans")  # becomes a list in JSON

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def retry(self) -> "Dish":
        return replace(self, id=f"{self.number}r{self.attempt + 1}", attempt=self.attempt + 1)


def dishes(count: int) -> list[Dish]:
    return [Dish(str(number), number) for number in range(count)]


def grid(count: int, retries: int = 2) -> GridSearch[Dish]:
    return GridSearch(dishes(count), Dish.retry, retries)


Verdict = Callable[[Dish], Outcome]


def drive(
    searcher: GridSearch[Dish],
    verdict: Verdict,
    at_once: int,
    pick: Callable[[int], int],
    steps: int = 10**6,
) -> list[Dish]:
    """Ask while fewer than `at_once` plans are in flight, else tell the one that `pick(how many)`
    names; what was asked.
    """
    asked = []
    for _ in range(steps):
        if searcher.done:
            break
        flying = searcher.in_flight
        plan = searcher.ask() if len(flying) < at_once else None
        if plan is not None:
            asked.append(plan)
        else:
            told = flying[pick(len(flying))]
            searcher.tell(told.id, verdict(told))
    return asked


@st.composite
def courses(draw: st.DrawFn) -> tuple[int, int, Verdict, int, Callable[[int], int]]:
    """Plans, retries, which attempts fail, how many run at once, and who ends first."""
    count, retries = draw(st.integers(1, 6)), draw(st.integers(0, 3))
    attempt = st.tuples(st.integers(0, count - 1), st.integers(0, retries))
    failing = draw(st.sets(attempt))
    order = draw(st.randoms(use_true_random=False))

    def verdict(plan: Dish) -> Outcome:
        if (plan.number, plan.attempt) in failing:
            return Outcome.failed("crashed", f"{plan.id} burnt")
        return Outcome(score=1 / (1 + plan.number))

    return count, retries, verdict, draw(st.integers(1, 4)), order.randrange


def good(plan: Dish) -> Outcome:
    return Outcome(score=0.5)


@given(courses())
def test_each_plan_is_asked_once_where_none_fails(course: Any) -> None:
    count, retries, _, at_once, pick = course
    searcher = grid(count, retries)
    assert drive(searcher, good, at_once, pick) == dishes(count)  # in the order of the list
    assert searcher.done
    assert searcher.ask() is None
    assert searcher.failures == []


@given(courses())
def test_failures_are_asked_again_and_bounded(course: Any) -> None:
    count, retries, verdict, at_once, pick = course
    searcher = grid(count, retries)
    asked = drive(searcher, verdict, at_once, pick)
    assert searcher.done
    assert max(Counter(plan.id for plan in asked).values()) == 1
    last: dict[int, Dish] = {}
    for number in range(count):
        attempts = [plan for plan in asked if plan.number == number]
        assert [plan.attempt for plan in attempts] == list(range(len(attempts)))
        assert len(attempts) <= retries + 1
        assert all(verdict(plan).failure is not None for plan in attempts[:-1])
        assert len(attempts) == retries + 1 or verdict(attempts[-1]).failure is None
        last[number] = attempts[-1]
    lost = [plan for plan in last.values() if verdict(plan).failure is not None]
    assert searcher.failures == [(plan.id, f"{plan.id} burnt") for plan in lost]


@given(courses(), st.integers(0, 30))
def test_a_replay_of_what_is_recorded_asks_for_the_same(course: Any, steps: int) -> None:
    """As a resumed run does it: ask anew, answer what is known at once, run the rest."""
    count, retries, verdict, at_once, pick = course
    record: dict[str, Outcome] = {}

    def recorded(plan: Dish) -> Outcome:
        return record.setdefault(plan.id, verdict(plan))

    before = drive(grid(count, retries), recorded, at_once, pick, steps)
    known = set(record)
    again = grid(count, retries)
    asked = drive(again, recorded, at_once, pick)
    whole = grid(count, retries)
    assert {plan.id: plan for plan in asked} == {
        plan.id: plan for plan in drive(whole, verdict, 1, lambda n: 0)
    }
    assert {plan.id for plan in before} | known <= {plan.id for plan in asked}
    assert again.failures == whole.failures


def test_what_has_no_accuracy_is_no_failure() -> None:
    searcher = grid(1)
    assert searcher.ask() is not None
    searcher.tell("0", Outcome())  # what was found may stand in the metrics of the trial alone
    assert searcher.done
    assert searcher.failures == []


def test_mistakes_are_refused() -> None:
    with pytest.raises(InvalidInput, match="plans"):
        GridSearch([], Dish.retry)
    with pytest.raises(InvalidInput, match="max_retries"):
        grid(2, -1)
    with pytest.raises(InvalidInput, match="unique"):
        GridSearch([*dishes(2), Dish("1", 7)], Dish.retry)
    with pytest.raises(InvalidInput, match="unique"):
        # another attempt under the same id would be taken for the first
        GridSearch(dishes(2), lambda plan: plan)
    searcher = grid(2)
    searcher.ask()
    searcher.tell("0", good(Dish("0", 0)))
    for id in ("0", "1", "x"):  # told already, not asked, unknown
        with pytest.raises(InvalidInput, match="in flight"):
            searcher.tell(id, Outcome())
