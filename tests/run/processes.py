"""Processes of the tests' own: their descendants, bounded waits for what they write, their end by
id.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path


def children_of(root: int) -> dict[int, str]:
    """Process id -> command line of all descendants of `root`."""
    parents, commands = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
                commands[int(entry.name)] = (
                    (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                )
                parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
            except (OSError, ValueError):
                continue
    found: dict[int, str] = {}
    for pid in parents:
        walk = pid
        while walk in parents and walk != root:
            walk = parents[walk]
        if walk == root and pid != root:
            found[pid] = commands[pid]
    return found


def wait_for(
    condition: Callable[[], bool], seconds: float, process: subprocess.Popen[bytes]
) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the driver ended by itself"
        assert time.monotonic() < end, "bounded wait"
        time.sleep(0.05)  # polling a file that another process writes


def end_by_id(pids: list[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
