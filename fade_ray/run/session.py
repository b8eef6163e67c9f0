"""A search in progress: the searcher, the append-only record that is the truth about it, and those who watch."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from fade_ray.records import History, Journal, wording
from searchers import AskTell, Outcome, Proposal
from spaces.errors import InvalidInput

COSTS = ("images", "multiply_adds", "seconds")


class Watcher:
    """Someone who is shown what happens, such as the progress line or TensorBoard. A subclass looks at what it cares for."""

    def proposed(self, proposal: Proposal) -> None:
        """A trial is about to run."""

    def epoch(self, proposal: Proposal, epoch: int, metrics: Mapping[str, Any]) -> None:
        """One of its epochs, from 1, is over."""

    def finished(self, proposal: Proposal, outcome: Outcome, metrics: Mapping[str, Any]) -> None:
        """It has ended, well or not."""

    def warned(self, message: str) -> None:
        """Something to tell, each wording once."""

    def iteration(self, number: int, anchors: Sequence[Any]) -> None:
        """Iteration `number` is over (0: the start); `anchors` [walk][d][k] after it."""

    def close(self) -> None:
        """The run has ended or stopped."""


class Session:
    """`ask`, `observe` and `tell` for an engine; every event is on disk before the searcher acts on it.

    A session over the record of an interrupted run first replays it: the searcher is deterministic, so asking it again and telling it what
    is recorded restores its state, and the proposals without an outcome are handed out again under the same ids and seeds.
    """

    def __init__(
        self,
        searcher: AskTell,
        journal: Journal,
        history: History,
        watchers: Sequence[Watcher] = (),
        *,
        iterations: int,
    ) -> None:
        self.iterations = iterations  # that move the anchors; what follows evaluates and retrains
        self.searcher, self.journal, self.history, self.watchers = searcher, journal, history, watchers
        self._running: dict[str, tuple[Proposal, float]] = {}
        self._last: dict[str, dict[str, Any]] = {}
        self._epochs: dict[str, set[int]] = {}
        self._spent: dict[str, dict[str, float]] = {}
        self._warned = {wording(message) for _, message in history.warnings}
        self.broken: InvalidInput | None = None
        self.training_seconds = 0.0
        self.wall_seconds = 0.0
        if 0 not in history.anchors:
            self._anchors(0)

    @property
    def done(self) -> bool:
        return self.searcher.done

    def state_dict(self) -> dict[str, Any]:
        """The searcher's; a run is continued from its record instead."""
        return self.searcher.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.searcher.load_state_dict(state)

    def ask(self) -> Proposal | None:
        """The next trial to run; None while the batch is in flight and at the end."""
        while (proposal := self.searcher.ask()) is not None:
            known = self.history.outcomes.get(proposal.id)
            if known is not None:
                self._tell(proposal.id, known)
                continue
            if proposal.id not in self.history.proposals:
                self._record("proposed", proposal=proposal.to_dict())
            self._running[proposal.id] = (proposal, time.monotonic())
            self._show("proposed", proposal)
            return proposal
        return None

    def observe(self, id: str, event: Mapping[str, Any]) -> None:
        """Take one event of a running trial, as `run_trial` yields them."""
        proposal, _ = self._running[id]
        if "abort" in event:
            self.broken = InvalidInput(event["abort"])
            raise self.broken
        if "epoch" not in event:
            self._last[id] = dict(event)
            return
        if event["epoch"] in self._epochs.setdefault(id, set(self.history.epochs.get(id, ()))):
            return  # told again by a trial that was restarted
        self._epochs[id].add(event["epoch"])
        self._record("epoch", id=id, epoch=event["epoch"], metrics=event["metrics"])
        spent = self._spent.setdefault(id, dict.fromkeys(COSTS, 0))
        for name in COSTS:
            spent[name] += event["metrics"][name]
        self._show("epoch", proposal, event["epoch"], event["metrics"])

    def tell(self, id: str, outcome: Outcome) -> None:
        """Record the end of a trial and tell the searcher."""
        proposal, started = self._running.pop(id)
        wall = time.monotonic() - started
        self.wall_seconds += wall
        self.training_seconds += self._spent.get(id, {}).get("seconds", 0.0)
        last = self._last.pop(id, {})
        # a trial that failed reports no sums of its own, but has cost what was seen of it
        metrics = self._spent.pop(id, {}) | last.get("metrics", {}) | {"trial_seconds": wall}
        self._record("finished", id=id, outcome=outcome.to_dict(), metrics=metrics)
        for message in last.get("warnings", []):
            self.warn(message, id)
        if outcome.failure is not None:
            self.warn(f"trial {id} failed: {outcome.failure}", id)
        self._show("finished", proposal, outcome, metrics)
        self._tell(id, outcome)

    def _tell(self, id: str, outcome: Outcome) -> None:
        before = self.searcher.iteration
        self.searcher.tell(id, outcome)
        if before <= self.iterations and (self.searcher.iteration != before or self.searcher.done):
            self._anchors(before)

    def _anchors(self, iteration: int) -> None:
        if iteration not in self.history.anchors:
            self._record("iteration", iteration=iteration, anchors=self.searcher.anchors)
        self._show("iteration", iteration, self.searcher.anchors)

    def _show(self, what: str, *told: Any) -> None:
        for watcher in self.watchers:
            try:
                getattr(watcher, what)(*told)
            except OSError as error:
                self.broken = InvalidInput(
                    f"The run directory must be writable, but: {error}. Free space and continue in the same directory."
                )
                raise self.broken from error

    def _record(self, event: str, **fields: Any) -> None:
        try:
            self.journal.append(event, **fields)
        except InvalidInput as error:
            self.broken = error  # Tune buries what a searcher raises
            raise

    def warn(self, message: str, id: str | None = None) -> None:
        """Record a warning; those who watch see each wording once."""
        self._record("warning", id=id, message=message)
        if wording(message) not in self._warned:
            self._warned.add(wording(message))
            self._show("warned", message)

    @property
    def training_share(self) -> float | None:
        """Share of the wall time of this session's finished trials that was spent training; None without one."""
        return self.training_seconds / self.wall_seconds if self.wall_seconds else None
