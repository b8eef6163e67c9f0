"""A run that ends because of something that a thread sees, in words of its own."""

import _thread
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fade_ray.run.ending import take_back
from spaces.errors import InvalidInput

GRACE = 10.0  # seconds that the main thread has to end by itself
ARRIVED = 0.5  # seconds in which an interrupt reaches the main thread


@contextmanager
def ends_when(look: Callable[[], str | None], period: float) -> Iterator[None]:
    """Raises InvalidInput with what `look` says as soon as it says something; it is called every
    `period` seconds, in a thread.
    """
    ended, said, lock = threading.Event(), list[str](), threading.Lock()

    def watch() -> None:
        words = None
        while words is None:
            if ended.wait(period):
                return
            words = look()
        with lock:
            if ended.is_set():
                return
            said.append(words)
            _thread.interrupt_main()
        if not ended.wait(GRACE):  # the main thread waits for something, deaf to signals
            print(f"\nfade-ray: {words}", file=sys.stderr, flush=True)
            os._exit(2)

    threading.Thread(target=watch, daemon=True).start()
    try:
        try:
            yield
        finally:
            with lock:
                ended.set()
            if said:
                time.sleep(ARRIVED)  # the interrupt may be on its way: here, not behind
    except (Exception, KeyboardInterrupt) as error:
        if not said:
            raise
        take_back()
        raise InvalidInput(said[0]) from error
    finally:
        ended.set()
