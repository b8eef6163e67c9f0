"""Do two searchers differ on the same seeds? The signed-rank test, effect sizes, and Holm's
correction.

Intervals and tests are two-sided throughout: harm can be shown as well as gain.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from fade_ray.analysis.resampling import NOTHING, shown, t_interval
from spaces.errors import require

Array = npt.NDArray[np.float64]

DIGITS = 12
"""Shares that are equal on paper differ in their last bits; to so many decimals they tie."""


def signed_rank(differences: Sequence[float] | Array) -> float:
    """Two-sided exact p of Wilcoxon's signed-rank test: are differences [n] symmetric about 0, or
    not?

    Exact for every n, with ties too: the distribution of the sum of the positive ranks over all 2^n
    signs, by a recursion over the doubled (so whole) mid-ranks. It is symmetric, so p is twice the
    probability of a sum at least as far from its mean. Differences of 0 keep their ranks but have
    no sign (Pratt 1959): they lower what can be shown. 1.0 where all are 0.
    """
    data = np.asarray(differences, float)
    finite, remedy = bool(np.isfinite(data).all()), "Leave incomplete pairs out."
    require(finite, "differences are finite", remedy, differences=data)
    data = data.round(DIGITS)
    signed = data != 0
    if not signed.any():
        return 1.0
    doubled = np.rint(2 * rankdata(np.abs(data))).astype(int)[signed]
    total = int(doubled.sum())
    probabilities = np.zeros(total + 1)  # of each doubled sum of positive ranks
    probabilities[0] = 1.0
    for rank in doubled:
        probabilities /= 2
        probabilities[rank:] += probabilities[:-rank].copy()
    positive = int(doubled[data[signed] > 0].sum())
    return min(1.0, 2 * float(probabilities[max(positive, total - positive) :].sum()))


def smallest_p(n: int) -> float:
    """The smallest p that n pairs can give: that of n differences of one sign, 2^(1-n), and 1 of no
    pair.

    With zeros among the pairs n is the number of the others.
    """
    return min(1.0, 2 * 0.5**n)


def effect_size(differences: Sequence[float] | Array) -> float:
    """Cohen's d_z: mean over standard deviation of differences [n]; NaN for one or equal ones."""
    data = np.asarray(differences, float)
    if len(data) < 2 or np.ptp(data) < 1e-12:
        return math.nan
    return float(data.mean() / data.std(ddof=1))


def superiority(differences: Sequence[float] | Array) -> float:
    """The share of pairs with a positive difference, those of 0 counted half."""
    data = np.asarray(differences, float).round(DIGITS)
    return float((np.sign(data).mean() + 1) / 2) if len(data) else math.nan


def holm(p: Sequence[float]) -> list[float]:
    """Holm's (1979) adjusted p values of a family: the step-down maximum of (m - i) p_(i)."""
    m, largest, adjusted = len(p), 0.0, [1.0] * len(p)
    for i, place in enumerate(sorted(range(m), key=p.__getitem__)):
        largest = max(largest, (m - i) * p[place])
        adjusted[place] = min(1.0, largest)
    return adjusted


@dataclass(frozen=True)
class PairedTest:
    """A searcher minus a baseline on the seeds that both completed."""

    searcher: str
    baseline: str
    measure: str
    seeds: tuple[int, ...]
    """Of the pairs."""
    zeros: int
    """Pairs without a difference."""
    difference: float
    """Mean, in shares of 1; NaN without pairs."""
    low: float
    """95% t interval of the mean; NaN for fewer than two pairs. So is `high`."""
    high: float
    effect: float
    """Cohen's d_z; NaN where undefined."""
    superiority: float
    """Share of pairs in which the searcher is better, ties half."""
    p: float
    """Two-sided, uncorrected."""
    corrected: float
    """By Holm over the `family` tests of the same measure."""
    family: int
    smallest: float
    """The smallest p that so many pairs can give, uncorrected."""
    smallest_corrected: float
    """The same after the correction, if in each test of the family all pairs spoke for one side."""
    attainable: float
    """The same if only the pairs that differ did."""

    @property
    def differing(self) -> int:
        """Pairs with a difference: the only ones that can speak for either."""
        return len(self.seeds) - self.zeros

    @property
    def can_show(self) -> bool:
        """Whether so many pairs can show a difference at all."""
        return self.smallest_corrected <= LEVEL

    @property
    def differ_enough(self) -> bool:
        """Whether those of them that differ can."""
        return self.attainable <= LEVEL

    @property
    def finding(self) -> str:
        """What was shown: "better" or "worse" where corrected test and interval both say so."""
        return shown(self.low, self.high) if self.corrected <= LEVEL else NOTHING

    @property
    def shown(self) -> bool:
        """Whether a difference was, for better or for worse."""
        return self.finding != NOTHING


LEVEL = 0.05
"""Of significance, of a whole family of tests."""


def paired_tests(
    values: Mapping[str, Mapping[int, float]], baselines: Sequence[str], measure: str
) -> tuple[PairedTest, ...]:
    """One test of each searcher against each baseline but itself, corrected as one family.

    Args:
        values: [searcher][seed]: the measure, larger being better. Pairs are the seeds that both
        have.
    """
    pairs = [
        (searcher, baseline)
        for place, baseline in enumerate(baselines)
        for searcher in values
        if searcher not in baselines[: place + 1]  # itself, or a pair that has been tested
    ]
    seeds = [tuple(sorted(values[one].keys() & values[other].keys())) for one, other in pairs]
    differences = [
        np.asarray([values[one][seed] - values[other][seed] for seed in both], float)
        for (one, other), both in zip(pairs, seeds, strict=True)
    ]
    p = [signed_rank(data) for data in differences]
    zeros = [int((data.round(DIGITS) == 0).sum()) for data in differences]
    smallest = [smallest_p(len(data)) for data in differences]
    reach = [smallest_p(len(d) - equal) for d, equal in zip(differences, zeros, strict=True)]
    corrected, smallest_corrected, attainable = holm(p), holm(smallest), holm(reach)
    return tuple(
        PairedTest(
            *pairs[i],
            measure,
            seeds[i],
            zeros=zeros[i],
            difference=float(data.mean()) if len(data) else math.nan,
            **t_interval(data)._asdict(),
            effect=effect_size(data),
            superiority=superiority(data),
            p=p[i],
            corrected=corrected[i],
            family=len(pairs),
            smallest=smallest[i],
            smallest_corrected=smallest_corrected[i],
            attainable=attainable[i],
        )
        for i, data in enumerate(differences)
    )
