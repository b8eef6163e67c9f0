"""What a trial or a worker takes of a node, and how many of them fit."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Amounts = Mapping[str, float]
"""How much a node has of each resource, as Ray names them."""


@dataclass(frozen=True)
class Resources:
    """`cpus` processors and `gpus` GPUs, of one and the same node; a GPU may be shared."""

    cpus: float
    gpus: float = 0.0

    def fitting(self, nodes: Iterable[Amounts]) -> int:
        """How many fit on some nodes when these are empty."""
        return sum(self._on(node) for node in nodes)

    def _on(self, node: Amounts) -> int:
        by_cpu = int(node.get("CPU", 0) // self.cpus)
        if not self.gpus:
            return by_cpu
        gpus = node.get("GPU", 0)
        if self.gpus > 1:
            return min(by_cpu, int(gpus // self.gpus))
        # a share lies on one GPU: what two of them have left makes no third
        return min(by_cpu, int(gpus) * math.floor(1 / self.gpus + 1e-9))

    @property
    def amounts(self) -> dict[str, float]:
        """As Ray names them; what is 0 is left out."""
        return {"CPU": float(self.cpus)} | ({"GPU": self.gpus} if self.gpus else {})

    def __str__(self) -> str:
        return f"{self.cpus:g} CPU(s)" + (f" and {self.gpus:g} GPU(s)" if self.gpus else "")
