"""GraphSpace: the generator's promises over the default space and over others."""

import re
from collections import Counter
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from spaces import FEATURES, Dag, FeatureMap, GraphSpace, InvalidInput, catalogue

untimed = settings(deadline=None)  # a busy machine is not a failure
DEFAULT = GraphSpace.create()
SPACES = {
    "default": DEFAULT,
    "operations": GraphSpace.create(
        features=("eccentricity_variance", "degree_variance", "operations")
    ),
    "one axis": GraphSpace.create(1, 4, ("density",), bins=4),
    "all features": GraphSpace.create(2, 4, tuple(FEATURES), bins=3),
    "smallest": GraphSpace.create(1, 2, ("vertices",)),
}
coordinates = st.floats(-0.5, 1.5)


@pytest.fixture(params=SPACES.values(), ids=SPACES.keys())
def space(request):
    return request.param


def points_of(space):
    return st.lists(coordinates, min_size=space.dim, max_size=space.dim)


def test_the_default_space():
    assert len(DEFAULT.cells) == 339
    assert DEFAULT.bins == (6, 6, 3)
    assert DEFAULT.points.shape == (339, 3)


def test_an_integer_axis_has_one_bin_per_value():
    space = GraphSpace.create(2, 5, ("vertices", "operations", "edges", "depth"))
    assert space.bins == (4, 10, 11, 5)
    for axis, name in enumerate(space.feature_map.names):
        low = space.feature_map.low[axis]
        assert all(
            space.interval(space.embed(dag))[axis] == FEATURES[name].raw(dag) - low
            for dag in space.cells
        )


def test_features_lie_in_the_unit_cube_and_fill_it(space):
    assert (space.points >= 0).all()
    assert (space.points <= 1).all()
    assert (space.points.min(axis=0) == 0).all()
    assert (space.points.max(axis=0) == 1).all()


def test_points_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        DEFAULT.points[0, 0] = 0.5


def test_surjective_every_graph_is_a_member_of_its_own_point(space):
    assert all(dag in space.members(space.embed(dag)) for dag in space.cells)
    assert sum(len(members) for members in space.boxes.values()) == len(space.cells)


@untimed
@given(st.sampled_from(sorted(SPACES)), st.data(), st.integers(0, 2**32))
def test_sample_draws_from_the_box_or_the_nearest_one_that_holds_graphs(name, data, seed):
    space = SPACES[name]
    point = data.draw(points_of(space))
    dag = space.sample(point, np.random.default_rng(seed))
    own = tuple(int(min(max(x, 0) * b, b - 1)) for x, b in zip(point, space.bins, strict=True))
    assert space.interval(point) == own
    drawn = space.interval(space.embed(dag))
    assert set(space.members(point)) == {
        other for other in space.cells if space.interval(space.embed(other)) == drawn
    }

    def distance(box):
        return sum(((i - j) / b) ** 2 for i, j, b in zip(box, own, space.bins, strict=True))

    occupied = {space.interval(p) for p in space.points}
    best = min(distance(box) for box in occupied)
    nearest = min(box for box in occupied if distance(box) < best + 1e-9)  # ties by index
    assert drawn == nearest
    assert (drawn == own) == (own in occupied)


@pytest.mark.parametrize("bins", [(6, 6, 3), (5, 10, 5)])
def test_ties_between_boxes_go_to_the_lowest_index(bins):
    """Every box, against exact fractions: floating point must not decide between equally near
    boxes.
    """
    space = GraphSpace(DEFAULT.cells, DEFAULT.feature_map, bins)
    for box in product(*map(range, bins)):
        centre = [(i + 0.5) / b for i, b in zip(box, bins, strict=True)]
        nearest = min(
            (sum(Fraction(i - j, b) ** 2 for i, j, b in zip(other, box, bins, strict=True)), other)
            for other in space.boxes
        )[1]
        assert space.members(centre) == space.boxes[nearest]


@untimed
@given(st.sampled_from(sorted(SPACES)), st.data())
def test_same_box_is_having_the_same_members(name, data):
    space = SPACES[name]
    p, q = data.draw(points_of(space)), data.draw(points_of(space))
    assert space.same_box(p, q) == (space.members(p) == space.members(q))
    assert space.same_box(p, p)


@untimed
@given(points_of(DEFAULT))
def test_clip_is_the_nearest_point_of_the_cube_and_keeps_the_box(point):
    clipped = DEFAULT.clip(point)
    assert ((clipped >= 0) & (clipped <= 1)).all()
    assert (DEFAULT.clip(clipped) == clipped).all()
    assert DEFAULT.interval(clipped) == DEFAULT.interval(point)


def test_the_draw_is_uniform_over_the_members():
    """Chi-square, alpha = 0.001, fixed seed."""
    box, members = next((box, m) for box, m in DEFAULT.boxes.items() if 8 <= len(m) <= 20)
    point = (np.array(box) + 0.5) / DEFAULT.bins
    rng = np.random.default_rng(0)
    draws = Counter(DEFAULT.sample(point, rng) for _ in range(200 * len(members)))
    assert set(draws) == set(members)
    assert stats.chisquare([draws[dag] for dag in members]).pvalue > 0.001


def test_draws_depend_on_the_generator_alone():
    def draws(space, seed):
        rng = np.random.default_rng(seed)
        points = [space.uniform_point(rng) for _ in range(20)]
        return [space.sample(point, rng) for point in points]

    assert draws(DEFAULT, 3) == draws(GraphSpace.create(), 3)
    assert draws(DEFAULT, 3) != draws(DEFAULT, 4)


def test_uniform_points_fill_the_cube():
    """Kolmogorov-Smirnov per axis, alpha = 0.001, fixed seed."""
    rng = np.random.default_rng(1)
    points = np.array([DEFAULT.uniform_point(rng) for _ in range(500)])
    assert points.shape == (500, 3)
    assert all(stats.kstest(points[:, axis], "uniform").pvalue > 0.001 for axis in range(3))


def test_the_projects_gamma_passes_and_the_papers_bucket_width_does_not():
    DEFAULT.check_gamma(0.17)
    with pytest.raises(InvalidInput, match="'vertices'"):
        DEFAULT.check_gamma(0.15)


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan")])
def test_a_gamma_without_a_size_is_refused(space, bad):
    with pytest.raises(InvalidInput, match="gamma"):
        space.check_gamma(bad)


@pytest.mark.parametrize("bins", [2, 3, 4, 5, 7, 9, 16, 100])
def test_the_gamma_of_the_message_works_and_a_smaller_one_does_not(bins):
    space = GraphSpace.create(1, 4, ("density",), bins=bins)
    with pytest.raises(InvalidInput) as caught:
        # equal: [1 - width, 1] still fits into the last, closed bin
        space.check_gamma(1 / (2 * bins))
    least = float(re.search(r"at least ([\d.]+)\.$", str(caught.value))[1])
    space.check_gamma(least)
    with pytest.raises(InvalidInput):
        space.check_gamma(least - 0.001)


@untimed
@given(st.floats(0, 1), st.integers(0, 2), st.floats(0.1667, 0.5), st.data())
def test_a_gamma_that_passes_keeps_both_sides_in_different_bins(x, axis, gamma, data):
    DEFAULT.check_gamma(gamma)
    other = data.draw(st.lists(st.floats(0, 1), min_size=3, max_size=3))
    low, high = list(other), list(other)
    centre = min(max(x, gamma), 1 - gamma)
    low[axis], high[axis] = centre - gamma, centre + gamma
    assert DEFAULT.interval(low)[axis] < DEFAULT.interval(high)[axis]


def test_six_vertices_work():
    space = GraphSpace.create(3, 6)
    assert len(space.cells) == 6323
    assert space.bins == (6, 6, 4)
    assert sum(len(members) for members in space.boxes.values()) == 6323


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"min_vertices": 5, "max_vertices": 4}, "min_vertices=5, max_vertices=4"),
        (
            {"features": ("size",)},
            "eccentricity_variance, degree_variance, vertices, operations.*'size'",
        ),
        ({"bins": 0}, "at least one bin"),
        ({"min_vertices": 5}, "'vertices' goes from 5 to 5"),
    ],
)
def test_bad_spaces_are_refused(arguments, words):
    with pytest.raises(InvalidInput, match=words):
        GraphSpace.create(**arguments)


def test_spaces_with_wrong_parts_are_refused():
    fitted = FeatureMap.fit(catalogue(3, 4))
    with pytest.raises(InvalidInput, match="positive numbers"):
        GraphSpace(catalogue(3, 4), fitted, (6, 6))
    with pytest.raises(InvalidInput, match="non-empty"):
        GraphSpace((), fitted, (6, 6, 2))


@pytest.mark.parametrize(
    "point", [(0.5, 0.5), (0.5, 0.5, float("nan")), 0.5, (0.1, 0.2, float("inf"))]
)
def test_bad_points_are_refused(point):
    with pytest.raises(InvalidInput, match="3 finite numbers"):
        DEFAULT.sample(point, np.random.default_rng(0))


def test_a_graph_outside_of_the_catalogue_still_has_a_point():
    assert DEFAULT.embed(Dag(2)).shape == (3,)
