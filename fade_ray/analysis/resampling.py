"""Intervals for means and other statistics of few values: Student's t, and the bootstrap with a
generator that is passed in.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from spaces.errors import require

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.intp]


class Interval(NamedTuple):
    """Ends of a confidence interval; NaN where there is none."""

    low: float
    high: float


NOWHERE = Interval(float("nan"), float("nan"))


def t_interval(values: Sequence[float] | Array, confidence: float = 0.95) -> Interval:
    """Of the mean of independent values [n]: mean +- t s / sqrt(n), n - 1 degrees of freedom; NaN
    for fewer than two.
    """
    data = np.asarray(values, float)
    n = len(data)
    if n < 2:
        return NOWHERE
    half = float(stdtrit(n - 1, (1 + confidence) / 2) * data.std(ddof=1) / np.sqrt(n))
    return Interval(float(data.mean()) - half, float(data.mean()) + half)


def bootstrap(
    n: int,
    statistic: Callable[[Integers], Array],
    generator: np.random.Generator,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """Percentile interval of a statistic of n units that are drawn anew with replacement (Efron
    1979).

    Args:
        statistic: of the indices [resamples, n] of the units drawn, its values [resamples]. Those
        that are NaN (undefined for that draw,
            such as a correlation with a constant) are left out; NaN for all is an interval of NaN.

    Raises:
        InvalidInput: n or resamples below 1, a confidence outside (0, 1).
    """
    require(n >= 1, "n >= 1", "Give at least one unit.", n=n)
    require(resamples >= 1, "resamples >= 1", "Use some thousands.", resamples=resamples)
    require(0 < confidence < 1, "0 < confidence < 1", "Use 0.95.", confidence=confidence)
    return percentiles(statistic(generator.integers(n, size=(resamples, n))), confidence)


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
