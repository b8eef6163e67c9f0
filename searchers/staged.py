"""One list of trials after another, each of which depends on what those before it have found."""

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, Protocol

from searchers.attempts import answered
from searchers.outcome import Outcome
from searchers.plan import Asks, P, P_co


class Staged(Asks[P_co], Protocol[P_co]):
    """A searcher that can be one of several stages, such as a `GridSearch`."""

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """The last outcome of every plan that has one, by the id of its first attempt."""

    @property
    def failures(self) -> list[tuple[str, str]]:
        """(id of the last attempt, reason) of every plan given up."""


Stage = Callable[[Mapping[str, Outcome]], Staged[P] | None]
"""From the outcomes of all stages before to the searcher of this one; None leaves it out. It must
depend on nothing else.
"""


class StagedSearch(Generic[P]):
    """Each of `stages` once the one before it is done. Errors as in `Asks`."""

    def __init__(self, stages: Sequence[Stage[P]]) -> None:
        self._ahead, self._begun = list(stages), list[Staged[P]]()
        self._go_on()

    def _go_on(self) -> None:
        while self._ahead and (not self._begun or self._begun[-1].done):
            searcher = self._ahead.pop(0)(self.outcomes)
            if searcher is not None:
                self._begun.append(searcher)

    def ask(self) -> P | None:
        """As `Asks.ask`; None between two stages too."""
        return self._begun[-1].ask() if self._begun else None

    def tell(self, id: str, outcome: Outcome) -> None:
        """As `Asks.tell`."""
        if not self._begun:
            answered(id, {})
        self._begun[-1].tell(id, outcome)
        self._go_on()

    @property
    def done(self) -> bool:
        return not self._ahead and all(searcher.done for searcher in self._begun)

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """As of each stage, in their order."""
        return {id: found for each in self._begun for id, found in each.outcomes.items()}

    @property
    def failures(self) -> list[tuple[str, str]]:
        """As of each stage, in their order."""
        return [failure for searcher in self._begun for failure in searcher.failures]
