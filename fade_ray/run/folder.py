"""The run directory: created, continued or refused."""

import fcntl
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from fade_ray.records.atomic import write_atomically
from fade_ray.records.json_form import differences
from fade_ray.search.search_config import Config
from spaces.errors import InvalidInput

FOLDERS = ("architectures", "checkpoints", "weights", "errors", "tensorboard", "tune")


class Configuration(Protocol):
    """What a run directory needs of a configuration, whatever the run is made of: a frozen
    dataclass with these.
    """

    @property
    def out(self) -> str | None: ...

    @property
    def name(self) -> str: ...

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, by parts; "run", "out" and "name" may change when a run is continued."""


C = TypeVar("C", bound=Configuration)


@dataclass(frozen=True)
class RunKind(Generic[C]):
    """A kind of run: the `fade-ray` command that starts and continues it, and how its configuration
    is read.

    `read` is the inverse of `to_dict`. The command is kept as "kind" in config.json, but for a
    search.
    """

    command: str
    read: Callable[[Mapping[str, Any]], C]
    grows: Callable[[C, C], bool] = lambda before, now: False
    """Whether a run of the first configuration may be continued with the second, which only adds to
    it.
    """
    folders: tuple[str, ...] = FOLDERS
    """What is made in a run directory at its start."""


SEARCH = RunKind("search", Config.from_dict)


def run_folder(config: Configuration) -> Path:
    """The directory of a run, absolute: `out`, else a new one."""
    return (Path(config.out).expanduser() if config.out else default_folder(config)).resolve()


def default_folder(config: Configuration) -> Path:
    """runs/<time>-<name>, a new one."""
    stem = f"{datetime.now():%Y%m%d-%H%M%S}-{config.name}"
    path = Path("runs") / stem
    count = 1
    while path.exists():
        count += 1
        path = Path("runs") / f"{stem}-{count}"
    return path


def write_json(path: Path, value: Any) -> None:
    """Atomically, indented."""
    write_atomically(path, (json.dumps(value, indent=2) + "\n").encode())


def read_json(path: Path) -> Any:
    """Raises InvalidInput for a file that is not readable JSON."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"{path} must be readable JSON, but: {error}. Is this a run directory of fade_ray?"
        ) from error


def read_result(folder: Path) -> Mapping[str, Any]:
    """The result.json of a run; {} before its end. Raises InvalidInput for a file that is not
    readable JSON.
    """
    path = folder / "result.json"
    return read_json(path) if path.exists() else {}


def stored_kind(folder: Path) -> str | None:
    """The command of the run in `folder`; None where there is none. Raises InvalidInput for a
    config.json that is none.
    """
    path = folder / "config.json"
    if not path.exists():
        return None
    values = read_json(path)
    return str(values.get("kind", SEARCH.command)) if isinstance(values, dict) else SEARCH.command


def check_kind(folder: Path, kind: RunKind[Any]) -> bool:
    """Whether `folder` holds a run of this kind. Raises InvalidInput if it holds one of another
    kind.
    """
    stored = stored_kind(folder)
    if stored not in (None, kind.command):
        raise InvalidInput(
            f"{folder} must hold a run of `fade-ray {kind.command}`, but it holds one of `fade-ray {stored}`. "
            f"Name another directory, or continue that run with `fade-ray {stored} --out {folder}`."
        )
    return stored is not None


def stored_config(folder: Path) -> Config | None:
    """The configuration of the search in `folder`, as `stored`."""
    return stored(folder, SEARCH)


def stored(folder: Path, kind: RunKind[C]) -> C | None:
    """The configuration of the run in `folder`; None where there is none. Raises InvalidInput for
    one of another kind or version.
    """
    if not check_kind(folder, kind):
        return None
    path = folder / "config.json"
    values = read_json(path)
    try:
        return kind.read({key: value for key, value in values.items() if key != "kind"})
    except (InvalidInput, TypeError, AttributeError) as error:
        raise InvalidInput(
            f"{path} must be the configuration of a run of this version, but: {error} "
            "Use the version of fade_ray that wrote it (see environment.json), or another --out."
        ) from error


def check_same_run(folder: Path, config: C, kind: RunKind[C]) -> bool:
    """Whether `folder` holds this run already. Raises InvalidInput naming the differences if it
    holds another one.
    """
    before = stored(folder, kind)
    if before is None:
        if folder.is_dir() and any(path.suffix in (".jsonl", ".html") for path in folder.iterdir()):
            raise InvalidInput(
                f"{folder} holds files of something else. Choose another directory with --out."
            )
        return False
    changed = differences(config.to_dict(), before.to_dict())
    if changed and kind.grows(before, config):
        (folder / "result.json").unlink(missing_ok=True)  # there is more to do
        return True
    if changed:
        raise InvalidInput(
            f"{folder} holds a run with another configuration ({'; '.join(changed)}). "
            "Continue it with the flags it was started with (`fade-ray status` shows them), or choose another --out."
        )
    return True


@contextmanager
def opened(
    folder: Path, config: Configuration, command: str, kind: RunKind[Any] = SEARCH
) -> Iterator[None]:
    """Create or continue the run directory, for this process alone. Raises InvalidInput when it
    cannot be written or is in use.
    """
    try:
        for name in kind.folders:
            (folder / name).mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise InvalidInput(
            f"The run directory must be writable, but {error.filename or folder}: {error.strerror}. Choose another with --out."
        ) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InvalidInput(
                f"One process at a time may run in {folder}, and one does. Wait for it or end it."
            ) from error
        try:
            named = {} if kind.command == SEARCH.command else {"kind": kind.command}
            before = read_json(folder / "config.json") if (folder / "config.json").exists() else {}
            write_json(folder / "config.json", named | config.to_dict())
            # Of the first start, or of the last that asked for more; every start's is in the
            # record.
            if not (folder / "environment.json").exists() or differences(
                named | config.to_dict(), before
            ):
                write_json(folder / "environment.json", environment(command))
        except OSError as error:
            raise InvalidInput(
                f"{folder} must be writable, but: {error.strerror}. Choose another with --out."
            ) from error
        yield
    finally:
        os.close(lock)


def environment(command: str) -> Mapping[str, Any]:
    """Versions and machine, for the record."""
    import torch

    versions = {
        name: importlib.metadata.version(name)
        for name in ("ray", "torch", "torchvision", "numpy", "networkx")
    }
    return {
        "fade_ray": importlib.metadata.version("fade-ray"),
        "python": platform.python_version(),
        **versions,
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "commit": _commit(),
        "command": command,
        "started": f"{datetime.now():%Y-%m-%d %H:%M:%S}",
    }


def _commit() -> str | None:
    """The git commit of the source tree that is running, "+changes" where it differs; None outside
    of one.
    """
    here = Path(__file__).resolve().parent
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--dirty=+changes"],
            cwd=here,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None


def command_line() -> str:
    """The command that is running, to be shown and repeated."""
    import shlex

    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
