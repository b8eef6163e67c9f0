"""What one image costs in a network, and the sizes of its maps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Cost:
    """Of one image: multiply-adds, entries that come out of a BatchNorm, out of a ReLU."""

    multiply_adds: int = 0
    norms: int = 0
    relus: int = 0

    def __add__(self, other: Cost) -> Cost:
        norms, relus = self.norms + other.norms, self.relus + other.relus
        return Cost(self.multiply_adds + other.multiply_adds, norms, relus)


CONVENTIONS: dict[str, Callable[[Cost], int]] = {
    "conv+fc": lambda cost: cost.multiply_adds,
    "conv+fc+2bn+relu": lambda cost: cost.multiply_adds + 2 * cost.norms + cost.relus,
}
"""What counts as a multiply-add: convolutions and linear maps alone (DARTS), or 2 for each entry
that leaves a BatchNorm and 1 for each that leaves a ReLU besides (P-DARTS, PC-DARTS).
"""


class Map(NamedTuple):
    """Channels and side of a feature map."""

    channels: int
    side: int

    @property
    def entries(self) -> int:
        """channels * side * side."""
        return self.channels * self.side**2


def halved(side: int, stride: int) -> int:
    """The side of a map behind a step: ceil(side / stride), for every operation here."""
    return -(-side // stride)
