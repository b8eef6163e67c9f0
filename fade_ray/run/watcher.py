"""Those who watch a run."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from searchers import Outcome


class Watcher:
    """Someone who is shown what happens, such as the progress line or TensorBoard. A subclass looks
    at what it cares for.

    A `proposal` is a plan of the kind that the run is made of: in an outer search a `Proposal`.
    """

    failed: OSError | None = None
    """Why it is shown no more: its disk is full, its terminal gone. That never ends a run."""

    def proposed(self, proposal: Any) -> None:
        """A trial waits for its turn to run."""

    def begun(self, proposal: Any) -> None:
        """A process has begun with it."""

    def epoch(self, proposal: Any, epoch: int, metrics: Mapping[str, Any]) -> None:
        """One of its epochs, from 1, is over."""

    def finished(self, proposal: Any, outcome: Outcome, metrics: Mapping[str, Any]) -> None:
        """It has ended, well or not."""

    def warned(self, message: str) -> None:
        """Something to tell, each wording once."""

    def noted(self, line: str) -> None:
        """How far it is, in a line, from a run that is not made of trials."""

    def advanced(self, part: Any) -> None:
        """A part of such a run is over."""

    def iteration(self, number: int, anchors: Sequence[Any]) -> None:
        """Iteration `number` is over (0: the start); `anchors` [walk][d][k] after it."""

    def close(self) -> None:
        """The run has ended or stopped."""


def show(watchers: Sequence[Watcher], what: str, *told: Any) -> Iterator[str]:
    """Show something to all of them; what is to be told of those that have failed at it."""
    for watcher in watchers:
        if watcher.failed is None:
            try:
                getattr(watcher, what)(*told)
            except OSError as error:
                watcher.failed = error
                yield f"{type(watcher).__name__} is shown no more of this run: {error}"
