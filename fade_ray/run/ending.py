"""The signals that end a run."""

import os
import signal
import stat
import sys
import threading
from types import FrameType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_came = threading.Event()  # one of them
_asked = threading.Event()  # to end by it, and `heed` has not said so yet


class Ending:
    """Within, KeyboardInterrupt is made of Ctrl-C (SIGINT), SIGTERM, and SIGHUP: the terminal or
    the SSH connection that a run was started from is gone. A signal that is switched off, as by
    `nohup`, stays so. What stood for them before does again behind it.
    """

    def __init__(self) -> None:
        self.number = int(signal.SIGINT)
        """Of the signal that came; kept here, since Ray raises errors of its own in place of ours.
        """
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        _came.clear()
        _asked.clear()
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._end) or signal.SIG_DFL
        return self

    def __exit__(self, *left: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _end(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        _came.set()
        _asked.set()
        if number == signal.SIGHUP:
            signal.signal(number, signal.SIG_IGN)  # a shell tells what the kernel has told already
            for stream in (sys.stdout, sys.stderr):
                _leave_dead_terminal(stream.fileno())
        raise KeyboardInterrupt


def heed() -> None:
    """KeyboardInterrupt where a signal came: what it raised may have been lost, as in a callback
    out of C, and nobody sends it twice.
    """
    if _asked.is_set():
        _asked.clear()
        raise KeyboardInterrupt


def ended_by(error: BaseException) -> bool:
    """Whether it stands for a signal: what is raised behind one does, since C makes ImportError and
    others of KeyboardInterrupt, and a cluster that had the signal, too, is gone.
    """
    return isinstance(error, KeyboardInterrupt) or _came.is_set()


def take_back() -> None:
    """What came was no signal, but an interrupt of ours, which is told in other words."""
    _came.clear()
    _asked.clear()


def _leave_dead_terminal(descriptor: int) -> None:
    """Every line to one would be an error."""
    if stat.S_ISCHR(os.fstat(descriptor).st_mode) and not os.isatty(descriptor):
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
