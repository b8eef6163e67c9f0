"""The session of a comparison."""

import time
from dataclasses import replace

from fade_ray.compare.entered_history import EnteredHistory
from fade_ray.run.session import Session
from searchers import Outcome
from searchers.contest import Contest, Entered


class ContestSession(Session[Entered]):
    """The session of a comparison. A trial that failed has no cost of its own: it is recorded with
    its price, or where only a trial can tell with its wall time in seconds, so that the record says
    what the budget was spent on and a search all of whose trials fail comes to an end. The end of
    each search is recorded when it comes: those that are over count, even if the run is stopped
    before the others are.
    """

    searcher: Contest
    history: EnteredHistory

    def begin(self) -> None:
        super().begin()
        self._note_ends()

    def tell(self, id: str, outcome: Outcome) -> None:
        if outcome.cost is None:
            entered, started = self._running[id]
            price = self.searcher.price(entered.entry, entered)
            outcome = replace(outcome, cost=time.monotonic() - started if price is None else price)
        super().tell(id, outcome)

    def _tell(self, id: str, outcome: Outcome) -> None:
        super()._tell(id, outcome)
        self._note_ends()

    def _note_ends(self) -> None:
        for name in self.searcher.entries:
            if name not in self.history.over and self.searcher.over(name):
                self.history.over.add(name)
                self._record("over", entry=name)
