"""What the record of a run of several searches says, and the traces that follow from it."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from fade_ray.compare.trace import ROUNDING, Trace
from fade_ray.records.history import TrialHistory
from fade_ray.records.journal import Event
from fade_ray.records.measures import ACCURACY, Measure
from searchers.contest import Entered

UNITS = {"images": "training images", "seconds": "seconds of training"}
Job = tuple[str, int]
"""(searcher, seed)"""


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

    def complete(self, result: Mapping[str, Any]) -> set[str]:
        """The searches that came to their end, by the record and (older ones) by result.json."""
        return self.over | {name for name, ended in result.get("complete", {}).items() if ended}

    def spent(self, ranks_alone: bool = False) -> dict[str, float]:
        """By search, what its ended trials, or its hyper-architectures alone, cost."""
        sums = defaultdict[str, float](float)
        for id, outcome in self.outcomes.items():
            entered = self.proposals[id]
            sums[entered.entry] += (
                (outcome.cost or 0.0) if entered.ranks or not ranks_alone else 0.0
            )
        return sums

    def share(self, entries: Collection[str], budget: float) -> float:
        """How much of the searches `entries` is done."""
        return share_done(entries, budget, self.spent(), self.over)

    def traces(
        self,
        entries: Mapping[str, Job],
        budget: float,
        unit: str,
        over: Collection[str],
        measure: Measure = ACCURACY,
    ) -> list[Trace]:
        """One trace per search, of what its record says; `over`: those that came to the end of
        their budget. Evaluations that ended beyond the budget, as one of a budget in seconds may,
        do not count.
        """
        return [
            Trace(*job, budget, UNITS[unit], costs, scores, reports, entry in over, codes)
            for entry, job in entries.items()
            for costs, scores, reports, codes in [self._evaluations(entry, budget, measure)]
        ]

    def _evaluations(self, entry: str, budget: float, measure: Measure) -> Sequence[Any]:
        """Costs, scores, reports and architectures of a search, [N] each."""
        ended = self.of(entry=entry)
        spent = accumulate(self.outcomes[id].cost or 0.0 for id in ended)
        known = [
            (
                cost,
                self.outcomes[id].score,
                measure.score(self.metrics[id], "test"),
                plan.hyper.code(),
            )
            for id, cost in zip(ended, spent, strict=True)
            for plan in [self.proposals[id]]
            if cost <= budget * ROUNDING
        ]
        whole = [evaluation for evaluation in known if None not in evaluation]
        return list(zip(*whole, strict=True)) or [()] * 4

    def measured(self, entry: str, code: str) -> Mapping[str, Any]:
        """The metrics of an evaluation that measured that architecture; {} where there is none."""
        ended = (id for id in self.of(entry=entry) if self.proposals[id].hyper.code() == code)
        return next((m for m in map(self.metrics.get, ended) if m and "parameters" in m), {})

    def without_evaluation(self, traces: Sequence[Trace]) -> str | None:
        """What to tell where searches came to their end before their first evaluation did, as they
        may if only trials tell their cost; None without any.

        Searches whose evaluations have all failed are not meant: those failures have been told.
        """
        empty, costs = list[str](), list[float]()
        ended = (trace for trace in traces if trace.complete and not trace.costs)
        for entry in (f"{trace.searcher}-{trace.seed}" for trace in ended):
            ids = self.of(entry=entry)
            tried = [self.outcomes[id] for id in ids if self.proposals[id].scored]
            scored = [outcome.cost or 0.0 for outcome in tried if outcome.score is not None]
            if scored or not tried:
                empty.append(entry)
                costs += scored
        if not empty:
            return None
        mean = f"an evaluation took {sum(costs) / len(costs):.3g} on average" if costs else ""
        return (
            f"Each search must have room for an evaluation, but {', '.join(empty)} ended without "
            f"one inside the budget of {traces[0].budget:g} {traces[0].unit}: "
            f"{mean or 'none came to an evaluation'}. They count as a random pick. Raise --budget, "
            "lower --evaluation-epochs or --rank-epochs, or use fewer images (--limit), in another "
            "--out."
        )


def share_done(
    entries: Collection[str], budget: float, spent: Mapping[str, float], over: Collection[str]
) -> float:
    """Of several searches; one that is over may have left something of its budget."""
    parts = [1.0 if each in over else min(1.0, spent.get(each, 0.0) / budget) for each in entries]
    return sum(parts) / len(parts)


def unspent(result: Mapping[str, Any], budget: float) -> dict[str, float]:
    """By searcher, the mean share of budgets that bought nothing; {} where `result` is silent."""
    shares = defaultdict[str, list[float]](list)
    for name, rest in result.get("unspent", {}).items():
        shares[name.rpartition("-")[0]].append(rest / budget)
    return {name: sum(rests) / len(rests) for name, rests in shares.items()}


def random_pick(traces: Sequence[Trace], baseline: str, chance: float) -> float:
    """What a search counts as before its first evaluation: the mean report of all that the baseline
    has evaluated, `chance` of nothing. (The accuracy of a guess would make the area a measure of
    when the first evaluation ends, and of little else.)
    """
    reports = [report for trace in traces if trace.searcher == baseline for report in trace.reports]
    return sum(reports) / len(reports) if reports else chance
