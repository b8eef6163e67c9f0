"""The options of AnchorSearch that are not the paper's, in the search itself."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from searches import anchor_search

from searchers import AnchorSearch, Outcome, Proposal, best_paths, stencil
from searchers.stencils import distinct
from spaces import nasbench_macro
from spaces.errors import InvalidInput
from spaces.feature_space import FeatureSpace, GraphSpace

GAMMA = 0.17


@cache
def graphs() -> GraphSpace:
    return GraphSpace.create()


@cache
def macro() -> FeatureSpace:
    return nasbench_macro.space()


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return np.asarray(logits - np.logaddexp.reduce(logits))


def drive(searcher: AnchorSearch, result: Any) -> list[Proposal]:
    asked = []
    while not searcher.done:
        asked.append(searcher.ask())
        searcher.tell(asked[-1].id, result(asked[-1]))
    return asked


def anchors_of(searcher: AnchorSearch, result: Any) -> dict[int, Any]:
    """Run to the end; the anchors [walk][d][k] of each iteration."""
    anchors = {}
    while not searcher.done:
        anchors[searcher.iteration] = searcher.anchors
        proposal = searcher.ask()
        assert proposal is not None
        searcher.tell(proposal.id, result(proposal))
    return anchors


def by_points(logit: Any) -> Any:
    """Ranks that are the softmax of logit(points [d, w, k]) -> [d, w], in the place of what was
    drawn there.
    """

    def result(proposal: Proposal) -> Outcome:
        if proposal.kind != "ranks":
            return Outcome(score=0.5)
        logits = logit(np.asarray(proposal.points))
        return Outcome(
            log_weights=tuple(tuple(float(x) for x in log_softmax(row)) for row in logits)
        )

    return result


def by_cells(space: FeatureSpace, logit: Any) -> Any:
    """Ranks that are the softmax of logit(features) over the distinct candidates of a row."""

    def result(proposal: Proposal) -> Outcome:
        if proposal.kind != "ranks":
            return Outcome(score=0.5)
        rows = []
        for distinct_cells, places in zip(
            proposal.hyper.distinct(), proposal.hyper.places(), strict=True
        ):
            weights = log_softmax(np.array([logit(space.embed(cell)) for cell in distinct_cells]))
            rows.append(tuple(float(weights[place]) for place in places))
        return Outcome(log_weights=tuple(rows))

    return result


# --- value

VARIANTS: dict[str, dict[str, Any]] = {
    "paper": {},
    "least squares": {"gradient": "least-squares"},
    "distinct": {"gamma_rule": "distinct"},
    "normalised": {"step_rule": "normalised"},
    "momentum": {"momentum": 0.5, "step_size": 0.5},
    "wide": {"walks": 3, "wide": True, "evaluate_every": 4},
    "everything": {
        "gradient": "least-squares",
        "gamma_rule": "distinct",
        "step_rule": "normalised",
        "momentum": 0.3,
        "walks": 3,
        "wide": True,
        "elites": 2,
    },
}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_ends_closer_to_a_planted_optimum_than_it_started(name: str) -> None:
    """A concave logit over the features of the cells drawn: what an honest network's ranks might
    be.

    Distances of the anchors of 2 rows, averaged over the last 5 of 20 iterations, the best walk
    where there are several, and over 8 seeds.
    """
    optimum = np.array([0.3, 0.6, 0.9])
    starts, ends = [], []
    for seed in range(8):
        searcher = anchor_search(
            graphs(), 2, 20, seed=seed, **({"evaluations": 0} | VARIANTS[name])
        )
        result = by_cells(graphs(), lambda x: -10 * ((x - optimum) ** 2).sum())
        walked = np.array(list(anchors_of(searcher, result).values()))  # [iteration, walk, d, k]
        distances = np.linalg.norm(walked - optimum, axis=-1).mean(axis=2)
        starts.append(distances[0].min())
        ends.append(np.mean(distances[-5:], axis=0).min())
    assert np.mean(ends) < np.mean(starts) - 0.2


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_finds_the_better_blocks_of_a_chain(name: str) -> None:
    """Ranks that rise with the block: 8 rows, the mean place of the best walk after 20 iterations,
    4 seeds.
    """
    ends = []
    for seed in range(4):
        searcher = anchor_search(macro(), 8, 20, seed=seed, **({"evaluations": 0} | VARIANTS[name]))
        drive(searcher, by_cells(macro(), lambda x: 2 * x[0]))
        ends.append(np.array(searcher.anchors).mean(axis=(1, 2)).max())
    assert np.mean(ends) > 0.8


# --- the parts in the search


def test_least_squares_and_distinct_widths_reach_the_search() -> None:
    """The first move of each, by hand from what was drawn."""
    result = by_cells(graphs(), lambda x: 3 * x.sum())
    for rule in ("fixed", "distinct"):
        searcher = anchor_search(
            graphs(), 1, 1, gamma_rule=rule, gradient="least-squares", evaluations=0, seed=3
        )
        anchor = np.array(searcher.anchors[0][0])
        widths = distinct(graphs(), anchor, GAMMA).widths if rule == "distinct" else GAMMA
        (asked,) = drive(searcher, result)
        assert np.array_equal(asked.points[0], stencil(anchor, widths))
        x = np.stack([graphs().embed(cell) for cell in asked.hyper.distinct()[0]])
        beta = np.exp(np.array([3 * row.sum() for row in x]))
        x, beta = x - x.mean(0), beta / beta.sum()
        slope = np.linalg.solve(
            x.T @ x + 0.05 * 2 * GAMMA**2 * np.eye(3), x.T @ (beta - beta.mean())
        )
        assert searcher.anchors[0][0] == pytest.approx(np.clip(anchor + 2 * GAMMA * slope, 0, 1))


def test_a_normalised_walk_takes_steps_of_one_length_however_flat_the_ranks() -> None:
    for sharpness in (1e-3, 10.0):
        searcher = anchor_search(
            graphs(), 2, 1, step_rule="normalised", step_size=0.5, evaluations=0, seed=11
        )
        start = np.array(searcher.anchors[0])
        drive(searcher, by_points(lambda p, c=sharpness: -c * ((p - 0.5) ** 2).sum(-1)))
        moved = np.linalg.norm(np.array(searcher.anchors[0]) - start, axis=1)
        assert moved == pytest.approx([0.5 * GAMMA] * 2)


def test_momentum_adds_up_to_a_geometric_series() -> None:
    """Under a constant gradient g the n-th displacement is lambda g (1 - mu^n) / (1 - mu)."""
    searcher = anchor_search(macro(), 1, 8, step_size=0.1, momentum=0.5, evaluations=0, seed=2)
    places = []

    def result(proposal: Proposal) -> Outcome:
        places.append(searcher.anchors[0][0][0])
        return Outcome(log_weights=(tuple(float(x) for x in np.log([0.4, 0.35, 0.25])),))

    drive(searcher, result)
    expected = [0.1 * 0.1 * (1 - 0.5**n) / 0.5 for n in range(1, 8)]
    assert places[0] < 0.5, "no border is met"
    assert np.diff(places) == pytest.approx(expected)


def test_momentum_is_not_pressed_against_the_border() -> None:
    searcher = anchor_search(macro(), 1, 12, step_size=1.0, momentum=0.9, evaluations=0, seed=2)
    places = []

    def result(proposal: Proposal) -> Outcome:
        places.append(searcher.anchors[0][0][0])
        weights = [0.4, 0.45, 0.15] if proposal.iteration < 10 else [0.4, 0.15, 0.45]
        return Outcome(log_weights=(tuple(float(x) for x in np.log(weights)),))

    drive(searcher, result)
    assert places[8] == places[9] == 1.0
    assert places[10] == pytest.approx(0.7), "the first move back is not held up"


def test_a_walk_that_restarts_has_no_velocity() -> None:
    searcher = anchor_search(graphs(), 2, 2, walks=2, evaluate_every=1, momentum=0.5, seed=3)
    for proposal in list(iter(searcher.ask, None)):
        ranks = by_points(lambda p: -10 * ((p - 0.5) ** 2).sum(-1))(proposal)
        searcher.tell(
            proposal.id,
            ranks if proposal.kind == "ranks" else Outcome(score=0.1 + 0.5 * proposal.walk),
        )
    velocities = searcher.velocities
    assert np.all(velocities[0] == 0)
    assert np.all(velocities[1] != 0)


# --- wide hyper-architectures


def test_a_wide_hyper_architecture_holds_the_stencils_of_all_walks_side_by_side() -> None:
    searcher = anchor_search(graphs(), 2, 1, walks=3, repeats=2, wide=True, seed=3)
    anchors = np.array(searcher.anchors)
    asked = list(iter(searcher.ask, None))
    ranks = [p for p in asked if p.kind == "ranks"]
    assert [(p.walk, p.repeat) for p in ranks] == [(0, 0), (0, 1)]
    assert ranks[0].hyper == ranks[1].hyper
    assert ranks[0].hyper.width == 21
    for row in range(2):
        expected = np.concatenate([stencil(anchors[walk, row], GAMMA) for walk in range(3)])
        assert np.array_equal(ranks[0].points[row], expected)
    assert [p.walk for p in asked if p.kind == "evaluation"] == [0, 1, 2], (
        "anchors are evaluated per walk"
    )


def test_a_walk_in_a_wide_hyper_architecture_moves_as_it_would_alone() -> None:
    """The candidates of the other walks change nothing, whatever weight they take. (At depth 1 the
    draws are the same.)
    """
    ends = []
    for wide in (False, True):
        searcher = anchor_search(
            graphs(), 1, 6, walks=3, wide=wide, evolve=False, evaluations=0, seed=4
        )
        start = np.array(searcher.anchors)
        drive(searcher, by_cells(graphs(), lambda x: 6 * x.sum()))
        ends.append(np.array(searcher.anchors))
    assert np.all(np.abs(ends[0] - start).max(axis=(1, 2)) > 0.1)
    assert ends[1] == pytest.approx(ends[0], abs=1e-9)


def test_wide_walks_evolve_by_ranks_alone() -> None:
    optimum = np.full(3, 0.6)
    result = by_points(lambda p: -10 * ((p - optimum) ** 2).sum(-1))
    searcher = anchor_search(
        graphs(),
        2,
        5,
        walks=3,
        wide=True,
        evaluate_every=2,
        evaluations=0,
        mutation=0.0,
        step_size=0.0,
        seed=4,
    )
    anchors: dict[int, Any] = {}

    def told(proposal: Proposal) -> Outcome:
        anchors[proposal.iteration] = np.array(searcher.anchors)
        return result(proposal)

    asked = drive(searcher, told)
    assert {p.kind for p in asked} == {"ranks"}
    squares = 10 * ((anchors[1] - optimum) ** 2).sum(axis=(1, 2))
    best, worst = int(np.argmin(squares)), int(np.argmax(squares))
    expected = anchors[1].copy()
    assert np.array_equal(anchors[2], expected)
    expected[worst] = expected[best]
    assert np.array_equal(anchors[3], expected), "after iteration 2"
    assert np.array_equal(anchors[4], expected)


def test_wide_walks_do_not_evolve_without_ranks_or_when_told_not_to() -> None:
    def broken(proposal: Proposal) -> Outcome:
        return (
            Outcome.failed("crashed", "broken")
            if proposal.kind == "ranks"
            else Outcome(score=0.3 * proposal.walk)
        )

    arguments: dict[str, Any] = {
        "walks": 3,
        "wide": True,
        "evaluate_every": 1,
        "step_size": 0.0,
        "max_retries": 0,
    }
    for evolve, result in ((True, broken), (False, by_points(lambda p: p.sum(-1)))):
        searcher = anchor_search(graphs(), 2, 3, evolve=evolve, seed=4, **arguments)
        start = searcher.anchors
        drive(searcher, result)
        assert searcher.anchors == start


# --- elites


@pytest.mark.parametrize("wide", [False, True])
def test_elites_are_the_architectures_of_largest_psi_of_the_latest_hyper_architecture(
    wide: bool,
) -> None:
    ranks: dict[tuple[int, int], Any] = {}
    rng = np.random.default_rng(0)

    def result(proposal: Proposal) -> Outcome:
        if proposal.kind != "ranks":
            return Outcome(score=0.5)
        rows = []
        for cells, places in zip(proposal.hyper.distinct(), proposal.hyper.places(), strict=True):
            weights = log_softmax(rng.normal(size=len(cells)))
            rows.append(tuple(float(weights[place]) for place in places))
            ranks.setdefault((proposal.iteration, proposal.walk), (proposal.hyper, []))[1].append(
                weights.tolist()
            )
        return Outcome(log_weights=tuple(rows))

    searcher = anchor_search(
        graphs(), 2, 5, walks=2, wide=wide, evaluate_every=2, elites=2, finalists=3, seed=5
    )
    asked = drive(searcher, result)
    elites = [p for p in asked if p.kind == "evaluation" and not p.points]
    walks = [0] if wide else [0, 1]
    assert [(p.iteration, p.walk, p.repeat) for p in elites] == [
        (t + 1, walk, repeat)
        for t, n in ((2, 2), (4, 2), (5, 3))
        for walk in walks
        for repeat in range(n)
    ]
    for t, count in ((2, 2), (4, 2), (5, 3)):
        for walk in walks:
            hyper, weights = ranks[t, walk]
            best = [hyper.architecture(choice) for choice, _ in best_paths(weights, count)]
            assert [p.hyper for p in elites if (p.iteration, p.walk) == (t + 1, walk)] == best


def test_elites_tell_nothing_of_where_a_walk_stands() -> None:
    """With evaluations in every iteration they share a batch: it is the anchors' accuracies that
    restart a walk.
    """
    ends = []
    for elites in (0, 3):
        searcher = anchor_search(
            graphs(), 2, 3, walks=2, evaluate_every=1, elites=elites, step_size=0.0, seed=5
        )
        result = by_points(lambda p: p.sum(-1))

        def told(proposal: Proposal, result: Any = result) -> Outcome:
            if proposal.kind == "ranks":
                return result(proposal)
            good = proposal.walk if proposal.points else 1 - proposal.walk
            return Outcome(score=0.2 + 0.5 * good)

        start = searcher.anchors
        drive(searcher, told)
        assert searcher.anchors[1] == start[1], "the better walk stays"
        assert searcher.anchors[0] != start[0]
        ends.append(searcher.anchors[1])
    assert ends[0] == ends[1]


# --- arguments

WRONG: list[dict[str, Any]] = [
    *({"momentum": value} for value in (-0.1, 1.0, float("nan"))),
    *({name: "other"} for name in ("gradient", "gamma_rule", "step_rule")),
    {"elites": -1},
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_wrong_arguments_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(wrong))):
        anchor_search(graphs(), **({"depth": 2, "iterations": 3} | wrong))
