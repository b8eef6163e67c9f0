"""How an anchor moves by the FaDE weights around it (FaDE eq. 5), and alternatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from searchers.row_weights import firsts
from searchers.stencils import HalfWidths
from spaces.candidates import Candidate
from spaces.feature_space import FeatureSpace

Array = NDArray[np.float64]

RIDGE = 0.05
"""Of least squares, as a share of 2 gamma^2, the scatter of one pair of the stencil along its axis.

An axis with that scatter loses 5 % of its slope, one with a tenth of the spread 83 %: its slope
would be mostly noise, blown up.
"""
ROUNDING = 1e-12
"""Length below which a gradient of weights, numbers from 0 to 1, is rounding alone."""


def pseudo_gradient(log_weights: Sequence[float] | Array) -> Array:
    """beta(M + gamma e_k) - beta(M - gamma e_k) per axis, beta = exp(log weight): [2k+1] -> [k]
    (sum of FaDE eq. 5).

    Not divided by 2 gamma, as in the paper: lambda absorbs it. Where both sides resolve to the same
    graph the difference is exactly 0, as a duplicate's weight is credited to each of its places.
    """
    beta = np.exp(np.asarray(log_weights, dtype=np.float64))
    return np.asarray(beta[1::2] - beta[2::2])


def step(
    anchor: Array, log_weights: Sequence[float] | Array, step_size: float, direction: int = 1
) -> Array:
    """The next anchor (FaDE eq. 5): anchor [k], log weights [2k+1] of its stencil -> [k], clipped
    to the box [0, 1]^k.

    direction -1 is the printed sign. Our default is +1: beta is larger for better cells (it is a
    factor of psi, which is claimed to correlate positively with accuracy), so that the printed
    minus walks to worse graphs, while plus ascends the ranks, as the text and the caption of the
    paper's Fig. 2 say. `AnchorSearch` takes this step as long as none of its options says
    otherwise.
    """
    # FaDE eq. 5
    return inside(anchor + direction * plain(pseudo_gradient(log_weights), step_size, 1.0))


def inside(point: Array) -> Array:
    """The nearest point of the box [0, 1]^k."""
    return np.asarray(np.clip(point, 0.0, 1.0))


@dataclass(frozen=True)
class Surroundings:
    """What a trained row tells of the surroundings of its anchor: `cells` [2k+1] are those drawn
    from the stencil of `half_widths`, `log_weights` [2k+1] their log FaDE weights.
    """

    space: FeatureSpace
    cells: tuple[Candidate, ...]
    log_weights: Array
    half_widths: HalfWidths
    gamma: float


def difference(seen: Surroundings) -> Array:
    """The paper's pseudo-gradient, [k]; a pair wider than 2 gamma counts by its slope."""
    widths, apart = seen.half_widths
    return np.asarray(pseudo_gradient(seen.log_weights) * np.where(apart, seen.gamma / widths, 0.0))


def least_squares(seen: Surroundings) -> Array:
    """2 gamma times the slope of the weights over the features of the cells that were really drawn;
    [k].

    A point's cell may lie far from it: bins have a width and empty boxes resolve to others. Of a
    linear beta both this and `difference` expect the same, but here a cell counts for where it
    lies; duplicates count once.
    """
    places = firsts(seen.cells)
    features = np.stack([seen.space.embed(seen.cells[place]) for place in places])
    beta = np.exp(seen.log_weights[places])
    return np.asarray(2 * seen.gamma * slope(features, beta, RIDGE * 2 * seen.gamma**2))


def slope(features: Array, values: Array, ridge: float = 0.0) -> Array:
    """s [k] that minimises sum_i (values_i - a - s . features_i)^2 + ridge |s|^2; features [n, k],
    values [n], n >= 1.

    Exactly 0 along axes on which no features differ; without a ridge, the shortest of several
    minimisers.
    """
    slopes = np.zeros(features.shape[1])
    varying = np.ptp(features, axis=0) > 0
    x = (features - features.mean(axis=0))[:, varying]
    y = values - values.mean()
    # The ridge as further rows, which pull each coefficient to 0.
    rows = np.vstack([x, np.sqrt(ridge) * np.eye(x.shape[1])])
    slopes[varying] = np.linalg.lstsq(rows, np.concatenate([y, np.zeros(x.shape[1])]))[0]
    return slopes


def plain(gradient: Array, step_size: float, gamma: float) -> Array:
    """lambda times the gradient (FaDE eq. 5); [k]."""
    return np.asarray(step_size * gradient)


def normalised(gradient: Array, step_size: float, gamma: float) -> Array:
    """A step of length lambda gamma along the gradient, however flat the weights; 0 for none."""
    length = float(np.linalg.norm(gradient))
    if length < ROUNDING:
        return np.zeros_like(gradient)
    return np.asarray(step_size * gamma / length * gradient)


GRADIENTS: dict[str, Callable[[Surroundings], Array]] = {
    "difference": difference,
    "least-squares": least_squares,
}
"""The direction in which the weights of a row rise, [k]; comparable in length."""

STEP_RULES: dict[str, Callable[[Array, float, float], Array]] = {
    "plain": plain,
    "normalised": normalised,
}
"""The move of an anchor, [k], from the gradient, `step_size` and gamma."""
