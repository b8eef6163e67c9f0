"""The ask/tell protocol of all outer searchers: proposals, and what a searcher promises."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, Protocol, Self

from searchers.outcome import Outcome
from searchers.plan import Asks, State
from spaces.errors import require
from spaces.hyper import HyperArchitecture

Kind = Literal["ranks", "evaluation", "repeat", "retraining", "baseline"]
Points = tuple[tuple[tuple[float, ...], ...], ...]  # [d][w][k]


@dataclass(frozen=True)
class Trial:
    """One training of a hyper-architecture, or of an architecture in it.

    `kind` "ranks": train `hyper` and report its log FaDE weights; "evaluation": train the
    architecture `hyper` (width one) and report its score on the architecture split; "repeat": the
    same of one that was evaluated before;
    "retraining": train the found architecture from scratch; "baseline": train the `network` of that
    name, which `hyper` says the size of, in the same way. `seed` in [0, 2**31), `epochs` >= 1;
    `attempt` counts from 0, and `id` differs between attempts. `parent` is the id of the trial
    whose final network weights initialise this one.
    """

    id: str
    kind: Kind
    hyper: HyperArchitecture
    seed: int
    epochs: int
    attempt: int = 0
    parent: str | None = None
    network: str = ""

    @property
    def ranks(self) -> bool:
        """Whether log weights are asked for; they serve later batches only."""
        return self.kind == "ranks"

    @property
    def scored(self) -> bool:
        """Whether a score is asked for and fed back to the searcher."""
        return self.kind in ("evaluation", "repeat")

    @property
    def final(self) -> bool:
        """Whether what is measured is the result of the run, fed back to nobody."""
        return self.kind == "retraining"

    @property
    def follows(self) -> bool:
        """Whether it is a training from scratch behind the search: of what was found, or of what
        that is held against.
        """
        return self.kind in ("retraining", "baseline")

    def to_dict(self) -> State:
        """JSON-able; the hyper-architecture as its code."""
        return {each.name: getattr(self, each.name) for each in fields(self)} | {
            "hyper": self.hyper.code()
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`; what else there is in `data` is left out."""
        values = {each.name: data[each.name] for each in fields(cls) if each.name in data}
        return cls(**values | {"hyper": HyperArchitecture.from_code(data["hyper"])})


@dataclass(frozen=True)
class Proposal(Trial):
    """A trial that a searcher asks for.

    `index` counts first attempts in ask order over the whole search; `id` is made of it and of the
    attempt. `iteration` is the number of the batch, from 1; `walk` that of the walk it belongs to
    and `repeat` that of the trial among several alike, both from 0. `points` [d][w][k] are the
    feature points `hyper` was generated from, () where there are none.
    """

    index: int = 0
    iteration: int = 1
    walk: int = 0
    repeat: int = 0
    points: Points = ()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        points = tuple(tuple(tuple(point) for point in row) for row in data["points"])
        return super().from_dict({**data, "points": points})


# all trials of a batch, sorted by index: the last attempt at each, and its outcome
Told = list[tuple[Proposal, Outcome]]


class AskTell(Asks[Proposal], Protocol):
    """An outer searcher. `tell` raises InvalidInput for an outcome of no such trial, too."""

    def spare(self) -> None:
        """Add to the batch evaluations that are worth the rest of a budget, for `ask` to give; none
        where nothing is known of any.

        For a search that ends with this batch, complete or not: how often it is called must not
        change what it asks otherwise.
        """

    @property
    def iteration(self) -> int:
        """Number of the earliest batch under way, from 1; of the last one when done."""

    @property
    def anchors(self) -> list[list[list[float]]]:
        """[walk][d][k], those that `iteration` began with, the last when done; [] for a searcher
        without anchors.
        """

    @property
    def best(self) -> tuple[HyperArchitecture, float] | None:
        """Best evaluated architecture so far and its score, ties by lower index."""

    @property
    def failures(self) -> list[tuple[str, str]]:
        """(id of the last attempt, reason) of every proposal given up."""

    @property
    def in_flight(self) -> list[Proposal]:
        """Asked and not yet told: what has to run again after a restart from a saved state."""


def checked(proposal: Proposal, outcome: Outcome) -> Outcome:
    """What a searcher acts on, as plain floats; a failure where the trial found nothing, NaN or
    infinity. InvalidInput for what no such trial gives: log weights of another shape or above 0.
    """
    if outcome.failure is not None:
        return Outcome(failure=outcome.failure)
    if proposal.ranks:
        return _checked_ranks(proposal, outcome.log_weights)
    return _checked_score(proposal, outcome.score)


def _checked_ranks(proposal: Proposal, rows: Sequence[Sequence[float]] | None) -> Outcome:
    if rows is None:
        return Outcome.failed("bad input", "a ranks trial must give log weights, but it gave none")
    shape, shape_told = [proposal.hyper.width] * proposal.hyper.depth, [len(row) for row in rows]
    remedy = f"Tell proposal {proposal.id} one log weight for each place of its hyper-architecture."
    require(shape_told == shape, f"row lengths == {shape}", remedy, row_lengths=shape_told)
    log_weights = tuple(tuple(float(value) for value in row) for row in rows)
    if not all(math.isfinite(value) for row in log_weights for value in row):
        reason = "log weights must be finite, but there is NaN or infinity among them"
        return Outcome.failed("diverged", reason)
    largest = max(value for row in log_weights for value in row)
    # Rounding of a log-softmax may exceed 0 a little; weights or logits by mistake exceed it a lot.
    remedy = "Tell log-softmax values, not weights or logits."
    require(largest <= 1e-6, "log weight <= 0", remedy, largest=largest)
    return Outcome(log_weights=log_weights)


def _checked_score(proposal: Proposal, score: float | None) -> Outcome:
    if score is None:
        if not proposal.scored:
            return Outcome()
        return Outcome.failed("bad input", "an evaluation must give a score, but it gave none")
    if not math.isfinite(score):
        return Outcome.failed("diverged", f"a score must be finite, but it is {score}")
    return Outcome(score=float(score))
