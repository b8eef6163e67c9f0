"""Lists of trials, each made from what those before it have found."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from searchers import Outcome
from searchers.grid import GridSearch
from searchers.remembered import Remembered
from searchers.staged import StagedSearch
from spaces.errors import InvalidInput


@dataclass(frozen=True)
class Plan:
    name: str
    attempt: int = 0
    epochs: int = 1

    @property
    def id(self):
        return f"{self.name}r{self.attempt}" if self.attempt else self.name

    def to_dict(self):
        return {"id": self.id}


def grid(plans):
    return GridSearch(plans, lambda plan: replace(plan, attempt=plan.attempt + 1), 1)


def first(outcomes):
    assert not outcomes
    return grid([Plan(f"p{number}") for number in range(4)])


def again(outcomes):
    scores = {id: outcome.score or 0.0 for id, outcome in outcomes.items()}
    return grid([Plan(f"again-{max(scores, key=scores.get)}-{number}") for number in range(2)])


def nothing(outcomes):
    return None


def search(*then):
    return StagedSearch([first, *(then or (again,))])


def drive(
    searcher, order=0, at_once=1, result=lambda plan: Outcome(score=(hash(plan.id) % 97) / 97)
):
    rng, flying, asked = np.random.default_rng(order), [], []
    while not searcher.done:
        while len(flying) < at_once and (plan := searcher.ask()) is not None:
            asked.append(plan.id)
            flying.append(plan)
        plan = flying.pop(int(rng.integers(len(flying))))
        searcher.tell(plan.id, result(plan))
    return asked


@settings(max_examples=30, deadline=None)
@given(order=st.integers(0, 2**32), at_once=st.integers(1, 6))
def test_the_second_stage_waits_for_the_first_and_depends_on_it_alone(order, at_once):
    def result(plan):
        return Outcome(score=1.0 if plan.name == "p2" else 0.5)

    asked = drive(search(), order, at_once, result)
    assert sorted(asked[:4]) == ["p0", "p1", "p2", "p3"]
    assert asked[4:] == ["again-p2-0", "again-p2-1"]


def test_failures_are_tried_again_and_told():
    def result(plan):
        return (
            Outcome.failed("crashed", "bad")
            if plan.name == "p1" or plan.id == "p0"
            else Outcome(score=0.5)
        )

    searcher = search()
    asked = drive(searcher, result=result)
    assert asked == ["p0", "p0r1", "p1", "p1r1", "p2", "p3", "again-p0-0", "again-p0-1"]
    assert searcher.failures == [("p1r1", "bad")]


def test_stages_without_a_searcher_are_passed_over():
    assert drive(search(nothing)) == ["p0", "p1", "p2", "p3"]
    for stages in ((nothing, first), (first, nothing, nothing), (nothing, first, nothing)):
        searcher = StagedSearch(list(stages))
        assert drive(searcher) == ["p0", "p1", "p2", "p3"]
        assert searcher.ask() is None
    empty = StagedSearch([nothing])
    assert empty.done
    assert empty.ask() is None
    with pytest.raises(InvalidInput, match="id in flight"):
        empty.tell("p0", Outcome())


@pytest.mark.parametrize("at_once", [1, 3])
def test_a_stage_knows_what_all_before_it_have_come_to(at_once):
    def last(outcomes):
        return grid([Plan(f"last-{len(outcomes)}-{list(outcomes)[-1]}")])

    searcher = search(again, nothing, last)
    asked = drive(searcher, at_once=at_once, result=lambda plan: Outcome(score=0.5))
    assert asked[4:] == ["again-p0-0", "again-p0-1", "last-6-again-p0-1"]
    assert list(searcher.outcomes) == asked


@pytest.mark.parametrize("told", range(8))
def test_a_saved_state_goes_on_alike(told):
    def score(plan):
        return Outcome(score=0.5)

    def third(outcomes):
        return grid([Plan("third")])

    searcher = Remembered(search(again, third))
    for _ in range(min(told, 7)):
        searcher.tell(searcher.ask().id, Outcome(score=0.5))
    copy = Remembered(search(again, third))
    copy.load_state_dict(json.loads(json.dumps(searcher.state_dict())))
    assert copy.done == searcher.done
    assert drive(copy, result=score) == drive(searcher, result=score)


def test_unknown_ids_are_refused():
    searcher = search()
    with pytest.raises(InvalidInput, match="id in flight"):
        searcher.tell("p0", Outcome(score=0.5))
