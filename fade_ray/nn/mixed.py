"""A row of candidates under hard weights: those of weight zero are left out, not multiplied."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from fade_ray.nn.draw import Draw


class _StraightThrough(torch.autograd.Function):
    """out = y_k of the drawn candidate k; d out / d gate_j = y_j for all outputs given, k first."""

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
        entries = [grad.new_zeros((), dtype=dtype)] * shape[0]
        for j, y in zip(ctx.indices, outputs, strict=True):
            entries[j] = (grad * y).sum(dtype=dtype)  # <dL/d out, y_j>
        return (torch.stack(entries).to(device), None, grad, *([None] * (len(outputs) - 1)))


class Mixed(nn.Module):
    """The distinct candidates of a row.

    `cells`: their modules, of which candidates may share one. `candidates`: for each the key of its
    module and what that is called with beside the value.

    `forward(x, draw, place)` runs the candidate that is drawn at `place` alone. With gates, the row
    of hard architecture weights (one-hot at it, differentiable), the output is still that
    candidate's, and the gate receives the straight-through gradient <dL/d out, y_j>: of every
    candidate with `others` (their outputs are computed forward-only), else of the drawn one alone.
    """

    def __init__(
        self,
        cells: nn.ModuleList | nn.ModuleDict,
        candidates: Sequence[tuple[Any, tuple[Any, ...]]],
    ) -> None:
        super().__init__()
        self.cells, self.candidates = cells, tuple(candidates)

    def candidate(self, x: Tensor, index: int, draw: Draw) -> Tensor:
        """The output of candidate `index` for `x`; `draw` is for candidates that are mixtures."""
        key, arguments = self.candidates[index]
        return cast(Tensor, self.cells[key](x, *arguments))

    def forward(self, x: Tensor, draw: Draw, place: int) -> Tensor:
        choice, gate = draw.candidate(place), draw.gate(place)
        drawn = self.candidate(x, choice, draw)
        if gate is None:
            return drawn
        rest = [j for j in range(len(self.candidates)) if j != choice] if draw.others else []
        with torch.no_grad():
            outputs = [self.candidate(x, j, draw) for j in rest]
        return cast(Tensor, _StraightThrough.apply(gate, (choice, *rest), drawn, *outputs))
