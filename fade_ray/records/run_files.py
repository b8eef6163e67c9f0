"""What the files of a run directory say, each read once."""

import json
import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from fade_ray.records.history import RunHistory
from fade_ray.records.json_form import as_json
from fade_ray.records.seal import KEY, checked
from spaces.errors import require, upheld

C = TypeVar("C")
H = TypeVar("H", bound=RunHistory)


@dataclass(frozen=True)
class Run(Generic[C, H]):
    """A run directory: its record and its JSON files; what is not there yet is empty.

    `config`: the configuration as an object (or as JSON); `environment`: of the first start, or of
    the last that asked for more; `made`: what the kind of run made of it all, such as a comparison.
    """

    folder: Path
    history: H
    config: C
    environment: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] = field(default_factory=dict)
    made: Any = None

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """The configuration as JSON."""
        values: Mapping[str, Any] = as_json(self.config)
        return values

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    @property
    def command(self) -> str | None:
        """The command that reproduces the run, as it was recorded."""
        files = (self.result, self.settings, self.environment)
        command = next((file["command"] for file in files if file.get("command")), None)
        if isinstance(command, list):
            return shlex.join(str(part) for part in command)
        return None if command is None else str(command)


def mark(folder: Path, *names: str) -> tuple[tuple[int, int] | None, ...]:
    """What changes whenever one of these files does: time and size, None where there is none."""

    def of(path: Path) -> tuple[int, int] | None:
        with suppress(FileNotFoundError):
            about = path.stat()
            return about.st_mtime_ns, about.st_size
        return None

    return tuple(of(folder / name) for name in names)


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; {} if there is no such file. Raises InvalidInput, Damaged too."""
    rule = f"{path} must be readable JSON, an object"
    remedy = "Restore it from a copy of the run, or move it away to go on without it."
    nothing = suppress(FileNotFoundError, NotADirectoryError)
    with upheld(rule, remedy, OSError, ValueError, RecursionError), nothing:
        data = json.loads(checked(path.read_bytes(), path))
        require(isinstance(data, dict), rule, remedy, path=str(path))
        return {name: value for name, value in data.items() if name != KEY}
    return {}
