"""`ray` on the machines of the tests' own cluster: as Ray's, but for `stop`. Ray's own ends every
Ray process of this machine, this one those of one cluster: by id, found by its --temp-dir.

Called as `python scoped_ray.py TEMP_DIR ARGUMENTS...`.
"""

import sys
import time

from processes import children_of, commands, end_by_id


def of_cluster(temp: str) -> list[int]:
    """The processes of the cluster in that folder, and what they started."""
    named = [pid for pid, command in commands().items() if f"{temp}/session_" in command]
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
