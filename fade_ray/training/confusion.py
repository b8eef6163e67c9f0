"""Gradient confusion: how far the gradients of different batches pull against each other (StacNAS
3.4.2 and appendix C, after Sankararaman et al. 2019; algorithms C.7).

It grows with the depth of a network and falls with skip-connects. A search network whose confusion
per million parameters is that of the final network is about as hard to train as it.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from fade_ray.nn import still
from fade_ray.training.failures import TrainingFailed
from fade_ray.training.network_problem import NetworkProblem
from fade_ray.training.objectives import Batch
from fade_ray.training.updates import Problem, generator_states, gradients, rewind
from spaces.errors import require


@dataclass(frozen=True)
class Confusion:
    """Of m batches at one state of a network. `zeta` = max(0, `raw`), `raw` = the largest
    -<g_i, g_j> of two different batches; `cosine`: the least of two of them, free of the gradients'
    scale, which falls as a network learns (0 where one is zero). `batches`: m, with which all of
    them grow.
    """

    zeta: float
    raw: float
    cosine: float
    batches: int

    @classmethod
    def of(cls, products: Tensor) -> "Confusion":
        """From inner products [m, m]. Raises TrainingFailed where one is not finite."""
        if not bool(products.isfinite().all()):
            raise TrainingFailed(
                "the gradients whose confusion was measured became infinite; lower the rate"
            )
        norms = products.diagonal().sqrt()
        scales = torch.outer(norms, norms)
        cosines = torch.where(scales > 0, products / scales, 0.0)
        m = len(products)
        first, second = torch.triu_indices(m, m, offset=1)  # i < j
        raw = float((-products[first, second]).max())
        # algorithms C.9: v1 floors at 0, v2 does not; floored is how it is used
        return cls(max(0.0, raw), raw, float(cosines[first, second].min()), m)


def check_batches(batches: int) -> None:
    """InvalidInput for fewer than the two that a pair has."""
    remedy = "Confusion is of pairs of batches: use 10."
    require(batches >= 2, "batches >= 2", remedy, batches=batches)


def network_confusion(problem: NetworkProblem, batches: Sequence[Batch]) -> Confusion:
    """Of a network in training mode, at the weights as they are. Its weights, buffers and
    generators are left as they were.
    """
    network, mode = problem.network, problem.network.training
    network.train()
    try:
        with still(network):
            return Confusion.of(inner_products(problem, batches))
    finally:
        network.train(mode)


def measuring(problem: NetworkProblem, *, auxiliary: bool) -> NetworkProblem:
    """`problem` to be measured, which counts its passes apart; without the `auxiliary` head neither
    its loss nor its weights count.
    """
    apart = copy.copy(problem)
    apart.restart()
    head = getattr(problem.network, "auxiliary", None)  # networks of images may have one
    if not auxiliary and head is not None:
        others = {id(weight) for weight in head.parameters()}
        apart.weights = [weight for weight in problem.weights if id(weight) not in others]
        objective: Any = problem.objective
        apart.objective = replace(objective, auxiliary_weight=0.0)
    return apart


def inner_products(problem: Problem, batches: Sequence[Any], held: int | None = None) -> Tensor:
    """<g_i, g_j> [m, m] of the gradients of m batches in the weights alone; float64, on the host.

    Never more than `held` + 1 gradients are in memory, by default m // 2 + 1: the batches are taken
    in blocks of `held`, and those behind a block pass again, one by one, with the noise of their
    first pass. That takes m passes for the first block and fewer for each further one, 1.5 m by
    default. Beside them the sums need one tensor's `held` gradients in float64.
    """
    m = len(batches)
    check_batches(m)
    block, states = held or m // 2, generator_states(problem)
    noise: dict[int, list[Tensor]] = {}

    def gradient(i: int) -> tuple[Tensor, ...]:
        rewind(problem, noise.setdefault(i, generator_states(problem)))
        return gradients(problem, batches[i], problem.weights)[1]

    products = torch.zeros(m, m, dtype=torch.float64)
    for start in range(0, m, block):
        ours: list[tuple[Tensor, ...]] = []
        for i in range(start, m):
            theirs = gradient(i)
            if len(ours) < block:
                ours.append(theirs)
            products[start : start + len(ours), i] = _products(ours, theirs)
    rewind(problem, states)
    return products + products.triu(1).T


def _products(ours: Sequence[tuple[Tensor, ...]], theirs: tuple[Tensor, ...]) -> Tensor:
    """[len(ours)], summed tensor by tensor."""
    sums = torch.zeros(len(ours), dtype=torch.float64)
    for tensors in zip(theirs, *ours, strict=True):
        other, *rows = (tensor.flatten().double() for tensor in tensors)
        sums += (torch.stack(rows) @ other).cpu()
    return sums
