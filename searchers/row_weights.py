"""Log FaDE weights of the rows of a hyper-architecture: over repeats, and of parts of a row."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from spaces.hyper import HyperArchitecture

Array = NDArray[np.float64]


def firsts(row: Sequence[Hashable]) -> list[int]:
    """The first place of each distinct candidate of a row, in their order."""
    return [row.index(candidate) for candidate in dict.fromkeys(row)]


def pooled(repeats: Sequence[Sequence[Sequence[float]]], hyper: HyperArchitecture) -> Array:
    """Log weights [d, w] of a hyper-architecture from those of its repeats, each [d][w]: normalised
    geometric means.

    The mean of log weights alone is a geometric mean, whose row sums to less than 1 where repeats
    disagree: steps would shrink with their number. It is scaled so that the *distinct* candidates
    of a row sum to as much as in the repeats, that is to 1: the softmax of the repeats' mean
    logits. One repeat stays as it is.
    """
    each = np.asarray(repeats, dtype=np.float64)  # [repeat, d, w]
    mean = each.mean(axis=0)
    for i, row in enumerate(hyper.rows):
        distinct = firsts(row)
        sums = np.logaddexp.reduce(each[:, i, distinct], axis=1)
        mean[i] -= np.logaddexp.reduce(mean[i, distinct]) - sums.mean()
    return np.asarray(mean)


def among(cells: Sequence[Hashable], log_weights: Array) -> Array:
    """Log weights [n] of some places of a row, given that the choice is among their `cells` [n].

    The distinct ones then sum to 1, as if the row had no others: the softmax over their own logits.
    """
    return np.asarray(log_weights - np.logaddexp.reduce(log_weights[firsts(cells)]))


def merits(log_weights: Array, parts: int) -> Array:
    """[parts]: sum over rows of the log of the mean weight, of each of the equal parts of the rows;
    log weights [d, w].
    """
    d, w = log_weights.shape
    within = np.logaddexp.reduce(log_weights.reshape(d, parts, w // parts), axis=2)  # [d, parts]
    return np.asarray((within - np.log(w // parts)).sum(axis=0))
