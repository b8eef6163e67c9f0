"""What a run sets in its process is taken back at its end: the process is the user's."""

import logging
import os
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import partial

VARIABLES = ("RAY_", "TUNE_", "MLFLOW_", "PYTHONBREAKPOINT", "CRC32C_")
"""How those begin that a run sets, or has Ray and TensorBoard's writer set."""
_UNDO: ContextVar[ExitStack | None] = ContextVar("_UNDO", default=None)


@contextmanager
def taken_back() -> Iterator[None]:
    """Takes back, at the end, what was set inside: environment variables, levels of loggers, and
    what was drawn from the generators that all share.
    """
    before, torch = _variables(), sys.modules.get("torch")
    with ExitStack() as undo:
        undo.callback(random.setstate, random.getstate())
        if torch is not None:
            undo.callback(torch.set_rng_state, torch.get_rng_state())
        token = _UNDO.set(undo)
        try:
            yield
        finally:
            _UNDO.reset(token)
            for name in _variables().keys() - before.keys():
                del os.environ[name]
            os.environ.update(before)


def _variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(VARIABLES)}


def afterwards(take_back: Callable[[], None]) -> None:
    """Called behind all else where `taken_back` ends."""
    undo = _UNDO.get()
    if undo is not None:
        undo.callback(take_back)


def set_level(logger: str, level: int) -> None:
    """Set the level of a logger, within `taken_back` for so long."""
    log = logging.getLogger(logger)
    afterwards(partial(log.setLevel, log.level))
    log.setLevel(level)
