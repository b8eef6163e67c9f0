"""Random search over the joint feature space: the baseline of FaDE 3.2."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from searchers.points import Point, PointSearch


@dataclass(eq=False)
class RandomSearch(PointSearch):
    """Points drawn uniformly from the joint box [0, 1]^(d x k) and scored by evaluations (FaDE
    3.2).

    A point's score is the median accuracy of `evaluations` architectures generated from it. The
    paper: 50 `iterations` of one point (`batch`), the median of five, 30 `evaluation_epochs`.
    `best` is the best single architecture. InvalidInput for a depth or count of zero.
    """

    def _next_points(self) -> Iterator[Point]:
        return (self._uniform_point() for _ in range(self.batch))
