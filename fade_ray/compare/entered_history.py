"""What the record of a run of several searches says."""

from collections.abc import Iterable

from fade_ray.records.history import TrialHistory
from fade_ray.records.journal import Event
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
