"""A searcher against a table, from its first question to the end of its budget."""

from collections.abc import Mapping
from dataclasses import dataclass
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

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {"trace": self.trace.to_dict(), "spent_on_ranks": self.spent_on_ranks}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        return cls(Trace.from_dict(values["trace"]), values["spent_on_ranks"])


def replay(
    name: str, searcher: AskTell, objective: TableObjective, budget: float, prices: Prices | None = None
) -> Replayed:
    """Ask and tell, one trial after the other, until the next one would exceed the budget (in evaluations) or the searcher is done.

    The trace is complete if the budget ended it.
    """
    prices = prices or Prices()
    spent = on_ranks = 0.0
    found: list[tuple[float, float, float]] = []
    while (proposal := searcher.ask()) is not None:
        price = prices.of(proposal.kind)
        if spent + price > budget * ROUNDING:
            break
        spent += price
        outcome = objective(proposal)
        if outcome.accuracy is None:
            on_ranks += price
        else:
            found.append((spent, outcome.accuracy, objective.report(proposal.hyper)))
        searcher.tell(proposal.id, outcome)
    costs, scores, reports = zip(*found, strict=True) if found else ((), (), ())
    complete = proposal is not None or spent * ROUNDING >= budget
    return Replayed(
        Trace(name, objective.seed, budget, UNIT, costs, scores, reports, complete), spent_on_ranks=on_ranks
    )
