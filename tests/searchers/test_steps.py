from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from searchers import pseudo_gradient, stencil, step, steps
from searchers.row_weights import among, firsts, merits
from searchers.stencils import GAMMA_RULES, HalfWidths, distinct, fixed
from searchers.steps import (
    GRADIENTS,
    STEP_RULES,
    Surroundings,
    difference,
    least_squares,
    normalised,
    plain,
    slope,
)
from spaces import nasbench_macro
from spaces.candidates import Candidate
from spaces.feature_space import FeatureSpace, GraphSpace
from spaces.features import Feature

GAMMA = 0.17
unhurried = settings(deadline=None, max_examples=60)
anchors = st.lists(st.floats(0, 1), min_size=3, max_size=3).map(np.array)


@dataclass(frozen=True)
class Spot(Candidate):
    """A cell that is nothing but its place in a dense plane."""

    x: float
    y: float

    @property
    def code(self) -> str:
        return f"spot.{self.x};{self.y}"

    def edits(self) -> dict[str, tuple[Candidate, ...]]:
        return {}


@cache
def plane() -> FeatureSpace:
    """A cell in the middle of each of 100 x 100 boxes, all but exactly."""
    features = {
        "x": Feature(lambda spot: spot.x, False, "x"),
        "y": Feature(lambda spot: spot.y, False, "y"),
    }
    return FeatureSpace.over(
        [Spot(x / 99, y / 99) for x in range(100) for y in range(100)], ("x", "y"), features, 100
    )


@cache
def graphs() -> GraphSpace:
    return GraphSpace.create()


def seen(
    space: FeatureSpace, anchor: np.ndarray, beta: Any, gamma: float = GAMMA, rule: str = "fixed"
) -> Surroundings:
    """One draw around the anchor, its weights beta(features [n, k]) -> [n]."""
    half_widths = GAMMA_RULES[rule](space, anchor, gamma)
    rng = np.random.default_rng(0)
    cells = tuple(space.sample(point, rng) for point in stencil(anchor, half_widths.widths))
    weights = beta(np.stack([space.embed(cell) for cell in cells]))
    return Surroundings(space, cells, np.log(weights), half_widths, gamma)


# --- widths of the stencil


@unhurried
@given(anchor=anchors, gamma=st.floats(0.1, 0.5))
def test_distinct_widths_are_the_smallest_that_tell_the_sides_apart(
    anchor: np.ndarray, gamma: float
) -> None:
    space = graphs()
    widths, apart = distinct(space, anchor, gamma)
    for axis in range(space.dim):
        together = []
        for increment in range(20):
            tried = np.full(space.dim, gamma)
            tried[axis] = min(gamma + increment / (2 * space.bins[axis]), 0.5)
            above, below = stencil(anchor, tried)[1 + 2 * axis : 3 + 2 * axis]
            together.append((tried[axis], space.same_box(above, below)))
        expected = next((width for width, same in together if not same), 0.5)
        assert widths[axis] == expected
        assert apart[axis] == any(not same for _, same in together)


def test_fixed_widths_leave_pairs_in_one_box_and_distinct_ones_hardly_any() -> None:
    space, rng = graphs(), np.random.default_rng(0)
    shared = dict.fromkeys(GAMMA_RULES, 0)
    for anchor in rng.random((200, 3)):
        for name, rule in GAMMA_RULES.items():
            points = stencil(anchor, rule(space, anchor, GAMMA).widths)
            shared[name] += sum(
                space.same_box(points[1 + 2 * axis], points[2 + 2 * axis]) for axis in range(3)
            )
    assert shared["fixed"] > 20
    assert shared["distinct"] < shared["fixed"] / 2


def test_fixed_is_gamma_and_every_pair_counts() -> None:
    widths, apart = fixed(graphs(), np.zeros(3), GAMMA)
    assert widths.tolist() == [GAMMA] * 3
    assert apart.all()


def test_an_axis_no_width_tells_apart_does_not_count() -> None:
    whole = graphs()
    single = FeatureSpace(whole.cells[:1], whole.feature_map, whole.bins)
    widths, apart = distinct(single, np.full(3, 0.4), GAMMA)
    assert widths.tolist() == [0.5] * 3
    assert not apart.any()
    noise = np.exp(np.random.default_rng(0).normal(size=7))
    around = Surroundings(single, single.cells * 7, np.log(noise), HalfWidths(widths, apart), GAMMA)
    assert difference(around).tolist() == [0.0] * 3


# --- gradients


def test_difference_is_the_paper_s_and_wider_pairs_count_by_their_slope() -> None:
    beta = np.array([0.1, 0.3, 0.2, 0.15, 0.25])
    cells, counts = plane().cells[:5], np.ones(2, dtype=bool)
    for widths, expected in (([0.17, 0.17], [0.1, -0.1]), ([0.17, 0.34], [0.1, -0.05])):
        around = Surroundings(
            plane(), cells, np.log(beta), HalfWidths(np.array(widths), counts), 0.17
        )
        assert difference(around) == pytest.approx(expected)
    around = Surroundings(plane(), cells, np.log(beta), HalfWidths(np.full(2, 0.17), counts), 0.17)
    assert np.array_equal(difference(around), pseudo_gradient(np.log(beta))), "to the bit"


matrices = st.integers(5, 12).flatmap(
    lambda n: st.lists(st.lists(st.floats(-1, 1), min_size=3, max_size=3), min_size=n, max_size=n)
)


@unhurried
@given(
    features=matrices,
    s=st.lists(st.floats(-5, 5), min_size=3, max_size=3),
    ridge=st.floats(1e-3, 10),
)
def test_slope_of_a_linear_function(
    features: list[list[float]], s: list[float], ridge: float
) -> None:
    x, true = np.array(features), np.array(s)
    values = 0.7 + x @ true
    singular = np.linalg.svd(x - x.mean(0), compute_uv=False)
    if singular.min() > 1e-3:
        assert slope(x, values) == pytest.approx(true, abs=1e-6)
    assert np.linalg.norm(slope(x, values, ridge)) <= np.linalg.norm(true) + 1e-9
    centred = x - x.mean(0)  # the normal equations
    varying = np.ptp(x, axis=0) > 0
    expected = np.linalg.solve(
        centred.T @ centred + ridge * np.eye(3), centred.T @ (values - values.mean())
    )
    assert slope(x, values, ridge)[varying] == pytest.approx(expected[varying], abs=1e-6)


def test_slope_is_exactly_0_where_no_features_differ() -> None:
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.random(6), np.full(6, 0.3), rng.random(6)])
    found = slope(x, rng.random(6))
    assert found[1] == 0
    assert np.all(found[[0, 2]] != 0)
    assert slope(x[:1], np.array([0.2])).tolist() == [0, 0, 0]


@pytest.mark.parametrize("name", GAMMA_RULES)
def test_least_squares_recovers_a_slope_whatever_was_drawn(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The drawn graphs lie off their points by up to a bin and more: the difference misses the
    slope, this does not.
    """
    monkeypatch.setattr(steps, "RIDGE", 0.0)
    true = np.array([0.05, -0.03, 0.02])
    missed = []
    for anchor in np.random.default_rng(1).random((20, 3)):
        around = seen(graphs(), anchor, lambda x: 0.2 + x @ true, rule=name)
        features = np.stack([graphs().embed(cell) for cell in around.cells])
        if np.linalg.svd(features - features.mean(0), compute_uv=False)[-1] < 0.01:
            continue  # the graphs do not span the axes
        assert least_squares(around) == pytest.approx(2 * GAMMA * true, abs=1e-9)
        missed.append(np.abs(difference(around) - 2 * GAMMA * true).max())
    assert len(missed) > 5
    assert max(missed) > 1e-3


def test_both_gradients_agree_where_cells_are_dense() -> None:
    true = np.array([0.2, -0.1])
    for anchor in ([0.5, 0.5], [0.3, 0.6]):
        around = seen(plane(), np.array(anchor), lambda x: 0.3 + x @ true)
        gradients = [gradient(around) for gradient in GRADIENTS.values()]
        assert gradients[0] == pytest.approx(2 * GAMMA * true, rel=0.06)
        assert gradients[1] == pytest.approx(gradients[0] / (1 + steps.RIDGE), rel=0.06)


def test_a_narrow_spread_is_damped_by_the_ridge() -> None:
    """Two cells a hundredth apart that differ by noise."""
    spots = (Spot(0.0, 0.0), Spot(1 / 99, 0.0))
    half_widths = fixed(plane(), np.zeros(2), GAMMA)
    around = Surroundings(plane(), spots, np.log([0.1, 0.2]), half_widths, GAMMA)
    exact = 2 * GAMMA * 0.1 * 99
    assert 0 < least_squares(around)[0] < 0.05 * exact


def test_duplicates_count_once_in_least_squares() -> None:
    a, b, c = Spot(0.0, 0.0), Spot(0.5, 0.0), Spot(1.0, 0.0)
    weights = {a: 0.1, b: 0.4, c: 0.2}
    found = []
    for row in ((a, b, c, c, c), (a, b, c, a, b), (a, b, c, b, b)):
        log_weights = np.log([weights[cell] for cell in row])
        around = Surroundings(plane(), row, log_weights, fixed(plane(), np.zeros(2), GAMMA), GAMMA)
        found.append(least_squares(around))
    assert found[1] == pytest.approx(found[0])
    assert found[2] == pytest.approx(found[0])


# --- steps


@unhurried
@given(seed=st.integers(0, 1000), size=st.floats(0.01, 5), scale=st.floats(1e-6, 1e3))
def test_a_normalised_step_has_its_length_along_the_gradient(
    seed: int, size: float, scale: float
) -> None:
    gradient = scale * np.random.default_rng(seed).normal(size=3)
    move = normalised(gradient, size, GAMMA)
    assert np.linalg.norm(move) == pytest.approx(size * GAMMA)
    assert move / np.linalg.norm(move) == pytest.approx(gradient / np.linalg.norm(gradient))
    assert plain(gradient, size, GAMMA) == pytest.approx(size * gradient)


@pytest.mark.parametrize("gradient", [[0.0, 0.0], [1e-17, -3e-18]])
def test_no_gradient_no_normalised_step(gradient: list[float]) -> None:
    assert normalised(np.array(gradient), 1.0, GAMMA).tolist() == [0.0, 0.0]


def test_the_default_parts_make_the_step_of_the_paper() -> None:
    around = seen(graphs(), np.full(3, 0.4), lambda x: 0.1 + 0.2 * x[:, 0])
    move = STEP_RULES["plain"](GRADIENTS["difference"](around), 2.0, GAMMA)
    assert np.array_equal(step(np.full(3, 0.4), around.log_weights, 2.0), np.clip(0.4 + move, 0, 1))


# --- weights of parts of a row


def test_among_is_the_softmax_of_the_places_own_logits() -> None:
    logits = np.random.default_rng(0).normal(size=4)
    a, b, c, d = (
        nasbench_macro.BLOCKS[0],
        nasbench_macro.BLOCKS[1],
        nasbench_macro.BLOCKS[2],
        graphs().cells[0],
    )
    whole = logits - np.logaddexp.reduce(logits)
    row = [a, b, a, c, d]
    part = among(row[:3], whole[[0, 1, 0]])
    own = logits[:2] - np.logaddexp.reduce(logits[:2])
    assert part == pytest.approx(own[[0, 1, 0]])
    assert among(row, whole[[0, 1, 0, 2, 3]]) == pytest.approx(whole[[0, 1, 0, 2, 3]])
    assert firsts(row) == [0, 1, 3, 4]


def test_merits_are_sums_over_rows_of_the_log_mean_weight() -> None:
    weights = np.random.default_rng(0).random((3, 8))
    expected = [sum(np.log(row[4 * i : 4 * i + 4].mean()) for row in weights) for i in (0, 1)]
    assert merits(np.log(weights), 2) == pytest.approx(expected)
