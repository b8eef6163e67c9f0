"""A row of candidates, mixed by hard architecture weights; a candidate with weight zero is left
out, never multiplied by zero.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fade_ray.nn.graph_cell import Cell, hyper_cell_names, operation_names
from spaces import Dag


class _StraightThrough(torch.autograd.Function):
    """out = y_k for the drawn candidate k; d out / d gate_j = y_j for every output that was given
    (the drawn one first).
    """

    @staticmethod
    def forward(ctx: Any, gate: Tensor, indices: Sequence[int], *outputs: Tensor) -> Tensor:
        ctx.indices, ctx.gate = indices, (gate.shape, gate.dtype, gate.device)
        ctx.save_for_backward(*outputs)
        return outputs[0].view_as(outputs[0])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        shape, dtype, device = ctx.gate
        outputs = ctx.saved_tensors
        inner = torch.stack([(grad * y).sum(dtype=dtype) for y in outputs])  # <dL/d out, y_j>
        gate_grad = torch.zeros(shape, dtype=dtype)
        gate_grad[list(ctx.indices)] = inner.to(gate_grad.device)
        return (gate_grad.to(device), None, grad, *([None] * (len(outputs) - 1)))


class Mixed(nn.Module):
    """The distinct candidates of a row as modules.

    `forward(x, choice)` runs the candidate `choice` alone. With `gate` [w], the row of hard
    architecture weights (one-hot at `choice`, differentiable), the output is still that
    candidate's, and the gate receives the straight-through gradient <dL/d out, y_j>: of every
    candidate with `others` (their outputs are computed forward-only), else of the drawn one alone.
    """

    cells: nn.ModuleList | nn.ModuleDict

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def candidate(self, x: Tensor, index: int) -> Tensor:
        """The output of candidate `index` for `x` [batch, channels, side, side]."""
        raise NotImplementedError

    def forward(
        self, x: Tensor, choice: int, gate: Tensor | None = None, others: bool = False
    ) -> Tensor:
        drawn = self.candidate(x, choice)
        if gate is None:
            return drawn
        rest = [j for j in range(self.count) if j != choice] if others else []
        with torch.no_grad():
            outputs = [self.candidate(x, j) for j in rest]
        mixed: Tensor = _StraightThrough.apply(gate, (choice, *rest), drawn, *outputs)
        return mixed


class MixedGraphs(Mixed):
    """Graphs as candidates: one cell each, or one hyper-cell for graphs of up to `share_vertices`
    vertices that holds the operations of all of them.
    """

    cells: nn.ModuleList

    def __init__(
        self,
        candidates: Sequence[Dag],
        channels: int,
        kernel: int,
        *,
        share_vertices: int = 0,
        **cell: Any,
    ) -> None:
        super().__init__(len(candidates))
        self.candidates = tuple(candidates)
        shared = [hyper_cell_names(share_vertices)] if share_vertices else []
        names = shared or [operation_names(dag) for dag in self.candidates]
        self.cells = nn.ModuleList(Cell(group, channels, kernel, **cell) for group in names)

    def candidate(self, x: Tensor, index: int) -> Tensor:
        cell = self.cells[0 if len(self.cells) == 1 else index]
        output: Tensor = cell(x, self.candidates[index])
        return output
