"""The session of an outer search."""

from collections.abc import Sequence

from fade_ray.records.journal import Journal
from fade_ray.run.session import Session, Watcher
from fade_ray.search.search_history import History
from searchers import AskTell, Outcome, Proposal


class SearchSession(Session[Proposal]):
    """The session of an outer search, which records the anchors after each of the `iterations` that
    move them.
    """

    searcher: AskTell
    history: History

    def __init__(
        self,
        searcher: AskTell,
        journal: Journal,
        history: History,
        watchers: Sequence[Watcher] = (),
        *,
        iterations: int,
    ) -> None:
        super().__init__(searcher, journal, history, watchers)
        self.iterations = iterations  # what follows evaluates and retrains

    def begin(self) -> None:
        if 0 not in self.history.anchors:
            self._anchors(0)

    def _tell(self, id: str, outcome: Outcome) -> None:
        before = self.searcher.iteration
        super()._tell(id, outcome)
        if before <= self.iterations and (self.searcher.iteration != before or self.searcher.done):
            self._anchors(before)

    def _anchors(self, iteration: int) -> None:
        if iteration not in self.history.anchors:
            self._record("iteration", iteration=iteration, anchors=self.searcher.anchors)
        self._show("iteration", iteration, self.searcher.anchors)
