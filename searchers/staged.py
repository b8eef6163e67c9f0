"""A list of trials and then another one that depends on what the first has found."""

from collections.abc import Callable, Mapping, Sequence
from typing import Generic

from searchers.grid import GridSearch
from searchers.outcome import Outcome
from searchers.plan import P, State


class StagedSearch(Generic[P]):
    """Every plan of `first`, then every plan of `then(outcomes)`, both as in `GridSearch`.

    `then` gets the last outcome of every plan of the first stage by the id of its first attempt, in
    their order; it must depend on nothing else. No plans from it end the search. Errors as in
    `GridSearch`.
    """

    def __init__(
        self,
        first: Sequence[P],
        then: Callable[[Mapping[str, Outcome]], Sequence[P]],
        again: Callable[[P], P],
        max_retries: int = 2,
    ) -> None:
        self._first = GridSearch(first, again, max_retries)
        self._then, self._again, self._max_retries = then, again, max_retries
        self._second: GridSearch[P] | None = None
        self._begun = False  # the second stage

    @property
    def _stage(self) -> GridSearch[P]:
        return self._first if self._second is None else self._second

    def _go_on(self) -> None:
        if self._begun or not self._first.done:
            return
        self._begun = True
        plans = self._then(self._first.outcomes)
        if plans:
            self._second = GridSearch(plans, self._again, self._max_retries)

    def ask(self) -> P | None:
        """As `Asks.ask`; None between the stages too."""
        return self._stage.ask()

    def tell(self, id: str, outcome: Outcome) -> None:
        """As `Asks.tell`."""
        self._stage.tell(id, outcome)
        self._go_on()

    @property
    def done(self) -> bool:
        return self._begun and (self._second is None or self._second.done)

    @property
    def failures(self) -> list[tuple[str, str]]:
        """(id of the last attempt, reason) of every plan given up."""
        return self._first.failures + ([] if self._second is None else self._second.failures)

    def state_dict(self) -> State:
        """JSON-able."""
        second = None if self._second is None else self._second.state_dict()
        return {"first": self._first.state_dict(), "second": second}

    def load_state_dict(self, state: State) -> None:
        """Go on where `state_dict` was taken; InvalidInput if that was over other plans."""
        self._first.load_state_dict(state["first"])
        self._go_on()
        if self._second is not None:
            self._second.load_state_dict(state["second"])
