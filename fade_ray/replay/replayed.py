"""A searcher against a table, from its first question to the end of its budget."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from fade_ray.compare.trace import Trace
from fade_ray.records.json_form import as_json, from_json
from fade_ray.replay.benchmarks import Benchmark
from fade_ray.replay.table_objective import TableObjective
from fade_ray.search.entrants import WALK, entrant
from searchers import AskTell, Proposal, TrialLengths
from searchers.contest import Contest
from spaces.errors import require

UNIT = "evaluations"
"""Of budgets."""


def searcher_of(benchmark: Benchmark, name: str, seed: int) -> AskTell:
    """The entrant `name` against a benchmark. The half width of its stencil is a box of the
    coarsest axis, so that M and both sides lie in three boxes; at most half the cube.
    """
    walk = replace(WALK, gamma=min(0.5, 1 / min(benchmark.space.bins)))
    options = entrant(name).build([walk])
    return options.build(benchmark.space, benchmark.depth, TrialLengths(), seed)


@dataclass(frozen=True)
class Prices:
    """What trials cost, in evaluations: training one architecture alone is 1."""

    ranks: float = 1.0
    """A hyper-architecture: its epochs over those of an evaluation, times its passes per image over
    those of one architecture.
    """

    def __post_init__(self) -> None:
        holds = 0 <= self.ranks < float("inf")
        require(holds, "0 <= rank cost < inf", "Use 1.0.", rank_cost=self.ranks)

    def of(self, proposal: Proposal) -> float:
        return self.ranks if proposal.ranks else 1.0


@dataclass(frozen=True)
class Replayed:
    """A trace, and what of its budget went into hyper-architectures."""

    trace: Trace
    spent_on_ranks: float
    failure: str | None = None
    """What the searcher raised, on one line; its trace is that of the evaluations before, and not
    complete.
    """

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "trace": as_json(self.trace),
            "spent_on_ranks": self.spent_on_ranks,
            "failure": self.failure,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        return cls(
            from_json(Trace, values["trace"]), values["spent_on_ranks"], values.get("failure")
        )


def replay(
    name: str,
    build: Callable[[], AskTell],
    objective: TableObjective,
    budget: float,
    prices: Prices | None = None,
) -> Replayed:
    """Build a searcher, then ask and tell, one trial after the other, to the end of its budget (in
    evaluations), kept as in a `Contest` of one. The trace is complete if the search came to its
    end. An exception ends this search alone.
    """
    prices = prices or Prices()
    found: list[tuple[float, float, float]] = []  # (spent until then, score, report)
    spent = on_ranks = 0.0
    complete = False
    try:
        contest = Contest({name: build()}, budget, lambda _, proposal: prices.of(proposal))
        while (entered := contest.ask()) is not None:
            outcome, price = objective(entered), prices.of(entered)
            spent += price
            if outcome.score is None:
                on_ranks += price
            else:
                found.append((spent, outcome.score, objective.report(entered.hyper)))
            contest.tell(entered.id, outcome)
        complete, failure = contest.over(name), contest.failures.get(name)
    # a searcher is the user's to extend: whatever it raises, the other searches go on
    except Exception as error:
        failure = f"{type(error).__name__}: {error}"
    costs, scores, reports = zip(*found, strict=True) if found else ((), (), ())
    trace = Trace(name, objective.seed, budget, UNIT, costs, scores, reports, complete)
    return Replayed(trace, on_ranks, None if failure is None else " ".join(failure.split()))
