"""The batch machinery that all searchers share.

A searcher proposes a batch (`ask`, one proposal at a time), waits until every proposal of it is
told (`tell`, in any order), updates itself from the whole batch in the order of the proposals'
indices, and goes on to the next batch: what it does depends neither on the order of completion nor
on how many trials run at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from searchers.base import Kind, Points, Proposal, State, Told, at_least, checked
from searchers.outcome import Outcome
from spaces.errors import require
from spaces.feature_space import FeatureSpace
from spaces.hyper import HyperArchitecture


def generate(
    space: FeatureSpace, points: NDArray[np.float64], rng: np.random.Generator
) -> HyperArchitecture:
    """The hyper-architecture [d][w] of one graph drawn per point [d, w, k] by the space's generator
    (FaDE 2.4).
    """
    return HyperArchitecture(
        tuple(tuple(space.sample(point, rng) for point in row) for row in points)
    )


def as_points(points: NDArray[np.float64]) -> Points:
    """[d, w, k] as plain tuples of floats."""
    return tuple(tuple(tuple(float(x) for x in point) for point in row) for row in points)


@dataclass
class _Item:
    """A proposal of the running batch: waiting, then asked (in flight), then told."""

    proposal: Proposal
    asked: bool = False
    outcome: Outcome | None = None


class BatchSearcher(ABC):
    """Batches, retries, seeds, the best architecture and the saved state of a searcher.

    A subclass is a dataclass of its arguments. Its `__post_init__` calls `_setup`, then `_propose`
    for the first batch; `_update` gets each finished batch and calls `_propose` for the next one: a
    searcher that proposes nothing is done. A failed proposal is asked again with a new seed at most
    `max_retries` times, then given up; either way the batch gets smaller with each tell, so that it
    always ends.
    """

    seed: int
    max_retries: int

    def _setup(self) -> None:
        at_least(0, seed=self.seed, max_retries=self.max_retries)
        self._rng = np.random.Generator(np.random.PCG64(self.seed))
        self._next_index = 0
        self._completed = 0  # batches
        self._batch: list[_Item] = []
        self._failures: list[tuple[str, str]] = []
        # index, architecture, accuracy
        self._best: tuple[int, HyperArchitecture, float] | None = None

    @abstractmethod
    def _update(self, told: Told) -> None:
        """Learn from the successful trials of batch number `_completed` and propose the next batch."""

    @abstractmethod
    def _own_state(self) -> State:
        """What the subclass has to save."""

    @abstractmethod
    def _load_own_state(self, state: State) -> None:
        """Inverse of `_own_state`."""

    def _propose(
        self,
        kind: Kind,
        hyper: HyperArchitecture,
        epochs: int,
        walk: int = 0,
        repeat: int = 0,
        points: Points = (),
        parent: str | None = None,
    ) -> None:
        iteration = self._completed + 1
        proposal = Proposal(
            "", self._next_index, 0, kind, iteration, walk, repeat, points, hyper, 0, epochs, parent
        )
        self._batch.append(_Item(self._attempt(proposal, 0)))
        self._next_index += 1

    def _attempt(self, proposal: Proposal, attempt: int) -> Proposal:
        # From the place in the search alone, never from the walking generator: a retry does not
        # change the walk.
        sequence = np.random.SeedSequence([self.seed, proposal.index, attempt])
        seed = int(sequence.generate_state(1)[0] >> 1)  # below 2**31
        id = f"{proposal.index:05d}" + (f"r{attempt}" if attempt else "")
        return replace(proposal, id=id, attempt=attempt, seed=seed)

    def ask(self) -> Proposal | None:
        for item in self._batch:
            if not item.asked:
                item.asked = True
                return item.proposal
        return None

    def tell(self, id: str, outcome: Outcome) -> None:
        flying = {
            item.proposal.id: item for item in self._batch if item.asked and item.outcome is None
        }
        remedy = "Answer each proposal of `ask` once."
        require(id in flying, "id in flight", remedy, id=id, in_flight=sorted(flying))
        item = flying[id]
        outcome = checked(item.proposal, outcome)
        if outcome.failure is not None and item.proposal.attempt < self.max_retries:
            item.proposal = self._attempt(item.proposal, item.proposal.attempt + 1)
            item.asked = False
            return
        item.outcome = outcome
        self._note(item.proposal, outcome)
        if all(item.outcome is not None for item in self._batch):
            self._finish()

    def _note(self, proposal: Proposal, outcome: Outcome) -> None:
        if proposal.kind != "evaluation" or outcome.score is None:
            return
        best = self._best
        # ties: lower index
        if best is None or (outcome.score, -proposal.index) > (best[2], -best[0]):
            self._best = (proposal.index, proposal.hyper, outcome.score)

    def _finish(self) -> None:
        self._failures = self.failures
        told = [
            (i.proposal, i.outcome)
            for i in self._batch
            if i.outcome is not None and i.outcome.failure is None
        ]
        self._batch = []
        self._completed += 1
        self._update(told)

    def spare(self) -> None:  # noqa: B027 - nothing to offer unless a subclass has something
        """As `AskTell.spare`."""

    @property
    def done(self) -> bool:
        return not self._batch

    @property
    def iteration(self) -> int:
        return self._completed + (1 if self._batch else 0)

    @property
    def anchors(self) -> list[list[list[float]]]:
        return []

    @property
    def best(self) -> tuple[HyperArchitecture, float] | None:
        return None if self._best is None else self._best[1:]

    @property
    def failures(self) -> list[tuple[str, str]]:
        outcomes = [(item.proposal.id, item.outcome) for item in self._batch]
        return self._failures + [
            (id, str(o.failure)) for id, o in outcomes if o is not None and o.failure is not None
        ]

    @property
    def in_flight(self) -> list[Proposal]:
        return [item.proposal for item in self._batch if item.asked and item.outcome is None]

    def arguments(self) -> State:
        """What this searcher was built from, JSON-able: a state may be loaded only where it is the
        same.
        """
        values = {field.name: getattr(self, field.name) for field in fields(cast(Any, self))}
        plain = {
            name: value for name, value in values.items() if isinstance(value, int | float | str)
        }
        spaces = [value for value in values.values() if isinstance(value, FeatureSpace)]
        described = [
            [len(space.cells), list(space.feature_map.names), list(space.bins)] for space in spaces
        ]
        return {"searcher": type(self).__name__, "space": described} | plain

    def state_dict(self) -> State:
        """All that a searcher of the same arguments needs to go on alike, JSON-able; the
        generator's state included.
        """
        batch = [
            [
                item.proposal.to_dict(),
                item.asked,
                None if item.outcome is None else item.outcome.to_dict(),
            ]
            for item in self._batch
        ]
        return {
            "arguments": self.arguments(),
            "generator": self._rng.bit_generator.state,
            "next_index": self._next_index,
            "completed": self._completed,
            "batch": batch,
            "failures": [list(failure) for failure in self._failures],
            "best": None
            if self._best is None
            else [self._best[0], self._best[1].code(), self._best[2]],
            "own": self._own_state(),
        }

    def load_state_dict(self, state: State) -> None:
        """Go on where `state_dict` was taken; InvalidInput if that searcher had other arguments."""
        mine, theirs = self.arguments(), state["arguments"]
        differing = sorted(name for name in mine | theirs if mine.get(name) != theirs.get(name))
        here, saved = ({name: values.get(name) for name in differing} for values in (mine, theirs))
        require(
            not differing,
            "same arguments",
            "Build the searcher as the saved one was.",
            here=here,
            saved=saved,
        )
        # first: where a searcher inside this one refuses, nothing has changed
        self._load_own_state(state["own"])
        self._rng.bit_generator.state = state["generator"]
        self._next_index, self._completed = state["next_index"], state["completed"]
        self._batch = [
            _Item(
                Proposal.from_dict(proposal),
                asked,
                None if outcome is None else Outcome.from_dict(outcome),
            )
            for proposal, asked, outcome in state["batch"]
        ]
        self._failures = [(id, reason) for id, reason in state["failures"]]
        best = state["best"]
        self._best = (
            None if best is None else (best[0], HyperArchitecture.from_code(best[1]), best[2])
        )
