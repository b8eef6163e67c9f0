"""A driver whose cluster's head is gone ends, in words of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fade_ray.records.remote import named
from fade_ray.run.ends_when import ends_when
from fade_ray.run.find_cluster import listens
from fade_ray.run.kind import stored_kind
from spaces.errors import InvalidInput

PERIOD, MISSES = 3.0, 5
"""Seconds between looks, and how many in a row must be in vain. By itself Ray ends the process
after a minute, by an abort.
"""


@contextmanager
def head_watched(ray: Any, folder: Path) -> Iterator[None]:
    """Raises InvalidInput in place of what Ray makes of it when the head of the cluster does not
    answer any more.
    """
    address = ray.get_runtime_context().gcs_address
    words = (
        f"The head of the Ray cluster at {address} is gone. Everything done so far is kept: with a "
        f"cluster that is up, continue with\n  fade-ray {stored_kind(folder)} --out {named(folder)}"
    )
    misses = 0

    def look() -> str | None:
        nonlocal misses
        misses = 0 if listens(address) else misses + 1
        return words if misses == MISSES else None

    try:
        with ends_when(look, PERIOD):
            yield
    except Exception as error:
        if listens(address):
            raise
        raise InvalidInput(words) from error
