"""Processes of the tests' own: their descendants, bounded waits for what they write, their end by
id.
"""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol


class Polled(Protocol):
    """A process, however it was made."""

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""


def commands() -> dict[int, str]:
    """Process id -> command line of all processes of this machine."""
    return {pid: command for pid, (command, _) in _table().items()}


def children_of(root: int) -> dict[int, str]:
    """Process id -> command line of all descendants of `root`."""
    table = _table()
    found: dict[int, str] = {}
    for pid, (command, _) in table.items():
        walk = pid
        while walk in table and walk != root:
            walk = table[walk][1]
        if walk == root and pid != root:
            found[pid] = command
    return found


def _table() -> dict[int, tuple[str, int]]:
    """Process id -> command line, parent."""
    table = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, ValueError):  # ended meanwhile
                stat = (entry / "stat").read_text()
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                table[int(entry.name)] = (command, int(stat.rpartition(")")[2].split()[1]))
    return table


def wait_for(
    condition: Callable[[], object],
    seconds: float = 240,
    process: Polled | None = None,
) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None, "the driver ended by itself"
        assert time.monotonic() < end, "bounded wait"
        time.sleep(0.05)  # polling what other processes do


def told(file: Path, words: str, times: int) -> bool:
    """Whether a file says something so often by now."""
    return file.exists() and file.read_text().count(words) >= times


def end_by_id(pids: list[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
