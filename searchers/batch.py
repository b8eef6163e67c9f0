"""The batch machinery that all searchers share.

A searcher proposes a batch (`ask`, one proposal at a time), waits until every proposal of it is
told (`tell`, in any order), learns from the whole batch in the order of the proposals' indices,
and goes on to the next batch: what it does depends neither on the order of completion nor on how
many trials run at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from searchers.attempts import Attempts, answered
from searchers.base import Kind, Proposal, Told, checked
from searchers.options import Searcher, TrialLengths
from searchers.outcome import Outcome
from spaces.errors import at_least
from spaces.feature_space import FeatureSpace
from spaces.hyper import HyperArchitecture

Array = NDArray[np.float64]
Options = TypeVar("Options", bound=Searcher)


class BatchSearcher(ABC):
    """Batches, retries, seeds, the best architecture and the saved state of a searcher.

    A subclass calls `propose` for its first batch in `begin`, and for the next one in `learn`,
    which gets each finished batch: a searcher that proposes nothing is done. It draws from `rng`
    alone. A failed proposal is asked again with a new seed at most `max_retries` times, then given
    up; either way the batch gets smaller with each tell, so that it always ends.
    """

    def __init__(self, seed: int, max_retries: int) -> None:
        at_least(0, seed=seed, max_retries=max_retries)
        self.seed, self.max_retries = seed, max_retries
        self.rng = np.random.Generator(np.random.PCG64(seed))
        self.completed = 0  # batches
        self.proposed = 0  # trials, retries not counted
        self._batch = self._fresh()
        self._failures: list[tuple[str, str]] = []
        # index, architecture, score
        self._best: tuple[int, HyperArchitecture, float] | None = None
        self.begin()

    @abstractmethod
    def begin(self) -> None:
        """Propose the first batch."""

    @abstractmethod
    def learn(self, told: Told) -> None:
        """Learn from the successful trials of batch `completed`, and propose the next one."""

    def propose(
        self,
        kind: Kind,
        hyper: HyperArchitecture,
        epochs: int,
        points: Array | None = None,
        **about: Any,
    ) -> None:
        """Add a trial to the next batch; `points` [d, w, k] are those `hyper` was drawn from,
        `about` its `walk`, `repeat` and `parent`.
        """
        nested = [] if points is None else points.tolist()
        place = {"index": self.proposed, "iteration": self.completed + 1, **about}
        place["points"] = tuple(tuple(tuple(point) for point in row) for row in nested)
        self._batch.add(self._attempt(Proposal("", kind, hyper, 0, epochs, **place), 0))
        self.proposed += 1

    def _attempt(self, proposal: Proposal, attempt: int) -> Proposal:
        # From the place in the search alone, never from the walking generator: a retry does not
        # change the walk.
        sequence = np.random.SeedSequence([self.seed, proposal.index, attempt])
        seed = int(sequence.generate_state(1)[0] >> 1)  # below 2**31
        id = f"{proposal.index:05d}" + (f"r{attempt}" if attempt else "")
        return replace(proposal, id=id, attempt=attempt, seed=seed)

    def _fresh(self) -> Attempts[Proposal]:
        """An empty batch."""
        return Attempts((), self._again, self.max_retries)

    def _again(self, proposal: Proposal) -> Proposal:
        return self._attempt(proposal, proposal.attempt + 1)

    def ask(self) -> Proposal | None:
        return self._batch.ask()

    def tell(self, id: str, outcome: Outcome) -> None:
        proposal = answered(id, {flying.id: flying for flying in self._batch.in_flight})
        outcome = checked(proposal, outcome)
        self._batch.tell(id, outcome)
        self._note(proposal, outcome)
        if self._batch.done:
            self._finish()

    def _note(self, proposal: Proposal, outcome: Outcome) -> None:
        if not proposal.scored or outcome.score is None:
            return
        best = self._best
        # ties: lower index
        if best is None or (outcome.score, -proposal.index) > (best[2], -best[0]):
            self._best = (proposal.index, proposal.hyper, outcome.score)

    def _finish(self) -> None:
        self._failures = self.failures
        told = [(last, outcome) for _, last, outcome in self._batch.told if outcome.failure is None]
        self._batch = self._fresh()
        self.completed += 1
        self.learn(told)

    def spare(self) -> None:  # noqa: B027 - nothing to offer unless a subclass has something
        """As `AskTell.spare`."""

    @property
    def done(self) -> bool:
        return len(self._batch) == 0

    @property
    def iteration(self) -> int:
        return self.completed + (not self.done)

    @property
    def anchors(self) -> list[list[list[float]]]:
        return []

    @property
    def best(self) -> tuple[HyperArchitecture, float] | None:
        return None if self._best is None else self._best[1:]

    @property
    def failures(self) -> list[tuple[str, str]]:
        return self._failures + self._batch.failures

    @property
    def in_flight(self) -> list[Proposal]:
        return self._batch.in_flight


class SpaceSearcher(BatchSearcher, Generic[Options]):
    """A search of chains of `depth` rows with cells of `space`, as `options` say."""

    def __init__(
        self, options: Options, space: FeatureSpace, depth: int, lengths: TrialLengths, seed: int
    ) -> None:
        at_least(1, depth=depth)
        self.options, self.space, self.depth, self.lengths = options, space, depth, lengths
        super().__init__(seed, lengths.max_retries)

    def uniform_points(self) -> Array:
        """A point per row, drawn uniformly from the feature space, [d, k]."""
        return np.asarray([self.space.uniform_point(self.rng) for _ in range(self.depth)])

    def generate(self, points: Array) -> HyperArchitecture:
        """One cell drawn per point [d, w, k] by the space's generator (FaDE 2.4)."""
        return HyperArchitecture(
            tuple(tuple(self.space.sample(point, self.rng) for point in row) for row in points)
        )

    def propose_at(self, points: Array, **about: Any) -> None:
        """The evaluation of an architecture generated from one point per row, [d, k]."""
        stacked = points[:, None, :]  # [d, 1, k]
        self.propose_architecture(self.generate(stacked), points=stacked, **about)

    def propose_architecture(self, architecture: HyperArchitecture, **about: Any) -> None:
        """The evaluation of an architecture, of window 1; `about` as in `propose`."""
        self.propose("evaluation", architecture, self.lengths.evaluation_epochs, **about)
