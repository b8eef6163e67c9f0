"""Averages of a network's weights, kept without touching the training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class Average:
    """Exponential average over the steps of all weights and BatchNorm statistics of `network`:
    value <- d value + (1 - d) network.

    d is `decay`, but at step t at most (1 + t) / (10 + t), so that the random start is forgotten
    soon (as TensorFlow's average does).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self.tensors = [
            t for t in (*network.parameters(), *network.buffers()) if t.is_floating_point()
        ]
        self.values = [tensor.detach().clone() for tensor in self.tensors]

    @torch.no_grad()
    def update(self) -> None:
        """After a step of the optimiser."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self.values, self.tensors, 1 - decay)

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "values": self.values}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.steps = state["steps"]
        for mine, saved in zip(self.values, state["values"], strict=True):
            mine.copy_(saved)


@contextmanager
def swapped(tensors: Sequence[Tensor], values: Sequence[Tensor]) -> Iterator[None]:
    """Within, `tensors` hold `values` and these what was in them; afterwards each its own again."""
    _swap(tensors, values)
    try:
        yield
    finally:
        _swap(tensors, values)


@torch.no_grad()
def _swap(tensors: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for tensor, value in zip(tensors, values, strict=True):
        kept = tensor.clone()
        tensor.copy_(value)
        value.copy_(kept)
