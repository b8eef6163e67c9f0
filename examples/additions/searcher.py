"""A searcher of one's own: points of a Sobol sequence, which fill the space evenly.

fade-ray search --use searcher.py --searcher sobol --data digits --out runs/sobol
fade-ray compare --use searcher.py --searchers random sobol --data digits --out runs/even
"""

from dataclasses import dataclass

from scipy.stats import qmc

from searchers.points import PointOptions, PointSearch


@dataclass(frozen=True)
class SobolPoints(PointOptions, name="sobol"):
    """Points of a scrambled Sobol sequence in the box [0, 1]^(rows x features)."""

    def build(self, space, depth, lengths, seed):
        return SobolSearch(self, space, depth, lengths, seed)


class SobolSearch(PointSearch[SobolPoints]):
    """A function of the seed and the number of batches alone, so there is no state to be saved."""

    def next_points(self):
        batch, shape = self.options.batch, (-1, self.depth, self.space.dim)
        sequence = qmc.Sobol(shape[1] * shape[2], rng=self.seed)
        return sequence.random((self.opened + 1) * batch)[-batch:].reshape(shape)
