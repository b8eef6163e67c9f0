"""Which architecture a search chooses under noise."""

from functools import cache

import pytest
from searches import random_search

from searchers import Outcome, Proposal
from searchers.repeats import WithRepeats, chosen, pooled
from spaces import Dag, GraphSpace, HyperArchitecture
from spaces.errors import InvalidInput

A, B, C = (HyperArchitecture(((Dag(n),),)) for n in (1, 2, 3))


def told(*scores: tuple[HyperArchitecture, float, str]) -> list[tuple[Proposal, float]]:
    return [
        (Proposal(f"{i:05d}", kind, hyper, i, 1, index=i), score)  # type: ignore[arg-type]
        for i, (hyper, score, kind) in enumerate(scores)
    ]


def test_one_lucky_score_is_not_chosen_over_a_better_mean() -> None:
    """The scores of the issue: a lucky 76.6, and 67.8, 73.4, 74.8 of another architecture."""
    steady = [(A, 0.678, "evaluation"), (A, 0.734, "evaluation"), (A, 0.748, "evaluation")]
    lucky = (B, 0.766, "evaluation")
    assert chosen(pooled(told(*steady, lucky))).hyper == B  # type: ignore[union-attr]
    again = [(A, 0.75, "repeat"), (A, 0.74, "repeat"), (B, 0.70, "repeat"), (B, 0.69, "repeat")]
    best = chosen(pooled(told(*steady, lucky, *again)))
    assert best is not None
    assert best.hyper == A
    assert best.told == pytest.approx((0.678 + 0.734 + 0.748 + 0.75 + 0.74) / 5)


def test_what_was_not_evaluated_again_is_not_chosen_once_others_were() -> None:
    best = chosen(pooled(told((A, 0.9, "evaluation"), (B, 0.8, "evaluation"), (B, 0.7, "repeat"))))
    assert best is not None
    assert best.hyper == B
    assert chosen([]) is None


def test_ties_go_to_the_earlier_one() -> None:
    assert chosen(pooled(told((C, 0.5, "evaluation"), (A, 0.5, "evaluation")))).hyper == C  # type: ignore[union-attr]


@cache
def space() -> GraphSpace:
    return GraphSpace.create()


def test_the_best_few_are_asked_again_and_the_best_mean_is_told() -> None:
    inner = random_search(space(), depth=2, iterations=6, evaluations=1, seed=1, max_retries=0)
    searcher, scores = WithRepeats(inner, best_few=2, times=3, seed=1), {}
    for number in range(6):
        proposal = searcher.ask()
        assert proposal is not None
        scores[proposal.hyper.code()] = number / 10
        searcher.tell(proposal.id, Outcome(score=number / 10))
    again = list(iter(searcher.ask, None))
    best_first = sorted(scores, key=scores.__getitem__, reverse=True)[:2]
    assert [p.hyper.code() for p in again] == best_first * 3
    assert {(p.kind, p.scored) for p in again} == {("repeat", True)}
    assert len({p.seed for p in again}) == 6
    for proposal in again:
        score = 0.1 if proposal.hyper.code() == best_first[0] else 0.4
        searcher.tell(proposal.id, Outcome(score=score))
    assert searcher.done
    assert searcher.best is not None
    assert searcher.best[0].code() == best_first[1]
    assert searcher.best[1] == pytest.approx(0.4)


def test_repeats_that_fail_leave_what_was_known() -> None:
    inner = random_search(space(), depth=1, iterations=2, evaluations=1, seed=2, max_retries=0)
    searcher = WithRepeats(inner, best_few=3, times=1, max_retries=0)
    for score in (0.3, 0.6):
        searcher.tell(searcher.ask().id, Outcome(score=score))  # type: ignore[union-attr]
    for proposal in iter(searcher.ask, None):
        searcher.tell(proposal.id, Outcome.failed("crashed", "broken"))
    assert searcher.done
    assert searcher.best is not None
    assert searcher.best[1] == 0.6


@pytest.mark.parametrize("wrong", ["best_few", "times"])
def test_counts_below_one_are_refused(wrong: str) -> None:
    inner = random_search(space(), depth=1, iterations=1, evaluations=1)
    with pytest.raises(InvalidInput, match=f"{wrong} >= 1"):
        WithRepeats(inner, **({"best_few": 1, "times": 1} | {wrong: 0}))
