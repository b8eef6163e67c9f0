"""Random search over the joint feature space: the baseline of FaDE 3.2."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from searchers.base import AskTell
from searchers.batch import Array
from searchers.options import Batch, TrialLengths
from searchers.points import PointOptions, PointSearch
from spaces.feature_space import Space


@dataclass(frozen=True)
class RandomPoints(PointOptions, name="random"):
    """Points drawn uniformly from the joint box [0, 1]^(d x k) and scored by evaluations.

    FaDE 3.2: 50 `iterations` of one point, the median of five, 30 epochs each.
    """

    batch: Batch = 2
    """Points per iteration."""

    def build(self, space: Space, depth: int, lengths: TrialLengths, seed: int) -> AskTell:
        return RandomSearch(self, space, depth, lengths, seed)


class RandomSearch(PointSearch[RandomPoints]):
    """The search of `RandomPoints`; `best` is the best single architecture."""

    def next_points(self) -> Iterator[Array]:
        return (self.uniform_points() for _ in range(self.options.batch))
