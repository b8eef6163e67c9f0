"""Trials that are asked for one by one, told in any order, and tried again where they fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from searchers.outcome import Outcome
from searchers.plan import P
from spaces.errors import require

T = TypeVar("T")


def answered(id: str, in_flight: Mapping[str, T]) -> T:
    """What is in flight under `id`. Raises InvalidInput where nothing is."""
    remedy = "Answer each trial of `ask` once."
    require(id in in_flight, "id in flight", remedy, id=id, in_flight=sorted(in_flight))
    return in_flight[id]


@dataclass
class _Trial(Generic[P]):
    """A plan with its attempts: waiting, then asked (in flight), then told."""

    first: P
    now: P
    asked: bool = False
    outcome: Outcome | None = None


class Attempts(Generic[P]):
    """Every one of `plans` once, in their order; one that fails is asked again, at its place, at
    most `max_retries` times.

    `again` gives the next attempt at a plan, with an id of its own and by the plan alone: neither
    the order of completion nor a restart changes any of them. All may be in flight at once.
    """

    def __init__(self, plans: Iterable[P], again: Callable[[P], P], max_retries: int) -> None:
        self._trials = [_Trial(plan, plan) for plan in plans]
        self._again, self.max_retries = again, max_retries

    def add(self, plan: P) -> None:
        """One more, behind the others."""
        self._trials.append(_Trial(plan, plan))

    def ask(self) -> P | None:
        """As `Asks.ask`."""
        for trial in self._trials:
            if not trial.asked:
                trial.asked = True
                return trial.now
        return None

    def tell(self, id: str, outcome: Outcome) -> None:
        """As `Asks.tell`."""
        trial = answered(id, self._flying)
        if outcome.failure is not None and trial.now.attempt < self.max_retries:
            trial.now, trial.asked = self._again(trial.now), False
        else:
            trial.outcome = outcome

    @property
    def _flying(self) -> dict[str, _Trial[P]]:
        return {t.now.id: t for t in self._trials if t.asked and t.outcome is None}

    @property
    def in_flight(self) -> list[P]:
        """Asked and not yet told, in their order."""
        return [trial.now for trial in self._flying.values()]

    @property
    def done(self) -> bool:
        return all(trial.outcome is not None for trial in self._trials)

    def __len__(self) -> int:
        return len(self._trials)

    @property
    def told(self) -> list[tuple[P, P, Outcome]]:
        """(first attempt, last attempt, its outcome) of each that has come to its end."""
        return [(t.first, t.now, t.outcome) for t in self._trials if t.outcome is not None]

    @property
    def failures(self) -> list[tuple[str, str]]:
        """(id of the last attempt, reason) of each that was given up."""
        return [(now.id, str(o.failure)) for _, now, o in self.told if o.failure is not None]
