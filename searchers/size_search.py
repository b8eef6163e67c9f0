"""The largest architectures first: what a search has to beat."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from searchers.base import AskTell, Told
from searchers.batch import Array, SpaceSearcher
from searchers.options import Searcher, TrialLengths
from spaces.feature_space import Space
from spaces.hyper import HyperArchitecture

LARGEST_SPACE = 10**6
"""Architectures that are put into order at once: all of the space, in memory."""
Places = tuple[int, ...]


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
    without a size.
    """

    def begin(self) -> None:
        self._cells = [self.space.at(row).cells for row in range(self.depth)]
        sizes = [np.array([cell.size for cell in cells], dtype=float) for cells in self._cells]
        self._count = math.prod(map(len, sizes))
        self._order = (
            Sorted(sizes, self.rng)
            if self._count <= LARGEST_SPACE
            else LargestFirst(sizes, self.rng)
        )
        self.ahead()

    def ahead(self) -> None:
        if self.proposed >= min(self.options.iterations, self._count):
            return
        places = self._order.next()
        cells = [row[place] for row, place in zip(self._cells, places, strict=True)]
        rows = enumerate(cells)
        points = np.stack([self.space.at(row).embed(cell) for row, cell in rows])[:, None, :]
        architecture = HyperArchitecture(tuple((cell,) for cell in cells))
        self.propose_architecture(architecture, points=points)

    def learn(self, told: Told) -> None:
        """The order is known before."""


class Sorted:
    """Places [d] of one candidate per row by falling sums of `sizes` [d][n_i], equal ones in an
    order that is drawn: all put into order at once.
    """

    def __init__(self, sizes: Sequence[Array], rng: np.random.Generator) -> None:
        sums = np.zeros(1)  # lexicographically by places
        for row in sizes:
            sums = (sums[:, None] + row).reshape(-1)
        self._shape, self._given = tuple(map(len, sizes)), 0
        self._order = np.lexsort((rng.random(len(sums)), -sums))

    def next(self) -> Places:
        places = np.unravel_index(self._order[self._given], self._shape)
        self._given += 1
        return tuple(map(int, places))


class LargestFirst:
    """The same one by one, for spaces too large to be put into order. In a tree whose root is the
    largest architecture a child takes the next smaller candidate of one row, of its parent's last
    changed row or one behind it: each stands in it once, below what is larger.
    """

    def __init__(self, sizes: Sequence[Array], rng: np.random.Generator) -> None:
        self._rng = rng
        self._orders = [np.lexsort((rng.random(len(row)), -row)) for row in sizes]
        self._sizes = [row[order] for row, order in zip(sizes, self._orders, strict=True)]
        self._heap = list[tuple[float, float, Places, int]]()
        self._add((0,) * len(sizes), 0)

    def _add(self, steps: Places, changed: int) -> None:
        total = sum(float(row[step]) for row, step in zip(self._sizes, steps, strict=True))
        heapq.heappush(self._heap, (-round(total, 9), float(self._rng.random()), steps, changed))

    def next(self) -> Places:
        _, _, steps, changed = heapq.heappop(self._heap)
        for row in range(changed, len(steps)):
            if steps[row] + 1 < len(self._sizes[row]):
                self._add((*steps[:row], steps[row] + 1, *steps[row + 1 :]), row)
        return tuple(int(order[step]) for order, step in zip(self._orders, steps, strict=True))
