"""A driver whose cluster's head is gone ends, in words of its own."""

import _thread
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fade_ray.run.find_cluster import listens
from fade_ray.run.kind import stored_kind
from spaces.errors import InvalidInput

PERIOD, MISSES = 3.0, 5
"""Seconds between looks, and how many in a row must be in vain. By itself Ray ends the process
after a minute, by an abort.
"""
GRACE = 10.0  # seconds that the driver has to end by itself


@contextmanager
def head_watched(ray: Any, folder: Path) -> Iterator[None]:
    """Raises InvalidInput in place of what Ray makes of it when the head of the cluster does not
    answer any more.
    """
    address = ray.get_runtime_context().gcs_address
    words = (
        f"The head of the Ray cluster at {address} is gone. Everything done so far is kept: with a "
        f"cluster that is up, continue with\n  fade-ray {stored_kind(folder)} --out {folder}"
    )
    ended, gone = threading.Event(), threading.Event()

    def watch() -> None:
        misses = 0
        while not ended.wait(PERIOD):
            misses = 0 if listens(address) else misses + 1
            if misses == MISSES:
                gone.set()
                _thread.interrupt_main()
                if not ended.wait(GRACE):  # it waits in Ray for the head, deaf to signals
                    print(f"\nfade-ray: {words}", file=sys.stderr, flush=True)
                    os._exit(2)
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        if not gone.is_set() and (isinstance(error, KeyboardInterrupt) or listens(address)):
            raise
        raise InvalidInput(words) from error
    finally:
        ended.set()
