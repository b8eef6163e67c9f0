"""The toy problem of Amended-DARTS (its A.2) in closed form and as dynamics, and a counterexample
to its A.3.

L(w, a; x) = (w x - a)^2 with scalars w, a; x_train = 1, x_valid = 2. The optimum of the train loss
is w*(a) = a, so that the valid loss there is a^2 and its true gradient 2 a. There grad_a L_valid =
-2 a, v = grad_w L_valid = 4 a, H = 2, J = -2:

| estimate | at w = w*(a) |
|---|---|
| first order | -2 a: the wrong way |
| second order | (8 xi - 2) a: right from xi = 1/4 on, exact at xi = 1/2 |
| amended | (16 eta - 2) a: right from eta = 1/8 on, exact at 1/4; at the paper's 0.1 still wrong |
| joint | 0: the train loss is at its optimum for any a |
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fade_ray.training.updates import UPDATES, Gradients, Unroll, UpdateConfig

X_TRAIN, X_VALID = 1.0, 2.0
HESSIAN, MIXED = 2.0, -2.0
"""d^2 L_train / dw^2 and d^2 L_train / (da dw)."""


class ScalarProblem:
    """The toy as a `Problem` of the updates; a batch is its x."""

    generators: Sequence[torch.Generator] = ()

    def __init__(self, weight: float, logit: float) -> None:
        self.weights = [torch.tensor(weight, dtype=torch.float64, requires_grad=True)]
        self.logits = [torch.tensor(logit, dtype=torch.float64, requires_grad=True)]

    def loss(self, batch: float) -> Tensor:
        return (self.weights[0] * batch - self.logits[0]).square()


@dataclass(frozen=True)
class Estimate:
    """A name in UPDATES; `eta` is for "amended", `xi`, the unrolled rate, for "second-order"."""

    update: str
    eta: float = 0.0
    xi: float = 0.0


def _first_order(w: float, a: float) -> float:
    return -2 * (2 * w - a)


def _weight_slope(w: float, a: float) -> float:
    return 4 * (2 * w - a)  # v = grad_w L_valid


def _second_order(w: float, a: float, estimate: Estimate) -> float:
    unrolled = w - estimate.xi * 2 * (w - a)
    return _first_order(unrolled, a) - estimate.xi * MIXED * _weight_slope(unrolled, a)


CLOSED_FORMS: dict[str, Callable[[float, float, Estimate], float]] = {
    "joint": lambda w, a, estimate: -2 * (w - a),
    "first-order": lambda w, a, estimate: _first_order(w, a),
    "second-order": _second_order,
    "amended": lambda w, a, estimate: (
        _first_order(w, a) - estimate.eta * MIXED * HESSIAN * _weight_slope(w, a)
    ),
}
"""The architecture gradient at any (w, a)."""


def closed_form(estimate: Estimate, weight: float, logit: float) -> float:
    """What the estimate is on the toy, written out."""
    return CLOSED_FORMS[estimate.update](weight, logit, estimate)


def estimated(estimate: Estimate, weight: float, logit: float) -> float:
    """What the estimate is on the toy, by the updates that train networks."""
    return float(_estimated(ScalarProblem(weight, logit), estimate).architecture[0])


def true_gradient(logit: float) -> float:
    """d/da L_valid(w*(a), a) = d/da a^2."""
    return 2 * logit


class Trajectory(NamedTuple):
    """[steps + 1] each: logit a, weight w, L_valid(w, a) before the first and after each step."""

    logit: list[float]
    weight: list[float]
    valid_loss: list[float]


def run(
    estimate: Estimate,
    steps: int,
    *,
    weight: float = -1.0,
    logit: float = 1.0,
    weight_rate: float = 0.1,
    logit_rate: float = 0.05,
) -> Trajectory:
    """Gradient descent on both, the logit first in each step, as the searches do; "joint" steps
    from one pair of gradients.

    The paper gives neither start nor rates. From this start the valid loss falls at first, since w
    is poor, as in its Fig. 4.
    """
    problem = ScalarProblem(weight, logit)
    w, a = problem.weights[0], problem.logits[0]
    course = Trajectory([], [], [])
    for step in range(steps + 1):
        for values, value in zip(course, (a, w, problem.loss(X_VALID)), strict=True):
            values.append(float(value.detach()))
        if step < steps:
            both = _estimated(problem, estimate)
            with torch.no_grad():
                a -= logit_rate * both.architecture[0]
                slope = 2 * (w - a) if both.weights is None else both.weights[0]  # grad_w L_train
                w -= weight_rate * slope
    return course


def _estimated(problem: ScalarProblem, estimate: Estimate) -> Gradients:
    unroll, options = Unroll(estimate.xi), UpdateConfig(eta=estimate.eta)
    return UPDATES[estimate.update](problem, X_TRAIN, X_VALID, unroll, options)


# the claim <g2', g2> >= 0 of A.3


def alignment(
    hessian: NDArray[np.float64], mixed: NDArray[np.float64], v: NDArray[np.float64]
) -> float:
    """Cosine of J H v, which Amended-DARTS takes, with J H^-1 v, which is exact (its eq. 4 and 5).
    hessian [n, n], mixed J [m, n], v [n].

    Their common factor -1 is left out. The paper claims a cosine >= 0; for H = diag(1, 10), J = [1,
    -1], v = (1, 1/2) the two are -4 and 0.95. The claim holds where J'J commutes with H, for
    example for H = c I.
    """
    exact, taken = mixed @ np.linalg.solve(hessian, v), mixed @ (hessian @ v)
    return float(exact @ taken / (np.linalg.norm(exact) * np.linalg.norm(taken)))


def random_alignments(
    draws: int, rng: np.random.Generator, *, logits: int = 10, weights: int = 50, decades: float = 4
) -> NDArray[np.float64]:
    """[draws] cosines for J [logits, weights] and v of standard normal entries, eigenvalues of H
    log-uniform over `decades`.

    H is diagonal, which is no restriction: J and v look alike in any basis.
    """
    spectra = 10 ** rng.uniform(-decades / 2, decades / 2, size=(draws, weights))
    mixed = rng.standard_normal((draws, logits, weights))
    v = rng.standard_normal((draws, weights))
    return np.array(
        [alignment(np.diag(h), j, x) for h, j, x in zip(spectra, mixed, v, strict=True)]
    )
