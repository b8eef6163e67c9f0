"""An exponential moving average of a network, trained on without being touched by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


class Average:
    """Average over the steps of all weights and BatchNorm statistics of `network`: value <- d value
    + (1 - d) network.

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

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """The network holds the average inside, its own values again afterwards."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for mine, theirs in zip(self.values, self.tensors, strict=True):
            kept = theirs.clone()
            theirs.copy_(mine)
            mine.copy_(kept)

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "values": self.values}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.steps = state["steps"]
        for mine, saved in zip(self.values, state["values"], strict=True):
            mine.copy_(saved)
