"""Where the candidates around an anchor are drawn from (FaDE 2.4)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spaces.errors import require
from spaces.feature_space import FeatureSpace

Array = NDArray[np.float64]


def stencil(anchor: Array, gamma: float | Array) -> Array:
    """The points of a row in the box [0, 1]^k (FaDE 2.4): {M} and {M +- gamma e_k}.

    anchor [k] -> [2k+1, k], in the order M, M + gamma e_1, M - gamma e_1, M + gamma e_2, ...; gamma
    one number or one per axis [k]. The paper's |row| = w with k = w/2 counts one point too few: w =
    2k+1. InvalidInput unless 0 < gamma <= 0.5, the half width of the box.
    """
    holds = bool(np.all((np.asarray(gamma) > 0) & (np.asarray(gamma) <= 0.5)))
    require(holds, "0 < gamma <= 0.5", "Choose gamma as a part of the box's width 1.", gamma=gamma)
    k = len(anchor)
    points = np.tile(anchor, (2 * k + 1, 1))
    # Near the border the pair of an axis is slid inside the box and stays 2 gamma apart. Clipping
    # its outer point alone would bring the sides as close as gamma: both could share a box of the
    # space, and the difference would say nothing. Within gamma of the border the step is therefore
    # that of the point gamma inside.
    centre = np.clip(anchor, gamma, 1 - gamma)
    axes = np.arange(k)
    points[1 + 2 * axes, axes] = centre + gamma
    points[2 + 2 * axes, axes] = centre - gamma
    return points


class HalfWidths(NamedTuple):
    """Of the stencil of a row: `widths` [k], and `apart` [k], whether its two sides' difference
    counts."""

    widths: Array
    apart: NDArray[np.bool_]


def fixed(space: FeatureSpace, anchor: Array, gamma: float) -> HalfWidths:
    """gamma on each axis, as in the paper; of empty boxes both sides may draw the same cells. In a
    sparse space, where most would, as `distinct`.
    """
    return distinct(space, anchor, gamma) if space.sparse else _plain(space, gamma)


def _plain(space: FeatureSpace, gamma: float) -> HalfWidths:
    return HalfWidths(np.full(space.dim, gamma), np.ones(space.dim, dtype=bool))


def distinct(space: FeatureSpace, anchor: Array, gamma: float) -> HalfWidths:
    """Per axis gamma or, where both sides draw from the same box, the next larger half width that
    tells them apart.

    It grows by half a bin, so that the sides move apart by a bin, and to 0.5 at most, where they
    are the ends of the axis. Sides that share a box even then differ by the luck of the draw alone,
    and do not count.
    """
    widths, apart = _plain(space, gamma)
    for axis, bins in enumerate(space.bins):
        increments = math.ceil((0.5 - gamma) * 2 * bins)
        for increment in range(increments + 1):
            widths[axis] = min(gamma + increment / (2 * bins), 0.5)
            above, below = stencil(anchor, widths)[1 + 2 * axis : 3 + 2 * axis]
            apart[axis] = not space.same_box(above, below)
            if apart[axis]:
                break
    return HalfWidths(widths, apart)


GAMMA_RULES: dict[str, Callable[[FeatureSpace, Array, float], HalfWidths]] = {
    "fixed": fixed,
    "distinct": distinct,
}
"""Half widths of the stencil around an anchor [k], from gamma."""
