"""The plain dense form of a hyper-architecture, as the released code of FaDE computes it: the
baseline and the reference.

Every candidate of a row is evaluated edge by edge in NCHW, the outputs are stacked and multiplied
by the one-hot weights, and both steps of the bilevel loop compute all gradients. Slow and simple on
purpose; the product never uses it.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fade_ray.nn import ChainNetwork
from fade_ray.nn.graph_cell import GraphCell
from spaces import Dag


def dense_cell(cell: GraphCell, x: Tensor, dag: Dag) -> Tensor:
    """One candidate, one convolution per edge."""
    after_sum = (lambda value: value) if cell.edge_activation else F.relu
    on_edge = F.relu if cell.edge_activation else (lambda value: value)

    def edge(name: str, value: Tensor) -> Tensor:
        operation = cell.operations[name]
        y = F.conv2d(value, operation.weight, operation.bias, padding=cell.padding)
        return on_edge(y if operation.norm is None else operation.norm(y))

    values: dict[int, Tensor] = {}
    for v in range(dag.n):
        before = [u for u, w in dag.edges if w == v]
        values[v] = after_sum(sum(edge(f"{u}-{v}", values[u]) for u in before) if before else x)
    return after_sum(sum(edge(f"{v}-out", values[v]) for v in dag.sinks))


class DenseChain(nn.Module):
    """`forward(x, gates)` [batch, channels, side, side], [d, w] -> class scores, with a copy of
    `network`'s weights.
    """

    def __init__(self, network: ChainNetwork) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).to(memory_format=torch.contiguous_format)

    def forward(self, x: Tensor, gates: Tensor) -> Tensor:
        for row, gate in zip(self.network.places, gates, strict=True):
            x = row.entry(x)
            cells, candidates = row.mixed.cells, row.mixed.candidates
            outputs = [dense_cell(cells[k], x, dag) for k, (dag,) in candidates]
            stacked = torch.stack(outputs)
            x = (stacked * gate[: len(outputs)].view(-1, 1, 1, 1, 1)).sum(dim=0)
            x = row.pool(x, row.stride, ceil_mode=True) if row.stride > 1 else x
            x = row.norm(x) if row.norm is not None else x
        return self.network.head(x)
