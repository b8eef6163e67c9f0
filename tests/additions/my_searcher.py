"""A searcher of one's own: the best architecture so far with a new cell in one row."""

from dataclasses import dataclass

from searchers import Searcher, SpaceSearcher
from spaces import HyperArchitecture


@dataclass(frozen=True)
class Climbing(Searcher, name="climbing"):
    """Hill climbing from a random architecture."""

    tries: int = 2
    """Neighbours that are evaluated per iteration."""

    def build(self, space, depth, lengths, seed):
        return ClimbingSearch(self, space, depth, lengths, seed)


class ClimbingSearch(SpaceSearcher[Climbing]):
    def begin(self):
        self.propose_at(self.uniform_points())

    def learn(self, told):
        if self.best is None or self.completed >= self.options.iterations:
            return
        for _ in range(self.options.tries):
            rows, row = list(self.best[0].rows), self.rng.integers(self.depth)
            rows[row] = (self.rng.choice(self.space.at(row).cells),)
            self.propose_architecture(HyperArchitecture(tuple(rows)))
