"""What a searcher would hand over if it had to stop: the best-scored so far, and its report."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fade_ray.compare.trace import Trace
from spaces.errors import InvalidInput, require

Array = npt.NDArray[np.float64]

ROUNDING = 1 + 1e-9
"""Sums of costs may exceed a budget that they equal on paper by so much."""


@dataclass(frozen=True)
class Anytime:
    """At each budget of a grid [G]; NaN (or the floor) where nothing has been evaluated."""

    reports: Array
    """[G], reported of the architecture of best score so far."""
    scores: Array
    """[G], that best score."""


def incumbents(trace: Trace) -> npt.NDArray[np.intp]:
    """[N]: after each evaluation the number of the best one so far, the earlier of equal ones."""
    numbers: list[int] = []
    for i, score in enumerate(trace.scores):
        best = numbers[-1] if numbers else i
        numbers.append(i if score > trace.scores[best] else best)
    return np.asarray(numbers, dtype=np.intp)


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
    within = [
        (score, report)
        for cost, score, report in zip(trace.costs, trace.scores, trace.reports, strict=True)
        if cost <= trace.budget * ROUNDING
    ]
    return tuple(sorted(within, key=lambda pair: -pair[0])[:k])


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
    name = f"The trace of {trace.searcher} with seed {trace.seed}"
    sequences = (trace.costs, trace.scores, trace.reports)
    costs, scores, reports = (np.asarray(values, float) for values in sequences)
    if not len(costs) == len(scores) == len(reports):
        lengths = f"{len(costs)} costs, {len(scores)} scores and {len(reports)} reports"
        raise InvalidInput(
            f"{name} must have one of each per evaluation, but has {lengths}. Record it anew."
        )
    if not (np.isfinite(costs).all() and (costs >= 0).all() and (np.diff(costs) >= 0).all()):
        raise InvalidInput(
            f"{name} must have finite ascending costs of 0 or more, but has {trace.costs}. "
            "Sort them."
        )
    if not (np.isfinite(scores).all() and np.isfinite(reports).all()):
        raise InvalidInput(
            f"{name} must have finite scores and reports, but some are not. "
            "Leave failed evaluations out."
        )
