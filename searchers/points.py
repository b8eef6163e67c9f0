"""Searches that propose points of the joint feature space and score them by evaluations (FaDE 3.2)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from searchers.base import State, Told, at_least
from searchers.batch import BatchSearcher, as_points, generate
from spaces.feature_space import FeatureSpace

Point = NDArray[np.float64]  # [d, k]


class ScoredPoint(NamedTuple):
    """A point [d][k] of the joint feature space and its score: the median of its successful trials'
    accuracies.
    """

    point: tuple[tuple[float, ...], ...]
    median: float
    accuracies: tuple[float, ...]


@dataclass(eq=False)
class PointSearch(BatchSearcher):
    """What random and Bayesian search share: `batch` points per iteration, each scored by
    `evaluations` architectures.

    `points_scored` holds the points in the order of their proposals, without those none of whose
    evaluations succeeded. A proposal's `walk` is the number of its point within the batch.
    InvalidInput for a depth or count of zero.
    """

    space: FeatureSpace = field(repr=False)
    depth: int
    iterations: int
    batch: int = 1
    evaluations: int = 5
    evaluation_epochs: int = 30
    seed: int = 0
    max_retries: int = 2

    def __post_init__(self) -> None:
        self._check()
        self._setup()
        self.points_scored: list[ScoredPoint] = []
        self._propose_points()

    def _check(self) -> None:
        at_least(1, depth=self.depth, iterations=self.iterations, batch=self.batch)
        at_least(1, evaluations=self.evaluations, evaluation_epochs=self.evaluation_epochs)

    @abstractmethod
    def _next_points(self) -> Iterable[Point]:
        """The points [d, k] of the next batch, `batch` of them. Drawn one by one, each before its
        architectures are.
        """

    def _uniform_point(self) -> Point:
        return np.asarray([self.space.uniform_point(self._rng) for _ in range(self.depth)])

    def _propose_points(self) -> None:
        for walk, point in enumerate(self._next_points()):
            points = point[:, None, :]  # [d, 1, k]
            for repeat in range(self.evaluations):
                architecture = generate(self.space, points, self._rng)
                self._propose(
                    "evaluation",
                    architecture,
                    self.evaluation_epochs,
                    walk,
                    repeat,
                    as_points(points),
                )

    def _update(self, told: Told) -> None:
        for walk in range(self.batch):
            trials = [(p, o.score) for p, o in told if p.walk == walk and o.score is not None]
            if trials:
                point = tuple(row[0] for row in trials[0][0].points)
                accuracies = tuple(accuracy for _, accuracy in trials)
                self.points_scored.append(
                    ScoredPoint(point, float(np.median(accuracies)), accuracies)
                )
        if self._completed < self.iterations:
            self._propose_points()

    def _own_state(self) -> State:
        return {
            "points_scored": [
                [[list(row) for row in p], median, list(a)] for p, median, a in self.points_scored
            ]
        }

    def _load_own_state(self, state: State) -> None:
        self.points_scored = [
            ScoredPoint(tuple(tuple(row) for row in point), median, tuple(accuracies))
            for point, median, accuracies in state["points_scored"]
        ]
