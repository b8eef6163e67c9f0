"""The signals that end a run as Ctrl-C does."""

import os
import signal
import stat
import sys
from types import FrameType


class Ending:
    """Makes KeyboardInterrupt of SIGTERM, and of SIGHUP: the terminal or the SSH connection that a
    run was started from is gone. A signal that is switched off, as by `nohup`, stays so.
    """

    def __init__(self) -> None:
        self.number = int(signal.SIGINT)
        """Of the signal that came; kept here, since Ray raises errors of its own in place of ours.
        """
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._end)

    def _end(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        if number == signal.SIGHUP:
            signal.signal(number, signal.SIG_IGN)  # a shell tells what the kernel has told already
            for stream in (sys.stdout, sys.stderr):
                _leave_dead_terminal(stream.fileno())
        raise KeyboardInterrupt


def _leave_dead_terminal(descriptor: int) -> None:
    """Every line to one would be an error."""
    if stat.S_ISCHR(os.fstat(descriptor).st_mode) and not os.isatty(descriptor):
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
