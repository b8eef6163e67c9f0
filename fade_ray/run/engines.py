"""A run carried out to its end by either engine: what the runs of all kinds share."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from fade_ray.records.history import TrialHistory
from fade_ray.records.journal import FORMAT, Journal
from fade_ray.run.folder import Configuration, RunKind, environment, opened
from fade_ray.run.local import run_local
from fade_ray.run.run_config import RunConfig
from fade_ray.run.session import Session
from fade_ray.trials.job import Job

D = TypeVar("D")
H = TypeVar("H", bound=TrialHistory[Any])


def _run_ray(session: Session[Any], job: Job[D], data: D, run: RunConfig, folder: Path) -> None:
    from fade_ray.run.ray_engine import run_ray  # Ray is imported by those who run on it

    run_ray(session, job, data, run, folder)


ENGINES: dict[str, Callable[[Session[Any], Job[Any], Any, RunConfig, Path], None]] = {
    "ray": _run_ray,
    "local": run_local,
}


class Interrupted(KeyboardInterrupt):
    """A run that was stopped by a signal; `fade-ray <command> --out <folder>` continues it."""

    def __init__(self, folder: Path, command: str) -> None:
        super().__init__()
        self.folder, self.command = folder, command


@contextmanager
def interruptible(folder: Path, kind: RunKind[Any]) -> Iterator[None]:
    """Turns Ctrl-C into Interrupted."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted(folder, kind.command) from error


@contextmanager
def recording(
    folder: Path, config: Configuration, kind: RunKind[Any], history: type[H], command: str
) -> Iterator[tuple[Journal, H]]:
    """Open the run directory for this process alone; gives the record to append to and what it said
    before this start.

    Raises InvalidInput when the directory is in use, cannot be written, or holds a record that
    cannot be read.
    """
    with opened(folder, config, command, kind), Journal(folder / "records.jsonl") as journal:
        told = history.read(folder / "records.jsonl")
        journal.append(
            "start",
            format=FORMAT,
            resumed=told.started is not None,
            environment=environment(command),
        )
        yield journal, told


def carry_out(
    session: Session[Any], job: Job[D], data: D, run: RunConfig, folder: Path
) -> float | None:
    """Run the session's trials to the last one and record the end; its watchers are closed in any
    case.

    Returns the share of the trials' wall time that was spent training, as recorded; None where no
    trial has run.
    """
    try:
        session.begin()
        ENGINES[run.engine](session, job, data, run, folder)
    finally:
        for watcher in session.watchers:
            watcher.close()
    share = session.training_share
    if share is None:  # nothing was left to do
        share = session.history.training_share
    session.journal.append("end", training_share=share)
    return share
