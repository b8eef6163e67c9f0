"""A search, and one more batch of trials behind it."""

from __future__ import annotations

from abc import abstractmethod

from searchers.base import AskTell, Proposal, Told
from searchers.batch import BatchSearcher
from searchers.outcome import Outcome
from spaces.hyper import HyperArchitecture


class Following(BatchSearcher):
    """`inner`, then the batch that `follow` proposes, numbered and indexed after those of `inner`
    and tried again like all trials.
    """

    def __init__(self, inner: AskTell, seed: int, max_retries: int) -> None:
        self.inner, self._begun = inner, False
        super().__init__(seed, max_retries)

    @abstractmethod
    def follow(self) -> None:
        """Propose the batch, with `inner` done."""

    def begin(self) -> None:
        self._begin_if_searched()

    def _begin_if_searched(self) -> None:
        if self._begun or not self.inner.done:
            return
        self._begun = True
        self.opened = self.inner.iteration
        self.follow()

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
        """Nothing follows this batch."""

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
        return self.inner.failures + super().failures

    @property
    def in_flight(self) -> list[Proposal]:
        return self.inner.in_flight + super().in_flight
