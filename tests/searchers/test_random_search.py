from functools import cache

import numpy as np
import pytest
from searches import random_search

from searchers import Outcome, Proposal, RandomSearch
from spaces.errors import InvalidInput
from spaces.feature_space import GraphSpace


@cache
def space() -> GraphSpace:
    return GraphSpace.create()


def accuracy(proposal: Proposal) -> float:
    """The larger the features of its graphs the better."""
    return float(np.mean([space().embed(row[0]).mean() for row in proposal.hyper.rows]))


def drive(searcher: RandomSearch, broken: tuple[int, ...] = ()) -> list[Proposal]:
    asked = []
    while (proposal := searcher.ask()) is not None:
        asked.append(proposal)
        failed = proposal.index in broken
        searcher.tell(
            proposal.id,
            Outcome.failed("crashed", "broken") if failed else Outcome(score=accuracy(proposal)),
        )
    return asked


def test_points_are_scored_by_the_median_of_architectures_generated_from_them() -> None:
    searcher = random_search(space(), depth=4, iterations=3, batch=2, evaluations=5, seed=1)
    asked = drive(searcher)
    assert len(asked) == 3 * 2 * 5
    assert len(searcher.points_scored) == 6
    for i, scored in enumerate(searcher.points_scored):
        proposals = asked[5 * i : 5 * i + 5]
        assert {p.points for p in proposals} == {tuple((row,) for row in scored.point)}
        assert {(p.iteration, p.walk) for p in proposals} == {(i // 2 + 1, 0)}
        assert [p.repeat for p in proposals] == list(range(5))
        assert scored.scores == tuple(accuracy(p) for p in proposals)
        assert scored.median == sorted(scored.scores)[2]
    assert searcher.anchors == []
    assert len({p.hyper for p in asked}) > 6, "the architectures of a point are drawn anew"


def test_best_is_the_best_of_what_was_evaluated() -> None:
    searcher = random_search(space(), depth=2, iterations=10, evaluations=3, seed=2)
    asked = drive(searcher)
    best = max(asked, key=accuracy)
    assert searcher.best == (best.hyper, accuracy(best))


def test_a_point_is_scored_by_the_evaluations_that_succeeded() -> None:
    searcher = random_search(space(), depth=2, iterations=3, evaluations=3, seed=2, max_retries=0)
    asked = drive(searcher, broken=(1, 3, 4, 5))
    first, last = searcher.points_scored
    assert first.scores == (accuracy(asked[0]), accuracy(asked[2]))
    assert first.median == pytest.approx(np.mean(first.scores))
    assert last.point == tuple(row[0] for row in asked[6].points)
    assert [id for id, _ in searcher.failures] == ["00001", "00003", "00004", "00005"]


def test_points_are_uniform_in_the_box() -> None:
    """Kolmogorov-Smirnov against U[0, 1] for each of 2 x 3 coordinates, 400 points: 1.95/sqrt(n)
    has alpha = 0.001.
    """
    searcher = random_search(space(), depth=2, iterations=1, batch=400, evaluations=1, seed=3)
    points = np.array([p.points for p in drive(searcher)]).reshape(400, 6)
    ordered = np.sort(points, axis=0)
    steps = np.arange(401)[:, None] / 400
    distance = np.maximum(np.abs(ordered - steps[1:]), np.abs(ordered - steps[:-1])).max(0)
    assert distance.max() < 1.95 / np.sqrt(400)


@pytest.mark.parametrize(
    "wrong", ["depth", "iterations", "batch", "evaluations", "evaluation_epochs"]
)
def test_wrong_arguments_are_named(wrong: str) -> None:
    with pytest.raises(InvalidInput, match=f"{wrong} >= 1"):
        random_search(space(), **({"depth": 2, "iterations": 2} | {wrong: 0}))
