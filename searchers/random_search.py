"""Random search over the joint feature space: the baseline of FaDE 3.2."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from searchers.base import State, Told, at_least
from searchers.batch import BatchSearcher, as_points, generate
from spaces.feature_space import FeatureSpace


class ScoredPoint(NamedTuple):
    """A point [d][k] of the joint feature space and its score: the median of its successful trials' accuracies."""

    point: tuple[tuple[float, ...], ...]
    median: float
    accuracies: tuple[float, ...]


@dataclass(eq=False)
class RandomSearch(BatchSearcher):
    """Points drawn uniformly from the joint box [0, 1]^(d x k) and scored by evaluations (FaDE 3.2).

    A point's score is the median accuracy of `evaluations` architectures generated from it. The paper: 50 `iterations`
    of one point (`batch`), the median of five, 30 `evaluation_epochs`. `best` is the best single architecture;
    `points_scored` the points in the order of their proposals, without those none of whose evaluations succeeded. A
    proposal's `walk` is the number of its point within the batch. InvalidInput for a depth or count of zero.
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
        at_least(1, depth=self.depth, iterations=self.iterations, batch=self.batch)
        at_least(1, evaluations=self.evaluations, evaluation_epochs=self.evaluation_epochs)
        self._setup()
        self.points_scored: list[ScoredPoint] = []
        self._propose_points()

    def _propose_points(self) -> None:
        for walk in range(self.batch):
            points = np.asarray([[self.space.uniform_point(self._rng)] for _ in range(self.depth)])  # [d, 1, k]
            for repeat in range(self.evaluations):
                architecture = generate(self.space, points, self._rng)
                self._propose("evaluation", architecture, self.evaluation_epochs, walk, repeat, as_points(points))

    def _update(self, told: Told) -> None:
        for walk in range(self.batch):
            trials = [(p, o.accuracy) for p, o in told if p.walk == walk and o.accuracy is not None]
            if trials:
                point = tuple(row[0] for row in trials[0][0].points)
                accuracies = tuple(accuracy for _, accuracy in trials)
                self.points_scored.append(ScoredPoint(point, float(np.median(accuracies)), accuracies))
        if self._completed < self.iterations:
            self._propose_points()

    def _own_state(self) -> State:
        return {"points_scored": [[[list(row) for row in p], median, list(a)] for p, median, a in self.points_scored]}

    def _load_own_state(self, state: State) -> None:
        self.points_scored = [
            ScoredPoint(tuple(tuple(row) for row in point), median, tuple(accuracies))
            for point, median, accuracies in state["points_scored"]
        ]
