"""What a comparison of searchers is made of: one trace per searcher and seed, and what a searcher
would hand over if it had to stop: the architecture of best mean score so far, and its report, the
mean over its evaluations, too.
"""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import fmean
from typing import Any

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
    architectures: tuple[str, ...] = ()
    """[N]: the code of each; () where it is not on record, and each counts as another one."""

    @property
    def names(self) -> tuple[Any, ...]:
        """[N]: equal for evaluations of one architecture."""
        return self.architectures or tuple((self.seed, k) for k in range(len(self.scores)))

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
    """[G], that best score. Both are means over its evaluations so far."""


class Pool:
    """The evaluations of each architecture together; `best`: that of best mean score, of equal
    ones the one that was it first.
    """

    def __init__(self) -> None:
        self.seen: dict[Any, list[tuple[float, float]]] = {}
        self.means: dict[Any, tuple[float, float]] = {}
        self.best: Any = None

    def add(self, name: Any, score: float, report: float) -> None:
        seen = self.seen.setdefault(name, [])
        seen.append((score, report))
        self.means[name] = fmean(s for s, _ in seen), fmean(r for _, r in seen)
        if self.best is None or self.means[name][0] > self.means[self.best][0]:
            self.best = name
        elif name == self.best:  # its mean may have fallen
            self.best = max(self.means, key=lambda name: self.means[name][0])


def pooled(traces: Iterable[Trace]) -> Pool:
    """The evaluations of all traces that ended within their budgets."""
    pool = Pool()
    for trace in traces:
        evaluations = zip(trace.names, trace.scores, trace.reports, strict=True)
        for each in islice(evaluations, trace.within):
            pool.add(*each)
    return pool


def incumbents(trace: Trace) -> Array:
    """[N, 2]: after each evaluation, mean score and mean report of the best architecture so far."""
    pool, found = Pool(), list[tuple[float, float]]()
    for each in zip(trace.names, trace.scores, trace.reports, strict=True):
        pool.add(*each)
        found.append(pool.means[pool.best])
    return np.asarray(found, float).reshape(-1, 2)


def anytime(trace: Trace, grid: Sequence[float] | Array, floor: float = math.nan) -> Anytime:
    """The curve at the budgets `grid` [G], any order, in the trace's unit.

    An evaluation counts from the cost it ended at; `floor` stands before the first.
    """
    budgets = np.asarray(grid, float) * ROUNDING
    ended = np.searchsorted(trace.costs, budgets, side="right")  # evaluations, at each budget
    both = np.concatenate([[[floor] * 2], incumbents(trace)])[ended]
    scores, reports = np.ascontiguousarray(both.T)
    return Anytime(reports, scores)


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


def top_reports(traces: Iterable[Trace], k: int) -> tuple[tuple[float, float], ...]:
    """Mean (score, report) of the k architectures of best mean score in all `traces` together,
    within their budgets, best first, of equal ones the earlier.
    """
    pool = pooled(traces)
    return tuple(sorted(pool.means.values(), key=lambda pair: -pair[0])[:k])


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
    lengths = {"costs": len(costs), "scores": len(scores), "reports": len(reports)}
    lengths |= {"architectures": len(trace.names)}
    rule, holds = f"{about} one of each per evaluation", len(set(lengths.values())) == 1
    require(holds, rule, "Record it anew.", **lengths)
    holds = (
        bool(np.isfinite(costs).all())
        and list(costs) == sorted(costs)
        and min(costs, default=0) >= 0
    )
    require(holds, f"{about} finite ascending costs of 0 or more", "Sort them.", costs=costs)
    holds, remedy = bool(np.isfinite([scores, reports]).all()), "Leave failed evaluations out."
    require(holds, f"{about} finite scores and reports", remedy, scores=scores, reports=reports)
