"""Searches for points of the joint feature space, scored by evaluations (FaDE 3.2)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
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


class ScoredPoint(NamedTuple):
    """A point [d][k] and the median of its successful trials' scores."""

    point: tuple[tuple[float, ...], ...]
    median: float
    scores: tuple[float, ...]


class PointSearch(SpaceSearcher[Options]):
    """What random and Bayesian search share: `batch` points per iteration, each scored by
    `evaluations` architectures.

    `points_scored` holds the points in the order of their proposals, without those none of whose
    evaluations succeeded.
    """

    @abstractmethod
    def next_points(self) -> Iterable[Array]:
        """The `batch` next points [d, k]; drawn one by one, each before its architectures."""

    def begin(self) -> None:
        self.points_scored: list[ScoredPoint] = []
        self._propose_points()

    def _propose_points(self) -> None:
        for point in self.next_points():
            for repeat in range(self.options.evaluations):
                self.propose_at(point, repeat=repeat)

    def learn(self, told: Told) -> None:
        evaluations = self.options.evaluations
        first = self.proposed - self.options.batch * evaluations
        for _, trials in groupby(told, lambda trial: (trial[0].index - first) // evaluations):
            proposals, outcomes = zip(*trials, strict=True)
            scores = tuple(outcome.score for outcome in outcomes)
            point = tuple(row[0] for row in proposals[0].points)
            self.points_scored.append(ScoredPoint(point, float(np.median(scores)), scores))
        if self.completed < self.options.iterations:
            self._propose_points()
