"""The numbers behind the figures: a regression with its band, densities, Wilson's interval."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit
from scipy.stats import binomtest, gaussian_kde, linregress

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Regression:
    """A least-squares line through n >= 3 points (x, y), with Pearson's r and its two-sided p.

    `r` and `p` are None where all y are equal, since the correlation is then undefined. `p` is of
    Student's t with n - 2 degrees of freedom: x and y independent and normal.
    """

    slope: float
    intercept: float
    r: float | None
    p: float | None
    n: int
    mean: float
    """Mean of x."""
    spread: float
    """Sum of squared distances of x from its mean."""
    error: float
    """Standard error of the slope."""

    def line(self, x: Array) -> Array:
        return self.intercept + self.slope * x

    def band(self, x: Array, confidence: float = 0.95) -> Array:
        """Half the width of the line's confidence band: t s sqrt(1/n + (x - mean)^2 / spread)."""
        t = float(stdtrit(self.n - 2, (1 + confidence) / 2))
        squares = self.spread / self.n + np.square(x - self.mean)  # s^2 = error^2 spread
        return np.asarray(t * self.error * np.sqrt(squares))


def regress(x: Sequence[float], y: Sequence[float]) -> Regression | None:
    """The regression of y on x; None for fewer than 3 points or equal x: no band, or no line."""
    xs, ys = np.asarray(x, float), np.asarray(y, float)
    if len(xs) < 3 or np.ptp(xs) == 0:
        return None
    fit, flat = linregress(xs, ys), np.ptp(ys) == 0
    r, p = (None, None) if flat else (float(fit.rvalue), float(fit.pvalue))
    mean, spread = float(xs.mean()), float(np.square(xs - xs.mean()).sum())
    slope, intercept = float(fit.slope), float(fit.intercept)
    return Regression(slope, intercept, r, p, len(xs), mean, spread, float(fit.stderr))


def density(
    values: Sequence[float], low: float, high: float, points: int = 400
) -> tuple[Array, Array] | None:
    """(x, density) of values in [low, high]; None for fewer than 3 values or where all are equal.

    A Gaussian kernel of Scott's width, mirrored at both ends so that none of it is lost beyond
    them; `x` covers where the density differs from 0.
    """
    data = np.asarray(values, float)
    if len(data) < 3 or np.ptp(data) < 1e-9 * max(high - low, 1e-9):
        return None
    kernel = gaussian_kde(data)
    reach = 4 * float(np.sqrt(kernel.covariance[0, 0]))
    ends = max(low, float(data.min()) - reach), min(high, float(data.max()) + reach)
    x = np.linspace(*ends, points)
    return x, kernel(x) + kernel(2 * low - x) + kernel(2 * high - x)


def wilson(share: float, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's interval for a probability: `share` was observed in `n` independent draws."""
    low, high = binomtest(round(share * n), n).proportion_ci(confidence, method="wilson")
    return float(low), float(high)
