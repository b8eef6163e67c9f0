"""How well one order predicts another: Spearman, Kendall, and what is lost by trusting the k best.

Written out, since resampling needs them vectorised: scipy's take one sample at a time.
"""

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from spaces.errors import InvalidInput, require

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.intp]
Rows = tuple[tuple[float, ...], ...]
"""[d][distinct candidates of the row], each row on the simplex."""

UNDERFLOW = 1e-38
"""Weights below stand at this one, as in FaDE-ranks."""


def log_psis(weights: Rows, choices: Sequence[Sequence[int]] | Integers) -> Array:
    """log psi [n] of the architectures `choices` [n, d]: the sum of their log weights (FaDE 2.3).

    InvalidInput for a choice of another length than `weights` has rows, or with a candidate that a
    row does not have.
    """
    table = np.asarray(choices)
    widths = [len(row) for row in weights]
    fits = table.ndim == 2 and table.shape[1] == len(weights)
    if not fits or not ((table >= 0) & (table < widths)).all():
        raise InvalidInput(
            f"A choice takes one distinct candidate per row, below {widths}, "
            f"but got {table.tolist()}. Rank the architectures of this hyper-architecture."
        )
    logs = [np.log(np.maximum(np.asarray(row, float), UNDERFLOW)) for row in weights]
    total = np.asarray(sum(row[table[:, i]] for i, row in enumerate(logs)), float)
    return total.round(12)  # so that sums that are equal on paper tie


def spearman(x: Array, y: Array) -> Array:
    """Spearman's rho along the last axis, [..., n] and [..., n] -> [...]: Pearson of mid-ranks.

    NaN where one side is constant.
    """
    both = np.broadcast_arrays(x, y)
    a, b = (rankdata(side, axis=-1) - (side.shape[-1] + 1) / 2 for side in both)
    return _ratio((a * b).sum(-1), np.sqrt((a * a).sum(-1) * (b * b).sum(-1)))


def _ratio(part: Array, scale: Array) -> Array:
    """NaN where `scale` is 0."""
    nothing = np.full(np.shape(scale), math.nan)
    return np.asarray(np.divide(part, scale, out=nothing, where=scale > 0))


def kendall(x: Array, y: Array, counts: Array | None = None) -> Array:
    """Kendall's tau-b of x [n] and y [n] for each row of `counts` [b, n] -> [b]; NaN of constants.

    `counts` [b, n]: how often each of the n stands in a resample; by default once. Pairs of the
    same one are ties, as in the sample itself, so that tau-b of a resample is a ratio of quadratic
    forms in its counts.
    """
    m = np.ones((1, len(x))) if counts is None else np.asarray(counts, float)
    sides = (np.asarray(x, float), np.asarray(y, float))
    a, b = (np.sign(side[:, None] - side[None, :]) for side in sides)
    both, left, right = (((m @ form) * m).sum(-1) for form in (a * b, a * a, b * b))
    return _ratio(both, np.sqrt(left * right))


def regret(predicted: Array, true: Array, k: int) -> Array:
    """Best true value minus the best among the k predicted best, [..., n] -> [...]; at least 0.

    Of equal predictions the worse count first, so that a prediction that says nothing gets no
    credit. All of them where k exceeds n.
    """
    require(k >= 1, "k >= 1", "Look at one architecture or more.", k=k)
    predicted, true = np.broadcast_arrays(np.asarray(predicted, float), np.asarray(true, float))
    chosen = np.lexsort((true, -predicted), axis=-1)[..., :k]
    return np.asarray(true.max(-1) - np.take_along_axis(true, chosen, -1).max(-1))


def chance_regret(true: Array, k: int) -> float:
    """The regret to be expected of k of the values [n] drawn at random without replacement."""
    ordered = np.sort(np.asarray(true, float))[::-1]
    n, k = len(ordered), min(k, len(ordered))
    expected, above = 0.0, 1.0  # the probability that none of the larger values was drawn
    for i, value in enumerate(ordered[: n - k + 1]):
        drawn = k / (n - i)  # given that none before was
        expected += above * drawn * value
        above *= 1 - drawn
    return float(ordered[0] - expected)


def mean_correlation(repeats: Array) -> float:
    """Mean Spearman's rho over all pairs of columns of [n, r]; NaN for one column, or constants."""
    pairs = list(combinations(repeats.T, 2))
    return float(np.mean([spearman(b, a) for a, b in pairs])) if pairs else math.nan
