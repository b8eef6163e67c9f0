"""Any ask/tell searcher as a Ray Tune `Searcher`: translation only."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from ray.tune.search import Searcher

from searchers.base import Outcome, Proposal, State


class Asks(Protocol):
    """What the adapter needs of a searcher, or of something that stands before one."""

    def ask(self) -> Proposal | None: ...

    def tell(self, id: str, outcome: Outcome) -> None: ...

    @property
    def done(self) -> bool: ...

    def state_dict(self) -> State: ...

    def load_state_dict(self, state: State) -> None: ...


class TuneSearcher(Searcher):  # type: ignore[misc]
    """`suggest` is `ask`, `on_trial_complete` is `tell`.

    A trial's config is {"proposal": Proposal.to_dict()}; it reports {"event": ...} dicts, the last of which holds an "outcome"
    (`Outcome.to_dict()`). Every event is also given to `observe(proposal id, event)`. A trial that dies without an outcome is told as a failure, so
    that the batch always shrinks. Always run it with `max_concurrent_trials` set: without it Tune asks for one trial at a time.

    The state is JSON. `observe` is not part of it.
    """

    def __init__(
        self, searcher: Asks, observe: Callable[[str, Mapping[str, Any]], None] = lambda id, event: None
    ) -> None:
        super().__init__()
        self.searcher, self.observe = searcher, observe
        self.running: dict[str, str] = {}  # Tune's trial id -> proposal id

    def set_search_properties(self, metric: str | None, mode: str | None, config: Any, **spec: Any) -> bool:
        """Nothing to take over: what is searched is the searcher's business."""
        return True

    def suggest(self, trial_id: str) -> Any:
        proposal = self.searcher.ask()
        if proposal is not None:
            self.running[trial_id] = proposal.id
            return {"proposal": proposal.to_dict()}
        if self.searcher.done:
            return Searcher.FINISHED
        if not self.running:  # None for ever would hang Tune for ever
            raise RuntimeError("the searcher waits for a batch of which no trial is running")
        return None

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        self.observe(self.running[trial_id], result["event"])

    def on_trial_complete(self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False) -> None:
        id = self.running.pop(trial_id)
        outcome = (result or {}).get("event", {}).get("outcome")
        if error or outcome is None:
            failure = "its process died, and again when it was restarted: out of memory, or a lost node?"
            self.searcher.tell(id, Outcome(failure=failure))
        else:
            self.searcher.tell(id, Outcome.from_dict(outcome))

    def save(self, checkpoint_path: str) -> None:
        state = {"searcher": self.searcher.state_dict(), "running": self.running}
        Path(checkpoint_path).write_text(json.dumps(state))

    def restore(self, checkpoint_path: str) -> None:
        state = json.loads(Path(checkpoint_path).read_text())
        self.searcher.load_state_dict(state["searcher"])
        self.running = state["running"]
