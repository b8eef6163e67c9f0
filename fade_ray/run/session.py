"""A run in progress: its searcher, the record that is the truth about it, its watchers."""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar

from fade_ray.records.history import TrialHistory
from fade_ray.records.journal import Journal, wording
from fade_ray.records.remote import clear, remove
from fade_ray.records.standings import epoch_sums
from fade_ray.run.watcher import Watcher, show
from fade_ray.trials.job import checkpoint_path, checkpoints
from searchers import Outcome
from searchers.plan import Asks, Plan
from spaces.errors import InvalidInput

P = TypeVar("P", bound=Plan)


class Session(Generic[P]):
    """`ask`, `observe` and `tell` for an engine; every event is on disk before the searcher acts on
    it.

    A session over the record of an interrupted run first replays it: the searcher is deterministic,
    so asking and telling it again what is recorded, in that order, restores its state, and the
    plans without an outcome are handed out again under the same ids and seeds.
    """

    def __init__(
        self,
        searcher: Asks[P],
        journal: Journal,
        history: TrialHistory[P],
        watchers: Sequence[Watcher] = (),
    ) -> None:
        self.searcher, self.journal, self.history, self.watchers = (
            searcher,
            journal,
            history,
            watchers,
        )
        self._unfinished: deque[P] | None = None  # of the record; None before it is replayed
        self._running: dict[str, tuple[P, float]] = {}
        self._last: dict[str, dict[str, Any]] = {}
        # plan id -> epoch -> metrics, earlier sessions' too
        self._seen: dict[str, dict[int, Mapping[str, Any]]] = {}
        self._warned = {wording(message) for _, message in history.warnings}
        self.broken: InvalidInput | None = None
        self.training_seconds = 0.0
        self.wall_seconds = 0.0

    def begin(self) -> None:
        """Called once, before the first trial."""

    @property
    def done(self) -> bool:
        return self.searcher.done

    def ask(self) -> P | None:
        """The next trial to run; None while all that can run is in flight and at the end. Raises
        InvalidInput for a record of another searcher.
        """
        if self._unfinished is None:
            self._unfinished = self._replay()
        plan = self._next()
        while plan is not None and plan.id in self.history.outcomes:
            self._tell(plan.id, self.history.outcomes[plan.id])
            plan = self._next()
        if plan is None:
            return None
        if plan.id not in self.history.proposals:
            self._record("proposed", proposal=plan.to_dict())
        self._running[plan.id] = (plan, time.monotonic())
        self._seen[plan.id] = dict(self.history.epochs.get(plan.id, {}))
        self._show("proposed", plan)
        return plan

    def _next(self) -> P | None:
        return self._unfinished.popleft() if self._unfinished else self.searcher.ask()

    def _replay(self) -> deque[P]:
        """Ask and tell what is recorded, in its order; what was asked and is not told yet. Ends
        where a run that has grown has something new to do first: its searcher, a grid, does not
        depend on the order.
        """
        asked: set[str] = set()
        untold: dict[str, P] = {}
        for event, id in self.history.times:
            while id not in asked:
                plan = self.searcher.ask()
                if plan is None:
                    return deque(untold.values())
                recorded = self.history.proposals.get(plan.id)
                if recorded is not None and plan.to_dict() != recorded.to_dict():
                    self.broken = InvalidInput(
                        "Asked and told again what is recorded, a searcher must propose the same, "
                        f"but in place of trial {recorded} came {plan}. Continue the run with the "
                        "version that it was begun with."
                    )
                    raise self.broken
                asked.add(plan.id)
                untold[plan.id] = plan
            if event == "finished":
                del untold[id]
                self._tell(id, self.history.outcomes[id])
        return deque(untold.values())

    def observe(self, id: str, event: Mapping[str, Any]) -> None:
        """Take one event of a running trial, as `fade_ray.trials.job.events` yields them;
        {"begun": the node, or None}, before the first one; or {"restarted": a failure as a dict},
        for a trial that lost its worker and begins again where it was.
        """
        plan, _ = self._running[id]
        if "abort" in event:
            self.broken = InvalidInput(event["abort"])
            raise self.broken
        if "begun" in event:
            self._record("begun", id=id, node=event["begun"])
            self._show("begun", plan)
            return
        if "restarted" in event:
            reason = event["restarted"]["reason"]
            self._record("restarted", id=id, failure=event["restarted"])
            self.warn(f"trial {id} is started again from its checkpoint: {reason}", id)
            return
        if "epoch" not in event:
            self._last[id] = dict(event)
            return
        epoch, metrics = event["epoch"], event["metrics"]
        if epoch in self._seen[id]:
            return  # told again by a trial that was restarted
        self._seen[id][epoch] = metrics
        self._record("epoch", id=id, epoch=epoch, metrics=metrics)
        self.training_seconds += metrics.get("seconds") or 0.0
        self._show("epoch", plan, epoch, metrics)

    def tell(self, id: str, outcome: Outcome) -> None:
        """Record the end of a trial, which needs its checkpoint until then, and tell the
        searcher.
        """
        plan, started = self._running.pop(id)
        wall = time.monotonic() - started
        self.wall_seconds += wall
        last = self._last.pop(id, {})
        # a trial that failed reports no sums of its own, but has cost what was seen of it
        metrics = epoch_sums(self._seen.pop(id)) | last.get("metrics", {}) | {"trial_seconds": wall}
        self._record("finished", id=id, outcome=outcome.to_dict(), metrics=metrics)
        with suppress(OSError):  # `end` tries again
            remove(checkpoint_path(self.journal.path.parent, id))
        for message in last.get("warnings", []):
            self.warn(message, id)
        if outcome.failure is not None:
            self.warn(f"trial {id} failed: {outcome.failure}", id)
        self._show("finished", plan, outcome, metrics)
        self._tell(id, outcome)

    def end(self) -> None:
        """Called behind the last trial: no checkpoint is needed any more, also none that a worker
        wrote which was frozen while its trial went on elsewhere.
        """
        try:
            clear(checkpoints(self.journal.path.parent))
        except OSError as error:
            self.warn(f"checkpoints that are not needed any more could not be removed: {error}")

    def _tell(self, id: str, outcome: Outcome) -> None:
        self.searcher.tell(id, outcome)

    def _show(self, what: str, *told: Any) -> None:
        for failure in show(self.watchers, what, *told):
            self.warn(failure)

    def _record(self, event: str, **fields: Any) -> None:
        try:
            self.journal.append(event, **fields)
        except InvalidInput as error:
            self.broken = error  # Tune buries what a searcher raises
            raise

    def warn(self, message: str, id: str | None = None, again: bool = False) -> None:
        """Record a warning; those who watch see each wording once, or `again`."""
        self._record("warning", id=id, message=message)
        if again or wording(message) not in self._warned:
            self._warned.add(wording(message))
            self._show("warned", message)

    @property
    def training_share(self) -> float | None:
        """Share of the wall time of this session's finished trials that was spent training; None
        without one.
        """
        return self.training_seconds / self.wall_seconds if self.wall_seconds else None
