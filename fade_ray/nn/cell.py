"""A cell whose edges carry mixed operations; one operation per edge is the case of a genotype."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fade_ray.nn.costs import Cost, Map, halved
from fade_ray.nn.draw import Draw, EdgeWeights
from fade_ray.nn.layers import Build, ConvNorm, FactorizedReduce
from fade_ray.nn.network import Place
from fade_ray.nn.operations import OPERATIONS, Identity, Operation
from fade_ray.nn.sums import Source, Sum, Term
from spaces.cell import NONE, CellSpace
from spaces.errors import require


class Cell(Place):
    """One cell: the concatenation of its output nodes, `outputs` * width channels, half the side in
    a reduction cell.

    `before`: the maps of its inputs; where there are two, each is brought to the cell's width by an
    entry. `partial`: 1 / partial of the channels go through the operations, the others past them
    (PC-DARTS 3.1).
    """

    def __init__(
        self,
        kind: str,
        space: CellSpace,
        build: Build,
        before: Sequence[Map],
        reduction: bool,
        partial: int,
    ) -> None:
        super().__init__()
        self.kind, self.space, self.partial, self.width = kind, space, partial, build.channels
        self.reduction, self.is_discrete = 2 if reduction else 1, space.is_discrete
        side = before[-1].side
        entered = before if space.inputs > 1 else ()
        self.entries = nn.ModuleList(_entry(build, source, side) for source in entered)
        built = [(k, op) for k, op in enumerate(space.ops) if op != NONE]
        self.allowed = tuple(tuple(k for k, _ in built if row[k]) for row in space.allowed)
        self.edges, self._names = nn.ModuleDict(), space.edge_names
        places = zip(self._names, space.edges, self.allowed, strict=True)
        for name, (source, _), numbers in places:
            at_edge = replace(build, channels=self.width // partial, stride=self._stride(source))
            made = {space.ops[k]: OPERATIONS[space.ops[k]](at_edge) for k in numbers}
            self.edges[name] = nn.ModuleDict(made)
        self.out = Map(len(space.outputs) * self.width, halved(side, self.reduction))
        self.cost = self._operations_cost(side)
        for entry, input in zip(self.entries, before, strict=False):
            self.cost += cast(ConvNorm, entry).cost(input.side)

    def forward(self, values: Sequence[Source], draw: Draw, place: int) -> Tensor:
        weights, sources = draw.inside(self.kind), values[-self.space.inputs :]
        rule = "a network with choices gets architecture weights"
        remedy = "Give `edges`, or discretise the cells."
        require(weights is not None or self.is_discrete, rule, remedy, cell=self.kind)
        inputs = [x.value for x in sources]
        if self.entries:
            inputs = [entry(x.relu) for entry, x in zip(self.entries, sources, strict=True)]
        return self._mixed(inputs, weights, draw)

    def _mixed(self, values: list[Tensor], weights: EdgeWeights | None, draw: Draw) -> Tensor:
        """The output from the inputs at the cell's width."""
        masks = None
        if draw.drop_path is not None and self.training:
            masks = draw.drop_path.masks(len(self.space.edges) * len(self.space.ops), values[0])
        dropout = draw.skip_dropout if self.training else None
        through = [Source(self._through(x)) for x in values]
        factors, edge_factors = _factors(weights, (len(self.space.edges), len(self.space.ops)))
        for node in range(self.space.inputs, self.space.nodes):
            total, past = Sum(), Sum()
            for number in self.space.incoming(node):
                source = self.space.edges[number][0]
                for k, operation in self._operations(number, weights):
                    mask = None if masks is None else masks[number * len(self.space.ops) + k]
                    x = through[source]
                    if dropout is not None and isinstance(operation, Identity):
                        x = Source(x.value * dropout.mask(x.value))
                    operation(x, Term(total, factors[number][k], mask))
                if self.partial > 1:
                    rest = self._past(values[source], self._stride(source))
                    past.add(rest, edge_factors[number])
            values.append(self._joined(total.value(), past.value(), values[0]))
            through.append(Source(self._through(values[-1])))
        return torch.cat([values[node] for node in self.space.outputs], 1)

    def _operations(self, number: int, weights: EdgeWeights | None) -> list[tuple[int, Operation]]:
        """Those that run on an edge, with their numbers."""
        numbers = self.allowed[number]
        if weights is not None and weights.used is not None:
            numbers = tuple(k for k in weights.used[number] if k in numbers)
        edge = cast(nn.ModuleDict, self.edges[self._names[number]])
        return [(k, cast(Operation, edge[self.space.ops[k]])) for k in numbers]

    def _through(self, x: Tensor) -> Tensor:
        """The channels that go through the operations."""
        if self.partial == 1:
            return x
        return x[:, : self.width // self.partial].contiguous(memory_format=torch.channels_last)

    def _past(self, x: Tensor, stride: int) -> Tensor:
        rest = x[:, self.width // self.partial :]
        return rest if stride == 1 else F.max_pool2d(rest, 2, 2, ceil_mode=True)

    def _joined(self, total: Tensor | None, past: Tensor | None, like: Tensor) -> Tensor:
        """The value of a node, zeros of nothing; both parts shuffled, which once is enough for."""
        if total is None:
            side = halved(like.shape[-1], self.reduction)
            total = like.new_zeros(like.shape[0], self.width // self.partial, side, side)
        return total if past is None else shuffled(torch.cat([total, past], 1), self.partial)

    def _stride(self, source: int) -> int:
        return self.reduction if source < self.space.inputs else 1

    def _operations_cost(self, side: int) -> Cost:
        """Of all operations, on inputs of side x side."""
        total = Cost()
        for name, (source, _) in zip(self._names, self.space.edges, strict=True):
            at = side if source < self.space.inputs else halved(side, self.reduction)
            for operation in cast(nn.ModuleDict, self.edges[name]).values():
                total += cast(Operation, operation).cost(at)
        return total


def _entry(build: Build, source: Map, side: int) -> ConvNorm | FactorizedReduce:
    """Brings the ReLU of an input to the cell's width, and to the `side` of the last one."""
    if source.side > side:
        return FactorizedReduce(build, source.channels, build.channels)
    return build.conv_norm(source.channels, build.channels, 1)


def _factors(weights: EdgeWeights | None, shape: tuple[int, int]) -> tuple[Any, Sequence[Any]]:
    """Factors of operations [E][O], that of their edge included, and of edges [E]; None for 1."""
    edges, count = shape
    if weights is None:
        return [(None,) * count] * edges, [None] * edges
    products, factors = weights.operations, weights.edges
    if factors is not None:
        products = products * factors[:, None]
    scalars = products.flatten().unbind()
    rows = [scalars[i : i + count] for i in range(0, len(scalars), count)]
    return rows, [None] * edges if factors is None else factors.unbind()


def shuffled(x: Tensor, groups: int) -> Tensor:
    """Channels [groups, C / groups] in the order [C / groups, groups] (ShuffleNet, PC-DARTS)."""
    N, C, H, W = x.shape
    y = x.permute(0, 2, 3, 1).reshape(N, H, W, groups, C // groups).transpose(3, 4)
    return y.reshape(N, H, W, C).permute(0, 3, 1, 2)
