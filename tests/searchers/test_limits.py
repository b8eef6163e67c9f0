"""Limits: nothing that is evaluated or retrained ever breaks one, whoever searches."""

from functools import partial
from itertools import islice, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fade_ray.search.baselines import BASELINES
from searchers import (
    AnchorWalk,
    BayesPoints,
    BySize,
    Evolution,
    Outcome,
    RandomPoints,
    Searcher,
    TrialLengths,
    WithRepeats,
    WithRetraining,
)
from searchers.paths import paths_within
from spaces import GraphSpace, HyperArchitecture, InvalidInput, accel_nasbench
from spaces.feature_space import FeatureSpace, Space
from spaces.generator import generate, limited, nearest, uniform_points
from spaces.limits import Limit, Limits, RowCosts
from spaces.module_cell import row_space

DEPTH = 3
GRAPHS = GraphSpace.create(2, 4)
BLOCKS = accel_nasbench.space(np.tile(np.arange(48.0), (accel_nasbench.DEPTH, 1)))
NAMED = row_space(("a", "b", "c"), {"x": {"a": 1, "b": 2, "c": 2}}, {}, 4)
SPACES: dict[str, Space] = {"graphs": GRAPHS, "blocks": BLOCKS, "modules": NAMED}
SEARCHERS: dict[str, Searcher] = {
    "random": RandomPoints(iterations=4, batch=2, evaluations=2),
    "anchor": AnchorWalk(iterations=4, walks=2, evaluate_every=1, elites=2, gamma=0.5),
    "wide": AnchorWalk(iterations=3, walks=2, wide=True, step_size=9, gamma=0.5, finalists=3),
    "evolution": Evolution(iterations=8, population=4, tournament=2),
    "by-size": BySize(iterations=8),
    "bayes": BayesPoints(iterations=3, n_initial=1, evaluations=2),
}


def rows_of(space: Space) -> list[FeatureSpace]:
    return [space.at(row) for row in range(DEPTH)]


@st.composite
def limits(draw: st.DrawFn, space: Space) -> Limits:
    """One cost or two, drawn for every cell and row, and a limit anywhere between the cheapest and
    the dearest architecture.
    """
    rng, made = np.random.default_rng(draw(st.integers(0, 2**31))), []
    for name in ("parameters", "multiply-adds")[: draw(st.integers(1, 2))]:
        high = draw(st.sampled_from([3, 50, 10**9]))
        rows = tuple(
            {cell: int(rng.integers(high)) for cell in row.cells} for row in rows_of(space)
        )
        least, most = (sum(of(row.values()) for row in rows) for of in (min, max))
        share = draw(st.floats(0, 1))
        limit = 7 + round(least + share * (most - least))
        made.append(Limit(f"--max-{name}", limit, RowCosts(name, 7, rows)))
    return Limits(tuple(made))


def everything_asked(space: Space, searcher: Searcher, seed: int) -> list[Any]:
    """All proposals of a search with repeats and retraining, told random outcomes."""
    lengths, rng = TrialLengths(), np.random.default_rng(seed)
    inner = WithRepeats(searcher.build(space, DEPTH, lengths, seed), 2, 2)
    baselines = {"random": partial(BASELINES["random"].cells, space)}
    search, asked = WithRetraining(inner, 1, 2, baselines=baselines), []
    while (proposal := search.ask()) is not None:
        asked.append(proposal)
        shape = (proposal.hyper.depth, proposal.hyper.width)
        weights = tuple(map(tuple, -rng.exponential(3, shape).round(2)))
        given = {"log_weights": weights} if proposal.ranks else {"score": float(rng.normal())}
        search.tell(proposal.id, Outcome(**given))
    assert search.done
    assert not search.failures
    return asked


@pytest.mark.parametrize(
    ("name", "times"), [(name, 5 if name == "bayes" else 40) for name in SEARCHERS]
)
def test_nothing_evaluated_or_retrained_breaks_a_limit(name: str, times: int) -> None:
    """205 random limits in all."""
    refused = 0

    @settings(max_examples=times, deadline=None)
    @given(st.data(), st.sampled_from(sorted(SPACES)), st.integers(0, 2**31))
    def holds(data: st.DataObject, which: str, seed: int) -> None:
        nonlocal refused
        kept_to = data.draw(limits(SPACES[which]))
        try:
            space = limited(SPACES[which], DEPTH, kept_to)
        except InvalidInput:
            refused += 1
            return
        asked = everything_asked(space, SEARCHERS[name], seed)
        assert {"retraining", "baseline"} <= {proposal.kind for proposal in asked}
        for proposal in asked:
            for limit in kept_to.limits if proposal.hyper.is_architecture else ():
                assert limit.cost.of(proposal.hyper) <= limit.most, proposal
            assert kept_to.allow(proposal.hyper), proposal

    holds()
    assert refused < times


def brute(hyper: HyperArchitecture, kept_to: Limits) -> list[HyperArchitecture]:
    choices = product(*(range(len(row)) for row in hyper.distinct()))
    architectures = [hyper.architecture(choice) for choice in choices]
    return [a for a in architectures if all(li.cost.of(a) <= li.most for li in kept_to.limits)]


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(0, 2**31))
def test_a_hyper_architecture_is_allowed_where_each_candidate_has_an_architecture(
    data: st.DataObject, seed: int
) -> None:
    kept_to, rng = data.draw(limits(GRAPHS)), np.random.default_rng(seed)
    hyper = generate(GRAPHS, rng.random((DEPTH, 4, GRAPHS.dim)), rng)
    within = brute(hyper, kept_to)
    held = [{a.rows[row][0] for a in within} for row in range(DEPTH)]
    assert kept_to.allow(hyper) == (held == [set(row) for row in hyper.rows])
    assert [set(row) for row in kept_to.leave(hyper.distinct())] == held
    try:
        space = limited(GRAPHS, DEPTH, kept_to)
    except InvalidInput:
        return
    near = nearest(space, hyper, rng)
    assert kept_to.allow(near)
    if kept_to.allow(HyperArchitecture(tuple(row[:1] for row in hyper.rows))):
        assert [row[0] for row in near.rows] == [row[0] for row in hyper.rows]


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(0, 2**31))
def test_paths_within_are_all_that_keep_to_the_limits_by_falling_values(
    data: st.DataObject, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    widths, kinds = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)), 2
    values = [rng.integers(-3, 3, n).astype(float) for n in widths]
    costs = [rng.integers(0, 9, (n, kinds)) for n in widths]
    room = rng.integers(0, 9 * len(widths), kinds)
    given = [*paths_within(values, costs, room, rng)]
    choices = product(*map(range, widths))
    fit = [c for c in choices if (sum(r[k] for r, k in zip(costs, c, strict=True)) <= room).all()]
    assert sorted(given) == fit
    sums = [sum(row[k] for row, k in zip(values, c, strict=True)) for c in given]
    assert sums == sorted(sums, reverse=True)


def test_where_too_many_come_to_as_much_paths_are_still_each_within() -> None:
    """Values that are the costs: the largest sums below a limit, of 10^9."""
    rng = np.random.default_rng(0)
    costs = [rng.integers(0, 10**6, (10, 1)) for _ in range(9)]
    values, room = [row[:, 0].astype(float) for row in costs], np.array([3_500_000])
    paths = [*islice(paths_within(values, costs, room, rng), 100)]
    sums = [sum(int(row[k, 0]) for row, k in zip(costs, path, strict=True)) for path in paths]
    assert len(set(paths)) == 100
    assert 0.99 * room[0] < max(sums) <= room[0]


def test_without_limits_the_generator_draws_what_it_drew() -> None:
    one, other = np.random.default_rng(5), np.random.default_rng(5)
    points = uniform_points(GRAPHS, DEPTH, one)
    assert (points == [GRAPHS.uniform_point(other) for _ in range(DEPTH)]).all()
    drawn = generate(GRAPHS, points[:, None], one)
    assert [row[0] for row in drawn.rows] == [GRAPHS.sample(point, other) for point in points]
    assert limited(GRAPHS, DEPTH, Limits()) is GRAPHS


def test_what_a_limit_leaves_too_little_of_is_told_with_numbers() -> None:
    costs = tuple({cell: 1000 + i for i, cell in enumerate(GRAPHS.cells)} for _ in range(DEPTH))
    with pytest.raises(InvalidInput) as told:
        limited(
            GRAPHS,
            DEPTH,
            Limits((Limit("--max-params", 3500, RowCosts("parameters", 500, costs)),)),
        )
    assert "--max-params 3500 (the cheapest architecture has 3500 parameters)" in str(told.value)
    assert "leave 1 of 39 in row 1. Give --max-params 3501 or more" in str(told.value)
    enough = Limits((Limit("--max-params", 3501, RowCosts("parameters", 500, costs)),))
    space = limited(GRAPHS, DEPTH, enough)
    assert [len(space.at(row).cells) for row in range(DEPTH)] == [2] * DEPTH
