"""The run directory: made, continued or refused."""

import importlib.metadata
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import filelock

from fade_ray.records.additions import Addition
from fade_ray.records.atomic import writable, write_atomically
from fade_ray.records.json_form import differences
from fade_ray.records.lasting import made
from fade_ray.records.release import VERSION
from fade_ray.records.remote import directory, refreshed
from fade_ray.records.run_files import Around, read_object
from fade_ray.records.seal import KEY, OPEN, sealed
from fade_ray.run.lease import Lease, holder, kept
from spaces.errors import InvalidInput, require

FOLDERS = ("architectures", "checkpoints", "weights", "errors", "tensorboard", "tune")
"""What is made in the directory of a run of trials at its start."""

RUN = "The run directory", ", or choose another with --out."
"""What must be `writable`, and what one may do otherwise."""


class Configuration(Protocol):
    """What a run directory needs of a configuration: a frozen dataclass with these fields, which
    may change when a run is continued, as its "run" may.
    """

    @property
    def out(self) -> str | None: ...

    @property
    def name(self) -> str: ...

    @property
    def use(self) -> tuple[str, ...]: ...


def run_folder(config: Configuration, kind: str) -> Path:
    """The directory of a run, absolute: `out`, else runs/<time>-<name or kind>, a new one. Raises
    InvalidInput for an `out` that names none.
    """
    require(config.out != "", "out != ''", "Name a directory, or leave --out out.", out=config.out)
    if config.out is not None:
        return directory(config.out).resolve()
    stem = f"{datetime.now():%Y%m%d-%H%M%S}-{config.name or kind.replace(' ', '-')}"
    path, count = Path("runs") / stem, 1
    while path.exists():
        count += 1
        path = Path("runs") / f"{stem}-{count}"
    return path.resolve()


def write_json(path: Path, value: Any) -> None:
    """Atomically, indented."""
    write_atomically(path, (json.dumps(value, indent=2) + "\n").encode())


def write_sealed(path: Path, value: Mapping[str, Any]) -> None:
    """The same of what is read when the run goes on, with a checksum. Raises InvalidInput."""
    text = json.dumps({**value, KEY: OPEN}, indent=2) + "\n"
    with writable(*RUN):
        write_atomically(path, sealed(text.encode()))


@contextmanager
def opened(folder: Path, folders: Iterable[str]) -> Iterator[Lease]:
    """Make the run directory with its `folders`, and keep it for this process alone: a file lock
    tells at once on one machine, the lease on all. Raises InvalidInput when it cannot be written or
    is in use.
    """
    lock, lease = filelock.FileLock(folder / ".lock", blocking=False), Lease(folder)
    with writable(*RUN):
        for name in ("", *folders):
            made(folder / name)
        try:
            lock.acquire()
        except filelock.Timeout as error:
            rule, who = f"One process at a time may run in {folder}", holder(lease.place.read())
            raise InvalidInput(f"{rule}, and {who} does. Wait for it or end it.") from error
    try:
        with writable(*RUN):
            lease.take()
        with kept(lease):
            refreshed(folder)  # it may have been another's until now
            yield lease
    finally:
        lock.release()


def note_start(
    folder: Path, config: Mapping[str, Any], environment: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Write config.json and, at the first start and at one that asks for more, environment.json,
    whose content is returned, with the inputs of this start. (Every start's is in the record.)
    Raises InvalidInput when they cannot be written.
    """
    asks_more = differences(config, read_object(folder / "config.json"))
    noted: Mapping[str, Any] = read_object(folder / "environment.json", Around)
    noted = environment if asks_more or not noted else {**noted, "inputs": environment["inputs"]}
    write_sealed(folder / "config.json", config)
    write_sealed(folder / "environment.json", noted)
    return noted


def note_nodes(folder: Path, nodes: Mapping[str, Any]) -> None:
    """Add the nodes of a cluster, by the names that the record calls them, to environment.json."""
    noted = read_object(folder / "environment.json", Around)
    cluster = {**noted.get("cluster", {}), **nodes}
    write_sealed(folder / "environment.json", {**noted, "cluster": cluster})


def environment(
    command: str, additions: Iterable[Addition] = (), inputs: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Versions, machine, the user's own files and what is read, for the record."""
    import torch

    names = ("ray", "torch", "torchvision", "numpy", "networkx")
    return {
        "fade_ray": VERSION,
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in names},
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "commit": _commit(),
        "command": command,
        "inputs": inputs or {},
        "use": {addition.path: addition.sha256 for addition in additions},
        "started": f"{datetime.now():%Y-%m-%d %H:%M:%S}",
    }


def _commit() -> str | None:
    """The git commit of the source tree that is running, "+changes" where it differs; None outside
    of one.
    """
    call = ["git", "describe", "--always", "--abbrev=12", "--dirty=+changes"]
    here = Path(__file__).resolve().parent
    try:
        answer = subprocess.run(call, cwd=here, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None


def command_line() -> str:
    """The command that is running, to be shown and repeated."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
