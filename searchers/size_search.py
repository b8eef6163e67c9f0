"""The largest architectures first: what a search has to beat."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from searchers.base import AskTell, Told
from searchers.batch import Array, SpaceSearcher
from searchers.options import Searcher, TrialLengths
from searchers.paths import paths_within
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
        limits = self.space.limits
        if limits:
            costs = [limits.costs(row, cells) for row, cells in enumerate(self._cells)]
            self._order = paths_within(sizes, costs, limits.room, self.rng)
        else:
            few = math.prod(map(len, sizes)) <= LARGEST_SPACE
            self._order = (sorted_sums if few else largest_first)(sizes, self.rng)
        self.ahead()

    def ahead(self) -> None:
        if self.proposed >= self.options.iterations:
            return
        places = next(self._order, None)
        if places is None:
            return
        cells = [row[place] for row, place in zip(self._cells, places, strict=True)]
        rows = enumerate(cells)
        points = np.stack([self.space.at(row).embed(cell) for row, cell in rows])[:, None, :]
        architecture = HyperArchitecture(tuple((cell,) for cell in cells))
        self.propose_architecture(architecture, points=points)

    def learn(self, told: Told) -> None:
        """The order is known before."""


def sorted_sums(sizes: Sequence[Array], rng: np.random.Generator) -> Iterator[Places]:
    """Places [d] of one candidate per row by falling sums of `sizes` [d][n_i], equal ones in an
    order that is drawn: all put into order at once.
    """
    sums = np.zeros(1)  # lexicographically by places
    for row in sizes:
        sums = (sums[:, None] + row).reshape(-1)
    shape = tuple(map(len, sizes))
    for place in np.lexsort((rng.random(len(sums)), -sums)):
        yield tuple(map(int, np.unravel_index(place, shape)))


def largest_first(sizes: Sequence[Array], rng: np.random.Generator) -> Iterator[Places]:
    """The same one by one, for spaces too large to be put into order. In a tree whose root is the
    largest architecture a child takes the next smaller candidate of one row, of its parent's last
    changed row or one behind it: each stands in it once, below what is larger.
    """
    orders = [np.lexsort((rng.random(len(row)), -row)) for row in sizes]
    falling = [row[order] for row, order in zip(sizes, orders, strict=True)]

    def entry(steps: Places, changed: int) -> tuple[float, float, Places, int]:
        total = sum(float(row[step]) for row, step in zip(falling, steps, strict=True))
        return -round(total, 9), float(rng.random()), steps, changed

    heap = [entry((0,) * len(sizes), 0)]
    while heap:
        _, _, steps, changed = heapq.heappop(heap)
        for row in range(changed, len(steps)):
            if steps[row] + 1 < len(falling[row]):
                below = (*steps[:row], steps[row] + 1, *steps[row + 1 :])
                heapq.heappush(heap, entry(below, row))
        yield tuple(int(order[step]) for order, step in zip(orders, steps, strict=True))
