"""Which trials are started again, as they were, after what they ran on was lost."""

from collections.abc import Mapping

from searchers.outcome import Failure, FailureKind

LIMITS: Mapping[FailureKind, float] = {
    "node lost": float("inf"),
    "worker lost": 2,
    "out of memory": 2,
}
"""How often in a row, without an epoch in between, a trial is started again after a loss of a kind;
after one that is not listed, never.
"""


class Restarts:
    """Counts, for each trial and kind of loss, the restarts since the trial last got on."""

    def __init__(self) -> None:
        self._reached: dict[str, int] = {}
        self._counts: dict[str, dict[FailureKind, int]] = {}

    def reached(self, id: str, epoch: int) -> None:
        """A trial has told an epoch; one that it tells again is no progress."""
        if epoch > self._reached.get(id, 0):
            self._reached[id] = epoch
            self._counts.pop(id, None)

    def again(self, id: str, failure: Failure) -> bool:
        """Whether a trial is to be started again after this loss; counts it."""
        counts = self._counts.setdefault(id, {})
        counts[failure.kind] = counts.get(failure.kind, 0) + 1
        return counts[failure.kind] <= LIMITS.get(failure.kind, 0)

    def ended(self, id: str) -> None:
        """Nothing more comes of a trial."""
        self._reached.pop(id, None)
        self._counts.pop(id, None)
