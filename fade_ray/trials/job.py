"""How the trials of a run are carried out on any engine, and what becomes of a failed one."""

import traceback
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

from fade_ray.records.atomic import GO_ON, writable, write_atomically
from fade_ray.records.seal import Damaged
from fade_ray.training.failures import TrainingFailed, out_of_memory
from searchers.outcome import Failure, Outcome
from spaces.errors import InvalidInput

Event = dict[str, Any]  # JSON-able
D_contra = TypeVar("D_contra", contravariant=True)
D = TypeVar("D")


class Job(Protocol[D_contra]):
    """What an engine runs: one object for all trials, sent to workers with cloudpickle."""

    def run(self, plan: Mapping[str, Any], data: D_contra, folder: Path) -> Iterator[Event]:
        """Carry out `plan`, that is `Plan.to_dict()`; `data` is shared by all trials and must not
        be changed.

        Yields one event per epoch, {"epoch": from 1, "metrics"}, and at last {"outcome":
        Outcome.to_dict(), "metrics", "warnings"}. The metrics of an epoch hold what it cost as
        "images", "multiply_adds" and "seconds", those of the last event the sums. A trial that is
        started again may go on from its `checkpoint_path`; epochs that it tells again are recorded
        once. May raise: see `events`.
        """


def events(job: Job[D], plan: Mapping[str, Any], data: D, folder: Path) -> Iterator[Event]:
    """What `job` yields for `plan`, to an end of its own in any case.

    What goes wrong inside becomes an outcome with a failure, its traceback in `folder/errors`: the
    run goes on. A run directory that cannot be written, or in which a file is damaged that the
    trial needs, ends the run instead: {"abort": message}.
    """
    try:
        yield from job.run(plan, data, folder)
    except (Unwritable, Damaged) as error:
        yield {"abort": str(error)}
    except Exception as error:
        id = plan["id"]
        path = folder / "errors" / f"{id}.txt"
        with suppress(OSError):  # a full disk must not hide what went wrong
            write_atomically(path, traceback.format_exc().encode())
        outcome = Outcome(failure=failure_of(error))
        yield {"outcome": outcome.to_dict(), "metrics": {}, "warnings": []}


def failure_of(error: Exception) -> Failure:
    """What went wrong in a trial, as its kind and in words."""
    if isinstance(error, TrainingFailed):
        return Failure("diverged", str(error))
    reason = f"{type(error).__name__}: {error}"
    if isinstance(error, InvalidInput):
        return Failure("bad input", reason)
    return Failure("out of memory" if out_of_memory(error) else "crashed", reason)


def checkpoints(folder: Path) -> Path:
    """Where the trials of a run keep theirs."""
    return folder / "checkpoints"


def checkpoint_path(folder: Path, id: str) -> Path:
    """Where a trial keeps all that its next epoch depends on, until its end is on record."""
    return checkpoints(folder) / f"{id}.pt"


class Unwritable(OSError):
    """The run directory takes no more data."""


def write_output(path: Path, content: bytes, earlier: Path | None = None) -> Path:
    """Write a file of a trial atomically. Raises Unwritable."""
    with writable(f"The run directory, for {path},", f"{GO_ON}.", Unwritable):
        return write_atomically(path, content, earlier)
