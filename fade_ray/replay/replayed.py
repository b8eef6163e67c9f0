"""A searcher against a table, from its first question to the end of its budget."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from fade_ray.compare.trace import Trace
from fade_ray.replay.benchmarks import Benchmark
from fade_ray.replay.table_objective import TableObjective
from fade_ray.search.entrants import WALK, entrant
from searchers import AskTell, Proposal, TrialLengths
from searchers.contest import Contest

UNIT = "evaluations"
"""Of budgets."""


def searcher_of(benchmark: Benchmark, name: str, seed: int) -> AskTell:
    """The entrant `name` against a benchmark. The half width of its stencil is a box of the
    coarsest axis, so that M and both sides lie in three boxes; at most half the cube.
    """
    walk = replace(WALK, gamma=min(0.5, 1 / min(benchmark.space.bins)))
    options = entrant(name).build([walk])
    return options.build(benchmark.space, benchmark.depth, TrialLengths(), seed)


def price(proposal: Proposal, rank_cost: float) -> float:
    """What a trial costs, in evaluations: training one architecture alone is 1."""
    return rank_cost if proposal.ranks else 1.0


@dataclass(frozen=True)
class Replayed:
    """A trace, and what of its budget went into hyper-architectures."""

    trace: Trace
    spent_on_ranks: float
    failure: str | None = None
    """What the searcher raised, on one line; its trace ends with the evaluation before."""


def replay(
    name: str,
    build: Callable[[], AskTell],
    objective: TableObjective,
    budget: float,
    rank_cost: float = 1.0,
) -> Replayed:
    """Build a searcher, then ask and tell, one trial after the other, to the end of its budget (in
    evaluations, of which a hyper-architecture costs `rank_cost`), kept as in a `Contest` of one.
    The trace is complete if the search came to its end. An exception ends this search alone.
    """
    evaluations: list[tuple[float, float, float]] = []  # (spent until then, score, report)
    spent = on_ranks = 0.0
    complete = False
    try:
        contest = Contest({name: build()}, budget, lambda _, asked: price(asked, rank_cost))
        while (entered := contest.ask()) is not None:
            outcome, cost = objective(entered), price(entered, rank_cost)
            spent += cost
            if outcome.score is None:
                on_ranks += cost
            else:
                report = objective.report(entered.hyper)
                evaluations.append((spent, outcome.score, report))
            contest.tell(entered.id, outcome)
        complete, failure = contest.over(name), contest.failures.get(name)
    # a searcher is the user's to extend: whatever it raises, the other searches go on
    except Exception as error:
        failure = f"{type(error).__name__}: {error}"
    costs, scores, reports = zip(*evaluations, strict=True) if evaluations else ((), (), ())
    trace = Trace(name, objective.seed, budget, UNIT, costs, scores, reports, complete)
    return Replayed(trace, on_ranks, None if failure is None else " ".join(failure.split()))
