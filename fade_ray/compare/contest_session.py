"""A comparison under way: its session, and what a person sees of several searches."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.text import Text

from fade_ray.compare.entered_history import EnteredHistory, share_done
from fade_ray.records.measures import ACCURACY, Measure
from fade_ray.run.forecast import ByShare
from fade_ray.run.progress import LiveWatcher
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


LINES = 20  # printed over a run that is not watched on a terminal


class ContestProgress(LiveWatcher):
    """How much of the budgets is spent, and the best validated accuracy of each searcher. `active`:
    seconds that earlier starts took.
    """

    def __init__(
        self,
        contest: Contest,
        active: float = 0.0,
        console: Console | None = None,
        measure: Measure = ACCURACY,
    ) -> None:
        self.contest, self.before, self.measure = contest, active, measure
        super().__init__(console)
        self.first: float | None = None  # when the first trial of this process began
        self.best: dict[str, float] = {}
        self.printed = 0

    def fraction(self) -> float:
        """Share of all budgets that is spent."""
        spent = sum(
            min(self.contest.budget, self.contest.spent(name)) for name in self.contest.entries
        )
        return spent / (self.contest.budget * len(self.contest.entries))

    def proposed(self, proposal: Entered) -> None:
        self.first = self.first or time.monotonic()

    def finished(self, proposal: Entered, outcome: Outcome, metrics: Mapping[str, Any]) -> None:
        if outcome.score is not None:
            name = proposal.entry.rpartition("-")[0]
            self.best[name] = max(self.best.get(name, outcome.score), outcome.score)
        if self.live is not None:
            self.live.update(self._line(), refresh=True)
        elif self.fraction() * LINES >= self.printed + 1:
            self.printed = int(self.fraction() * LINES)
            self.console.print(self._line(), soft_wrap=True)

    def _line(self) -> Text:
        parts = [f"{self.fraction():.0%} of the budgets spent"]
        parts += [f"{name} {self.measure.plain(best):.3f}" for name, best in self.best.items()]
        since = 0.0 if self.first is None else time.monotonic() - self.first
        return Text(" · ".join([*parts, ByShare(self.done).words(self.before + since)]))

    def done(self) -> float:
        """How much of it is."""
        contest = self.contest
        spent = {name: contest.spent(name) for name in contest.entries}
        over = {name for name in contest.entries if contest.over(name)}
        return share_done(contest.entries, contest.budget, spent, over)
