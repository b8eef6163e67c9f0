"""Searches for points of the joint feature space, scored by evaluations (FaDE 3.2)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np

from searchers.base import Told
from searchers.batch import Array, SpaceSearcher
from searchers.options import Batch, Searcher
from spaces.errors import at_least


@dataclass(frozen=True)
class PointOptions(Searcher):
    """What searches over points share."""

    batch: Batch = 1
    """Points per iteration."""
    evaluations: int = 5
    """Architectures that are generated from a point and trained; their median score is its score.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, batch=self.batch, evaluations=self.evaluations)


Options = TypeVar("Options", bound=PointOptions)


Point = tuple[tuple[float, ...], ...]  # [d][k]


class ScoredPoint(NamedTuple):
    """A point and the median of its successful trials' scores."""

    point: Point
    median: float
    scores: tuple[float, ...]


class PointSearch(SpaceSearcher[Options]):
    """What random and Bayesian search share: `batch` points per iteration, each scored by
    `evaluations` architectures.

    `points_scored` holds the points of the batches that are complete, in that order, without those
    none of whose evaluations succeeded; `points_pending` those of the other batches, by iteration.
    """

    @abstractmethod
    def next_points(self) -> Iterable[Array]:
        """The `batch` next points [d, k]; drawn one by one, each before its architectures."""

    def begin(self) -> None:
        self.points_scored: list[ScoredPoint] = []
        self.points_pending: dict[int, list[Point]] = {}
        self.ahead()

    def ahead(self) -> None:
        if self.opened == self.options.iterations:
            return
        pending = self.points_pending[self.opened + 1] = []
        for point in self.next_points():
            pending.append(tuple(tuple(row) for row in point.tolist()))
            for repeat in range(self.options.evaluations):
                self.propose_at(point, repeat=repeat)

    def learn(self, told: Told) -> None:
        (first, _), evaluations = told[0], self.options.evaluations
        for number, point in enumerate(self.points_pending.pop(first.iteration)):
            outcomes = [outcome for _, outcome in told[number * evaluations :][:evaluations]]
            scores = tuple(outcome.score for outcome in outcomes if outcome.score is not None)
            if scores:
                self.points_scored.append(ScoredPoint(point, float(np.median(scores)), scores))
