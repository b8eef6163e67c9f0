"""What every engine and the record of a run need of the things that are run."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from searchers.outcome import Outcome

State = dict[str, Any]  # values that json writes and reads back unchanged


class Plan(Protocol):
    """A trial to run, such as a `Proposal`.

    `id` is unique in the run, other attempts at the same trial included; `attempt` counts from 0;
    `epochs` >= 1.
    """

    @property
    def id(self) -> str: ...

    @property
    def attempt(self) -> int: ...

    @property
    def epochs(self) -> int: ...

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, with "id"; all that the trial depends on."""


P = TypeVar("P", bound=Plan)
P_co = TypeVar("P_co", bound=Plan, covariant=True)


class Asks(Protocol[P_co]):
    """A searcher of any kind, or something that stands before one."""

    def ask(self) -> P_co | None:
        """The next trial; None while all that are left are in flight, and when done."""

    def tell(self, id: str, outcome: Outcome) -> None:
        """Answer a trial, in any order. InvalidInput if `id` is not in flight."""

    @property
    def done(self) -> bool: ...
