"""Any ask/tell searcher as a Ray Tune `Searcher`: translation only."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from searchers.outcome import Failure, Outcome
from searchers.plan import Asks, Plan
from searchers.remembered import Remembered
from searchers.restarts import Restarts
from spaces.errors import InvalidInput

UNKNOWN = Failure("worker lost", "its process ended without a word")


class TuneSearcher(Searcher):  # type: ignore[misc]
    """`suggest` is `ask`, `on_trial_complete` is `tell`.

    A trial's config is {"proposal": Plan.to_dict()}. It reports {"event": JSON text} (Tune would
    flatten a dict); the last event holds an "outcome", that is `Outcome.to_dict()`. Every event is
    also given to `observe(plan id, event)`.

    A trial that dies without an outcome is suggested again, the same plan, as often as `Restarts`
    has it, and `observe` is given {"restarted": the failure}; then it is told as a failure, so that
    the batch always shrinks. What it died of is said by `died` before Tune completes it.

    `slots` says how many may run at present; None: as many as Tune asks for, which without
    TUNE_MAX_PENDING_TRIALS_PG is one at a time.

    What Tune keeps on disk is JSON, of the trials that run or wait and no more: whoever writes down
    what is asked and told, as the runs of fade_ray do, builds the searcher again from that. To go
    on from Tune's own snapshots, which grow with the run, give a `Remembered` searcher.
    """

    def __init__(
        self,
        searcher: Asks[Plan],
        observe: Callable[[str, Mapping[str, Any]], None] = lambda id, event: None,
        slots: Callable[[], int] | None = None,
    ) -> None:
        super().__init__()
        # not named `searcher`: Tune takes what has that attribute for a wrapper of its own
        self.source, self.observe, self.slots = searcher, observe, slots
        self.running: dict[str, str] = {}  # Tune's trial id -> the plan's
        self.plans: dict[str, dict[str, Any]] = {}  # of the trials that have not ended
        self.restarts, self.waiting = Restarts(), list[str]()  # ids to be suggested again
        self._deaths: dict[str, Failure] = {}

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: Any, **spec: Any
    ) -> bool:
        """Nothing to take over: what is searched is the searcher's business."""
        return True

    def suggest(self, trial_id: str) -> Any:
        if self.slots is not None and len(self.running) >= self.slots():
            return None
        if self.waiting:
            return self._started(trial_id, self.waiting.pop(0))
        proposal = self.source.ask()
        if proposal is not None:
            self.plans[proposal.id] = proposal.to_dict()
            return self._started(trial_id, proposal.id)
        if self.source.done:
            return Searcher.FINISHED
        if not self.running:  # None for ever would hang Tune for ever
            raise RuntimeError("the searcher waits for a batch of which no trial is running")
        return None

    def _started(self, trial_id: str, id: str) -> dict[str, Any]:
        self.running[trial_id] = id
        return {"proposal": self.plans[id]}

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        id, event = self.running[trial_id], json.loads(result["event"])
        if "epoch" in event:
            self.restarts.reached(id, event["epoch"])
        self.observe(id, event)

    def died(self, trial_id: str, failure: Failure) -> None:
        """What a trial died of, before `on_trial_complete` is called with an error."""
        self._deaths[trial_id] = failure

    def on_trial_complete(
        self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False
    ) -> None:
        id, death = self.running.pop(trial_id), self._deaths.pop(trial_id, UNKNOWN)
        event = json.loads((result or {}).get("event", "{}"))
        if not error:
            # Tune does not show the last result of a trial to `on_trial_result`
            self.observe(id, event)
        if "outcome" in event and not error:
            outcome = Outcome.from_dict(event["outcome"])
        elif self.restarts.again(id, death):
            self.waiting.append(id)
            self.observe(id, {"restarted": vars(death)})
            return
        else:
            outcome = Outcome(failure=death)
        self.restarts.ended(id)
        del self.plans[id]
        self.source.tell(id, outcome)

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its arguments into its folder. A live searcher has no business in there: a
        # run is continued from its own record.
        return {"source": None, "running": self.running}

    def save(self, checkpoint_path: str) -> None:
        state: dict[str, Any] = {
            "running": self.running,
            "plans": self.plans,
            "waiting": self.waiting,
        }
        if isinstance(self.source, Remembered):
            state["searcher"] = self.source.state_dict()
        Path(checkpoint_path).write_text(json.dumps(state))

    def restore(self, checkpoint_path: str) -> None:
        """Raises InvalidInput where the searcher is not, or was not, a `Remembered` one."""
        state = json.loads(Path(checkpoint_path).read_text())
        if not isinstance(self.source, Remembered) or "searcher" not in state:
            raise InvalidInput(
                "A snapshot of Tune's is restored with a searcher that is `Remembered`, as it was "
                "when it was taken. Otherwise build the searcher again from your own record."
            )
        self.source.load_state_dict(state["searcher"])
        self.running, self.plans = state["running"], state["plans"]
        self.waiting = state["waiting"]
