"""A run that ends because of something that a thread sees, in words of its own."""

import _thread
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from spaces.errors import InvalidInput

GRACE = 10.0  # seconds that the main thread has to end by itself


@contextmanager
def ends_when(look: Callable[[], str | None], period: float) -> Iterator[None]:
    """Raises InvalidInput with what `look` says as soon as it says something; it is called every
    `period` seconds, in a thread.
    """
    ended, said = threading.Event(), list[str]()

    def watch() -> None:
        while not ended.wait(period):
            words = look()
            if words is not None:
                said.append(words)
                _thread.interrupt_main()
                if not ended.wait(GRACE):  # the main thread waits for something, deaf to signals
                    print(f"\nfade-ray: {words}", file=sys.stderr, flush=True)
                    os._exit(2)
                return

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        if not said:
            raise
        raise InvalidInput(said[0]) from error
    finally:
        ended.set()
