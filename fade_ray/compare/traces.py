"""From the record of a comparison to its traces."""

from collections.abc import Mapping
from itertools import accumulate

from fade_ray.analysis.traces import Trace
from fade_ray.compare.history import EnteredHistory

UNITS = {"images": "training images", "seconds": "seconds of training"}


def traces(
    history: EnteredHistory, entries: Mapping[str, tuple[str, int]], budget: float, unit: str, over: Mapping[str, bool]
) -> list[Trace]:
    """One trace per search, of what its record says.

    `entries`: name of the search -> (searcher, seed); `over`: whether it has come to the end of its budget. Evaluations that ended beyond the
    budget, as one of a budget in seconds may, do not count.
    """
    return [
        _trace(history, entry, searcher, seed, budget, unit, over.get(entry, False))
        for entry, (searcher, seed) in entries.items()
    ]


def _trace(
    history: EnteredHistory, entry: str, searcher: str, seed: int, budget: float, unit: str, complete: bool
) -> Trace:
    ended = history.of(entry)
    spent = accumulate(history.outcomes[id].cost or 0.0 for id in ended)
    found = [
        (cost, outcome.accuracy, history.metrics[id].get("test_accuracy"))
        for id, cost in zip(ended, spent, strict=True)
        if (outcome := history.outcomes[id]).accuracy is not None and cost <= budget * (1 + 1e-9)
    ]
    reported = [(cost, score, report) for cost, score, report in found if report is not None]
    costs, scores, reports = zip(*reported, strict=True) if reported else ((), (), ())
    return Trace(searcher, seed, budget, UNITS[unit], costs, scores, reports, complete)
