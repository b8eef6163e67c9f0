"""A run from configuration to report, the same for every kind."""

import logging
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from fade_ray.records.additions import check_loaded, check_unchanged, keep, load_additions
from fade_ray.records.atomic import writable
from fade_ray.records.history import RunHistory
from fade_ray.records.journal import FORMAT, Journal
from fade_ray.records.remote import named, refreshed
from fade_ray.records.run_files import Around, Run, legible, read_object
from fade_ray.records.seal import checked
from fade_ray.run.ending import ended_by, heed
from fade_ray.run.find_cluster import asking_once, check_keeps
from fade_ray.run.folder import (
    RUN,
    Configuration,
    command_line,
    environment,
    note_start,
    opened,
    run_folder,
    write_sealed,
)
from fade_ray.run.inputs import files_of, input_paths, placed
from fade_ray.run.kind import RunKind, Start
from fade_ray.run.lease import Lease
from fade_ray.run.marks import taken_back
from fade_ray.run.watcher import Watcher, show
from spaces.errors import require_text

LOG = logging.getLogger(__name__)
C = TypeVar("C", bound=Configuration)
H = TypeVar("H", bound=RunHistory)


class Interrupted(KeyboardInterrupt):
    """A run that was stopped by a signal; `fade-ray <command> --out <folder>` continues it."""

    def __init__(self, folder: Path, command: str) -> None:
        super().__init__(
            "stopped; everything done so far is kept. Continue with\n"
            f"  fade-ray {command} --out {named(shlex.quote(str(folder)))}"
        )
        self.folder, self.command = folder, command


@asking_once()
@taken_back()
def run(
    kind: RunKind[C, H],
    config: C,
    *,
    watchers: Sequence[Watcher] | None = None,
    command: str | None = None,
) -> Run[C, H]:
    """Carry a run out to its end, or what is left of the one in `config.out`. One that has ended is
    not run again.

    `watchers` replaces the progress display (use () for silence). Raises InvalidInput for
    everything a user can mend, before any work where that is possible; Interrupted on Ctrl-C, with
    everything done so far on disk.
    """
    check_loaded()
    if config.out is None:
        check_keeps(kind.ray_options(config))
    folder, config = run_folder(config, kind.name), placed(config, kind.inputs)
    additions = load_additions(files_of(config))
    require_text(str(folder), config.name, *config.use, *input_paths(config, kind.inputs).values())
    inputs = kind.inputs_of(config, folder)
    if kind.same(folder, config, inputs) and (folder / "result.json").exists():
        return told(kind, folder)
    if additions:
        check_unchanged(additions, read_object(folder / "environment.json", Around), folder)
    with _interruptible(folder, kind.name):
        prepared = kind.prepare(config)
        around = environment(command or command_line(), additions, inputs.now)
        around |= {"data": kind.data(prepared)}
        with opened(folder, kind.folders) as lease:
            noted = note_start(folder, kind.to_json(config), around)
            with writable(*RUN):
                keep(additions, folder)
            with Journal(folder / kind.record, partial(_may_go_on, lease)) as journal:
                history = kind.read_record(folder)
                resumed = history.started is not None
                for path in (folder / "weights").glob("*.safetensors"):  # trials may begin there
                    checked(path.read_bytes(), path)
                journal.append("start", format=FORMAT, resumed=resumed, environment=around)
                shown = kind.watchers(config, prepared, history) if watchers is None else watchers
                start = Start(folder, config, journal, history, tuple(shown), additions)
                LOG.info("%s in %s. %s", kind.name, folder, around["data"])
                try:
                    worked = kind.work(prepared, start)
                finally:
                    list(show(shown, "close"))
            refreshed(folder)  # what trials wrote elsewhere
            ended = Run(folder, kind.read_record(folder), config, noted, worked)
            ended = replace(ended, result={"kind": kind.name, **kind.deliver(prepared, ended)})
            write_sealed(folder / "result.json", ended.result)
        return finished(kind, ended)


def told(kind: RunKind[C, H], folder: Path) -> Run[C, H]:
    """The run in `folder`, finished or not, with everything written again that is made from its
    records. Raises InvalidInput.
    """
    with legible(folder):
        return finished(kind, kind.read(folder))


def finished(kind: RunKind[C, H], ended: Run[C, H]) -> Run[C, H]:
    """`ended` with everything that is made from its records written, or written again."""
    return replace(ended, made=kind.finish(ended))


def _may_go_on(lease: Lease) -> None:
    heed()
    lease.check()


@contextmanager
def _interruptible(folder: Path, command: str) -> Iterator[None]:
    """Turns what Ctrl-C has raised into Interrupted."""
    try:
        yield
    except BaseException as error:
        if not ended_by(error):
            raise
        raise Interrupted(folder, command) from error
