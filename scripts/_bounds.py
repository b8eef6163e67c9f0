"""How soon a softmax is taken over by its best candidate: Theorem 3.1 of the single-level paper, as
printed and mended.

It says in how many steps of size eta gradient ascent on a of l(sum_i softmax(a)_i z_i) drives the
weight p* of the best of n candidates from p* >= 1/n above 1 - eps, when <dl/dz, z* - z_i> >= delta
> 0 for every other i at every step. (Under descent the best is the one with the smallest <dl/dz,
z_i>.) What is printed is not true, for two reasons:

1. its last step sums n terms exp(-gap), the best candidate's own among them, whose term is 1. With
   n - 1 terms the needed gap is ln((n - 1)(1 - eps) / eps) instead of ln((1 - eps) n);
2. eq. 18 bounds sum_j p_j <dl/dz, z* - z_j> by delta from below, but its term j = * is 0: the sum
   is at least (1 - p*) delta. The gap therefore grows by at least eta delta p* (1 - p* + p_i) per
   step, which vanishes as p* nears 1, and not by eta delta / n: the number of steps grows like
   1 / eps, not like ln(1 / eps).

`corrected_bound` mends the first alone, `softmax_bound` both.
"""

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from spaces.errors import require

Floats = NDArray[np.float64]


def printed_bound(n: int, eps: float, eta: float, delta: float) -> float:
    """n ln((1 - eps) n) / (eta delta) steps (Theorem 3.1, eq. 15). Too few in general."""
    _check(n, eps, eta, delta)
    return n * math.log((1 - eps) * n) / (eta * delta)


def corrected_bound(n: int, eps: float, eta: float, delta: float) -> float:
    """n ln((n - 1)(1 - eps) / eps) / (eta delta) steps: eq. 15 with the gap that its last step
    needs.

    Still no bound where eps is small: at n = 5, eps = 0.01, eta delta = 0.1 it says 299 where 917
    are needed.
    """
    _check(n, eps, eta, delta)
    return n * math.log((n - 1) * (1 - eps) / eps) / (eta * delta)


def softmax_bound(n: int, eps: float, eta: float, delta: float) -> float:
    """A number of steps after which p* > 1 - eps, for any margins >= delta and any start with the
    best logit first; 0 if it is so at once.

    (e^G - 1 + 2 (n-1) G + (n-1)^2 (1 - e^-G)) / (n eta delta) + ln(n^2 / (4 (n-1))) + 1 with G =
    ln((n-1)(1-eps)/eps). Let g be the gap with p* = 1 / (1 + (n-1) e^-g). One step takes the log
    odds of p*, that is g, up by -ln sum_j r_j exp(-D_j) with r_j = p_j / (1 - p*) and gaps' growth
    D_j >= c (1 + r_j), c = eta delta p* (1 - p*). As r exp(-c r) is concave for c <= 1, Jensen
    gives at least c n / (n-1): the step of Euler's rule for dg/dt = eta delta p (1-p) n / (n-1),
    which is monotone, so that g stays ahead of Euler's from g = 0. The first term is that
    equation's exact time to G. Euler's steps fall short of it where the speed rises, that is until
    p = 1/2, by no more than the logarithm of its rise in all (second term); the last step may be a
    part.
    """
    _check(n, eps, eta, delta)
    remedy = "The proof needs steps that do not overshoot."
    require(eta * delta <= 4, "eta delta <= 4", remedy, eta=eta, delta=delta)
    gap = math.log((n - 1) * (1 - eps) / eps)
    if gap < 0:
        return 0.0
    flow = (math.expm1(gap) + 2 * (n - 1) * gap - (n - 1) ** 2 * math.expm1(-gap)) / (
        n * eta * delta
    )
    return flow + math.log(n**2 / (4 * (n - 1))) + 1


def first_step_above(slopes: Iterable[Floats], eps: float, eta: float, start: Floats) -> int | None:
    """The first number of ascent steps after which a softmax weight exceeds 1 - eps, from logits
    `start` [n]; 0 for at once.

    `slopes`: s_i = <dl/dz, z_i> [n] of each step. None where they end before that.
    """
    logits = np.array(start, dtype=np.float64)
    for step, s in enumerate(slopes):
        p = np.exp(logits - logits.max())
        p /= p.sum()
        if p.max() > 1 - eps:
            return step
        logits += eta * p * (s - p @ s)  # eq. 17
    return None


def _check(n: int, eps: float, eta: float, delta: float) -> None:
    require(n >= 2, "n >= 2", "One candidate has nothing to win.", n=n)
    require(0 < eps < 1, "0 < eps < 1", "It is a share.", eps=eps)
    remedy, both = "Without a margin nothing moves.", eta > 0 and delta > 0
    require(both, "eta > 0 and delta > 0", remedy, eta=eta, delta=delta)
