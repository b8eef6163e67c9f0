"""Intervals for means and other statistics of few values: Student's t, percentiles of resamples.

Resamples are drawn where they are used: scipy.stats.bootstrap calls the statistic anew for each
interval, while the measures of a rank study share theirs, architectures and seeds drawn together.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

Array = npt.NDArray[np.float64]


class Interval(NamedTuple):
    """Ends of a confidence interval; NaN where there is none."""

    low: float
    high: float


NOWHERE = Interval(float("nan"), float("nan"))


def t_interval(values: Sequence[float] | Array, confidence: float = 0.95) -> Interval:
    """Of the mean of independent values [n], n - 1 degrees of freedom; NaN for fewer than two."""
    data = np.asarray(values, float)
    n = len(data)
    if n < 2:
        return NOWHERE
    half = float(stdtrit(n - 1, (1 + confidence) / 2) * data.std(ddof=1) / np.sqrt(n))
    return Interval(float(data.mean()) - half, float(data.mean()) + half)


def percentiles(values: Array, confidence: float = 0.95) -> Interval:
    """The middle part of the values [resamples] that are not NaN; NaN where all are."""
    values = values[np.isfinite(values)]
    if not len(values):
        return NOWHERE
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))


NOTHING = "no difference shown"


def shown(low: float, high: float) -> str:
    """What the two-sided interval of a difference shows, in words; of NaN nothing."""
    return "better" if low > 0 else "worse" if high < 0 else NOTHING
