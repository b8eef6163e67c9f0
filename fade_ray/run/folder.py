"""The run directory: created, continued or refused."""

import fcntl
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from fade_ray.config import Config, differences
from spaces.errors import InvalidInput

FOLDERS = ("architectures", "checkpoints", "weights", "errors", "tensorboard", "tune")


def default_folder(config: Config) -> Path:
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
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(value, indent=2) + "\n")
    os.replace(temporary, path)


def read_json(path: Path) -> Any:
    """Raises InvalidInput for a file that is not readable JSON."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"{path} must be readable JSON, but: {error}. Is this a run directory of fade_ray?"
        ) from error


def stored_config(folder: Path) -> Config | None:
    """The configuration of the run in `folder`; None where there is none. Raises InvalidInput for one of another version."""
    path = folder / "config.json"
    if not path.exists():
        return None
    values = read_json(path)
    try:
        return Config.from_dict(values)
    except (InvalidInput, TypeError, AttributeError) as error:
        raise InvalidInput(
            f"{path} must be the configuration of a run of this version, but: {error} "
            "Use the version of fade_ray that wrote it (see environment.json), or another --out."
        ) from error


def check_same_search(config: Config, folder: Path) -> bool:
    """Whether `folder` holds this search already. Raises InvalidInput naming the differences if it holds another one."""
    stored = stored_config(folder)
    if stored is None:
        if folder.is_dir() and any(path.suffix in (".jsonl", ".html") for path in folder.iterdir()):
            raise InvalidInput(f"{folder} holds files of something else. Choose another directory with --out.")
        return False
    changed = differences(config.to_dict(), stored.to_dict())
    if changed:
        raise InvalidInput(
            f"{folder} holds a run with another configuration ({'; '.join(changed)}). "
            "Continue it with the flags it was started with (`fade-ray status` shows them), or choose another --out."
        )
    return True


@contextmanager
def opened(folder: Path, config: Config, command: str) -> Iterator[None]:
    """Create or continue the run directory, for this process alone. Raises InvalidInput when it cannot be written or is in use."""
    try:
        for name in FOLDERS:
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
            write_json(folder / "config.json", config.to_dict())
            if not (folder / "environment.json").exists():  # of the first start; every start's is in the record
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

    versions = {name: importlib.metadata.version(name) for name in ("ray", "torch", "torchvision", "numpy", "networkx")}
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
    """The git commit of the source tree that is running, "+changes" where it differs; None outside of one."""
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
