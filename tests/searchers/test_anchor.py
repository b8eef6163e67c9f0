import json
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from searches import anchor_search

from searchers import AnchorSearch, Outcome, Proposal, pseudo_gradient, stencil, step
from searchers.row_weights import pooled
from spaces.dag import Dag, complete_dag
from spaces.errors import InvalidInput
from spaces.feature_space import GraphSpace
from spaces.hyper import HyperArchitecture

GAMMA = 0.17
coordinates = st.lists(st.floats(0, 1), min_size=1, max_size=5).map(np.array)
gammas = st.floats(1e-3, 0.5)
unhurried = settings(deadline=None)


@cache
def space() -> GraphSpace:
    return GraphSpace.create()


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return np.asarray(logits - np.logaddexp.reduce(logits))


def tuples(rows: list[np.ndarray]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(x) for x in row) for row in rows)


def drive(searcher: AnchorSearch, result: Any) -> list[Proposal]:
    """Run to the end; the proposals in the order asked."""
    asked = []
    while not searcher.done:
        asked.append(searcher.ask())
        searcher.tell(asked[-1].id, result(asked[-1]))
    return asked


def flat(proposal: Proposal) -> Outcome:
    """Uniform ranks, and a score of a half."""
    if proposal.kind != "ranks":
        return Outcome(score=0.5)
    return Outcome(
        log_weights=tuples(
            [np.full(proposal.hyper.width, -np.log(len(row))) for row in proposal.hyper.distinct()]
        )
    )


# --- the plain functions


@unhurried
@given(anchor=coordinates, gamma=gammas)
def test_stencil_lies_in_the_box_and_its_pairs_stay_apart(anchor: np.ndarray, gamma: float) -> None:
    points, k = stencil(anchor, gamma), len(anchor)
    assert points.shape == (2 * k + 1, k)
    assert np.all((points >= 0) & (points <= 1))
    assert np.array_equal(points[0], anchor)
    for axis in range(k):
        above, below = points[1 + 2 * axis], points[2 + 2 * axis]
        assert above[axis] - below[axis] == pytest.approx(2 * gamma, abs=1e-12)
        others = np.arange(k) != axis
        assert np.array_equal(above[others], anchor[others])
        assert np.array_equal(below[others], anchor[others])
        if gamma <= anchor[axis] <= 1 - gamma:
            assert above[axis] == anchor[axis] + gamma


@unhurried
@given(anchor=st.lists(st.floats(0, 1), min_size=3, max_size=3).map(np.array))
def test_the_default_gamma_puts_a_pair_into_different_bins(anchor: np.ndarray) -> None:
    points = stencil(anchor, GAMMA)
    for axis in range(3):
        above, below = (space().interval(points[i + 2 * axis])[axis] for i in (1, 2))
        assert above > below


@pytest.mark.parametrize("gamma", [0.0, -0.1, 0.51, float("nan")])
def test_stencil_refuses_a_gamma_outside_the_box(gamma: float) -> None:
    with pytest.raises(InvalidInput, match=r"0 < gamma <= 0\.5"):
        stencil(np.array([0.5]), gamma)


def test_pseudo_gradient_is_the_difference_of_the_weights_of_each_pair() -> None:
    beta = [0.1, 0.3, 0.2, 0.15, 0.25]
    assert pseudo_gradient(np.log(beta)) == pytest.approx([0.1, -0.1])


@unhurried
@given(
    anchor=st.lists(st.floats(0, 1), min_size=2, max_size=2).map(np.array),
    size=st.floats(0, 100),
    seed=st.integers(),
)
def test_step_is_equation_5_clipped_and_the_directions_are_opposite(
    anchor: np.ndarray, size: float, seed: int
) -> None:
    log_weights = log_softmax(np.random.default_rng(abs(seed)).normal(size=5))
    beta = np.exp(log_weights)
    gradient = np.array([beta[1] - beta[2], beta[3] - beta[4]])
    assert step(anchor, log_weights, size) == pytest.approx(np.clip(anchor + size * gradient, 0, 1))
    assert step(anchor, log_weights, size, -1) == pytest.approx(
        np.clip(anchor - size * gradient, 0, 1)
    )


def test_a_small_step_raises_beta_by_lambda_2_gamma_gradient_squared() -> None:
    """To first order, for any smooth beta: halving the step halves the rise."""
    rng = np.random.default_rng(0)
    slope, curve = rng.normal(size=3), rng.normal(size=3)

    def beta(x: np.ndarray) -> np.ndarray:
        return np.asarray(0.1 * np.exp(0.3 * np.sin(x @ slope) + 0.2 * np.cos(x @ curve)))

    anchor, gamma = np.full(3, 0.5), 1e-3
    gradient = [(beta(anchor + 1e-6 * e) - beta(anchor - 1e-6 * e)) / 2e-6 for e in np.eye(3)]
    for size in (1.0, 0.5):
        rise = beta(step(anchor, np.log(beta(stencil(anchor, gamma))), size)) - beta(anchor)
        assert rise == pytest.approx(size * 2 * gamma * np.dot(gradient, gradient), rel=1e-2)
        assert rise > 0


def graphs(n: int) -> list[Dag]:
    return list(space().cells[:n])


@unhurried
@given(logits=st.lists(st.floats(-5, 5), min_size=4, max_size=4), repeats=st.integers(1, 3))
def test_pooling_equal_repeats_changes_nothing(logits: list[float], repeats: int) -> None:
    a, b, c, d = graphs(4)
    weights = log_softmax(np.array(logits))
    hyper = HyperArchitecture(((a, b, a, c, d),))
    row = weights[[0, 1, 0, 2, 3]]
    assert pooled([tuples([row])] * repeats, hyper)[0] == pytest.approx(row, abs=1e-12)


def test_pooling_is_the_softmax_of_the_mean_logits() -> None:
    a, b, c = graphs(3)
    hyper = HyperArchitecture(((b, a, b, c), (a, a, a, c)))
    rng = np.random.default_rng(1)
    # logits of the distinct candidates, 5 repeats
    first, second = rng.normal(size=(5, 3)), rng.normal(size=(5, 2))
    repeats = [
        tuples([log_softmax(x)[[0, 1, 0, 2]], log_softmax(y)[[0, 0, 0, 1]]])
        for x, y in zip(first, second, strict=True)
    ]
    expected = [log_softmax(first.mean(0))[[0, 1, 0, 2]], log_softmax(second.mean(0))[[0, 0, 0, 1]]]
    assert pooled(repeats, hyper) == pytest.approx(np.array(expected))


# --- planted ranks


def planted(optima: np.ndarray, sharpness: float = 10.0) -> Any:
    """beta = softmax(-c |x - x*|^2) over the points of each row, x* [d, k]."""

    def result(proposal: Proposal) -> Outcome:
        if proposal.kind != "ranks":
            return Outcome(score=0.5)
        squares = ((np.asarray(proposal.points) - optima[:, None]) ** 2).sum(-1)  # [d, w]
        return Outcome(log_weights=tuples([log_softmax(-sharpness * row) for row in squares]))

    return result


def planted_walk(seed: int, direction: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(optima, first anchors, last anchors), each [d, k]."""
    optima = np.random.default_rng(1000 + seed).uniform(GAMMA, 1 - GAMMA, (2, 3))
    searcher = anchor_search(space(), 2, 30, seed=seed, gamma=GAMMA, direction=direction)
    start = np.array(searcher.anchors[0])
    drive(searcher, planted(optima))
    return optima, start, np.array(searcher.anchors[0])


@pytest.mark.parametrize("seed", range(8))
def test_anchors_reach_a_planted_optimum_from_random_starts(seed: int) -> None:
    optima, start, end = planted_walk(seed, +1)
    assert np.abs(start - optima).max() > 0.1
    assert end == pytest.approx(optima, abs=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_the_printed_minus_of_equation_5_runs_away_from_the_optimum(seed: int) -> None:
    optima, start, end = planted_walk(seed, -1)
    assert np.linalg.norm(end - optima) > np.linalg.norm(start - optima)
    assert np.linalg.norm(end - optima, axis=1).min() > 0.3, "each row"


def test_an_optimum_in_a_corner_is_reached() -> None:
    corner = np.array([[0.0, 1.0, 1.0]])
    searcher = anchor_search(space(), 1, 30, gamma=GAMMA, seed=5)
    drive(searcher, planted(corner))
    assert np.array(searcher.anchors[0]) == pytest.approx(corner)


def test_ranks_planted_on_the_graphs_themselves_lead_to_the_larger_ones() -> None:
    """beta of a graph grows with its features, as an honest network's might: noise of the generator
    included.
    """

    def result(proposal: Proposal) -> Outcome:
        if proposal.kind != "ranks":
            return Outcome(score=0.5)
        rows = []
        for distinct, places in zip(
            proposal.hyper.distinct(), proposal.hyper.places(), strict=True
        ):
            weights = log_softmax(np.array([3 * space().embed(graph).sum() for graph in distinct]))
            rows.append(weights[list(places)])
        return Outcome(log_weights=tuples(rows))

    ends = {}
    for direction in (+1, -1):
        searchers = [
            anchor_search(space(), 1, 25, seed=seed, direction=direction) for seed in range(10)
        ]
        for searcher in searchers:
            drive(searcher, result)
        ends[direction] = np.array([searcher.anchors[0][0] for searcher in searchers])  # [seed, k]
    vertices = list(space().feature_map.names).index("vertices")
    assert ends[+1][:, vertices].mean() > 0.8
    assert ends[-1][:, vertices].mean() < 0.2


# --- the search


def test_both_sides_of_a_pair_in_one_graph_do_not_move_the_anchor() -> None:
    """A space of one graph: the duplicate's full weight is credited to each place, so that all
    differences are 0.
    """
    whole = space()
    single = GraphSpace((complete_dag(5),), whole.feature_map, whole.bins)
    searcher = anchor_search(single, 2, 3, seed=1)
    start = searcher.anchors
    drive(searcher, flat)
    assert searcher.anchors == start


def test_rows_are_independent() -> None:
    """Other ranks in row 0 change row 1's next anchor by nothing."""
    ends = []
    for sharpness in (1.0, 20.0):
        searcher = anchor_search(space(), 2, 1, seed=2)
        near, far = planted(np.full((2, 3), 0.5), 5.0), planted(np.full((2, 3), 0.9), sharpness)

        def result(proposal: Proposal, near: Any = near, far: Any = far) -> Outcome:
            if proposal.kind != "ranks":
                return Outcome(score=0.5)
            return Outcome(
                log_weights=(far(proposal).log_weights[0], near(proposal).log_weights[1])
            )

        drive(searcher, result)
        ends.append(searcher.anchors[0])
    assert ends[0][1] == ends[1][1]
    assert ends[0][0] != ends[1][0]


def test_repeats_share_the_hyper_architecture_and_their_log_weights_are_averaged() -> None:
    searcher = anchor_search(space(), 1, 1, repeats=3, evaluations=0, seed=4)
    start = np.array(searcher.anchors[0][0])
    proposals = list(iter(searcher.ask, None))
    assert len({p.hyper for p in proposals}) == 1
    assert [p.repeat for p in proposals] == [0, 1, 2]
    assert len({p.seed for p in proposals}) == 3
    results = [
        planted(np.array([[x] * 3]))(p) for p, x in zip(proposals, (0.2, 0.5, 0.9), strict=True)
    ]
    for proposal, result in zip(proposals, results, strict=True):
        searcher.tell(proposal.id, result)
    mean = pooled([result.log_weights for result in results], proposals[0].hyper)
    assert searcher.anchors[0][0] == step(start, mean[0], 1.0).tolist()


def test_a_repeat_given_up_is_left_out_of_the_average() -> None:
    def broken(proposal: Proposal) -> Outcome:
        if proposal.kind == "ranks" and proposal.repeat == 1:
            return Outcome.failed("crashed", "broken")
        return planted(np.full((2, 3), 0.5))(proposal)

    one, two = (
        anchor_search(space(), 2, 1, seed=4),
        anchor_search(space(), 2, 1, repeats=2, seed=4, max_retries=0),
    )
    drive(one, planted(np.full((2, 3), 0.5)))
    drive(two, broken)
    assert two.failures == [("00001", "broken")]
    assert np.array(two.anchors) == pytest.approx(np.array(one.anchors), abs=1e-12)


def test_the_anchor_stays_where_all_repeats_failed_and_only_there() -> None:
    searcher = anchor_search(space(), 2, 1, walks=2, repeats=2, evolve=False, seed=6, max_retries=1)
    start = searcher.anchors

    def result(proposal: Proposal) -> Outcome:
        if proposal.kind == "ranks" and proposal.walk == 1:
            return Outcome.failed("crashed", "broken")
        return planted(np.full((2, 3), 0.5))(proposal)

    drive(searcher, result)
    assert searcher.anchors[1] == start[1]
    assert searcher.anchors[0] != start[0]


def test_evaluations_come_every_so_often_and_at_the_end_from_the_anchors_themselves() -> None:
    searcher = anchor_search(
        space(), 2, 7, walks=2, evaluate_every=3, evaluations=2, evolve=False, seed=1
    )
    anchors: dict[int, Any] = {}

    def result(proposal: Proposal) -> Outcome:
        anchors[proposal.iteration] = searcher.anchors
        return planted(np.full((2, 3), 0.5))(proposal)

    evaluations = [p for p in drive(searcher, result) if p.kind == "evaluation"]
    assert [(p.iteration, p.walk, p.repeat) for p in evaluations] == [
        (t, walk, repeat) for t in (3, 6, 7) for walk in (0, 1) for repeat in (0, 1)
    ]
    for proposal in evaluations:
        assert [list(row[0]) for row in proposal.points] == anchors[proposal.iteration][
            proposal.walk
        ]
        assert proposal.hyper.is_architecture


def evolve(accuracies: list[float | None], **arguments: Any) -> tuple[AnchorSearch, Any]:
    """One iteration of a population whose walk i is evaluated at accuracies[i] (None: fails) under
    flat ranks.
    """
    walks = len(accuracies)
    searcher = anchor_search(
        space(), 2, 2, walks=walks, evaluate_every=1, seed=8, max_retries=0, **arguments
    )
    start = np.array(searcher.anchors)
    for proposal in list(iter(searcher.ask, None)):
        accuracy = accuracies[proposal.walk]
        evaluated = (
            Outcome.failed("crashed", "broken") if accuracy is None else Outcome(score=accuracy)
        )
        searcher.tell(proposal.id, flat(proposal) if proposal.kind == "ranks" else evaluated)
    return searcher, start


def test_the_worst_walk_restarts_near_the_best() -> None:
    searcher, start = evolve([0.5, 0.9, 0.2, None], mutation=0.01)
    end = np.array(searcher.anchors)
    assert np.array_equal(end[[0, 1, 3]], start[[0, 1, 3]])
    assert end[2] == pytest.approx(start[1], abs=0.05)
    assert not np.array_equal(end[2], start[1])
    assert evolve([0.5, 0.9, 0.2], mutation=0.0)[0].anchors[2] == start[1].tolist()
    assert np.all((np.array(evolve([0.5, 0.9], mutation=9.0)[0].anchors[0]) % 1) == 0), (
        "clipped to the box"
    )


@pytest.mark.parametrize("accuracies", [[0.5, 0.5, 0.5], [0.5, None, None], [None, None], [0.5]])
def test_no_walk_restarts_without_a_worse_and_a_better_one(accuracies: list[float | None]) -> None:
    searcher, start = evolve(accuracies)
    assert searcher.anchors == start.tolist()


def test_no_walk_restarts_without_evolve() -> None:
    searcher, start = evolve([0.5, 0.9, 0.2], evolve=False)
    assert searcher.anchors == start.tolist()


def test_the_restart_goes_by_the_median() -> None:
    # walk 0: higher mean and maximum, lower median
    accuracies = {0: [0.9, 0.1, 0.2], 1: [0.3, 0.3, 0.3]}
    searcher = anchor_search(
        space(), 1, 2, walks=2, evaluations=3, evaluate_every=1, mutation=0.0, seed=8
    )
    start = searcher.anchors
    for proposal in list(iter(searcher.ask, None)):
        accuracy = accuracies[proposal.walk][proposal.repeat]
        searcher.tell(
            proposal.id, flat(proposal) if proposal.kind == "ranks" else Outcome(score=accuracy)
        )
    assert searcher.anchors == [start[1], start[1]]


def test_finalists_are_the_architectures_of_largest_psi() -> None:
    rng = np.random.default_rng(0)
    weights = {}

    def result(proposal: Proposal) -> Outcome:
        if proposal.kind != "ranks":
            return Outcome(score=0.5)
        rows = []
        for distinct, places in zip(
            proposal.hyper.distinct(), proposal.hyper.places(), strict=True
        ):
            logits = log_softmax(rng.normal(size=len(distinct)))
            rows.append(logits[list(places)])
        weights[proposal.walk] = proposal.hyper, tuples(rows)
        return Outcome(log_weights=tuples(rows))

    searcher = anchor_search(space(), 2, 3, walks=2, finalists=5, seed=3)
    finalists = [p for p in drive(searcher, result) if p.iteration == 4]
    for walk, (hyper, rows) in weights.items():
        psi = {
            hyper.rows[0][i].code + "/" + hyper.rows[1][j].code: rows[0][i] + rows[1][j]
            for i in range(hyper.width)
            for j in range(hyper.width)
        }
        best = sorted(psi, key=psi.__getitem__, reverse=True)[:5]
        assert [p.hyper.code() for p in finalists if p.walk == walk] == best
    assert {(p.kind, p.points) for p in finalists} == {("evaluation", ())}


def test_carry_names_the_same_walk_and_repeat_before_or_one_that_succeeded() -> None:
    def result(proposal: Proposal) -> Outcome:
        broken = {2: [(0, 1)], 3: [(1, 0), (1, 1)]}.get(proposal.iteration, [])
        if proposal.kind == "ranks" and (proposal.walk, proposal.repeat) in broken:
            return Outcome.failed("crashed", "broken")
        return (
            Outcome.failed("crashed", "once")
            if (proposal.index, proposal.attempt) == (0, 0)
            else flat(proposal)
        )

    searcher = anchor_search(
        space(), 1, 4, walks=2, repeats=2, carry_weights=True, evaluations=0, seed=1, max_retries=1
    )
    asked = drive(searcher, result)
    parents = [
        [p.parent for p in asked if p.iteration == t and not p.attempt] for t in (1, 2, 3, 4)
    ]
    assert parents == [
        [None] * 4,
        ["00000r1", "00001", "00002", "00003"],
        ["00004", "00004", "00006", "00007"],
        ["00008", "00009", None, None],
    ]
    assert all(
        p.parent is None for p in drive(anchor_search(space(), 1, 3, walks=2, repeats=2), flat)
    )


def test_anchors_are_plain_numbers() -> None:
    anchors = anchor_search(space(), 2, 1, walks=3).anchors
    assert np.array(anchors).shape == (3, 2, 3)
    assert json.loads(json.dumps(anchors)) == anchors
    assert type(anchors[0][0][0]) is float


WRONG: list[dict[str, Any]] = [
    *({name: 0} for name in ("depth", "iterations", "walks", "repeats", "evaluate_every")),
    *({name: 0} for name in ("rank_epochs", "evaluation_epochs")),
    *(
        {name: -1}
        for name in ("evaluations", "finalists", "max_retries", "seed", "step_size", "mutation")
    ),
    *(
        {name: value}
        for name in ("step_size", "mutation")
        for value in (float("nan"), float("inf"))
    ),
    *({"gamma": value} for value in (0.0, -0.2, 0.1, 0.6, float("nan"))),
    *({"direction": value} for value in (0, 2)),
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_wrong_arguments_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(wrong))):
        anchor_search(space(), **({"depth": 2, "iterations": 3} | wrong))


# --- walks that go on one by one


def ranked_alike(proposal: Proposal, score: float) -> Outcome:
    return flat(proposal) if proposal.ranks else Outcome(score=score)


def population(**arguments: Any) -> AnchorSearch:
    """Three walks that are evaluated in each iteration and, by flat ranks, stand still."""
    usual = {"iterations": 6, "walks": 3, "evaluate_every": 1, "mutation": 0.0, "seed": 8}
    return anchor_search(space(), 2, **(usual | arguments))


def go_on(searcher: AnchorSearch, walk: int, flying: list[Proposal], score: float) -> None:
    """Answer all of a walk's trials, and ask for its next ones."""
    for proposal in [each for each in flying if each.walk == walk]:
        flying.remove(proposal)
        searcher.tell(proposal.id, ranked_alike(proposal, score))
    flying += iter(searcher.ask, None)


def test_a_walk_goes_on_when_its_own_trials_are_in() -> None:
    searcher = population(evolve=False)
    start, flying = searcher.anchors, list(iter(searcher.ask, None))
    for iteration in (2, 3):
        go_on(searcher, 1, flying, 0.5)
        assert [(p.walk, p.iteration) for p in flying[-2:]] == [(1, iteration)] * 2
    assert searcher.iteration == 1
    assert searcher.anchors == start
    for walk in (0, 2):
        go_on(searcher, walk, flying, 0.5)
    assert searcher.iteration == 2
    assert sorted((p.walk, p.iteration) for p in flying if p.ranks) == [(0, 2), (1, 3), (2, 2)]


def test_what_is_behind_goes_first() -> None:
    searcher = population(evolve=False)
    flying = list(iter(searcher.ask, None))
    go_on(searcher, 0, flying, 0.5)
    for proposal in [each for each in flying if each.walk != 1]:
        searcher.tell(proposal.id, ranked_alike(proposal, 0.5))
    asked = list(iter(searcher.ask, None))
    assert [(p.walk, p.iteration) for p in asked] == [(2, 2)] * 2 + [(0, 3)] * 2


def test_the_worst_walk_restarts_when_its_turn_comes() -> None:
    """When all have done iteration 1 the worst one is in its third: it restarts after that."""
    searcher, scores = population(), {0: 0.9, 1: 0.2, 2: 0.5}
    start, flying = np.array(searcher.anchors), list(iter(searcher.ask, None))
    for walk in (1, 1, 0, 2):
        go_on(searcher, walk, flying, scores[walk])
    running = [p for p in flying if p.walk == 1]
    assert {p.iteration for p in running} == {3}
    own = [p for p in running if p.kind == "evaluation"]
    assert [list(row[0]) for row in own[0].points] == start[1].tolist()
    for proposal in running:  # these ranks would move it
        ranks = planted(np.full((2, 3), 0.5))(proposal) if proposal.ranks else Outcome(score=0.2)
        searcher.tell(proposal.id, ranks)
    flying = [p for p in flying if p not in running] + list(iter(searcher.ask, None))
    moved = [p for p in flying if p.walk == 1 and p.kind == "evaluation"]
    assert [list(row[0]) for row in moved[0].points] == start[0].tolist(), "near the best one"
    for walk in (0, 2, 0, 2):
        go_on(searcher, walk, flying, scores[walk])
    assert searcher.iteration == 4
    expected = start.copy()
    expected[1] = start[0]
    assert searcher.anchors == expected.tolist(), "those that iteration 4 began with"
