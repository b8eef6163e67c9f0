"""What the record of a run of several searches says, and the traces that follow from it."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from fade_ray.compare.trace import ROUNDING, Trace
from fade_ray.records.history import TrialHistory
from fade_ray.records.journal import Event
from searchers import Outcome
from searchers.contest import Entered


class EnteredHistory(TrialHistory[Entered]):
    """What the events of a comparison say together; the plans are `Entered`.

    Attributes:
        over: names of the searches of a comparison that came to their end, from its "over" events.
        Records of earlier versions have none.
    """

    plan = Entered

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.over: set[str] = set()
        super().__init__(events)

    def _take(self, event: Event) -> None:
        super()._take(event)
        if event["event"] == "over":
            self.over.add(event["entry"])

    def of(self, entry: str) -> list[str]:
        """The ids of a search's ended trials, as asked for: which one ended first is luck."""
        return [
            id
            for id, entered in self.proposals.items()
            if entered.entry == entry and id in self.outcomes
        ]


UNITS = {"images": "training images", "seconds": "seconds of training"}


def complete(history: EnteredHistory, result: Mapping[str, Any]) -> set[str]:
    """The searches that came to their end, by the record and (older ones) by result.json."""
    return history.over | {name for name, ended in result.get("complete", {}).items() if ended}


def unspent(result: Mapping[str, Any], budget: float) -> dict[str, float]:
    """By searcher, the mean share of budgets that bought nothing; {} where `result` is silent."""
    shares = defaultdict[str, list[float]](list)
    for name, rest in result.get("unspent", {}).items():
        shares[name.rpartition("-")[0]].append(rest / budget)
    return {name: sum(rests) / len(rests) for name, rests in shares.items()}


def traces_of(
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
        Trace(*job, budget, UNITS[unit], *_evaluations(history, entry, budget), entry in over)
        for entry, job in entries.items()
    ]


def _evaluations(history: EnteredHistory, entry: str, budget: float) -> tuple[Any, Any, Any]:
    """(costs, scores, reports) of a search, [N] each."""
    ended = history.of(entry)
    spent = accumulate(history.outcomes[id].cost or 0.0 for id in ended)
    known = [
        (cost, history.outcomes[id].score, history.metrics[id].get("test_accuracy"))
        for id, cost in zip(ended, spent, strict=True)
        if cost <= budget * ROUNDING
    ]
    whole = [evaluation for evaluation in known if None not in evaluation]
    costs, scores, reports = zip(*whole, strict=True) if whole else ((), (), ())
    return costs, scores, reports


def spent_on_ranks(history: EnteredHistory) -> dict[tuple[str, int], float]:
    """What each search spent on hyper-architectures, by (searcher, seed)."""
    sums = defaultdict[tuple[str, int], float](float)
    for id, outcome in history.outcomes.items():
        entered = history.proposals[id]
        name, _, seed = entered.entry.rpartition("-")
        sums[name, int(seed)] += (outcome.cost or 0.0) if entered.ranks else 0.0
    return sums


def random_pick(traces: Sequence[Trace], baseline: str, chance: float) -> float:
    """What a search counts as before its first evaluation: the mean report of all that the baseline
    has evaluated, `chance` of nothing. (The accuracy of a guess would make the area a measure of
    when the first evaluation ends, and of little else.)
    """
    reports = [report for trace in traces if trace.searcher == baseline for report in trace.reports]
    return sum(reports) / len(reports) if reports else chance


def without_evaluation(history: EnteredHistory, traces: Sequence[Trace]) -> str | None:
    """What to tell where searches came to their end before their first evaluation did, as they may
    if only trials tell their cost; None without any.

    Searches whose evaluations have all failed are not meant: each of those failures has been told.
    """
    evaluations = defaultdict[str, list[Outcome]](list)  # by search
    for id, outcome in history.outcomes.items():
        if history.proposals[id].scored:
            evaluations[history.proposals[id].entry].append(outcome)
    costs_of = {
        name: [each.cost or 0.0 for each in outcomes if each.score is not None]
        for name, outcomes in evaluations.items()
    }
    ended = [f"{t.searcher}-{t.seed}" for t in traces if t.complete and not t.costs]
    empty = [name for name in ended if costs_of.get(name) != []]
    if not empty:
        return None
    costs = [cost for name in empty for cost in costs_of.get(name, [])]
    mean = f"an evaluation took {sum(costs) / len(costs):.3g} on average" if costs else ""
    return (
        f"Each search must have room for an evaluation, but {', '.join(empty)} ended without one "
        f"inside the budget of {traces[0].budget:g} {traces[0].unit}: "
        f"{mean or 'none came to an evaluation'}. They count as a random pick. Raise --budget, "
        "lower --evaluation-epochs or --rank-epochs, or use fewer images (--limit), in another "
        "--out."
    )
