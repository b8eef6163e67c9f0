"""The session of an outer search."""

from fade_ray.run.session import Session
from fade_ray.search.search_history import History
from searchers import AskTell, Outcome, Proposal


class SearchSession(Session[Proposal]):
    """Records the anchors after each of the `iterations` that move them."""

    searcher: AskTell
    history: History
    iterations: int

    def begin(self) -> None:
        if 0 not in self.history.anchors:
            self._anchors(0)

    def _tell(self, id: str, outcome: Outcome) -> None:
        before = self.searcher.iteration
        super()._tell(id, outcome)
        for ended in range(before, self.searcher.iteration + self.searcher.done):
            if ended <= self.iterations:
                self._anchors(ended)

    def _anchors(self, iteration: int) -> None:
        if iteration not in self.history.anchors:
            self._record("iteration", iteration=iteration, anchors=self.searcher.anchors)
        self._show("iteration", iteration, self.searcher.anchors)
