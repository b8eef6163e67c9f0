"""Drop path: random operation outputs are left out of a sample's pass (DARTS 3.1, after
FractalNet).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from spaces.errors import require


@dataclass(frozen=True)
class DropPath:
    """Each operation output of each sample is dropped with probability `rate`, the others are
    divided by 1 - rate.

    `generator`: on the CPU; each cell takes one number from it in each pass. `shard`: which samples
    of the whole batch this process holds (None: all of them); the masks of a sample depend on its
    place in the whole batch alone, not on how the batch is split.
    """

    rate: float
    generator: torch.Generator
    shard: slice | None = None

    def __post_init__(self) -> None:
        require(
            0 <= self.rate < 1, "0 <= rate < 1", "Use 0.2, or 0 for no drop path.", rate=self.rate
        )

    def masks(self, outputs: int, like: Tensor) -> Tensor:
        """Factors 0 or 1 / (1 - rate) [outputs, samples, 1, 1, 1] for the samples of `like`
        [samples, channels, side, side].
        """
        samples, shard = like.shape[0], self.shard or slice(None)
        start, step = shard.start or 0, shard.step or 1
        seed = int(torch.randint(2**62, (), generator=self.generator))
        drawn = torch.rand(
            start + step * (samples - 1) + 1,
            outputs,
            generator=torch.Generator().manual_seed(seed),
            dtype=torch.float64,
        )
        kept = (drawn[start::step] >= self.rate).to(like) / (1 - self.rate)
        return kept.t().reshape(outputs, samples, 1, 1, 1)
