"""What a trial comes to: a score to be maximised, what was measured, or why there is neither."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

FailureKind = Literal[
    "bad input", "diverged", "out of memory", "crashed", "worker lost", "node lost"
]
"""What a user mends, a learning rate, a batch size, the code that raised, a process that died under
it, and nothing but another start.
"""


@dataclass(frozen=True)
class Failure:
    """Why a trial found nothing: what engines and retries go by, and the reason in words."""

    kind: FailureKind
    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True)
class Outcome:
    """What a trial found.

    `score`: to be maximised, finite; an objective says how its measures make one. `measures`: what
    was measured, by name ("accuracy", "loss"). `found`: what it found, in the notation of its
    space, where others build on that. `log_weights` [d][w], of a trial that ranks: log
    FaDE weight credited to each place of the hyper-architecture (a duplicate gets the full weight
    of its distinct candidate). `failure`: why there is nothing. `cost`: what it took, in the unit
    of the run's budget, where there is one; searchers do not look at it.
    """

    score: float | None = None
    log_weights: tuple[tuple[float, ...], ...] | None = None
    failure: Failure | None = None
    cost: float | None = None
    measures: Mapping[str, float] = field(default_factory=dict)
    found: str | None = None

    @classmethod
    def failed(cls, kind: FailureKind, reason: str) -> Self:
        """The outcome of a trial that found nothing."""
        return cls(failure=Failure(kind, reason))

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; what is not there is left out."""
        rows = self.log_weights
        values = {
            "score": self.score,
            "log_weights": None if rows is None else [list(row) for row in rows],
            "failure": None if self.failure is None else vars(self.failure),
            "cost": self.cost,
            "measures": dict(self.measures) or None,
            "found": self.found,
        }
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        rows, failure = data.get("log_weights"), data.get("failure")
        return cls(
            data.get("score"),
            None if rows is None else tuple(tuple(row) for row in rows),
            None if failure is None else Failure(**failure),
            data.get("cost"),
            data.get("measures") or {},
            data.get("found"),
        )
