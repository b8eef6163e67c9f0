"""The state of a search: what it was asked and told."""

from __future__ import annotations

import json
from typing import Any, Generic

from searchers.outcome import Outcome
from searchers.plan import Asks, P, State
from spaces.errors import require


class Remembered(Generic[P]):
    """A searcher whose state can be saved and loaded, whatever it is.

    All searchers are deterministic: one that is built alike, asked and told the same in the same
    order, comes to the same state. So a state is a list of plans that were asked for and of
    [id, outcome] that were told.
    """

    def __init__(self, searcher: Asks[P]) -> None:
        self.searcher, self._events = searcher, list[Any]()

    def ask(self) -> P | None:
        """As `Asks.ask`."""
        plan = self.searcher.ask()
        if plan is not None:
            self._events.append(plan.to_dict())
        return plan

    def tell(self, id: str, outcome: Outcome) -> None:
        """As `Asks.tell`."""
        self.searcher.tell(id, outcome)
        self._events.append([id, outcome.to_dict()])

    @property
    def done(self) -> bool:
        return self.searcher.done

    def state_dict(self) -> State:
        """JSON-able, a copy."""
        return {"events": _as_json(self._events)}

    def load_state_dict(self, state: State) -> None:
        """Bring a searcher at its beginning to where `state_dict` was taken. InvalidInput where it
        asks for something else, as one that was built otherwise does; then it is of no use.
        """
        for event in state["events"]:
            if isinstance(event, list):
                self.tell(event[0], Outcome.from_dict(event[1]))
                continue
            plan = self.ask()
            now: Any = {} if plan is None else _as_json(plan.to_dict())
            differing = sorted(name for name in now | event if now.get(name) != event.get(name))
            asked, saved = ({name: each.get(name) for name in differing} for each in (now, event))
            remedy = "Build the searcher as the saved one was."
            require(not differing, "the same plans", remedy, asked=asked, saved=saved)


def _as_json(values: Any) -> Any:
    return json.loads(json.dumps(values))
