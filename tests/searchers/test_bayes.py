import json
import subprocess
import sys
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from searches import bayes_search, random_search
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern

import searchers.bayes
from searchers import Outcome, Proposal
from searchers.bayes import best_of_line, suggest
from spaces.errors import InvalidInput
from spaces.feature_space import GraphSpace


@cache
def space() -> GraphSpace:
    return GraphSpace.create()


def drive(searcher: Any, accuracy: Any, broken: tuple[int, ...] = ()) -> list[Proposal]:
    asked = []
    while (proposal := searcher.ask()) is not None:
        asked.append(proposal)
        failed = proposal.index in broken
        searcher.tell(
            proposal.id,
            Outcome.failed("crashed", "broken") if failed else Outcome(score=accuracy(proposal)),
        )
    return asked


def larger(proposal: Proposal) -> float:
    """The larger the features of its graphs the better."""
    return float(np.mean([space().embed(row[0]).mean() for row in proposal.hyper.rows]))


def recorded(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The arguments of every suggestion, which is answered by as many different points in the place
    of a model's.
    """
    calls: list[Any] = []

    def answer(
        points: Any, scores: Any, count: int, kappa: float, seed: int
    ) -> list[tuple[float, ...]]:
        calls.append((points, scores, count, kappa, seed))
        return [tuple(i / 100 + j / 1000 for j in range(len(points[0]))) for i in range(count)]

    monkeypatch.setattr(searchers.bayes, "suggest", answer)
    return calls


# --- the model


def test_without_exploration_the_maximum_of_a_known_function_is_found() -> None:
    grid = np.linspace(0, 1, 9)
    points = [(x, y) for x in grid for y in grid]
    scores = [1 - (x - 0.3) ** 2 - (y - 0.8) ** 2 for x, y in points]
    assert suggest(points, scores, 1, 0.0, 0)[0] == pytest.approx((0.3, 0.8), abs=0.02)


def test_with_much_exploration_the_least_known_place_is_asked_for() -> None:
    points = [(x,) for x in (0.0, 0.1, 0.2, 0.3, 0.4, 1.0)]
    scores = [0.3 + 0.1 * x for (x,) in points]  # smooth: the length scale found is a long one
    assert suggest(points, scores, 1, 100.0, 0)[0][0] == pytest.approx(0.7, abs=0.1)


def test_the_points_of_a_batch_differ() -> None:
    first, second, third = suggest([(0.1, 0.2), (0.8, 0.4)], [0.3, 0.4], 3, 2.5, 0)
    assert (
        min(
            np.linalg.norm(np.subtract(p, q))
            for p, q in ((first, second), (first, third), (second, third))
        )
        > 0.05
    )


@pytest.mark.filterwarnings("ignore:The optimal value found:UserWarning")
@pytest.mark.parametrize("seed", range(5))
def test_the_length_scale_is_at_least_as_likely_as_that_of_random_starts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.random((20, 1 + seed % 2))
    y = np.sin(5 * x[:, 0]) + 0.3 * rng.standard_normal(20)
    ours, theirs = (
        GaussianProcessRegressor(
            Matern(nu=2.5), alpha=1e-6, normalize_y=True, random_state=0, **options
        ).fit(x, y)
        for options in ({"optimizer": best_of_line}, {"n_restarts_optimizer": 5})
    )
    assert ours.log_marginal_likelihood_value_ >= theirs.log_marginal_likelihood_value_ - 1e-3


@pytest.mark.parametrize("deepest", [-8.0, 0.3, 9.5])
def test_the_deepest_of_several_valleys_is_found_wherever_one_starts(deepest: float) -> None:
    def valleys(theta: NDArray[np.float64], eval_gradient: bool) -> float:
        assert not eval_gradient
        return float(1 - np.cos(theta[0] - deepest) + 0.03 * abs(theta[0] - deepest))

    for start in (-10.0, 10.0):
        found, value = best_of_line(valleys, np.array([start]), np.array([[-11.5, 11.5]]))
        assert found[0] == pytest.approx(deepest, abs=1e-2)
        assert value == pytest.approx(0, abs=1e-3)


def test_repeated_points_and_equal_scores_are_no_trouble(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for scores in ([0.5] * 4, [0.2, 0.9, 0.4, 0.4]):
        (point,) = suggest([(0.5, 0.5)] * 3 + [(0.5, 0.6)], scores, 1, 2.5, 1)
        assert all(0 <= x <= 1 for x in point)
    assert capsys.readouterr() == ("", "")


def test_the_same_question_has_the_same_answer_here_and_in_another_process() -> None:
    rng = np.random.default_rng(0)
    points = [tuple(point) for point in rng.random((8, 3)).tolist()]
    scores = rng.random(8).tolist()
    question = (points, scores, 2, 2.5, 7)
    assert suggest(*question) == suggest(*question)
    program = (
        f"import json, searchers.bayes\nprint(json.dumps(searchers.bayes.suggest(*{question!r})))"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=200
    )
    assert [tuple(point) for point in json.loads(told.stdout)] == suggest(*question)
    assert told.stderr == "", "the library's warnings stay off the console"


# --- the search


def test_it_finds_better_points_than_random_search_on_a_known_function() -> None:
    """A concave function of the point itself: the mean of the last 4 of 10 points, 2 seeds."""

    def accuracy(proposal: Proposal) -> float:
        return float(1 - np.mean((np.asarray(proposal.points) - 0.7) ** 2))

    means = []
    for searches in (
        [bayes_search(space(), 1, 10, evaluations=1, kappa=1.0, seed=seed) for seed in range(2)],
        [random_search(space(), 1, 10, evaluations=1, seed=seed) for seed in range(2)],
    ):
        for searcher in searches:
            drive(searcher, accuracy)
        means.append(
            np.mean(
                [scored.median for searcher in searches for scored in searcher.points_scored[6:]]
            )
        )
    assert means[0] > means[1] + 0.05
    assert means[0] > 0.95, "a uniform point scores 0.877 in the mean"


def test_every_row_has_a_model_of_its_own_that_is_fed_the_same_scores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = recorded(monkeypatch)
    searcher = bayes_search(space(), 3, 4, batch=2, evaluations=3, kappa=1.5, n_initial=5, seed=3)
    drive(searcher, larger)
    scored = searcher.points_scored
    assert len(scored) == 8
    assert len(calls) == 3, (
        "batches begin at points 0, 2 and 4 of 5 at random, and at 6 by the models of three rows"
    )
    for row, (points, scores, count, kappa, _) in enumerate(calls):
        assert list(points) == [s.point[row] for s in scored[:6]]
        assert list(scores) == [s.median for s in scored[:6]]
        assert (count, kappa) == (2, 1.5)
    assert len({seed for *_, seed in calls}) == 3
    for walk, s in enumerate(scored[6:]):
        assert s.point == ((walk / 100, walk / 100 + 0.001, walk / 100 + 0.002),) * 3


def test_joint_has_one_model_of_all_coordinates(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = recorded(monkeypatch)
    searcher = bayes_search(space(), 3, 2, evaluations=1, joint=True, n_initial=1, seed=3)
    drive(searcher, larger)
    ((points, scores, _, _, _),) = calls
    first, second = searcher.points_scored
    assert list(points) == [tuple(x for row in first.point for x in row)]
    assert list(scores) == [first.median]
    assert second.point == tuple(
        tuple(j / 1000 for j in range(3 * row, 3 * row + 3)) for row in range(3)
    )


def test_seeds_differ_between_batches_and_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = recorded(monkeypatch)
    for seed in (3, 4):
        drive(bayes_search(space(), 2, 4, evaluations=1, n_initial=1, seed=seed), larger)
    assert len({seed for *_, seed in calls}) == len(calls) == 2 * 3 * 2


def test_a_point_without_a_score_is_not_told_to_the_models(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = recorded(monkeypatch)
    searcher = bayes_search(space(), 1, 4, evaluations=2, n_initial=1, max_retries=0, seed=3)
    asked = drive(searcher, larger, broken=(0, 1, 2, 4, 5))
    assert len(searcher.points_scored) == 2
    assert [len(scores) for _, scores, *_ in calls] == [1, 1], (
        "as long as no point has a score it goes on at random"
    )
    assert calls[0][1] == (larger(asked[3]),)


WRONG: list[dict[str, Any]] = [
    *(
        {name: 0}
        for name in (
            "depth",
            "iterations",
            "batch",
            "evaluations",
            "evaluation_epochs",
            "n_initial",
        )
    ),
    *({"kappa": value} for value in (-0.1, float("nan"), float("inf"))),
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_wrong_arguments_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(wrong))):
        bayes_search(space(), **({"depth": 2, "iterations": 2} | wrong))
