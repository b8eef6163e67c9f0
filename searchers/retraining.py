"""A search followed by the retraining of what it found."""

from __future__ import annotations

from searchers.base import AskTell, Proposal, Told
from searchers.batch import BatchSearcher
from searchers.outcome import Outcome
from spaces.errors import at_least
from spaces.hyper import HyperArchitecture


class WithRetraining(BatchSearcher):
    """Any searcher, then `repeats` retrainings (kind "retraining", `epochs` each, different seeds)
    of its best evaluated architecture.

    The retrainings form one more batch, numbered and indexed after those of `inner`; they are tried
    again like all trials. Where the search evaluated nothing with success there is nothing to
    retrain: done, with a failure recorded under the id "retraining".
    """

    def __init__(
        self, inner: AskTell, epochs: int, repeats: int = 1, seed: int = 0, max_retries: int = 2
    ) -> None:
        at_least(1, epochs=epochs, repeats=repeats)
        self.inner, self.epochs, self.repeats = inner, epochs, repeats
        self._begun, self._nothing = False, list[tuple[str, str]]()
        super().__init__(seed, max_retries)

    def begin(self) -> None:
        self._begin_if_searched()

    def _begin_if_searched(self) -> None:
        if self._begun or not self.inner.done:
            return
        self._begun = True
        self.opened = self.inner.iteration
        if self.inner.best is None:
            reason = "the best evaluated architecture is retrained, but no evaluation has succeeded"
            self._nothing.append(("retraining", reason))
            return
        for repeat in range(self.repeats):
            self.propose("retraining", self.inner.best[0], self.epochs, repeat=repeat)

    def ask(self) -> Proposal | None:
        if self._begun:
            return super().ask()
        proposal = self.inner.ask()
        if proposal is not None:
            self.proposed = max(self.proposed, proposal.index + 1)
        return proposal

    def tell(self, id: str, outcome: Outcome) -> None:
        if self._begun:
            super().tell(id, outcome)
            return
        self.inner.tell(id, outcome)
        self._open(self._begin_if_searched)

    def learn(self, told: Told) -> None:
        """Nothing is learned from a retraining and nothing follows it."""

    @property
    def done(self) -> bool:
        return self._begun and super().done

    @property
    def iteration(self) -> int:
        return super().iteration if self._begun else self.inner.iteration

    @property
    def anchors(self) -> list[list[list[float]]]:
        return self.inner.anchors

    @property
    def best(self) -> tuple[HyperArchitecture, float] | None:
        return self.inner.best

    @property
    def failures(self) -> list[tuple[str, str]]:
        return self.inner.failures + self._nothing + super().failures

    @property
    def in_flight(self) -> list[Proposal]:
        return self.inner.in_flight + super().in_flight
