"""What one forward pass runs, and what it gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from spaces.errors import require

Path = Sequence[int]
"""One index per place, into its distinct candidates."""


class EdgeWeights(NamedTuple):
    """The architecture weights of one kind of cell.

    `operations` [E, O]: weight of each operation on each edge; exactly 0 where the space allows
    none. `edges` [E]: factor of the whole output of each edge (edge normalisation of PC-DARTS,
    pairs of edges of Amended-DARTS eq. 16), None for 1. `used` [E]: the numbers of the operations
    to run on each edge, None for every allowed one; the others must have weight 0.
    """

    operations: Tensor
    edges: Tensor | None = None
    used: tuple[tuple[int, ...], ...] | None = None


@dataclass(frozen=True)
class DropPath:
    """Each operation output of each sample is dropped with probability `rate`, the others are
    divided by 1 - rate (DARTS 3.1, after FractalNet).

    `generator`: on the CPU; each cell takes one number from it in each pass. `shard`: which samples
    of the whole batch this process holds (None: all of them); the masks of a sample depend on its
    place in the whole batch alone, not on how the batch is split.
    """

    rate: float
    generator: torch.Generator
    shard: slice | None = None

    def __post_init__(self) -> None:
        rule, remedy = "0 <= rate < 1", "Use 0.2, or 0 for no drop path."
        require(0 <= self.rate < 1, rule, remedy, rate=self.rate)

    def masks(self, outputs: int, like: Tensor) -> Tensor:
        """Factors 0 or 1 / (1 - rate) [outputs, samples, 1, 1, 1] for `like` [samples, ...]."""
        samples, shard = like.shape[0], self.shard or slice(None)
        start, step = shard.start or 0, shard.step or 1
        seed = int(torch.randint(2**62, (), generator=self.generator))
        shape, own = (start + step * (samples - 1) + 1, outputs), torch.Generator()
        drawn = torch.rand(shape, generator=own.manual_seed(seed), dtype=torch.float64)
        kept = (drawn[start::step] >= self.rate).to(like, non_blocking=True) / (1 - self.rate)
        return kept.t().reshape(outputs, samples, 1, 1, 1)


@dataclass(frozen=True)
class SkipDropout:
    """Each entry of what a skip-connect hands on is dropped with probability `rate`, the others are
    divided by 1 - rate (P-DARTS, section 3.3). `generator`: on the CPU.
    """

    rate: float
    generator: torch.Generator

    def mask(self, like: Tensor) -> Tensor:
        """Factors 0 or 1 / (1 - rate), shaped as `like`."""
        return kept(like.shape, self.rate, self.generator, like)


def kept(shape: Sequence[int], rate: float, generator: torch.Generator, like: Tensor) -> Tensor:
    """Factors of this shape: 0 with probability `rate`, else 1 / (1 - rate); drawn on the CPU."""
    drawn = torch.rand(tuple(shape), generator=generator)
    return (drawn >= rate).to(like, non_blocking=True) / (1 - rate)


@dataclass(frozen=True)
class Draw:
    """What one forward pass runs.

    `path`: one candidate per place, () for the first of each. `gates` [depth, width]: hard
    architecture weights, one-hot at the path, which receive the straight-through gradient: of every
    candidate with `others`, else of the drawn one alone (see `Mixed`). `edges`: weights inside the
    cells by their kind, None where nothing is left to choose. `drop_path` and `skip_dropout` rest
    in evaluation, as does `noise`: a generator on the CPU, of the dropout of language models.
    """

    path: Path = ()
    gates: Tensor | None = None
    others: bool = False
    edges: Mapping[str, EdgeWeights] | None = None
    drop_path: DropPath | None = None
    skip_dropout: SkipDropout | None = None
    noise: torch.Generator | None = None

    def candidate(self, place: int) -> int:
        """Which candidate runs at a place."""
        return self.path[place] if self.path else 0

    def gate(self, place: int) -> Tensor | None:
        """The hard weights [width] at a place."""
        return None if self.gates is None else self.gates[place]

    def inside(self, kind: str) -> EdgeWeights | None:
        """The weights inside the cells of a kind."""
        return None if self.edges is None else self.edges[kind]


class Scores(NamedTuple):
    """Class scores [batch, classes], and those of the auxiliary head in training mode. Of a
    language model [batch, time, words], with the cell's outputs [batch, time, units] and what
    dropout leaves of them.
    """

    main: Tensor
    auxiliary: Tensor | None = None
    outputs: Tensor | None = None
    dropped: Tensor | None = None
