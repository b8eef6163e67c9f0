"""A regression on pairs of choices: its marginals by brute force, and what it cannot know."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fade_ray.analysis.pair_regression import PairRegression

ATTRIBUTES = np.array([[a, b] for a in (1, 4, 6) for b in (0, 1)], float)
ROWS = 3


def fitted(noise: float = 0.0, pairs: float = 1.0, n: int = 800, seed: int = 0):
    """Of sums of parts of single attributes and of two, and their choices and targets."""
    rng = np.random.default_rng(seed)
    choices = rng.integers(0, len(ATTRIBUTES), (n, ROWS))
    values = np.concatenate([ATTRIBUTES[row] for row in choices.T], axis=1) - [3.7, 0.5] * ROWS
    weights = rng.normal(size=(2 * ROWS, 2 * ROWS))
    targets = values @ rng.normal(size=2 * ROWS) + pairs * ((values @ weights) * values).sum(1)
    targets = targets * (noise < np.inf) + rng.normal(size=n) * min(noise, 1.0)
    return PairRegression.fit(choices, targets, ATTRIBUTES), choices, targets


def r2(predicted: np.ndarray, targets: np.ndarray) -> float:
    return float(1 - ((predicted - targets) ** 2).mean() / targets.var())


@settings(deadline=None, max_examples=20)
@given(
    st.lists(
        st.lists(st.integers(0, 5), min_size=1, max_size=6, unique=True),
        min_size=ROWS,
        max_size=ROWS,
    ),
    st.integers(0, 3),
)
def test_marginals_are_means_of_predictions(rows: list[list[int]], seed: int) -> None:
    model, _, _ = fitted(seed=seed)
    every = np.array(list(product(*rows)))
    scores = model(every)
    for row, means in enumerate(model.marginals(rows)):
        for place, candidate in enumerate(rows[row]):
            assert means[place] == pytest.approx(scores[every[:, row] == candidate].mean())


def test_parts_of_one_and_of_two_attributes_are_found() -> None:
    model, choices, targets = fitted()
    assert r2(model(choices), targets) > 0.99
    assert r2(model.left_out, targets) > 0.99


def test_what_is_left_out_tells_noise_from_knowledge() -> None:
    model, choices, targets = fitted(noise=np.inf, n=200)
    assert r2(model(choices), targets) > 0.1  # it has learned it by heart
    assert r2(model.left_out, targets) < 0
