"""The run's own record, `records.jsonl`: one JSON object a line, only ever appended to, and the
truth about a run.

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
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from fade_ray.records.atomic import remedy
from fade_ray.records.old_formats import UPGRADES
from fade_ray.records.remote import Segments, store_of
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
    torn. A torn last line is cut off when the file is opened again. All events but "epoch" are on
    the disk before `append` returns. Before each one `check` may raise InvalidInput, where this
    process may not write any more.

    Raises:
        InvalidInput: if the file cannot be opened or written (read-only directory, full disk).
    """

    def __init__(self, path: Path | str, check: Callable[[], None] = lambda: None) -> None:
        self.path, self._check = Path(path), check
        try:
            self._file = os.open(
                self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o644
            )
            end = _end_of_last_line(self._file)
            if end < os.fstat(self._file).st_size:
                os.ftruncate(self._file, end)
            store = store_of(self.path)
            self._segments = None if store is None else Segments(store, self.path, self._file)
        except OSError as error:
            raise self._unwritable(error) from error

    def append(self, event: str, **fields: Any) -> None:
        """Write one event, stamped with the time. It outlives a kill and, unless it is an "epoch",
        a power cut.
        """
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"event": event, "time": stamp, **plain(fields)}, allow_nan=False) + "\n"
        lasts = event != "epoch"
        try:
            if lasts or self._segments is None:
                self._check()
            before = os.fstat(self._file).st_size
            try:
                _write_all(self._file, line.encode())
                if lasts:
                    os.fsync(self._file)
                if self._segments is not None:
                    self._segments.follow(self._file, 0.0 if lasts else EPOCHS)
            except OSError:
                # a half-written line would spoil the next one
                if os.fstat(self._file).st_size > before:
                    os.ftruncate(self._file, before)
                raise
        except OSError as error:
            raise self._unwritable(error) from error

    def close(self) -> None:
        if self._file >= 0:
            if self._segments is not None:
                self._segments.close(self._file)
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _unwritable(self, error: OSError) -> InvalidInput:
        return InvalidInput(
            f"The records of a run must be writable, but writing {self.path} failed: "
            f"{error.strerror or error}. {remedy(error)} and continue in the same directory, or "
            "choose another with --out."
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
    """All events of a record, oldest first. A last line without its newline (a crash while writing)
    is left out.

    Raises:
        InvalidInput: if the file is missing, a line is not an event, or the record has another
        format.
    """
    path = Path(path)
    rule = "A run directory holds a records.jsonl that can be read"
    with upheld(rule, "Name the directory of a run.", OSError):
        data = path.read_bytes()
    lines = data.split(b"\n")[:-1]  # behind the last newline: nothing, or a torn line
    events, upgrade = [], UPGRADES[FORMAT]
    for number, line in enumerate(lines, start=1):
        event = _event(line, path, number)
        if event["event"] == "start":
            upgrade = _upgrade(event, path, number)
        events.append(upgrade(event))
    return events


def _upgrade(start: Event, path: Path, number: int) -> Callable[[Event], Event]:
    """For the events behind `start`. InvalidInput for a format that is not known."""
    if start.get("format") not in UPGRADES:
        raise InvalidInput(
            f"This version reads records of format {', '.join(map(str, UPGRADES))}, but line "
            f"{number} of {path} says format {start.get('format')!r}. "
            "Use the version of fade_ray that wrote the run, or start a new directory."
        )
    return UPGRADES[start["format"]]


def _event(line: bytes, path: Path, number: int) -> Event:
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    if not (
        isinstance(event, dict)
        and isinstance(event.get("event"), str)
        and isinstance(event.get("time"), str)
    ):
        raise InvalidInput(
            "Every line of a record is a JSON object with 'event' and 'time', but line "
            f"{number} of {path} is not: {line[:80].decode(errors='replace')!r}. Remove that line "
            "to go on without the event."
        )
    return event
