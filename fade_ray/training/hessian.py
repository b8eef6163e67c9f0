"""Dominant eigenvalue of the Hessian of a loss in the architecture logits.

Where that of the validation loss grows, DARTS is about to collapse (Zela et al. 2020, cited by
Amended-DARTS).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fade_ray.training.updates import Problem, asking, generator_states, rewind
from spaces.errors import require

Product = Callable[[Tensor], Tensor]  # q [n] -> H q [n]


@dataclass(frozen=True)
class DominantEigenvalue:
    """`value`: signed, the largest in absolute value; NaN where the loss is not finite. `error`
    bounds its distance to the nearest eigenvalue.

    `iterations`: Hessian-vector products that were taken.
    """

    value: float
    error: float
    iterations: int


def dominant_eigenvalue(
    problem: Problem,
    batch: Any,
    iterations: int,
    generator: torch.Generator,
    tolerance: float = 1e-3,
) -> DominantEigenvalue:
    """Of d^2 L / da^2 [n, n] on one batch, n = number of logits, where weights and logits are.

    Power iteration that keeps its vectors (Lanczos, orthogonalised in full): one product per
    iteration like the plain one, never a worse value from it, and no failure where the largest and
    the smallest eigenvalue differ in sign only. Ends after `iterations`, or once the error is at
    most `tolerance` times the value. `generator` (CPU) draws the start.

    Products are taken by a second backward through one pass: operations must be differentiable
    twice, else torch raises RuntimeError; beware of own autograd functions whose backward is not.
    Weights, logits and the generators of the problem are left as they were.
    """
    require(iterations >= 1, "iterations >= 1", "Ask for 10 or more.", iterations=iterations)
    count = sum(logit.numel() for logit in problem.logits)
    states = generator_states(problem)
    try:
        with _products(problem, batch) as multiply:
            start = torch.randn(count, generator=generator)
            return _lanczos(multiply, start, min(iterations, count), tolerance)
    finally:
        rewind(problem, states)


def _lanczos(
    multiply: Product, start: Tensor, iterations: int, tolerance: float
) -> DominantEigenvalue:
    """In float64 on the host; the products in their own type and place."""
    vector = start.double() / start.double().norm()
    basis = vector[None]  # [k, n]
    diagonal: list[Tensor] = []
    beside: list[Tensor] = []  # with the diagonal, the tridiagonal projection of H onto the basis
    for iteration in range(1, iterations + 1):
        image = multiply(vector)
        if not bool(image.isfinite().all()):
            return DominantEigenvalue(float("nan"), float("nan"), iteration)
        diagonal.append(vector @ image)
        for _ in range(2):  # once leaves rounding errors that grow
            image = image - basis.T @ (basis @ image)
        rest = image.norm()
        projected = torch.diag(torch.stack(diagonal))
        for i, value in enumerate(beside):
            projected[i, i + 1] = projected[i + 1, i] = value
        values, vectors = torch.linalg.eigh(projected)
        best = int(values.abs().argmax())
        error = rest * vectors[-1, best].abs()  # |H u - value u| of the best vector u in the basis
        if error <= tolerance * values[best].abs():
            break
        beside.append(rest)
        vector = image / rest
        basis = torch.cat([basis, vector[None]])
    return DominantEigenvalue(float(values[best]), float(error), iteration)


@contextmanager
def _products(problem: Problem, batch: Any) -> Iterator[Product]:
    logits = list(problem.logits)
    with asking(problem, logits):
        loss = problem.loss(batch)
        slope = torch.zeros(sum(logit.numel() for logit in logits))
        if loss.requires_grad:
            slope = _flat(
                torch.autograd.grad(loss, logits, create_graph=True, materialize_grads=True)
            )

        def multiply(q: Tensor) -> Tensor:
            if not slope.requires_grad:  # the loss is linear in the logits
                return torch.zeros_like(q)
            image = torch.autograd.grad(
                slope @ q.to(slope), logits, retain_graph=True, materialize_grads=True
            )
            return _flat(image).cpu().double()

        yield multiply


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])
