"""A DAG cell as a network module (FaDE 2.4, "embodiment").

Not a `Cell` with one operation per edge: the convolutions that read one value are one convolution,
and cells of several graphs share their weights.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fade_ray.nn.norms import Norm
from spaces import Dag


class EdgeConvolution(nn.Module):
    """The weights of one edge: convolution C -> C with bias, or with BatchNorm instead."""

    def __init__(self, channels: int, kernel: int, norm: bool, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, channels, kernel, kernel))
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu", generator=generator)
        self.bias = None if norm else nn.Parameter(torch.zeros(channels))
        self.norm = Norm(channels) if norm else None


@dataclass(frozen=True)
class Step:
    """One convolution: edges that read one value, that of `vertex` or (None) of all sources."""

    vertex: int | None
    names: tuple[str, ...]
    """Of the edges' operations."""
    targets: tuple[int, ...]
    """Where the edges lead; n of a graph on n vertices is OUTPUT."""


@lru_cache(maxsize=65536)
def plan(dag: Dag) -> tuple[Step, ...]:
    """The convolutions of `dag` in topological order, grouped by the value they read.

    All source vertices hold the same value (that of INPUT), so the edges that leave any of them are
    one convolution with more output channels; so are the edges that leave one inner vertex. Narrow
    cells run up to 2x faster that way.
    """

    def step(vertex: int | None, reading: Sequence[int]) -> Step:
        leaving = {v: [e for e in dag.edges if e[0] == v] or [(v, dag.n)] for v in reading}
        edges = [edge for v in reading for edge in leaving[v]]
        # the edge into OUTPUT is named by its vertex alone: graphs of all sizes share it
        names = [f"{u}-out" if v == dag.n else f"{u}-{v}" for u, v in edges]
        return Step(vertex, tuple(names), tuple(v for _, v in edges))

    inner = [v for v in range(dag.n) if v not in dag.sources]
    return (step(None, dag.sources), *(step(v, [v]) for v in inner))


def operation_names(dag: Dag) -> tuple[str, ...]:
    """Those of one graph by edge: "source-target", or "source-out" into OUTPUT."""
    return tuple(name for step in plan(dag) for name in step.names)


def hyper_cell_names(n: int) -> tuple[str, ...]:
    """Those of all graphs of up to `n` vertices: G_max, every vertex into OUTPUT (FaDE 2.2)."""
    inner = [f"{u}-{v}" for u in range(n) for v in range(u + 1, n)]
    return tuple(inner + [f"{v}-out" for v in range(n)])


class GraphCell(nn.Module):
    """The operations of one DAG (`operation_names`), or a hyper-cell with those of all candidates
    of a row (`hyper_cell_names`): `forward(x, dag)` runs one DAG, the channels and side of x stay.

    In a hyper-cell a DAG on n' vertices takes the places 0..n'-1 of its canonical order, so that
    equal draws meet equal weights (each candidate is a path of its own, only weights are common).
    """

    def __init__(
        self,
        names: Iterable[str],
        channels: int,
        kernel: int,
        norm: bool,
        edge_activation: bool,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.channels, self.padding = channels, kernel // 2
        self.norm, self.edge_activation = norm, edge_activation
        made = {name: EdgeConvolution(channels, kernel, norm, generator) for name in names}
        self.operations = cast(Mapping[str, EdgeConvolution], nn.ModuleDict(made))

    def forward(self, x: Tensor, dag: Dag) -> Tensor:
        # FaDE 2.4: a vertex sums its incoming edges and applies ReLU. With the activation on the
        # edge (the paper's code), INPUT stays linear.
        activate = (lambda value: value) if self.edge_activation else F.relu
        sums: dict[int, Tensor] = {}
        first = activate(x)
        for step in plan(dag):
            value = first if step.vertex is None else activate(sums.pop(step.vertex))
            for target, y in zip(step.targets, self._convolve(value, step), strict=True):
                sums[target] = sums[target] + y if target in sums else y
        return activate(sums[dag.n])

    def _convolve(self, value: Tensor, step: Step) -> Sequence[Tensor]:
        operations = [self.operations[name] for name in step.names]
        biases = [operation.bias for operation in operations if operation.bias is not None]
        weight = _joined([operation.weight for operation in operations])
        fused = F.conv2d(value, weight, _joined(biases) if biases else None, padding=self.padding)
        if self.edge_activation and not self.norm:
            fused = F.relu(fused)
        outputs = [fused] if len(operations) == 1 else torch.split(fused, self.channels, dim=1)
        norms = [operation.norm for operation in operations if operation.norm is not None]
        if not norms:
            return outputs
        normed = [norm(y) for norm, y in zip(norms, outputs, strict=True)]
        return [F.relu(y) for y in normed] if self.edge_activation else normed


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
