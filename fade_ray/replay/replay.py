"""A searcher against a table, from its first question to the end of its budget."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from fade_ray.analysis.anytime import ROUNDING
from fade_ray.analysis.traces import Trace
from fade_ray.replay.objective import TableObjective
from searchers import AskTell
from searchers.base import Kind
from spaces.errors import require

UNIT = "evaluations"
"""Of budgets."""


@dataclass(frozen=True)
class Prices:
    """What trials cost, in evaluations: training one architecture alone is 1."""

    ranks: float = 1.0
    """A hyper-architecture: its epochs over those of an evaluation, times its passes per image over those of one architecture."""

    def __post_init__(self) -> None:
        require(0 <= self.ranks < float("inf"), "0 <= rank cost < inf", "Use 1.0.", rank_cost=self.ranks)

    def of(self, kind: Kind) -> float:
        return self.ranks if kind == "ranks" else 1.0


@dataclass(frozen=True)
class Replayed:
    """A trace, and what of its budget went into hyper-architectures."""

    trace: Trace
    spent_on_ranks: float
    failure: str | None = None
    """What the searcher raised, on one line; its trace is that of the evaluations before, and not complete."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {"trace": self.trace.to_dict(), "spent_on_ranks": self.spent_on_ranks, "failure": self.failure}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        return cls(Trace.from_dict(values["trace"]), values["spent_on_ranks"], values.get("failure"))


def replay(
    name: str, build: Callable[[], AskTell], objective: TableObjective, budget: float, prices: Prices | None = None
) -> Replayed:
    """Build a searcher, then ask and tell, one trial after the other, until the next one would exceed the budget (in evaluations) or it is done.

    The trace is complete if the budget ended it. An exception ends this search alone.
    """
    ledger = _Ledger(budget, prices or Prices())
    complete, failure = False, None
    try:
        complete = _spend(build(), objective, ledger)
    except Exception as error:  # a searcher is the user's to extend: whatever it raises, the other searches go on
        failure = " ".join(f"{type(error).__name__}: {error}".split())
    costs, scores, reports = zip(*ledger.found, strict=True) if ledger.found else ((), (), ())
    trace = Trace(name, objective.seed, budget, UNIT, costs, scores, reports, complete)
    return Replayed(trace, ledger.on_ranks, failure)


@dataclass
class _Ledger:
    """What a search has spent, in evaluations, and what it has found."""

    budget: float
    prices: Prices
    spent: float = 0.0
    on_ranks: float = 0.0
    found: list[tuple[float, float, float]] = field(default_factory=list)
    """(spent until then, score, report)"""


def _spend(searcher: AskTell, objective: TableObjective, ledger: _Ledger) -> bool:
    """Whether the budget ended it."""
    while (proposal := searcher.ask()) is not None:
        price = ledger.prices.of(proposal.kind)
        if ledger.spent + price > ledger.budget * ROUNDING:
            return True
        outcome = objective(proposal)
        ledger.spent += price
        if outcome.accuracy is None:
            ledger.on_ranks += price
        else:
            ledger.found.append((ledger.spent, outcome.accuracy, objective.report(proposal.hyper)))
        searcher.tell(proposal.id, outcome)
    return ledger.spent * ROUNDING >= ledger.budget
