"""Any ask/tell searcher as a Ray Tune `Searcher`: translation only."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from searchers.outcome import Outcome
from searchers.plan import Asks, Plan
from searchers.remembered import Remembered


class TuneSearcher(Searcher):  # type: ignore[misc]
    """`suggest` is `ask`, `on_trial_complete` is `tell`.

    A trial's config is {"proposal": Plan.to_dict()}. It reports {"event": JSON text} (Tune would
    flatten a dict); the last event holds an "outcome", that is `Outcome.to_dict()`. Every event is
    also given to `observe(plan id, event)`. A trial that dies without an outcome is told as a
    failure, so that the batch always shrinks. Always run it with `max_concurrent_trials` set:
    without it Tune asks for one trial at a time. The state is JSON; `observe` is not part of it.
    """

    def __init__(
        self,
        searcher: Asks[Plan],
        observe: Callable[[str, Mapping[str, Any]], None] = lambda id, event: None,
    ) -> None:
        super().__init__()
        # not named `searcher`: Tune takes what has that attribute for a wrapper of its own
        self.source, self.observe = Remembered(searcher), observe
        self.running: dict[str, str] = {}  # Tune's trial id -> the plan's

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: Any, **spec: Any
    ) -> bool:
        """Nothing to take over: what is searched is the searcher's business."""
        return True

    def suggest(self, trial_id: str) -> Any:
        proposal = self.source.ask()
        if proposal is not None:
            self.running[trial_id] = proposal.id
            return {"proposal": proposal.to_dict()}
        if self.source.done:
            return Searcher.FINISHED
        if not self.running:  # None for ever would hang Tune for ever
            raise RuntimeError("the searcher waits for a batch of which no trial is running")
        return None

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        self.observe(self.running[trial_id], json.loads(result["event"]))

    def on_trial_complete(
        self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False
    ) -> None:
        id = self.running.pop(trial_id)
        event = json.loads((result or {}).get("event", "{}"))
        if not error:
            # Tune does not show the last result of a trial to `on_trial_result`
            self.observe(id, event)
        if error or "outcome" not in event:
            reason = (
                "its process died, and again when it was restarted: out of memory, or a lost node?"
            )
            self.source.tell(id, Outcome.failed("crashed", reason))
        else:
            self.source.tell(id, Outcome.from_dict(event["outcome"]))

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its arguments into its folder. A live searcher has no business in there: a
        # run is continued from its own record.
        return {"source": None, "running": self.running}

    def save(self, checkpoint_path: str) -> None:
        state = {"searcher": self.source.state_dict(), "running": self.running}
        Path(checkpoint_path).write_text(json.dumps(state))

    def restore(self, checkpoint_path: str) -> None:
        state = json.loads(Path(checkpoint_path).read_text())
        self.source.load_state_dict(state["searcher"])
        self.running = state["running"]
