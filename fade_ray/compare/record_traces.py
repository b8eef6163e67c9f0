"""From the record of a comparison to its traces."""

from collections.abc import Collection, Mapping
from itertools import accumulate
from typing import Any

from fade_ray.compare.entered_history import EnteredHistory
from fade_ray.compare.trace import Trace

UNITS = {"images": "training images", "seconds": "seconds of training"}


def complete(history: EnteredHistory, result: Mapping[str, Any]) -> set[str]:
    """The searches that came to their end, by the record and, for records without such events, by
    result.json ({}: there is none).
    """
    return history.over | {name for name, ended in result.get("complete", {}).items() if ended}


def unspent(result: Mapping[str, Any], budget: float) -> dict[str, float]:
    """By searcher, the mean share of its budgets that bought nothing, from result.json; {} where
    that does not say.
    """
    shares: dict[str, list[float]] = {}
    for name, rest in result.get("unspent", {}).items():
        shares.setdefault(name.rpartition("-")[0], []).append(rest / budget)
    return {name: sum(rests) / len(rests) for name, rests in shares.items()}


def traces(
    history: EnteredHistory,
    entries: Mapping[str, tuple[str, int]],
    budget: float,
    unit: str,
    over: Collection[str],
) -> list[Trace]:
    """One trace per search, of what its record says.

    `entries`: name of the search -> (searcher, seed); `over`: those that came to the end of their
    budget. Evaluations that ended beyond the budget, as one of a budget in seconds may, do not
    count.
    """
    return [
        _trace(history, entry, searcher, seed, budget, unit, entry in over)
        for entry, (searcher, seed) in entries.items()
    ]


def _trace(
    history: EnteredHistory,
    entry: str,
    searcher: str,
    seed: int,
    budget: float,
    unit: str,
    complete: bool,
) -> Trace:
    ended = history.of(entry)
    spent = accumulate(history.outcomes[id].cost or 0.0 for id in ended)
    found = [
        (cost, outcome.score, history.metrics[id].get("test_accuracy"))
        for id, cost in zip(ended, spent, strict=True)
        if (outcome := history.outcomes[id]).score is not None and cost <= budget * (1 + 1e-9)
    ]
    reported = [(cost, score, report) for cost, score, report in found if report is not None]
    costs, scores, reports = zip(*reported, strict=True) if reported else ((), (), ())
    return Trace(searcher, seed, budget, UNITS[unit], costs, scores, reports, complete)
