"""What the events of a run say together."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import reduce
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

from fade_ray.records.journal import Event, read_events
from fade_ray.records.standings import Cost, Epochs, TrialStanding, epoch_sums, kind_of
from searchers.outcome import Outcome
from searchers.plan import Plan
from spaces.errors import InvalidInput, upheld

P = TypeVar("P", bound=Plan)
OF_TRIALS = ("begun", "epoch", "finished", "restarted")
"""Events of a trial that has been proposed."""


def passed(before: str, now: str) -> float:
    """Seconds between the times of two events."""
    return (datetime.fromisoformat(now) - datetime.fromisoformat(before)).total_seconds()


class RunHistory:
    """What the events of any run say; a subclass takes those of its kind.

    Attributes:
        warnings: (id or None, message), each once.
        resumed: how often the run was continued. ended: whether it reached its end.
        started, last: the times of the first and the last event, ISO 8601 in UTC; None of none.

    Raises:
        InvalidInput: if the events contradict each other or miss a field.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.warnings: list[tuple[str | None, str]] = []
        self.resumed = 0
        self.ended = False
        self.started: str | None = None
        self.last: str | None = None
        for number, event in enumerate(events, start=1):
            try:
                self._take(event)
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                raise InvalidInput(
                    "Every event of a record must be complete and follow from those before it, but "
                    f"event {number} ({event.get('event')!r}, {event.get('time')}) does not: "
                    f"{error}. Was it written by another version of fade_ray, or edited? Restore "
                    "it from a copy of the run."
                ) from error

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """The history in a record; errors as in `read_events`, and for figures that are none."""
        events = read_events(path)
        try:
            history = cls(events)
        except InvalidInput as error:
            raise InvalidInput(f"{path}: {error}") from error
        rule = f"What {path} says must be numbers and words where they belong"
        wrong = TypeError, ValueError, KeyError, AttributeError, OverflowError
        with upheld(rule, "Restore it from a copy; was it edited?", *wrong):
            history.summed()
        return history

    def summed(self) -> tuple[Any, ...]:
        """All that is told of the whole."""
        return (self.standings,)

    @property
    def standings(self) -> list[TrialStanding]:
        """How far its trials are, in the order of their ids; a run of one thing is one."""
        return []

    @property
    def curves(self) -> Mapping[str, Epochs]:
        """The epochs of each, by its id."""
        return {}

    def _take(self, event: Event) -> None:
        datetime.fromisoformat(event["time"]).astimezone()
        self.started = self.started or event["time"]
        self.last = event["time"]
        if event["event"] == "start":
            self.resumed += bool(event.get("resumed"))
            self.ended = False
        elif event["event"] == "warning":
            warning = (event.get("id"), str(event["message"]))
            if warning not in self.warnings:
                self.warnings.append(warning)
        elif event["event"] == "end":
            self.ended = True


class TrialHistory(RunHistory, Generic[P]):
    """What the events of a run of trials say together, whatever the trials are; a subclass says how
    their plans are read.

    Attributes:
        proposals: id -> plan, sorted by id.
        outcomes: id -> Outcome, in the order in which the trials finished. The first of an id
            counts, since the search went on from it.
        metrics: id -> the metrics of its "finished" event.
        epochs: id -> epoch (from 1) -> metrics; after a resume the last report of an epoch counts.
        times: (event, id) -> the time of the "proposed", last "epoch" or "finished" event, ISO 8601
            in UTC.
        begun: id -> {"node": where} of the trials whose process has begun with them and is not
            lost.
        restarts: kind of loss ("node lost", "worker lost") -> how often a trial was started again
            for one, from its checkpoint and with its seed.
        training_share: of the trials' wall time, the share spent training; None before the end.
        active: seconds from each start's first trial to its last event, in all.
    """

    plan: ClassVar[type[Any]]
    """The class of the plans, whose `from_dict` is the inverse of `Plan.to_dict`."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.proposals: dict[str, P] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.metrics: dict[str, dict[str, Any]] = {}
        self.epochs: dict[str, dict[int, dict[str, Any]]] = {}
        self.times: dict[tuple[str, str], str] = {}
        self.training_share: float | None = None
        self.begun: dict[str, Mapping[str, Any]] = {}
        self.restarts = Counter[str]()
        self.active, self._working = 0.0, False
        super().__init__(events)
        self.proposals = dict(sorted(self.proposals.items()))

    def _take(self, event: Event) -> None:
        before, name = self.last, event["event"]
        super()._take(event)
        self._working &= name != "start"
        if self._working and before is not None:
            self.active += passed(before, event["time"])
        self._working |= name in ("proposed", "epoch")
        if name in OF_TRIALS and event["id"] not in self.proposals:
            raise ValueError(f"trial {event['id']} has not been proposed")
        if name == "proposed":
            proposal = self.plan.from_dict(event["proposal"])
            self.proposals[proposal.id] = proposal
            self.times["proposed", proposal.id] = event["time"]
        elif name == "start":
            self.begun.clear()
        elif name == "begun":
            self.begun[event["id"]] = {"node": event["node"]}
        elif name == "epoch":
            self.epochs.setdefault(event["id"], {})[int(event["epoch"])] = dict(event["metrics"])
            self.begun.setdefault(event["id"], {})  # an older record says nothing else
            self.times["epoch", event["id"]] = event["time"]
        elif name == "finished":
            self._finish(event)
        elif name == "restarted":
            self.restarts[event["failure"]["kind"]] += 1
            self.begun.pop(event["id"], None)
        elif name == "end":
            self.training_share = event.get("training_share")

    def _finish(self, event: Event) -> None:
        id = event["id"]
        if id not in self.outcomes:
            self.outcomes[id] = _outcome(event["outcome"])
            self.metrics[id] = dict(event.get("metrics") or {})
            self.times["finished", id] = event["time"]

    def of(self, **values: Any) -> list[str]:
        """The ids of the ended trials whose plans hold these values, in the order in which they
        were asked for: which of several ended first is the engine's luck.
        """
        ended = ((id, plan) for id, plan in self.proposals.items() if id in self.outcomes)
        pairs = values.items()
        return [id for id, plan in ended if all(getattr(plan, k) == value for k, value in pairs)]

    @property
    def in_flight(self) -> tuple[str, ...]:
        """Ids that were proposed and have not finished."""
        return tuple(id for id in self.proposals if id not in self.outcomes)

    def summed(self) -> tuple[Any, ...]:
        return *super().summed(), self.trials, self.cost

    @property
    def trials(self) -> dict[str, int]:
        """Attempts that are done and failed, and those that were made again."""
        failed = sum(outcome.failure is not None for outcome in self.outcomes.values())
        retried = sum(proposal.attempt > 0 for proposal in self.proposals.values())
        return {"done": len(self.outcomes) - failed, "failed": failed, "retried": retried}

    @property
    def cost(self) -> Cost:
        """The cost of all trials, failed ones too, and of those in flight what they have told."""
        return reduce(Cost.plus, map(self.sums, self.proposals), Cost())

    def sums(self, id: str) -> Mapping[str, Any]:
        """The metrics of a finished trial; of one in flight the sums over its epochs."""
        return self.metrics[id] if id in self.outcomes else epoch_sums(self.epochs.get(id, {}))

    @property
    def standings(self) -> list[TrialStanding]:
        return [self._standing(id, plan) for id, plan in self.proposals.items()]

    @property
    def curves(self) -> Mapping[str, Epochs]:
        return self.epochs

    def _standing(self, id: str, plan: P) -> TrialStanding:
        told = (self.times.get((event, id)) for event in ("finished", "epoch", "proposed"))
        ended = self.outcomes.get(id), self.metrics.get(id, {}), next(filter(None, told), None)
        epochs, begun = self.epochs.get(id, {}), self.begun.get(id)
        return TrialStanding.of(id, kind_of(plan), epochs, plan.epochs, *ended, begun)


class Tally:
    """The best score so far, and how many trials are "done" and "failed"; goes on where `history`
    ends.
    """

    def __init__(self, history: TrialHistory[Any]) -> None:
        self.best: float | None = None
        self.ended = {"done": 0, "failed": 0}
        for outcome in history.outcomes.values():
            self.take(outcome)

    def take(self, outcome: Outcome) -> None:
        """One more trial has ended."""
        self.ended["done" if outcome.failure is None else "failed"] += 1
        if outcome.score is not None and (self.best is None or outcome.score > self.best):
            self.best = outcome.score


def _outcome(data: Mapping[str, Any]) -> Outcome:
    """An outcome from its record, where null is the log of a weight that reached zero."""
    rows = data.get("log_weights")
    if rows is None:
        return Outcome.from_dict(data)
    finite = [[-math.inf if value is None else value for value in row] for row in rows]
    return Outcome.from_dict({**data, "log_weights": finite})
