"""The numbers behind the figures: a linear regression with its confidence band, and densities of
weights.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtr, stdtrit

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Regression:
    """A least-squares line through n >= 3 points (x, y), with Pearson's r and its two-sided p.

    `r` and `p` are None where all y are equal, since the correlation is then undefined.
    """

    slope: float
    intercept: float
    r: float | None
    p: float | None
    """Of Student's t with n - 2 degrees of freedom, under the hypothesis that x and y are
    independent and normal.
    """
    n: int
    mean: float
    """Mean of x."""
    spread: float
    """Sum of squared distances of x from its mean."""
    residual: float
    """Standard deviation of the residuals, with n - 2 degrees of freedom."""

    def line(self, x: Array) -> Array:
        return self.intercept + self.slope * x

    def band(self, x: Array, confidence: float = 0.95) -> Array:
        """Half the width of the confidence band of the line at `x`: t s sqrt(1/n + (x - mean)^2 /
        spread).
        """
        t = float(stdtrit(self.n - 2, (1 + confidence) / 2))
        return np.asarray(
            t * self.residual * np.sqrt(1 / self.n + np.square(x - self.mean) / self.spread)
        )


def regress(x: Sequence[float], y: Sequence[float]) -> Regression | None:
    """The regression of y on x; None for fewer than 3 points or where all x are equal: there is no
    band or no line.
    """
    xs, ys = np.asarray(x, float), np.asarray(y, float)
    n = len(xs)
    if n < 3 or np.ptp(xs) == 0:
        return None
    mean, spread = float(xs.mean()), float(np.square(xs - xs.mean()).sum())
    slope = float(((xs - mean) * (ys - ys.mean())).sum()) / spread
    intercept = float(ys.mean()) - slope * mean
    residual = float(np.sqrt(np.square(ys - intercept - slope * xs).sum() / (n - 2)))
    r = p = None
    if np.ptp(ys) > 0:
        r = min(max(slope * math.sqrt(spread / float(np.square(ys - ys.mean()).sum())), -1.0), 1.0)
        t = math.inf if abs(r) == 1 else abs(r) * math.sqrt((n - 2) / (1 - r * r))
        p = 2 * float(stdtr(n - 2, -t))
    return Regression(slope, intercept, r, p, n, mean, spread, residual)


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
    width = float(data.std(ddof=1)) * len(data) ** -0.2  # Scott's rule in one dimension
    x = np.linspace(
        max(low, float(data.min()) - 4 * width), min(high, float(data.max()) + 4 * width), points
    )
    shifted = (x[:, None] - np.concatenate([data, 2 * low - data, 2 * high - data])) / width
    return x, np.exp(-np.square(shifted) / 2).sum(axis=1) / (
        len(data) * width * math.sqrt(2 * math.pi)
    )


def wilson(share: float, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's interval for a probability of which `share` was observed in `n` independent draws."""
    z = float(ndtri((1 + confidence) / 2))
    centre = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max((centre - half) / (1 + z * z / n), 0.0), min((centre + half) / (1 + z * z / n), 1.0)
