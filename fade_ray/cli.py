"""The command `fade-ray`. It hears Ctrl-C before it imports what takes seconds."""

import atexit
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from fade_ray.run.ending import SIGNALS, Ending, ended_by, heed

STREAMS = {"stdin": "r", "stdout": "w", "stderr": "w"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; `arguments` as in sys.argv[1:]. Leaves by SystemExit unless all went well."""
    for name, mode in STREAMS.items():
        if getattr(sys, name) is None:  # closed, as `>&-` does; a record would be opened there
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))
    with Ending() as ending:
        try:
            from fade_ray.commands import carry_out

            heed()
            return carry_out(sys.argv[1:] if arguments is None else arguments)
        except BaseException as error:
            if not ended_by(error):
                raise
            words = str(error) if isinstance(error, KeyboardInterrupt) else ""
    with suppress(OSError):  # whoever read this may be gone
        print(words or "stopped", file=sys.stderr, flush=True)
    if arguments is None:  # the process is this command's
        _leave(128 + ending.number)
    raise SystemExit(128 + ending.number)


def _leave(code: int) -> NoReturn:
    """End this process as the interpreter would, but for its last steps: threads of Ray's that were
    interrupted may crash it there.
    """
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)  # asked again, it ends without further words
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
