"""What a comparison of searchers is made of: one trace per searcher and seed, and what a searcher
would hand over if it had to stop: the best-scored so far, and its report.
"""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from spaces.errors import require

Array = npt.NDArray[np.float64]

ROUNDING = 1 + 1e-9
"""Sums of costs may exceed a budget that they equal on paper by so much."""


@dataclass(frozen=True)
class Trace:
    """What one searcher found with one seed, in the order of its evaluations; of those that ran at
    once, in the order they were asked for.

    All sequences have the same length N, which may be 0: nothing was evaluated within the budget.
    """

    searcher: str
    seed: int
    budget: float
    """What it was allowed to spend, in `unit`s."""
    unit: str
    """Such as "training images", "seconds" or "evaluations"."""
    costs: tuple[float, ...]
    """[N], ascending: what had been spent when each evaluation ended, hyper-architectures too."""
    scores: tuple[float, ...]
    """[N]: validated scores, all that the searcher has seen of an architecture."""
    reports: tuple[float, ...]
    """[N]: the same on the test part (of a table: on what no searcher sees); never fed back."""
    complete: bool = True
    """Whether the budget was used up; a trace that failed or was stopped half-way is partial."""

    def numbered(self) -> Iterator[tuple[int, tuple[float, float, float]]]:
        """(number from 1, (cost, score, report)) of each evaluation."""
        return enumerate(zip(self.costs, self.scores, self.reports, strict=True), start=1)

    @property
    def within(self) -> int:
        """How many evaluations, the first ones, ended within the budget."""
        return bisect_right(self.costs, self.budget * ROUNDING)


@dataclass(frozen=True)
class Anytime:
    """At each budget of a grid [G]; NaN (or the floor) where nothing has been evaluated."""

    reports: Array
    """[G], reported of the architecture of best score so far."""
    scores: Array
    """[G], that best score."""


def incumbents(trace: Trace) -> npt.NDArray[np.intp]:
    """[N]: after each evaluation the number of the best one so far, the earlier of equal ones."""
    best = (trace.scores.index(score) for score in accumulate(trace.scores, max))
    return np.asarray(list(best), dtype=np.intp)


def anytime(trace: Trace, grid: Sequence[float] | Array, floor: float = math.nan) -> Anytime:
    """The curve at the budgets `grid` [G], any order, in the trace's unit.

    An evaluation counts from the cost it ended at; `floor` stands before the first.
    """
    budgets = np.asarray(grid, float) * ROUNDING
    ended = np.searchsorted(trace.costs, budgets, side="right")  # evaluations, at each budget
    best = np.concatenate([[-1], incumbents(trace)])[ended]
    reports = np.append(np.asarray(trace.reports, float), floor)  # the last is where -1 points to
    scores = np.append(np.asarray(trace.scores, float), floor)
    return Anytime(reports[best], scores[best])


def final(trace: Trace, floor: float = math.nan) -> float:
    """The report of the best-scored architecture at the end of the budget; what is later is not."""
    return float(anytime(trace, [trace.budget], floor).reports[0])


def area(trace: Trace, floor: float) -> float:
    """Mean of the reported curve over the budget axis, exactly: it is a step function.

    Before the first evaluation the curve lies at `floor`, such as the accuracy of a guess. What
    ended after the budget does not count.
    """
    ends = np.asarray([0.0, *(cost for cost in trace.costs if cost < trace.budget), trace.budget])
    return float(np.diff(ends) @ anytime(trace, ends[:-1], floor).reports / trace.budget)


def top_reports(trace: Trace, k: int) -> tuple[tuple[float, float], ...]:
    """(score, report) of the k best-scored within the budget, best first, of equal the earlier."""
    pairs = zip(trace.scores[: trace.within], trace.reports, strict=False)
    return tuple(sorted(pairs, key=lambda pair: -pair[0])[:k])


def check_traces(traces: Sequence[Trace]) -> None:
    """InvalidInput unless well-formed, of one budget and unit, each searcher and seed once."""
    require(len(traces) > 0, "at least one trace", "Run a searcher first.", traces=len(traces))
    allowed = sorted({(trace.budget, trace.unit) for trace in traces})
    remedy = "Compare searchers that may spend the same."
    require(len(allowed) == 1, "one budget and unit for all traces", remedy, budgets=allowed)
    budget, remedy = allowed[0][0], "Allow at least the cost of one evaluation."
    require(budget > 0, "budget > 0", remedy, budget=budget)
    names = Counter((trace.searcher, trace.seed) for trace in traces)
    twice = sorted(name for name, times in names.items() if times > 1)
    remedy = "Leave the repeated ones out."
    require(not twice, "one trace per searcher and seed", remedy, repeated=twice)
    for trace in traces:
        _check_trace(trace)


def _check_trace(trace: Trace) -> None:
    about = f"the trace of {trace.searcher} with seed {trace.seed} has"
    costs, scores, reports = trace.costs, trace.scores, trace.reports
    rule, holds = f"{about} one of each per evaluation", len(costs) == len(scores) == len(reports)
    lengths = {"costs": len(costs), "scores": len(scores), "reports": len(reports)}
    require(holds, rule, "Record it anew.", **lengths)
    holds = (
        bool(np.isfinite(costs).all())
        and list(costs) == sorted(costs)
        and min(costs, default=0) >= 0
    )
    require(holds, f"{about} finite ascending costs of 0 or more", "Sort them.", costs=costs)
    holds, remedy = bool(np.isfinite([scores, reports]).all()), "Leave failed evaluations out."
    require(holds, f"{about} finite scores and reports", remedy, scores=scores, reports=reports)
