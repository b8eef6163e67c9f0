"""FaDE-ranks: a probability over architectures, credits, the best, and when to doubt them."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fade_ray.search.fade_ranks import FadeRanks, misgivings
from spaces import HyperArchitecture, catalogue

DAGS = catalogue(1, 4)
# a duplicate in the first row
HYPER = HyperArchitecture(((DAGS[3], DAGS[5], DAGS[3]), (DAGS[7], DAGS[8], DAGS[9])))
ROWS = (
    st.lists(st.floats(-5, 5), min_size=2, max_size=2),
    st.lists(st.floats(-5, 5), min_size=3, max_size=3),
)


def softmax(values: list[float]) -> tuple[float, ...]:
    weights = np.exp(np.array(values) - max(values))
    return tuple(float(w) for w in weights / weights.sum())


def ranks_of(*rows: list[float]) -> FadeRanks:
    return FadeRanks(HYPER, tuple(softmax(row) for row in rows))


@given(*ROWS)
def test_psi_sums_to_one_over_the_distinct_architectures(
    first: list[float], second: list[float]
) -> None:
    ranks = ranks_of(first, second)
    total = sum(math.exp(ranks.log_psi(choice)) for choice in itertools.product(range(2), range(3)))
    assert total == pytest.approx(1, abs=1e-9)


@given(*ROWS)
def test_the_best_are_the_best(first: list[float], second: list[float]) -> None:
    ranks = ranks_of(first, second)
    everything = sorted(
        (ranks.log_psi(c) for c in itertools.product(range(2), range(3))), reverse=True
    )
    best = ranks.best(4)
    assert [value for _, value in best] == pytest.approx(everything[:4])
    assert all(architecture.is_architecture for architecture, _ in best)
    assert len({architecture for architecture, _ in best}) == 4


def test_a_duplicate_is_credited_with_its_whole_weight_in_each_place() -> None:
    ranks = FadeRanks(HYPER, ((0.8, 0.2), (0.5, 0.3, 0.2)))
    assert np.exp(ranks.credited()) == pytest.approx(np.array([[0.8, 0.2, 0.8], [0.5, 0.3, 0.2]]))


@pytest.mark.parametrize(
    "rows", [((1.0,), (1.0, 0, 0)), ((0.9, 0.2), (1.0, 0, 0)), ((math.nan, math.nan), (1.0, 0, 0))]
)
def test_weights_that_are_none(rows: tuple[tuple[float, ...], ...]) -> None:
    with pytest.raises(ValueError, match="weights"):
        FadeRanks(HYPER, rows)


UNIFORM = ranks_of([0.0, 0.0], [0.0, 0.0, 0.0])
RANDOM = ranks_of([0.4, -0.4], [0.5, 0.0, -0.5])


@pytest.mark.parametrize(
    ("ranks", "start", "accuracy", "words"),
    [
        (ranks_of([1.0, -1.0], [1.0, 0.0, -1.0]), UNIFORM, 0.12, ["near chance"]),
        (ranks_of([1.0, -1.0], [0.001, 0.0, 0.0]), UNIFORM, 0.9, ["row 2 are still near uniform"]),
        (ranks_of([9.0, -9.0], [1.0, 0.0, -1.0]), UNIFORM, 0.9, ["row 1 has saturated"]),
        (
            ranks_of([0.45, -0.4], [0.5, 0.0, -0.45]),
            RANDOM,
            0.9,
            ["row 1, 2 is mostly that of the random initial"],
        ),
        (ranks_of([1.0, -1.0], [1.0, 0.0, -1.0]), UNIFORM, 0.9, []),
        (ranks_of([-1.0, 1.0], [-1.0, 0.0, 1.0]), RANDOM, 0.9, []),
    ],
)
def test_doubts_in_words(
    ranks: FadeRanks, start: FadeRanks, accuracy: float, words: list[str]
) -> None:
    found = misgivings(ranks, start, accuracy, classes=10)
    assert len(found) == len(words)
    assert all(word in message for word, message in zip(words, found, strict=True))
