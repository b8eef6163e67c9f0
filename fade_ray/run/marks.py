"""What a run sets in its process is taken back at its end: the process is the user's."""

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar

VARIABLES = ("RAY_", "TUNE_", "MLFLOW_", "PYTHONBREAKPOINT", "CRC32C_")
"""How those begin that a run sets, or has Ray and TensorBoard's writer set."""
_UNDO: ContextVar[ExitStack | None] = ContextVar("_UNDO", default=None)


@contextmanager
def taken_back() -> Iterator[None]:
    """Takes back, at the end, what was set inside: environment variables, levels of loggers."""
    before = _variables()
    with ExitStack() as undo:
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


def set_level(logger: str, level: int) -> None:
    """Set the level of a logger, within `taken_back` for so long."""
    log, undo = logging.getLogger(logger), _UNDO.get()
    if undo is not None:
        undo.callback(log.setLevel, log.level)
    log.setLevel(level)
