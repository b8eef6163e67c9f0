"""The largest architectures first: what needs neither training nor a search, and what a search has
to beat.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from searchers.base import State, Told, at_least
from searchers.batch import BatchSearcher
from spaces.errors import require
from spaces.feature_space import FeatureSpace
from spaces.hyper import HyperArchitecture

LARGEST_SPACE = 10**6
"""Architectures that are put into order: all of the space, in memory."""


@dataclass(eq=False)
class SizeSearch(BatchSearcher):
    """Every architecture of a space once, from the largest to the smallest by the sum of its cells'
    `size`.

    Architectures of one size follow in an order that the seed draws: the order of a catalogue would
    favour one row. `trials`: how many of them are evaluated at most. Nothing is learned from any
    outcome. InvalidInput for a depth or count of zero, a kind of cell without a size, a space of
    more than a million architectures.
    """

    space: FeatureSpace = field(repr=False)
    depth: int
    trials: int
    evaluation_epochs: int = 30
    seed: int = 0
    max_retries: int = 2

    def __post_init__(self) -> None:
        at_least(1, depth=self.depth, trials=self.trials, evaluation_epochs=self.evaluation_epochs)
        count = len(self.space.cells) ** self.depth
        remedy = "They are all put into order: choose a smaller space, or another searcher."
        require(
            count <= LARGEST_SPACE,
            f"architectures <= {LARGEST_SPACE:,}",
            remedy,
            architectures=count,
        )
        self._setup()
        sizes = self._sizes()
        self._order = np.lexsort((self._rng.random(count), -sizes))
        self._propose_next()

    def _sizes(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """[n^d]: the size of every architecture, in lexicographic order of its cells' places in the
        catalogue.
        """
        cells = np.array([cell.size for cell in self.space.cells], dtype=float)
        sizes = np.zeros(1)
        for _ in range(self.depth):
            sizes = (sizes[:, None] + cells).reshape(-1)
        return sizes

    def _propose_next(self) -> None:
        if self._next_index >= min(self.trials, len(self._order)):
            return
        shape = (len(self.space.cells),) * self.depth
        places = np.unravel_index(self._order[self._next_index], shape)
        cells = [self.space.cells[int(place)] for place in places]
        points = tuple((tuple(self.space.embed(cell).tolist()),) for cell in cells)
        self._propose(
            "evaluation",
            HyperArchitecture(tuple((cell,) for cell in cells)),
            self.evaluation_epochs,
            points=points,
        )

    def _update(self, told: Told) -> None:
        self._propose_next()

    def _own_state(self) -> State:
        return {}  # the order is that of the arguments, the place in it the number of proposals

    def _load_own_state(self, state: State) -> None:
        pass
