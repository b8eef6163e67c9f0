"""A fixed list of trials, asked and told like a search."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic

from searchers.base import at_least
from searchers.outcome import Outcome
from searchers.plan import P, State
from spaces.errors import require


@dataclass
class _Item(Generic[P]):
    """A plan of the list with all its possible attempts: waiting, then asked (in flight), then
    told.
    """

    attempts: list[P]
    attempt: int = 0
    asked: bool = False
    outcome: Outcome | None = None

    @property
    def plan(self) -> P:
        return self.attempts[self.attempt]

    @property
    def flying(self) -> bool:
        return self.asked and self.outcome is None


class GridSearch(Generic[P]):
    """Every plan of a list once, in its order; one that fails is asked again, at its place, at most
    `max_retries` times.

    `again` gives the next attempt at a plan, with an id of its own and by the plan alone: which
    attempts there can be is settled at the start, so that neither the order of completion nor a
    restart changes any of them. All plans may be in flight at once. An outcome without a failure is
    a success, whatever else it holds.

    Raises:
        InvalidInput: without plans, and where two attempts share an id.
    """

    def __init__(self, plans: Sequence[P], again: Callable[[P], P], max_retries: int = 2) -> None:
        at_least(0, max_retries=max_retries)
        at_least(1, plans=len(plans))
        self._items: list[_Item[P]] = []
        for plan in plans:
            attempts = [plan]
            for _ in range(max_retries):
                attempts.append(again(attempts[-1]))
            self._items.append(_Item(attempts))
        count = Counter(plan.id for item in self._items for plan in item.attempts)
        repeated = sorted(id for id in count if count[id] > 1)
        require(
            not repeated,
            "ids are unique",
            "Name each attempt at each plan apart.",
            repeated=repeated,
        )

    def ask(self) -> P | None:
        """The next trial; None while all that are left are in flight, and when done."""
        for item in self._items:
            if not item.asked:
                item.asked = True
                return item.plan
        return None

    def tell(self, id: str, outcome: Outcome) -> None:
        """Answer a plan, in any order. InvalidInput if `id` is not in flight."""
        flying = {item.plan.id: item for item in self._items if item.flying}
        require(
            id in flying,
            "id in flight",
            "Answer each plan of `ask` once.",
            id=id,
            in_flight=sorted(flying),
        )
        item = flying[id]
        if outcome.failure is not None and item.attempt + 1 < len(item.attempts):
            item.attempt += 1
            item.asked = False
        else:
            item.outcome = outcome

    @property
    def done(self) -> bool:
        return all(item.outcome is not None for item in self._items)

    @property
    def in_flight(self) -> list[P]:
        """Asked and not yet told, in the order of the list."""
        return [item.plan for item in self._items if item.flying]

    @property
    def failures(self) -> list[tuple[str, str]]:
        """(id of the last attempt, reason) of every plan given up, in the order of the list."""
        told = [(item.plan.id, item.outcome) for item in self._items]
        return [(id, str(o.failure)) for id, o in told if o is not None and o.failure is not None]

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """The last outcome of every plan that has one, by the id of its first attempt, in the order
        of the list.
        """
        told = [(item.attempts[0].id, item.outcome) for item in self._items]
        return {id: outcome for id, outcome in told if outcome is not None}

    def _plans(self) -> list[Any]:
        """The list as JSON gives it back."""
        plans: list[Any] = json.loads(
            json.dumps([item.attempts[0].to_dict() for item in self._items])
        )
        return plans

    def state_dict(self) -> State:
        """All that a search over the same list needs to go on alike, JSON-able."""
        told = [
            [item.attempt, item.asked, None if item.outcome is None else item.outcome.to_dict()]
            for item in self._items
        ]
        return {"plans": self._plans(), "retries": len(self._items[0].attempts) - 1, "items": told}

    def load_state_dict(self, state: State) -> None:
        """Go on where `state_dict` was taken; InvalidInput if that was over another list."""
        here, saved = self._plans(), state["plans"]
        differing = sorted(
            {plan["id"] for plan in here + saved if plan not in here or plan not in saved}
        )
        remedy = "Build the grid as the saved one was."
        require(here == saved, "same plans in the same order", remedy, differing=differing)
        retries = len(self._items[0].attempts) - 1
        require(
            state["retries"] == retries,
            "same max_retries",
            remedy,
            here=retries,
            saved=state["retries"],
        )
        for item, (attempt, asked, outcome) in zip(self._items, state["items"], strict=True):
            item.attempt, item.asked = attempt, asked
            item.outcome = None if outcome is None else Outcome.from_dict(outcome)
