"""What moves the architecture weights in a cell search: gradient correlation and dL/dp
(single-level DARTS 3.2; algorithms E.3).

How the first is to be read. A batch's correlation with itself is a squared norm, at least 0 by
construction: that it lies above the correlation of two batches says that gradients of single
batches are noisy, and nothing about the architecture that is found. Besides, no search takes its
steps like that: in a joint search the weights that meet a batch were moved by the batch before, so
its own correlation is that of two batches of the same images. The paper's eq. 16 keeps the terms j
= k alone; eq. 13, the full double sum, is measured here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self, cast

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from fade_ray.nn import CellNetwork, EdgeWeights
from fade_ray.nn.cell import Cell
from fade_ray.training.updates import Problem, generator_states, gradients, rewind
from spaces.cell import Macro
from spaces.errors import require
from spaces.stackings import RESIDUAL

Node = tuple[int, int]
"""Place of a cell in the stack, residual blocks counted, and a node of it."""


@dataclass(frozen=True)
class Correlation:
    """`value`: the inner product of two gradients. `cosine`: of the angle between them, free of
    their scale; 0 where one is zero.
    """

    value: float
    cosine: float


def correlation(ours: Tensor, theirs: Tensor) -> Correlation:
    """Of two gradients of one shape. Of a gradient with itself: its squared norm and 1."""
    ours, theirs = ours.double().flatten(), theirs.double().flatten()
    value, scale = float(ours @ theirs), float(ours.norm() * theirs.norm())
    return Correlation(value, value / scale if scale else 0.0)


def node_gradients(
    problem: Problem,
    network: CellNetwork,
    weights: Mapping[str, EdgeWeights],
    batch: Any,
    places: Sequence[int],
) -> dict[Node, Tensor]:
    """(place, node) -> float64 [n]: gradient of the loss in the kernels of all convolutions on the
    edges into the node, in order.

    For the convolutions of a cell the inner product of two such gradients takes the place of eq.
    13's double sum, and the mean loss has divided it by N M (algorithms E.3). Two things differ
    from a linear map. The gradient of an operation's kernels holds its architecture weight p_o (eq.
    9), which the g of eq. 13 does not: it is divided by it, so that what is seen over the epochs is
    the correlation and not p_o^2. And what lies between the convolution and the node, a BatchNorm,
    is part of the gradient.

    `weights`: kind -> EdgeWeights, those that the problem's loss mixes with, without noise. Network
    and generators are left as they were.
    """
    found: dict[Node, list[tuple[float, list[Tensor]]]] = {}
    for place in places:
        kind = network.macro.layout[place].kind
        shares = weights[kind].operations.detach().tolist()
        for edge, op, tensors in _operations(network, place):
            target = network.macro.cells[kind].edges[edge][1]
            found.setdefault((place, target), []).append((shares[edge][op], tensors))
    wanted = [tensor for parts in found.values() for _, tensors in parts for tensor in tensors]
    states = generator_states(problem)
    slopes = iter(gradients(problem, batch, wanted)[1])
    rewind(problem, states)
    return {
        node: torch.cat(
            [_per_share(next(slopes), share) for share, tensors in parts for _ in tensors]
        )
        for node, parts in found.items()
    }


def _per_share(slope: Tensor, share: float) -> Tensor:
    # without weight an operation has no gradient either
    return slope.double().flatten() / (share or 1.0)


def _operations(network: CellNetwork, place: int) -> list[tuple[int, int, list[Tensor]]]:
    """(edge, operation, its kernels) of every operation that has any in the cell at `place`; a bias
    before BatchNorm has gradient 0.
    """
    space = network.macro.cells[network.macro.layout[place].kind]
    edges = cast(Cell, network.places[place]).edges
    found = []
    for number, (source, target) in enumerate(space.edges):
        for name, module in cast(nn.ModuleDict, edges[f"{source}-{target}"]).items():
            kernels: list[Tensor] = [weight for weight in module.parameters() if weight.dim() > 1]
            if kernels:
                found.append((number, space.ops.index(name), kernels))
    return found


def first_middle_last(macro: Macro) -> tuple[int, ...]:
    """Places in the stack of the first, the middle and the last cell, residual blocks counted: 0,
    8, 16 for NAS-Bench-201 (algorithms E.3).
    """
    places = [place for place, position in enumerate(macro.layout) if position.kind != RESIDUAL]
    return tuple(sorted({places[0], places[len(places) // 2], places[-1]}))


class OperationGradients:
    """dL/dp of every operation on every edge of single cells: s_o = sum over images and positions
    of <dL/d(edge output), o(x)> (eq. 8).

    Within the context every pass that asks for the logits' gradient is counted in: in a bilevel
    search those over the held-out images, in a joint one all. The cells of a kind share their
    logits, but each of those at `places` gets the architecture weights as a tensor of its own,
    whose gradient is its share. Costs no pass. An operation that is not run (`none`) has gradient
    0.
    """

    def __init__(self, network: CellNetwork, places: Sequence[int]) -> None:
        self.network, self.places = network, tuple(places)
        self._sums: dict[int, Tensor] = {}
        self.passes = dict.fromkeys(self.places, 0)
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> Self:
        for place in self.places:
            cell = self.network.places[place]
            hook = partial(self._separate, place)
            self._handles.append(cell.register_forward_pre_hook(hook))
        return self

    def __exit__(self, *exception: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def mean(self) -> dict[int, Tensor]:
        """Place -> [E, O] on the host, mean over the passes. InvalidInput where there was none."""
        least = min(self.passes.values())
        require(
            least > 0,
            "passes >= 1",
            "Train logits by gradient descent inside the context.",
            passes=self.passes,
        )
        return {place: (self._sums[place] / self.passes[place]).cpu() for place in self.places}

    def _separate(self, place: int, cell: Cell, args: tuple[Any, ...]) -> tuple[Any, ...]:
        values, draw, number = args
        own = self._own(place, draw.edges[cell.kind])
        return values, replace(draw, edges={cell.kind: own}), number

    def _own(self, place: int, weights: EdgeWeights) -> EdgeWeights:
        if not weights.operations.requires_grad:
            return weights
        operations = weights.operations.clone()
        operations.register_hook(partial(self._add, place))  # type: ignore[no-untyped-call]
        return weights._replace(operations=operations)

    def _add(self, place: int, slope: Tensor) -> None:
        slope = slope.detach()
        self._sums[place] = self._sums[place] + slope if place in self._sums else slope.clone()
        self.passes[place] += 1
