from functools import cache
from typing import Any

import pytest
from searches import random_search

from searchers import Outcome, Proposal, WithRetraining
from spaces import Dag, HyperArchitecture
from spaces.errors import InvalidInput
from spaces.feature_space import GraphSpace


@cache
def space() -> GraphSpace:
    return GraphSpace.create()


def search(**arguments: Any) -> WithRetraining:
    inner = random_search(space(), depth=2, iterations=2, evaluations=2, seed=1, max_retries=0)
    return WithRetraining(inner, **({"epochs": 9, "repeats": 2, "seed": 1} | arguments))


def until_searched(searcher: WithRetraining, outcome: Outcome) -> list[Proposal]:
    proposals: list[Proposal] = []
    while not searcher.inner.done:
        proposal = searcher.ask()
        assert proposal is not None
        proposals.append(proposal)
        searcher.tell(proposal.id, outcome)
    return proposals


def test_the_best_architecture_is_retrained_after_the_search() -> None:
    searcher = search()
    searched = until_searched(searcher, Outcome(score=0.5))
    assert not searcher.done
    retrainings = list(iter(searcher.ask, None))
    assert [p.index for p in searched + retrainings] == list(range(6))
    for repeat, proposal in enumerate(retrainings):
        assert (proposal.kind, proposal.iteration, proposal.repeat) == ("retraining", 3, repeat)
        assert (proposal.epochs, proposal.points, proposal.parent) == (9, (), None)
        assert proposal.hyper == searched[0].hyper
    assert len({p.seed for p in searched + retrainings}) == 6
    assert searcher.iteration == 3
    searcher.tell(retrainings[1].id, Outcome(score=0.9))
    assert not searcher.done
    searcher.tell(retrainings[0].id, Outcome())  # a test accuracy need not be told
    assert searcher.done
    assert searcher.best == (searched[0].hyper, 0.5), "a retraining is not an evaluation"


def test_baselines_are_trained_beside_each_retraining() -> None:
    """The first training of what was found is the same with them and without."""
    cells = {
        "as-found": lambda found, rng: found,
        "drawn": lambda found, rng: HyperArchitecture(((Dag(int(rng.integers(1, 9))),),) * 2),
    }
    alone, beside = search(), search(baselines=cells)
    outcomes = [until_searched(searcher, Outcome(score=0.5)) for searcher in (alone, beside)]
    assert outcomes[0] == outcomes[1]
    (first, _), told = iter(alone.ask, None), list(iter(beside.ask, None))
    assert told[0] == first
    assert [(p.kind, p.network, p.repeat) for p in told] == [
        ("retraining", "", 0),
        ("baseline", "as-found", 0),
        ("baseline", "drawn", 0),
        ("retraining", "", 1),
        ("baseline", "as-found", 1),
        ("baseline", "drawn", 1),
    ]
    assert len({p.seed for p in told}) == 6
    assert all(p.follows and not p.scored for p in told)
    again = search(baselines=cells)
    until_searched(again, Outcome(score=0.5))
    assert list(iter(again.ask, None)) == told
    for proposal in told:
        assert Proposal.from_dict(proposal.to_dict()) == proposal
        beside.tell(proposal.id, Outcome())
    assert beside.done


def test_a_failed_retraining_is_tried_again_and_then_given_up() -> None:
    searcher = search(repeats=1, max_retries=1)
    until_searched(searcher, Outcome(score=0.5))
    first = searcher.ask()
    assert first is not None
    searcher.tell(first.id, Outcome(score=float("nan")))
    second = searcher.ask()
    assert second is not None
    assert (second.id, second.hyper) == (f"{first.id}r1", first.hyper)
    assert second.seed != first.seed
    assert not searcher.done
    searcher.tell(second.id, Outcome.failed("crashed", "broken"))
    assert searcher.done
    assert searcher.failures == [(second.id, "broken")]


def test_nothing_found_ends_with_a_recorded_failure() -> None:
    searcher = search()
    until_searched(searcher, Outcome.failed("crashed", "broken"))
    assert searcher.done
    assert searcher.ask() is None
    assert [id for id, _ in searcher.failures] == ["00000", "00001", "00002", "00003", "retraining"]


def test_a_search_that_is_done_already_is_retrained_at_once() -> None:
    inner = random_search(space(), depth=2, iterations=1, evaluations=1)
    while (proposal := inner.ask()) is not None:
        inner.tell(proposal.id, Outcome(score=0.5))
    retraining = WithRetraining(inner, epochs=1).ask()
    assert retraining is not None
    assert retraining.kind == "retraining"


@pytest.mark.parametrize("wrong", ["epochs", "repeats"])
def test_wrong_arguments_are_named(wrong: str) -> None:
    with pytest.raises(InvalidInput, match=f"{wrong} >= 1"):
        search(**{wrong: 0})
