"""Dominant eigenvalue of the Hessian of a loss in the architecture logits.

Where that of the validation loss grows, DARTS is about to collapse (Zela et al. 2020, cited by
Amended-DARTS).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from fade_ray.training.updates import Problem, asking, generator_states, gradients, rewind
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
    product: Literal["exact", "difference"] = "exact",
) -> DominantEigenvalue:
    """Of d^2 L / da^2 [n, n] on one batch, n = number of logits, at the weights and logits as they
    are.

    Power iteration that keeps its vectors (Lanczos, orthogonalised in full): one product per
    iteration like the plain one, never a worse value from it, and no failure where the largest and
    the smallest eigenvalue differ in sign only. Ends after `iterations`, or once the error is at
    most `tolerance` times the value. `generator` (CPU) draws the start.

    "exact": products by a second backward through one pass. Needs operations that can be
    differentiated twice, else torch raises RuntimeError; beware of own autograd functions whose
    backward is not differentiable itself. "difference": central differences of gradients, two
    passes per product, for networks of such operations. All passes draw the same noise. Weights,
    logits and the generators of the problem are left as they were.
    """
    require(iterations >= 1, "iterations >= 1", "Ask for 10 or more.", iterations=iterations)
    require(
        product in PRODUCTS, f"product in {tuple(PRODUCTS)}", "Choose one of them.", product=product
    )
    count = sum(logit.numel() for logit in problem.logits)
    states = generator_states(problem)
    try:
        with PRODUCTS[product](problem, batch) as multiply:
            return _lanczos(
                multiply, torch.randn(count, generator=generator), min(iterations, count), tolerance
            )
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
def _exact(problem: Problem, batch: Any) -> Iterator[Product]:
    logits = list(problem.logits)
    with asking(problem, logits):
        loss = problem.loss(batch)
        if loss.requires_grad:
            slope = _flat(
                torch.autograd.grad(loss, logits, create_graph=True, materialize_grads=True)
            )
        else:
            slope = torch.zeros(sum(logit.numel() for logit in logits))

        def multiply(q: Tensor) -> Tensor:
            if not slope.requires_grad:  # the loss is linear in the logits
                return torch.zeros_like(q)
            found = torch.autograd.grad(
                slope @ q.to(slope), logits, retain_graph=True, materialize_grads=True
            )
            return _flat(found).cpu().double()

        yield multiply


@contextmanager
def _difference(problem: Problem, batch: Any, step: float = 0.01) -> Iterator[Product]:
    """`step` is the length by which all logits are moved, either way."""
    logits = list(problem.logits)
    origin = [logit.detach().clone() for logit in logits]
    states = generator_states(problem)

    def slope(q: Tensor) -> Tensor:
        with torch.no_grad():
            for logit, start, part in zip(
                logits, origin, torch.split(q, [o.numel() for o in origin]), strict=True
            ):
                logit.copy_(start + part.view_as(start).to(start))
        rewind(problem, states)
        return _flat(gradients(problem, batch, logits)[1]).cpu().double()

    try:
        yield lambda q: (slope(step * q) - slope(-step * q)) / (2 * step)
    finally:
        with torch.no_grad():
            torch._foreach_copy_(logits, origin)


PRODUCTS: dict[str, Callable[[Problem, Any], AbstractContextManager[Product]]] = {
    "exact": _exact,
    "difference": _difference,
}


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])
