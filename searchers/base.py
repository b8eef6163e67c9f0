"""The ask/tell protocol of all outer searchers: proposals, outcomes and what a searcher promises."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, Protocol, Self

from spaces.errors import require
from spaces.hyper import HyperArchitecture

Kind = Literal["ranks", "evaluation", "retraining"]
Points = tuple[tuple[tuple[float, ...], ...], ...]  # [d][w][k]
State = dict[str, Any]  # values that json writes and reads back unchanged


@dataclass(frozen=True)
class Proposal:
    """One trial to run.

    `kind` "ranks": train `hyper` and report its log FaDE weights; "evaluation": train the
    architecture `hyper` (width one) and report its accuracy on the architecture split;
    "retraining": train the found architecture from scratch. `index` counts first attempts in ask
    order over the whole search, `attempt` the retries of one of them; `id` is made of both.
    `iteration` is the number of the batch, from 1. `points` [d][w][k] are the feature points
    `hyper` was generated from, () where there are none. `parent` is the id of the proposal whose
    final network weights initialise this one. `seed` in [0, 2**31), `epochs` >= 1.
    """

    id: str
    index: int
    attempt: int
    kind: Kind
    iteration: int
    walk: int
    repeat: int
    points: Points
    hyper: HyperArchitecture
    seed: int
    epochs: int
    parent: str | None = None

    def to_dict(self) -> State:
        """JSON-able; the hyper-architecture as its code."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        points = [[list(point) for point in row] for row in self.points]
        return plain | {"points": points, "hyper": self.hyper.code()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        points = tuple(tuple(tuple(point) for point in row) for row in data["points"])
        return cls(
            **{**data, "points": points, "hyper": HyperArchitecture.from_code(data["hyper"])}
        )


@dataclass(frozen=True)
class Outcome:
    """What a trial found: one of the first three.

    `log_weights` [d][w]: log FaDE weight credited to each place of the hyper-architecture (a
    duplicate gets the full weight of its distinct candidate). `accuracy` in [0, 1]. `failure`: why
    there is neither. `cost`: what it took, in the unit of the run's budget, where there is one;
    searchers do not look at it.
    """

    log_weights: tuple[tuple[float, ...], ...] | None = None
    accuracy: float | None = None
    failure: str | None = None
    cost: float | None = None

    def to_dict(self) -> State:
        rows = None if self.log_weights is None else [list(row) for row in self.log_weights]
        known = {} if self.cost is None else {"cost": self.cost}
        return {"log_weights": rows, "accuracy": self.accuracy, "failure": self.failure} | known

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        rows = data.get("log_weights")
        log_weights = None if rows is None else tuple(tuple(row) for row in rows)
        return cls(log_weights, data.get("accuracy"), data.get("failure"), data.get("cost"))


Told = list[tuple[Proposal, Outcome]]  # the successful trials of a batch, sorted by index


class AskTell(Protocol):
    """What the loop, the Tune adapter and the tests know of a searcher."""

    def ask(self) -> Proposal | None:
        """The next trial; None while all of the batch is in flight, and when done."""

    def tell(self, id: str, outcome: Outcome) -> None:
        """Answer a proposal, in any order. InvalidInput if `id` is not in flight or `outcome` is of
        no such trial.
        """

    def spare(self) -> None:
        """Add to the batch evaluations that are worth the rest of a budget, for `ask` to give; none
        where nothing is known of any.

        For a search that ends with this batch, complete or not: how often it is called must not
        change what it asks otherwise.
        """

    @property
    def done(self) -> bool: ...

    @property
    def iteration(self) -> int:
        """Number of the current batch, from 1; of the last one when done."""

    @property
    def anchors(self) -> list[list[list[float]]]:
        """[walk][d][k]; [] for a searcher without anchors."""

    @property
    def best(self) -> tuple[HyperArchitecture, float] | None:
        """Best evaluated architecture so far and its accuracy, ties by lower index."""

    @property
    def failures(self) -> list[tuple[str, str]]:
        """(id of the last attempt, reason) of every proposal given up."""

    @property
    def in_flight(self) -> list[Proposal]:
        """Asked and not yet told: what has to run again after a restart from a saved state."""

    def state_dict(self) -> State: ...

    def load_state_dict(self, state: State) -> None: ...


def at_least(low: int, **values: int) -> None:
    """InvalidInput for the first of `values` below `low`."""
    for name, value in values.items():
        require(
            value >= low,
            f"{name} >= {low}",
            f"Give `{name}` a value of {low} or more.",
            **{name: value},
        )


def checked(proposal: Proposal, outcome: Outcome) -> Outcome:
    """The outcome as plain floats; a failure where the trial found nothing, NaN or infinity instead
    of what is asked.

    InvalidInput where it is no result of such a trial at all: log weights of another shape or above
    0, an accuracy outside [0, 1].
    """
    if outcome.failure is not None:
        return Outcome(failure=str(outcome.failure))
    if proposal.kind == "ranks":
        return _checked_ranks(proposal, outcome.log_weights)
    return _checked_accuracy(proposal, outcome.accuracy)


def _checked_ranks(proposal: Proposal, rows: Sequence[Sequence[float]] | None) -> Outcome:
    if rows is None:
        return Outcome(failure="a ranks trial must give log weights, but it gave none")
    shape, shape_told = [proposal.hyper.width] * proposal.hyper.depth, [len(row) for row in rows]
    remedy = f"Tell proposal {proposal.id} one log weight for each place of its hyper-architecture."
    require(shape_told == shape, f"row lengths == {shape}", remedy, row_lengths=shape_told)
    log_weights = tuple(tuple(float(value) for value in row) for row in rows)
    if not all(math.isfinite(value) for row in log_weights for value in row):
        return Outcome(
            failure="log weights must be finite, but there is NaN or infinity among them"
        )
    largest = max(value for row in log_weights for value in row)
    # Rounding of a log-softmax may exceed 0 a little; weights or logits given by mistake exceed it
    # a lot.
    require(
        largest <= 1e-6,
        "log weight <= 0",
        "Tell log-softmax values, not weights or logits.",
        largest=largest,
    )
    return Outcome(log_weights=log_weights)


def _checked_accuracy(proposal: Proposal, accuracy: float | None) -> Outcome:
    # a retraining may keep its test accuracy to itself: nothing is fed back from it
    if accuracy is None:
        missing = (
            None
            if proposal.kind == "retraining"
            else "an evaluation must give an accuracy, but it gave none"
        )
        return Outcome(failure=missing)
    if not math.isfinite(accuracy):
        return Outcome(failure=f"an accuracy must be finite, but it is {accuracy}")
    remedy = f"Tell proposal {proposal.id} the fraction of correctly classified images."
    require(0 <= accuracy <= 1, "0 <= accuracy <= 1", remedy, accuracy=accuracy)
    return Outcome(accuracy=float(accuracy))
