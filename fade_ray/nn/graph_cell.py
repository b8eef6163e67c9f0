"""A DAG cell as a network module (FaDE 2.4, "embodiment").

Not a `Cell` with one operation per edge: the convolutions that read one value are one convolution,
and cells of several graphs share their weights.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fade_ray.nn.norms import Norm
from spaces import Dag

# (source vertex, target vertex); the target `n` of a cell on n vertices is OUTPUT
Edge = tuple[int, int]


class EdgeConvolution(nn.Module):
    """The weights of one edge: `kernel` x `kernel` convolution C -> C with bias, or without bias
    and followed by BatchNorm.
    """

    def __init__(self, channels: int, kernel: int, norm: bool, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, channels, kernel, kernel))
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu", generator=generator)
        self.bias = None if norm else nn.Parameter(torch.zeros(channels))
        self.norm = Norm(channels) if norm else None


@dataclass(frozen=True)
class Step:
    """One convolution of a cell's plan: all `edges` read the same value, that of the `sources`
    (None: fed by INPUT alone).
    """

    vertex: int | None
    edges: tuple[Edge, ...]


@lru_cache(maxsize=65536)
def plan(dag: Dag) -> tuple[Step, ...]:
    """The convolutions of `dag` in topological order, grouped by the value they read.

    All source vertices hold the same value (that of INPUT), so the edges that leave any of them are
    one convolution with more output channels; so are the edges that leave one inner vertex. Narrow
    cells run up to 2x faster that way.
    """
    out = dag.n
    leaving: dict[int, list[Edge]] = {
        v: [e for e in dag.edges if e[0] == v] or [(v, out)] for v in range(dag.n)
    }
    sources = set(dag.sources)
    first = Step(None, tuple(edge for v in dag.sources for edge in leaving[v]))
    return (first, *(Step(v, tuple(leaving[v])) for v in range(dag.n) if v not in sources))


def operation_names(dag: Dag) -> tuple[str, ...]:
    """The operations of one graph by edge: "source-target", or "source-out" for the edge of a sink
    into OUTPUT.
    """
    return tuple(name for step in plan(dag) for name in _names(step, dag.n))


def hyper_cell_names(n: int) -> tuple[str, ...]:
    """All operations that graphs of up to `n` vertices can have: G_max with an edge of every vertex
    into OUTPUT (FaDE 2.2).
    """
    inner = [f"{u}-{v}" for u in range(n) for v in range(u + 1, n)]
    return tuple(inner + [f"{v}-out" for v in range(n)])


class GraphCell(nn.Module):
    """The operations of one DAG (`operation_names`), or a hyper-cell with those of all candidates
    of a row (`hyper_cell_names`).

    `forward(x, dag)` runs one DAG through the operations it names. In a hyper-cell a DAG on n'
    vertices takes the places 0..n'-1 of its canonical order, so that equal draws meet equal weights
    (each candidate is a path of its own, only weights are common).

    Input and output: [batch, channels, side, side].
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
        self.edge_activation = edge_activation
        self.operations = nn.ModuleDict(
            {name: EdgeConvolution(channels, kernel, norm, generator) for name in names}
        )

    def forward(self, x: Tensor, dag: Dag) -> Tensor:
        # FaDE 2.4: a vertex sums its incoming edges and applies ReLU. With the activation on the
        # edge (the paper's code), INPUT stays linear.
        activate = (lambda value: value) if self.edge_activation else F.relu
        sums: dict[int, Tensor] = {}
        first = activate(x)
        for step in plan(dag):
            value = first if step.vertex is None else activate(sums.pop(step.vertex))
            for (_, target), y in zip(step.edges, self._convolve(value, step, dag.n), strict=True):
                sums[target] = sums[target] + y if target in sums else y
        return activate(sums[dag.n])

    def _convolve(self, value: Tensor, step: Step, n: int) -> Iterable[Tensor]:
        operations = [cast(EdgeConvolution, self.operations[name]) for name in _names(step, n)]
        biases: list[Tensor] = [
            operation.bias for operation in operations if operation.bias is not None
        ]
        weight = _joined([operation.weight for operation in operations])
        bias = _joined(biases) if biases else None
        fused = F.conv2d(value, weight, bias, padding=self.padding)
        if operations[0].norm is None and self.edge_activation:
            fused = F.relu(fused)
        outputs = (
            [fused] if len(operations) == 1 else list(torch.split(fused, self.channels, dim=1))
        )
        if operations[0].norm is None:
            return outputs
        normed = [
            y if op.norm is None else op.norm(y) for op, y in zip(operations, outputs, strict=True)
        ]
        return [F.relu(y) for y in normed] if self.edge_activation else normed


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def _names(step: Step, n: int) -> list[str]:
    # the edge into OUTPUT is named by its vertex alone: candidates with another number of vertices
    # share it
    return [
        f"{source}-out" if target == n else f"{source}-{target}" for source, target in step.edges
    ]
