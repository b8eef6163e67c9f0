import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from searchers import best_paths
from spaces.errors import InvalidInput

# ties are common
weights = st.one_of(st.floats(-20, 0), st.integers(-3, 0).map(float), st.just(-math.inf))
unhurried = settings(deadline=None)
rows = st.lists(st.lists(weights, min_size=1, max_size=4), min_size=1, max_size=4)


@unhurried
@given(rows=rows, k=st.integers(0, 300))
def test_equals_brute_force(rows: list[list[float]], k: int) -> None:
    found = best_paths(rows, k)
    psi = {
        choice: math.fsum(row[j] for row, j in zip(rows, choice, strict=True))
        for choice in itertools.product(*(range(len(row)) for row in rows))
    }
    assert [value for _, value in found] == sorted(psi.values(), reverse=True)[:k]
    assert all(psi[choice] == value for choice, value in found)
    assert len({choice for choice, _ in found}) == len(found) == min(k, len(psi))


def test_a_space_too_large_to_enumerate() -> None:
    rows = np.log(np.random.default_rng(0).dirichlet(np.ones(20), size=30))  # 20^30 architectures
    found = best_paths(rows.tolist(), 50)
    assert found[0][0] == tuple(rows.argmax(1).tolist())
    values = [value for _, value in found]
    assert values == sorted(values, reverse=True)


def test_all_architectures_share_the_probability() -> None:
    rows = np.log(np.random.default_rng(0).dirichlet(np.ones(4), size=3)).tolist()
    assert math.fsum(math.exp(value) for _, value in best_paths(rows, 4**3)) == pytest.approx(1)


@pytest.mark.parametrize(("rows", "k"), [([[0.0]], -1), ([[0.0], []], 1)])
def test_wrong_arguments(rows: list[list[float]], k: int) -> None:
    with pytest.raises(InvalidInput):
        best_paths(rows, k)
