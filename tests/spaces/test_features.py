"""Features: hand-computed values, the published ranges, the scale."""

import numpy as np
import pytest

from spaces import (
    DEFAULT_FEATURES,
    FEATURES,
    Dag,
    FeatureMap,
    InvalidInput,
    catalogue,
    complete_dag,
    enumerate_dags,
)

CHAIN = Dag(3, ((0, 1), (1, 2)))
EMPTY = Dag(3)


@pytest.mark.parametrize(
    ("dag", "expected"),
    [
        # INPUT-0-1-2-OUTPUT: eccentricities 4 3 2 3 4, degrees 1 2 2 2 1
        (CHAIN, {"eccentricity_variance": 0.56, "degree_variance": 0.24, "vertices": 3,
                 "operations": 3, "edges": 2, "depth": 3, "density": 2 / 3}),
        # INPUT and OUTPUT each joined to three vertices: all eccentricities 2, degrees 3 2 2 2 3
        (EMPTY, {"eccentricity_variance": 0, "degree_variance": 0.24, "vertices": 3,
                 "operations": 3, "edges": 0, "depth": 1, "density": 0}),
        (Dag(1), {"eccentricity_variance": 2 / 9, "degree_variance": 2 / 9, "vertices": 1,
                  "operations": 1, "edges": 0, "depth": 1, "density": 0}),
        (complete_dag(5), {"vertices": 5, "operations": 11, "edges": 10, "depth": 5, "density": 1}),
    ],
)  # fmt: skip
def test_values_by_hand(dag, expected):
    assert {name: FEATURES[name].raw(dag) for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("n", "name", "high", "distinct"),
    [
        (3, "degree_variance", 0.8, None),
        (4, "degree_variance", 1.56, None),
        (5, "degree_variance", 2.53, 25),
        (3, "eccentricity_variance", 0.56, None),
        (4, "eccentricity_variance", 0.667, None),
        (5, "eccentricity_variance", 1.06, 9),
    ],
)
def test_ranges_of_the_variances(n, name, high, distinct):
    values = {FEATURES[name].raw(dag) for dag in enumerate_dags(n)}
    assert min(values) == 0
    assert max(values) == pytest.approx(high, abs=0.006)
    assert distinct is None or len(values) == distinct


def test_integer_features_are_integers_and_the_others_are_not_all():
    for name, feature in FEATURES.items():
        whole = all(float(feature.raw(dag)).is_integer() for dag in catalogue(1, 5))
        assert whole == feature.integer, name


@pytest.mark.parametrize("name", FEATURES)
def test_every_feature_fills_the_unit_interval(name):
    dags = catalogue(3, 5)
    values = np.array([FeatureMap.fit(dags, (name,))(dag)[0] for dag in dags])
    assert values.min() == 0
    assert values.max() == 1


def test_the_map_is_linear_and_in_the_given_order():
    fitted = FeatureMap.fit(catalogue(3, 5), ("vertices", "edges"))
    assert fitted(Dag(4, ((0, 1),))) == pytest.approx([0.5, 0.1])
    assert FeatureMap.fit(catalogue(3, 5), ("edges", "vertices"))(
        Dag(4, ((0, 1),))
    ) == pytest.approx([0.1, 0.5])


def test_a_graph_beyond_the_ends_lands_on_the_face():
    fitted = FeatureMap.fit(catalogue(3, 4), ("vertices", "edges"))
    assert fitted(complete_dag(5)) == pytest.approx([1, 1])
    assert fitted(Dag(1)) == pytest.approx([0, 0])


def test_the_default_features_are_the_papers():
    assert FeatureMap.fit(catalogue(3, 5)).names == DEFAULT_FEATURES
    assert DEFAULT_FEATURES == ("eccentricity_variance", "degree_variance", "vertices")


def test_unknown_features_are_refused_and_the_known_ones_named():
    with pytest.raises(InvalidInput, match="diameter") as caught:
        FeatureMap.fit(catalogue(3, 4), ("vertices", "diameter"))
    assert all(name in str(caught.value) for name in FEATURES)


@pytest.mark.parametrize("names", [(), ("edges", "edges")])
def test_no_or_repeated_features_are_refused(names):
    with pytest.raises(InvalidInput, match="at least one and different"):
        FeatureMap.fit(catalogue(3, 4), names)


def test_a_feature_that_never_differs_is_refused():
    with pytest.raises(InvalidInput, match="'vertices' goes from 4 to 4"):
        FeatureMap.fit(catalogue(4, 4))


def test_an_empty_catalogue_is_refused():
    with pytest.raises(InvalidInput, match="at least one cell"):
        FeatureMap.fit(())
