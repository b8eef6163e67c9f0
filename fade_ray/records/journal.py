"""The run's own record, `records.jsonl`: one JSON object a line, only ever appended to, and the
truth about a run.

A line ends with its checksum, which goes on from that of its start: so a line that a driver wrote
which had been followed by another one unawares is told from damage, and left out. Beside the record
lies how much of it is on the disk for good (`.records.jsonl.kept`): what is missing or not whole
before was cut off or damaged, which is an error, and behind it was never acknowledged. Records of
earlier versions have neither.

Events, each with "event" and "time" (ISO 8601, UTC): start, proposed, epoch, restarted, finished,
iteration, warning, end; of a comparison also over, at the end of each search. `Journal` writes
them, `read_events` reads them back, a `TrialHistory` is what they say together: `History` that of
an outer search.
"""

import json
import math
import os
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from fade_ray.records.atomic import GO_ON, writable
from fade_ray.records.lasting import flush_folder
from fade_ray.records.old_formats import UPGRADES
from fade_ray.records.remote import Segments, store_of
from fade_ray.records.seal import KEY, OPEN, Damaged, seal, sealed, whole
from spaces.errors import InvalidInput, upheld

FORMAT = 2
"""The version of the record; a "start" event carries it."""
EPOCHS = 5.0  # seconds after which those of a run in a store are put there

Event = dict[str, Any]


def plain(value: Any) -> Any:
    """`value` as plain JSON data: arrays become lists, paths become text, and numbers that are not
    finite become None.

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

    Each event is one write of one whole line, so that a killed process leaves at most its last line
    torn. What was not acknowledged and is not whole is cut off when the file is opened again. All
    events but "epoch" are on the disk before `append` returns. Before and behind each one `check`
    may raise InvalidInput, where this process may not write any more.

    Raises:
        InvalidInput: if the file cannot be opened or written (read-only directory, full disk), and
        as `read_events`.
    """

    def __init__(self, path: Path | str, check: Callable[[], None] = lambda: None) -> None:
        self.path, self._check = Path(path), check
        with self._writable():
            self._file = os.open(
                self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o644
            )
            reading = _read(self.path)
            self._starts, self._of = reading.starts, reading.sums[-1]
            if reading.end < os.fstat(self._file).st_size:
                os.ftruncate(self._file, reading.end)
            store = store_of(self.path)
            self._segments = None if store is None else Segments(store, self.path, self._file)
            self._kept = -1 if store else os.open(_kept_path(self.path), os.O_RDWR | os.O_CREAT)
            if self._kept >= 0 and reading.kept is None:
                self._keep(0)
                os.fsync(self._kept)
            flush_folder(self.path.parent)

    def append(self, event: str, **fields: Any) -> None:
        """Write one event, stamped with the time. It outlives a kill and, unless it is an "epoch",
        a power cut.
        """
        stamp, start = datetime.now(UTC).isoformat(timespec="milliseconds"), event == "start"
        if start:
            fields["start_number"] = self._starts + 1
        said = {"event": event, "time": stamp, **plain(fields), KEY: OPEN}
        line = sealed(json.dumps(said, allow_nan=False).encode(), 0 if start else self._of) + b"\n"
        lasts = event != "epoch"
        with self._writable():
            if lasts or self._segments is None:
                self._check()
            before = os.fstat(self._file).st_size
            try:
                _write_all(self._file, line)
                if lasts:
                    os.fsync(self._file)
                if self._segments is not None:
                    self._segments.follow(self._file, 0.0 if lasts else EPOCHS)
            except OSError:
                # a half-written line would spoil the next one
                if os.fstat(self._file).st_size > before:
                    os.ftruncate(self._file, before)
                raise
        if start:
            self._starts, self._of = self._starts + 1, seal(line) or 0
        if lasts:
            self._check()  # a line that was late is left out, so nobody may be told of it
            self._keep(before + len(line))

    def _keep(self, size: int) -> None:
        """Note that so much is on the disk; where that fails it was less."""
        if self._kept >= 0:
            with suppress(OSError):
                os.lseek(self._kept, 0, os.SEEK_SET)
                os.write(self._kept, b"%020d" % size)

    def close(self) -> None:
        if self._file >= 0:
            if self._segments is not None:
                self._segments.close(self._file)
            for file in {self._file, self._kept} - {-1}:
                os.close(file)
            self._file = self._kept = -1

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _writable(self) -> AbstractContextManager[None]:
        return writable(f"The record {self.path}", f"{GO_ON}, or choose another with --out.")


def _write_all(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


class _Reading(NamedTuple):
    """The events of a record, `starts` how many of them are starts, and the checksums of these;
    `end`: the offset behind the last event; `kept`: what is on the disk for good, None: unknown.
    """

    events: list[Event]
    starts: int
    sums: list[int]
    end: int
    kept: int | None


def read_events(path: Path | str) -> list[Event]:
    """All events of a record, oldest first. What was not acknowledged and is not whole at its end
    (a crash while writing) is left out.

    Raises:
        InvalidInput: if the file is missing, a line is not an event or damaged, something was cut
        off at its end, or the record has another format.
    """
    return _read(Path(path)).events


def _read(path: Path) -> _Reading:
    rule = "A run directory holds a records.jsonl that can be read"
    with upheld(rule, "Name the directory of a run.", OSError):
        kept, size = _kept(path), path.stat().st_size  # in this order: it may be being written
        with path.open("rb") as file:
            data = file.read(size)
    events, starts, sums, end, upgrade = [], 0, [0], 0, UPGRADES[FORMAT]
    for number, line in enumerate(data.split(b"\n")[:-1], start=1):
        event = _event(line)
        start, held = event is not None and event["event"] == "start", seal(line)
        if held is None:
            good = event is not None and (start or not sums[-1])  # as before checksums
        else:
            good = whole(line, 0 if start else sums[-1])
        late = bool(held) and not good and any(whole(line, earlier) for earlier in sums[:-1])
        late |= start and event is not None and event.get("start_number") in range(1, starts + 1)
        if event is None or not (good or late):
            if kept is not None and end >= kept:
                break  # never acknowledged
            raise _damaged(line, path, number, event)
        end += len(line) + 1
        if late and start:
            sums.insert(0, held or 0)  # of a driver that had been followed before it started
        elif start:
            upgrade, starts = _upgrade(event, path, number), starts + 1
            sums.append(held or 0)
        if not late:
            events.append(upgrade({name: event[name] for name in event if name != KEY}))
    if kept is not None and end < kept:
        raise Damaged(
            f"The first {kept:,} bytes of {path} had been written for good, but whole lines end at "
            f"{end:,}. Restore it from a copy, or remove {_kept_path(path)} to go on with what is "
            "left: what is missing is done again."
        )
    return _Reading(events, starts, sums, end, kept)


def _kept_path(record: Path) -> Path:
    return record.with_name(f".{record.name}.kept")


def _kept(record: Path) -> int | None:
    """None where it is not known."""
    with suppress(FileNotFoundError, ValueError):
        return int(_kept_path(record).read_bytes())
    return None


def _damaged(line: bytes, path: Path, number: int, event: Event | None) -> Damaged:
    rule = "is a JSON object with 'event' and 'time'" if event is None else "has the checksum in it"
    return Damaged(
        f"Every line of a record {rule}, but line {number} of {path} is or has not: "
        f"{line[:80].decode(errors='replace')!r}. Restore the file from a copy, or remove that "
        f"line and {_kept_path(path)} to go on without the event."
    )


def _upgrade(start: Event, path: Path, number: int) -> Callable[[Event], Event]:
    """For the events behind `start`. InvalidInput for a format that is not known."""
    if start.get("format") not in UPGRADES:
        raise InvalidInput(
            f"This version reads records of format {', '.join(map(str, UPGRADES))}, but line "
            f"{number} of {path} says format {start.get('format')!r}. "
            "Use the version of fade_ray that wrote the run, or start a new directory."
        )
    return UPGRADES[start["format"]]


def _event(line: bytes) -> Event | None:
    """None for a line that is none."""
    with suppress(ValueError, RecursionError):
        event = json.loads(line)
        named = isinstance(event, dict) and all(
            isinstance(event.get(name), str) for name in ("event", "time")
        )
        return event if named else None
    return None
