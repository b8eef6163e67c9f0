"""What a searcher would hand over if it had to stop: the architecture of best score so far, and
what that one is reported with.
"""

import math
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
    """[G], accuracy reported of the architecture of best score so far."""
    scores: Array
    """[G], that best score."""


def incumbents(trace: Trace) -> npt.NDArray[np.intp]:
    """[N]: after each evaluation the number of the one of best score so far, the earlier of equal
    ones.
    """
    best, found = -1, []
    for i, score in enumerate(trace.scores):
        if best < 0 or score > trace.scores[best]:
            best = i
        found.append(best)
    return np.asarray(found, dtype=np.intp)


def anytime(trace: Trace, grid: Sequence[float] | Array, floor: float = math.nan) -> Anytime:
    """The curve of a trace at the budgets `grid` [G], any order, in the trace's unit; an evaluation
    counts from the cost it ended at.

    `floor` stands before the first evaluation.
    """
    ended = np.searchsorted(
        trace.costs, np.asarray(grid, float) * ROUNDING, side="right"
    )  # evaluations, at each budget
    best = np.concatenate([[-1], incumbents(trace)])[ended]
    reports = np.append(np.asarray(trace.reports, float), floor)  # the last is where -1 points to
    scores = np.append(np.asarray(trace.scores, float), floor)
    return Anytime(reports[best], scores[best])


def final(trace: Trace, floor: float = math.nan) -> float:
    """The report of the best-scored architecture when the budget is spent; later evaluations do not
    count.
    """
    return float(anytime(trace, [trace.budget], floor).reports[0])


def area(trace: Trace, floor: float) -> float:
    """Mean of the reported curve over the budget axis from 0 to the budget, exactly (it is a step
    function); in [0, 1].

    Before the first evaluation the curve lies at `floor`, such as the accuracy of a guess. What
    ended after the budget does not count.
    """
    ends = np.asarray([0.0, *(cost for cost in trace.costs if cost < trace.budget), trace.budget])
    return float(np.diff(ends) @ anytime(trace, ends[:-1], floor).reports / trace.budget)


def top_reports(trace: Trace, k: int) -> tuple[tuple[float, float], ...]:
    """(score, report) of the k evaluations of best score within the budget, best first, earlier
    first among equal ones.
    """
    within = [
        (score, report)
        for cost, score, report in zip(trace.costs, trace.scores, trace.reports, strict=True)
        if cost <= trace.budget * ROUNDING
    ]
    return tuple(sorted(within, key=lambda pair: -pair[0])[:k])


def check_traces(traces: Sequence[Trace]) -> None:
    """InvalidInput unless the traces can be compared: at least one, of one budget and unit, each
    searcher and seed once, well-formed.
    """
    require(len(traces) > 0, "at least one trace", "Run a searcher first.", traces=len(traces))
    allowed = sorted({(trace.budget, trace.unit) for trace in traces})
    remedy = "Compare searchers that may spend the same."
    require(len(allowed) == 1, "one budget and unit for all traces", remedy, budgets=allowed)
    require(
        allowed[0][0] > 0,
        "budget > 0",
        "Allow at least the cost of one evaluation.",
        budget=allowed[0][0],
    )
    names = [(trace.searcher, trace.seed) for trace in traces]
    twice = (
        sorted({name for name in names if names.count(name) > 1})
        if len(set(names)) < len(names)
        else []
    )
    require(
        not twice, "one trace per searcher and seed", "Leave the repeated ones out.", repeated=twice
    )
    for trace in traces:
        _check_trace(trace)


def _check_trace(trace: Trace) -> None:
    name = f"The trace of {trace.searcher} with seed {trace.seed}"
    costs, scores, reports = (
        np.asarray(values, float) for values in (trace.costs, trace.scores, trace.reports)
    )
    if not len(costs) == len(scores) == len(reports):
        lengths = f"{len(costs)} costs, {len(scores)} scores and {len(reports)} reports"
        raise InvalidInput(
            f"{name} must have one of each per evaluation, but has {lengths}. Record it anew."
        )
    if not (np.isfinite(costs).all() and (costs >= 0).all() and (np.diff(costs) >= 0).all()):
        raise InvalidInput(
            f"{name} must have finite ascending costs of 0 or more, but has {trace.costs}. Sort them."
        )
    shares = np.concatenate([scores, reports])
    if not ((shares >= 0) & (shares <= 1)).all():  # NaN as well
        raise InvalidInput(
            f"{name} must have scores and reports in [0, 1], but some are not. Give shares, not percent."
        )
