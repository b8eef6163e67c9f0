"""The batch machinery that all searchers share.

A searcher proposes trials in batches (`ask`, one at a time; `tell`, in any order) and learns from
each batch when all of it is in. Where a search does not need what is under way to propose more, it
opens further batches for those that ask: nobody waits for the slowest. What is asked then depends
on the order in which outcomes are told, and on nothing else: told again in that order it asks the
same, and with one trial at a time there is but one order. In `lockstep` a search opens the next
batch when the one before is complete, so that the order does not matter.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from searchers.attempts import Attempts
from searchers.base import Kind, Proposal, Told, checked
from searchers.options import Searcher, TrialLengths
from searchers.outcome import Outcome
from spaces.errors import at_least
from spaces.feature_space import Space
from spaces.generator import generate, uniform_points, within
from spaces.hyper import HyperArchitecture

Array = NDArray[np.float64]
Options = TypeVar("Options", bound=Searcher)


@dataclass
class _Batch:
    """Trials that are learned from together: the index of the first one, how many they are, and
    those that have ended.
    """

    iteration: int
    first: int
    size: int = 0
    told: Told = field(default_factory=list)


class BatchSearcher(ABC):
    """Batches, retries, seeds, the best architecture and the saved state of a searcher.

    A subclass calls `propose` for its first batch in `begin`, and for later ones in `learn`, which
    gets each finished batch, or in `ahead`, for batches that need not wait for it: a searcher that
    proposes nothing is done. It draws from `rng` alone. A failed proposal is asked again with a new
    seed at most `max_retries` times, then given up; either way the batch gets smaller with each
    tell, so that it always ends.
    """

    def __init__(self, seed: int, max_retries: int, lockstep: bool = False) -> None:
        at_least(0, seed=seed, max_retries=max_retries)
        self.seed, self.lockstep = seed, lockstep
        self.rng = np.random.Generator(np.random.PCG64(seed))
        self.opened = 0  # batches
        self.completed = 0
        self.proposed = 0  # trials, retries not counted
        self._trials = Attempts[Proposal]((), self._again, max_retries)
        self._batches: dict[Hashable, _Batch] = {}  # open ones, in the order of their beginning
        self._ended: list[Hashable] = []  # of those, the ones to be learned from
        # index, architecture, score
        self._best: tuple[int, HyperArchitecture, float] | None = None
        self._open(self.begin)

    @abstractmethod
    def begin(self) -> None:
        """Propose the first batch."""

    @abstractmethod
    def learn(self, told: Told) -> None:
        """Learn from a batch, all of whose trials have ended, well or not; perhaps propose."""

    def ahead(self) -> None:  # noqa: B027 - for searchers that need what is under way
        """Propose a batch beside those that are under way, or after them; nothing where there is
        none, and then nothing is drawn either.
        """

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
        place = {"index": self.proposed, "iteration": self.opened + 1, **about}
        place["points"] = tuple(tuple(tuple(point) for point in row) for row in nested)
        proposal = self._attempt(Proposal("", kind, hyper, 0, epochs, **place), 0)
        opened = _Batch(proposal.iteration, proposal.index)
        self._batches.setdefault(self.batch_of(proposal), opened).size += 1
        self._trials.add(proposal, rank=proposal.iteration)  # those that are behind go first
        self.proposed += 1

    def batch_of(self, proposal: Proposal) -> Hashable:
        """What the trials of a batch have in common."""
        return proposal.iteration

    def _open(self, propose: Callable[[], None]) -> None:
        before = self.proposed
        propose()
        self.opened += self.proposed > before

    def _attempt(self, proposal: Proposal, attempt: int) -> Proposal:
        # From the place in the search alone, never from the walking generator: a retry does not
        # change the walk.
        sequence = np.random.SeedSequence([self.seed, proposal.index, attempt])
        seed = int(sequence.generate_state(1)[0] >> 1)  # below 2**31
        id = f"{proposal.index:05d}" + (f"r{attempt}" if attempt else "")
        return replace(proposal, id=id, attempt=attempt, seed=seed)

    def _again(self, proposal: Proposal) -> Proposal:
        return self._attempt(proposal, proposal.attempt + 1)

    def ask(self) -> Proposal | None:
        if not self.lockstep and not self._trials.waiting:
            self._open(self.ahead)
        return self._trials.ask()

    def tell(self, id: str, outcome: Outcome) -> None:
        proposal = self._trials.flying(id)
        outcome = checked(proposal, outcome)
        self._trials.tell(id, outcome)
        self._note(proposal, outcome)
        if not self._trials.repeats(proposal, outcome):
            self._end(proposal, outcome)

    def _note(self, proposal: Proposal, outcome: Outcome) -> None:
        if not proposal.scored or outcome.score is None:
            return
        best = self._best
        # ties: lower index
        if best is None or (outcome.score, -proposal.index) > (best[2], -best[0]):
            self._best = (proposal.index, proposal.hyper, outcome.score)

    def _end(self, proposal: Proposal, outcome: Outcome) -> None:
        """Of the last attempt at a trial."""
        key = self.batch_of(proposal)
        batch = self._batches[key]
        batch.told.append((proposal, outcome))
        if len(batch.told) == batch.size:
            self._ended.append(key)
        if self._trials.done or not self.lockstep:
            self._learn_from_ended()
        if self._trials.done:
            self._open(self.ahead)

    def _learn_from_ended(self) -> None:
        ended, self._ended = [self._batches.pop(key) for key in self._ended], []
        for batch in sorted(ended, key=lambda batch: batch.first):
            self.completed += 1
            told = sorted(batch.told, key=lambda trial: trial[0].index)
            self._open(partial(self.learn, told))

    def spare(self) -> None:  # noqa: B027 - nothing to offer unless a subclass has something
        """As `AskTell.spare`."""

    @property
    def done(self) -> bool:
        return not self._batches

    @property
    def iteration(self) -> int:
        earliest = next(iter(self._batches.values()), None)
        return self.opened if earliest is None else earliest.iteration

    @property
    def anchors(self) -> list[list[list[float]]]:
        return []

    @property
    def best(self) -> tuple[HyperArchitecture, float] | None:
        return None if self._best is None else self._best[1:]

    @property
    def failures(self) -> list[tuple[str, str]]:
        return self._trials.failures

    @property
    def in_flight(self) -> list[Proposal]:
        return self._trials.in_flight


class SpaceSearcher(BatchSearcher, Generic[Options]):
    """A search of chains of `depth` rows with cells of `space`, as `options` say."""

    def __init__(
        self, options: Options, space: Space, depth: int, lengths: TrialLengths, seed: int
    ) -> None:
        at_least(1, depth=depth)
        self.options, self.space, self.depth, self.lengths = options, space, depth, lengths
        super().__init__(seed, lengths.max_retries, lengths.lockstep)

    def uniform_points(self) -> Array:
        """A point per row, drawn uniformly from the feature space, [d, k]."""
        return uniform_points(self.space, self.depth, self.rng)

    def generate(self, points: Array) -> HyperArchitecture:
        """One cell drawn per point [d, w, k] by the space's generator (FaDE 2.4)."""
        return generate(self.space, points, self.rng)

    def propose_at(self, points: Array, **about: Any) -> None:
        """The evaluation of an architecture generated from one point per row, [d, k]."""
        stacked = points[:, None, :]  # [d, 1, k]
        self.propose_architecture(self.generate(stacked), points=stacked, **about)

    def propose_architecture(self, architecture: HyperArchitecture, **about: Any) -> None:
        """The evaluation of an architecture, of window 1, or of one near it that keeps to the
        limits of the space; `about` as in `propose`.
        """
        kept = within(self.space, lambda: architecture, self.rng, 1)
        self.propose("evaluation", kept, self.lengths.evaluation_epochs, **about)
