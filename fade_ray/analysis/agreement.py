"""How well one quantity predicts another within groups: say weights the accuracies of operations
on an edge: correlations pooled over groups, with their intervals and what chance gives.

A correlation is the cosine of two vectors of features: deviations from the mean (Pearson), or signs
of all differences between pairs (Kendall's tau-b). Pooled within groups it is that of the vectors
of all groups one behind the other, so that a difference between groups counts for nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fade_ray.analysis.resampling import NOWHERE, Interval, percentiles
from spaces.errors import require

Array = npt.NDArray[np.float64]

RESAMPLES = 2000
DECIMALS = 12
"""Values that are equal on paper tie."""


def deviations(values: Array) -> Array:
    """From the mean of the last axis: [..., n] -> [..., n]."""
    return np.asarray(values - values.mean(axis=-1, keepdims=True)).round(DECIMALS)


def pair_signs(values: Array) -> Array:
    """Of the differences of all pairs: [..., n] -> [..., n (n - 1) / 2]."""
    first, second = np.triu_indices(values.shape[-1], 1)
    return np.sign((values[..., first] - values[..., second]).round(DECIMALS))


MEASURES: dict[str, Callable[[Array], Array]] = {"pearson": deviations, "kendall": pair_signs}
"""Pearson's r and Kendall's tau-b, each by its features."""


class Group(NamedTuple):
    """Points that are compared with each other alone: predictor [n] and truth [n]."""

    predictor: Array
    truth: Array


@dataclass(frozen=True)
class Agreement:
    """A correlation pooled within groups."""

    value: float
    """NaN where predictor or truth is constant in every group."""
    interval: Interval
    """95 %, of resampled units and of the groups in them; NaN for a single group."""
    units: Mapping[str, float]
    """Of each unit by itself."""
    chance: float
    """What 95 % of predictors in random order reach at most, on either side of 0."""
    p: float
    """Two-sided: the share of predictors in random order that reach as much."""
    groups: int
    points: int


def agreement(
    units: Mapping[str, Sequence[Group]], measure: str = "pearson", seed: int = 0
) -> Agreement:
    """The correlation of `units`, each of them groups that are not independent of each other (the
    edges of one search).

    Resampled are the units, and within each the groups; of a single unit its groups alone, so that
    the interval says nothing of other units. InvalidInput where nothing can be compared.
    """
    features = MEASURES[measure]
    kept = {name: [g for g in groups if len(g.truth) > 1] for name, groups in units.items()}
    kept = {name: groups for name, groups in kept.items() if groups}
    require(len(kept) > 0, "two points in some group", "Compare more.", groups=len(units))
    sums = {name: np.array([_sums(g, features) for g in groups]) for name, groups in kept.items()}
    every = [group for groups in kept.values() for group in groups]
    value = float(_cosine(np.concatenate(list(sums.values())).sum(axis=0)))
    rng = np.random.default_rng(seed)
    shuffled = _in_random_order(every, features, rng)
    return Agreement(
        value,
        _interval(list(sums.values()), rng),
        {name: float(_cosine(each.sum(axis=0))) for name, each in sums.items()},
        float(np.quantile(np.abs(shuffled), 0.95)),
        # the order that was found is one of them; rounding must not tell equal ones apart
        float((1 + (np.abs(shuffled) >= abs(value) - 1e-9).sum()) / (1 + RESAMPLES)),
        len(every),
        sum(len(group.truth) for group in every),
    )


def _sums(group: Group, features: Callable[[Array], Array]) -> Array:
    """Of a group: the inner products [xy, xx, yy] of its features."""
    x, y = features(np.asarray(group.predictor, float)), features(np.asarray(group.truth, float))
    return np.array([x @ y, x @ x, y @ y])


def _cosine(sums: Array) -> Array:
    """Of sums [..., 3]; NaN where one side does not vary."""
    scale = np.sqrt(sums[..., 1] * sums[..., 2])
    nothing = np.full(scale.shape, np.nan)
    return np.asarray(np.divide(sums[..., 0], scale, out=nothing, where=scale > 0))


def _interval(units: Sequence[Array], rng: np.random.Generator) -> Interval:
    """Percentiles over units that are drawn anew, and groups within them."""
    if sum(len(sums) for sums in units) < 2:
        return NOWHERE
    totals = np.zeros((RESAMPLES, 3))
    for total in totals:
        for number in rng.integers(len(units), size=len(units)):
            sums = units[number]
            total += sums[rng.integers(len(sums), size=len(sums))].sum(axis=0)
    return percentiles(_cosine(totals))


def _in_random_order(
    groups: Sequence[Group], features: Callable[[Array], Array], rng: np.random.Generator
) -> Array:
    """The correlation [RESAMPLES] of predictors that are shuffled within each group."""
    products, squares = np.zeros(RESAMPLES), np.zeros(2)
    for group in groups:
        x = rng.permuted(np.tile(np.asarray(group.predictor, float), (RESAMPLES, 1)), axis=1)
        products += features(x) @ features(np.asarray(group.truth, float))
        squares += _sums(group, features)[1:]
    return _cosine(np.column_stack([products, np.tile(squares, (RESAMPLES, 1))]))
