"""`ray` on the machines of the tests' own cluster: as Ray's, but for `stop`. Ray's own ends every
Ray process of this machine, this one those of one cluster: by id, found by its --temp-dir.

Called as `python scoped_ray.py TEMP_DIR ARGUMENTS...`.
"""

import sys
import time
from pathlib import Path

from processes import children_of, commands, end_by_id


def environment(pid: int) -> list[str]:
    """That a process was started with, NAME=VALUE."""
    try:
        return Path(f"/proc/{pid}/environ").read_text(errors="replace").split("\0")
    except OSError:  # it has ended
        return []


def of_cluster(temp: str) -> list[int]:
    """The processes of the cluster in that folder, and what they started. Ray Client's server,
    which outlives them, names no folder and is known by its environment.
    """
    named = [
        pid
        for pid, command in commands().items()
        if f"{temp}/session_" in command
        or (" -m ray." in command and f"RAY_TMPDIR={Path(temp).parent}" in environment(pid))
    ]
    return [*named, *(child for pid in named for child in children_of(pid))]


def stop(temp: str, seconds: float = 20) -> None:
    """End them; returns when they are gone."""
    end = time.monotonic() + seconds
    while (left := of_cluster(temp)) and time.monotonic() < end:
        end_by_id(left)
        time.sleep(0.2)  # polling other processes
    print(f"ended the cluster in {temp}, {len(left)} processes left")


if __name__ == "__main__":
    folder, *arguments = sys.argv[1:]
    if arguments[:1] == ["stop"]:
        stop(folder)
    else:
        from ray.scripts.scripts import main

        sys.argv = ["ray", *arguments]
        main()
