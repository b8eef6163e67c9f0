"""The run's own record, `records.jsonl`: one JSON object a line, only ever appended to, and the truth about a run.

Events, each with "event" and "time" (ISO 8601, UTC): start, proposed, epoch, finished, iteration, warning, end;
of a comparison also over, at the end of each search.
`Journal` writes them, `read_events` reads them back, a `TrialHistory` is what they say together: `History` that of an outer search.
"""

import json
import math
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, NamedTuple, Self, TypeVar

from searchers.base import Outcome, Proposal
from searchers.grid import Plan
from spaces.errors import InvalidInput

FORMAT = 1
"""The version of the record; a "start" event carries it."""

Event = dict[str, Any]
P = TypeVar("P", bound=Plan)
Anchors = list[list[list[float]]]
"""[walk][depth][feature], each in [0, 1]."""


def plain(value: Any) -> Any:
    """`value` as plain JSON data: arrays become lists, paths become text, and numbers that are not finite become None.

    JSON knows no NaN or infinity; a file that holds one is no JSON and other readers refuse it.

    Raises:
        TypeError: for a value that has no JSON form.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return plain(value.tolist())
    raise TypeError(f"A record holds JSON data only, but got {type(value).__name__}: {value!r}.")


_NUMBERS = re.compile(r"\d+(?:[.,]? ?\d+)*")


def wording(message: str) -> str:
    """A warning with its numbers left out: the same trouble in another trial is not news."""
    return _NUMBERS.sub("#", message)


class Journal:
    """Appends events to a `records.jsonl`.

    Each event is one write of one whole line, so that a killed process leaves at most its last line torn. A torn last
    line is cut off when the file is opened again. All events but "epoch" are on the disk before `append` returns.

    Raises:
        InvalidInput: if the file cannot be opened or written (read-only directory, full disk).
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o644)
            end = _end_of_last_line(self._file)
            if end < os.fstat(self._file).st_size:
                os.ftruncate(self._file, end)
        except OSError as error:
            raise self._unwritable(error) from error

    def append(self, event: str, **fields: Any) -> None:
        """Write one event, stamped with the time. It outlives a kill and, unless it is an "epoch", a power cut."""
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"event": event, "time": stamp, **plain(fields)}, allow_nan=False) + "\n"
        try:
            before = os.fstat(self._file).st_size
            try:
                _write_all(self._file, line.encode())
                if event != "epoch":
                    os.fsync(self._file)
            except OSError:
                if os.fstat(self._file).st_size > before:  # a half-written line would spoil the next one
                    os.ftruncate(self._file, before)
                raise
        except OSError as error:
            raise self._unwritable(error) from error

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _unwritable(self, error: OSError) -> InvalidInput:
        return InvalidInput(
            f"The records of a run must be writable, but writing {self.path} failed: {error.strerror or error}. "
            "Free space or set the permissions and continue in the same directory, or choose another with --out."
        )


def _write_all(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


def _end_of_last_line(file: int, block: int = 65536) -> int:
    """The offset behind the last newline of an open file; 0 if there is none."""
    end = os.fstat(file).st_size
    while end > 0:
        start = max(0, end - block)
        os.lseek(file, start, os.SEEK_SET)
        found = os.read(file, end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def read_events(path: Path | str) -> list[Event]:
    """All events of a record, oldest first. A last line without its newline (a crash while writing) is left out.

    Raises:
        InvalidInput: if the file is missing, a line is not an event, or the record has another format.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidInput(
            f"A run directory holds a readable records.jsonl, but {path} could not be read: "
            f"{error.strerror or error}. Name the directory of a run."
        ) from error
    lines = data.split(b"\n")[:-1]  # behind the last newline: nothing, or a torn line
    return [_event(line, path, number) for number, line in enumerate(lines, start=1)]


def _event(line: bytes, path: Path, number: int) -> Event:
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    if not (isinstance(event, dict) and isinstance(event.get("event"), str) and isinstance(event.get("time"), str)):
        raise InvalidInput(
            f"Every line of a record is a JSON object with 'event' and 'time', but line {number} of {path} is not: "
            f"{line[:80].decode(errors='replace')!r}. Remove that line to go on without the event."
        )
    if event["event"] == "start" and event.get("format") != FORMAT:
        raise InvalidInput(
            f"This version reads records of format {FORMAT}, but line {number} of {path} says "
            f"format {event.get('format')!r}. Use the version of fade_ray that wrote the run, or start a new directory."
        )
    return event


class Evaluation(NamedTuple):
    """One architecture trained and scored: accuracy in [0, 1] on the architecture split."""

    iteration: int
    walk: int
    accuracy: float
    id: str


@dataclass(frozen=True)
class Cost:
    """Sums over trials. `seconds` is training, `trial_seconds` the wall time of the trials."""

    images: int = 0
    multiply_adds: int = 0
    seconds: float = 0.0
    trial_seconds: float = 0.0

    def plus(self, metrics: Mapping[str, Any]) -> "Cost":
        """This cost with that of one more trial; a figure the trial did not report counts as zero."""
        return Cost(
            self.images + int(metrics.get("images") or 0),
            self.multiply_adds + int(metrics.get("multiply_adds") or 0),
            self.seconds + float(metrics.get("seconds") or 0.0),
            self.trial_seconds + float(metrics.get("trial_seconds") or 0.0),
        )


class TrialHistory(ABC, Generic[P]):
    """What the events of a run of trials say together, whatever the trials are; a subclass says how their plans are read.

    Attributes:
        proposals: id -> plan, sorted by id.
        outcomes: id -> Outcome, in the order in which the trials finished. The first of an id counts, since
            the search went on from it.
        metrics: id -> the metrics of its "finished" event.
        epochs: id -> epoch (from 1) -> metrics; after a resume the last report of an epoch counts.
        times: (event, id) -> the time of the "proposed" or "finished" event, ISO 8601 in UTC.
        warnings: (id or None, message), each once.
        resumed: how often the run was continued.
        ended: whether the run reached its end.
        training_share: of the trials' wall time, the share spent training; None before the end.
        started, last: the times of the first and the last event.

    Raises:
        InvalidInput: if the events contradict each other or miss a field.
    """

    def __init__(self, events: Iterable[Event]) -> None:
        self.proposals: dict[str, P] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.metrics: dict[str, dict[str, Any]] = {}
        self.epochs: dict[str, dict[int, dict[str, Any]]] = {}
        self.times: dict[tuple[str, str], str] = {}
        self.warnings: list[tuple[str | None, str]] = []
        self.resumed = 0
        self.ended = False
        self.training_share: float | None = None
        self.started: str | None = None
        self.last: str | None = None
        for number, event in enumerate(events, start=1):
            try:
                self._take(event)
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                raise InvalidInput(
                    f"Every event of a record must be complete and follow from those before it, but event {number} "
                    f"({event.get('event')!r}, {event.get('time')}) does not: {error}. "
                    "Was it written by another version of fade_ray, or edited?"
                ) from error
        self.proposals = dict(sorted(self.proposals.items()))

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """The history in a `records.jsonl`; errors as in `read_events`."""
        return cls(read_events(path))

    @classmethod
    @abstractmethod
    def parse(cls, plan: Mapping[str, Any]) -> P:
        """The plan of a "proposed" event: the inverse of `Plan.to_dict`."""

    def _take(self, event: Event) -> None:
        self.started = self.started or event["time"]
        self.last = event["time"]
        name = event["event"]
        if name == "start":
            self.resumed += bool(event["resumed"])
            self.ended = False
        elif name == "proposed":
            proposal = self.parse(event["proposal"])
            self.proposals[proposal.id] = proposal
            self.times["proposed", proposal.id] = event["time"]
        elif name == "epoch":
            self.epochs.setdefault(event["id"], {})[int(event["epoch"])] = event["metrics"]
        elif name == "finished":
            self._finish(event)
        elif name == "warning":
            warning = (event.get("id"), str(event["message"]))
            if warning not in self.warnings:
                self.warnings.append(warning)
        elif name == "end":
            self.ended = True
            self.training_share = event.get("training_share")

    def _finish(self, event: Event) -> None:
        id = event["id"]
        if id not in self.proposals:
            raise ValueError(f"trial {id} finished without having been proposed")
        if id not in self.outcomes:
            self.outcomes[id] = _outcome(event["outcome"])
            self.metrics[id] = event.get("metrics") or {}
            self.times["finished", id] = event["time"]

    @property
    def in_flight(self) -> tuple[str, ...]:
        """Ids that were proposed and have not finished."""
        return tuple(id for id in self.proposals if id not in self.outcomes)

    @property
    def trials(self) -> dict[str, int]:
        """Trials that are done and failed (each attempt counts), and attempts that were made again."""
        failed = sum(outcome.failure is not None for outcome in self.outcomes.values())
        retried = sum(proposal.attempt > 0 for proposal in self.proposals.values())
        return {"done": len(self.outcomes) - failed, "failed": failed, "retried": retried}

    @property
    def cost(self) -> Cost:
        """The cost of all finished trials, failed ones too."""
        cost = Cost()
        for metrics in self.metrics.values():
            cost = cost.plus(metrics)
        return cost


class History(TrialHistory[Proposal]):
    """What the events of an outer search say together.

    Attributes:
        anchors: iteration -> [walk][depth][feature]; iteration 0 is the random start.
    """

    def __init__(self, events: Iterable[Event]) -> None:
        self.anchors: dict[int, Anchors] = {}
        super().__init__(events)

    @classmethod
    def parse(cls, plan: Mapping[str, Any]) -> Proposal:
        return Proposal.from_dict(plan)

    def _take(self, event: Event) -> None:
        super()._take(event)
        if event["event"] == "iteration":
            self.anchors[int(event["iteration"])] = event["anchors"]

    @property
    def evaluations(self) -> list[Evaluation]:
        """The architectures trained and scored so far, by id."""
        return [
            Evaluation(proposal.iteration, proposal.walk, outcome.accuracy, id)
            for id, proposal in self.proposals.items()
            if proposal.kind == "evaluation"
            and (outcome := self.outcomes.get(id)) is not None
            and outcome.failure is None
            and outcome.accuracy is not None
        ]

    @property
    def best(self) -> Evaluation | None:
        """The best evaluation so far, ties by the lower id; None if there is none."""
        return max(self.evaluations, key=lambda evaluation: evaluation.accuracy, default=None)


def _outcome(data: Mapping[str, Any]) -> Outcome:
    """An outcome from its record, where the log of a weight that reached zero, minus infinity, stands as null."""
    rows = data.get("log_weights")
    if rows is not None:
        data = {**data, "log_weights": [[-math.inf if value is None else value for value in row] for row in rows]}
    return Outcome.from_dict(dict(data))
