"""The largest architectures first: what a search has to beat."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from searchers.base import AskTell, Told
from searchers.batch import Array, SpaceSearcher
from searchers.options import Searcher, TrialLengths
from spaces.errors import require
from spaces.feature_space import Space
from spaces.hyper import HyperArchitecture

LARGEST_SPACE = 10**6
"""Architectures that are put into order: all of the space, in memory."""


@dataclass(frozen=True)
class BySize(Searcher, name="by-size"):
    """A control without any search: every architecture once, from the largest to the smallest by
    the sum of its cells' `size`, one per iteration.

    Architectures of one size follow in an order that the seed draws: the order of a catalogue would
    favour one row.
    """

    def build(self, space: Space, depth: int, lengths: TrialLengths, seed: int) -> AskTell:
        return SizeSearch(self, space, depth, lengths, seed)


class SizeSearch(SpaceSearcher[BySize]):
    """The search of `BySize`; nothing is learned from any outcome. InvalidInput for a kind of cell
    without a size, and for a space of more than a million architectures.
    """

    def begin(self) -> None:
        self._cells = [self.space.at(row).cells for row in range(self.depth)]
        count = math.prod(map(len, self._cells))
        remedy = "They are all put into order: choose a smaller space, or another searcher."
        require(
            count <= LARGEST_SPACE,
            f"architectures <= {LARGEST_SPACE:,}",
            remedy,
            architectures=count,
        )
        sizes = self._sizes()
        self._order = np.lexsort((self.rng.random(count), -sizes))
        self.ahead()

    def _sizes(self) -> Array:
        """[architectures]: the size of each, lexicographically by its cells."""
        sizes = np.zeros(1)
        for cells in self._cells:
            row = np.array([cell.size for cell in cells], dtype=float)
            sizes = (sizes[:, None] + row).reshape(-1)
        return sizes

    def ahead(self) -> None:
        if self.proposed >= min(self.options.iterations, len(self._order)):
            return
        shape = tuple(map(len, self._cells))
        places = np.unravel_index(self._order[self.proposed], shape)
        cells = [row[int(place)] for row, place in zip(self._cells, places, strict=True)]
        rows = enumerate(cells)
        points = np.stack([self.space.at(row).embed(cell) for row, cell in rows])[:, None, :]
        architecture = HyperArchitecture(tuple((cell,) for cell in cells))
        self.propose_architecture(architecture, points=points)

    def learn(self, told: Told) -> None:
        """The order is known before."""
