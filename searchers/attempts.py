"""Trials that are asked for one by one, told in any order, and tried again where they fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Generic, TypeVar

from searchers.outcome import Outcome
from searchers.plan import P
from spaces.errors import require

T = TypeVar("T")


def answered(id: str, in_flight: Mapping[str, T]) -> T:
    """What is in flight under `id`. Raises InvalidInput where nothing is."""
    if id not in in_flight:
        remedy = "Answer each trial of `ask` once."
        require(False, "id in flight", remedy, id=id, in_flight=sorted(in_flight))
    return in_flight[id]


@dataclass(order=True)
class _Trial(Generic[P]):
    """A plan with its attempts: waiting, then asked (in flight), then told."""

    place: tuple[int, int]
    first: P = field(compare=False)
    now: P = field(compare=False)
    outcome: Outcome | None = field(default=None, compare=False)


class Attempts(Generic[P]):
    """Every one of `plans` once, in their order; one that fails is asked again, at its place, at
    most `max_retries` times.

    `again` gives the next attempt at a plan, with an id of its own and by the plan alone: neither
    the order of completion nor a restart changes any of them. All may be in flight at once.
    """

    def __init__(self, plans: Iterable[P], again: Callable[[P], P], max_retries: int) -> None:
        self._again, self.max_retries = again, max_retries
        self._waiting: list[_Trial[P]] = []  # a heap
        self._flying: dict[str, _Trial[P]] = {}
        self._ended: list[_Trial[P]] = []
        self._added = 0
        for plan in plans:
            self.add(plan)

    def add(self, plan: P, rank: int = 0) -> None:
        """One more, behind the others of its rank and before those of a higher one."""
        heappush(self._waiting, _Trial((rank, self._added), plan, plan))
        self._added += 1

    def ask(self) -> P | None:
        """As `Asks.ask`."""
        if not self._waiting:
            return None
        trial = heappop(self._waiting)
        self._flying[trial.now.id] = trial
        return trial.now

    def tell(self, id: str, outcome: Outcome) -> None:
        """As `Asks.tell`."""
        trial = answered(id, self._flying)
        del self._flying[id]
        if self.repeats(trial.now, outcome):
            trial.now = self._again(trial.now)
            heappush(self._waiting, trial)
        else:
            trial.outcome = outcome
            self._ended.append(trial)

    def repeats(self, plan: P, outcome: Outcome) -> bool:
        """Whether a plan with this outcome is asked for again."""
        return outcome.failure is not None and plan.attempt < self.max_retries

    def flying(self, id: str) -> P:
        """The plan in flight under `id`. Raises InvalidInput where there is none."""
        return answered(id, self._flying).now

    @property
    def waiting(self) -> bool:
        """Whether `ask` has anything to give."""
        return bool(self._waiting)

    @property
    def in_flight(self) -> list[P]:
        """Asked and not yet told, in their order."""
        return [trial.now for trial in sorted(self._flying.values())]

    @property
    def done(self) -> bool:
        return not self._waiting and not self._flying

    def __len__(self) -> int:
        return self._added

    @property
    def told(self) -> list[tuple[P, P, Outcome]]:
        """(first attempt, last attempt, its outcome) of each that has come to its end, in their
        order.
        """
        return [(t.first, t.now, t.outcome) for t in sorted(self._ended) if t.outcome is not None]

    @property
    def failures(self) -> list[tuple[str, str]]:
        """(id of the last attempt, reason) of each that was given up, in their order."""
        return [(now.id, str(o.failure)) for _, now, o in self.told if o.failure is not None]
