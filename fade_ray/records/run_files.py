"""What the files of a run directory say, each read once."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from fade_ray.records.history import TrialHistory
from spaces.errors import InvalidInput

H = TypeVar("H", bound=TrialHistory[Any])


@dataclass(frozen=True)
class Run(Generic[H]):
    """A run directory: its record and its JSON files as they are; what is not there yet is empty."""

    folder: Path
    history: H
    config: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path, history: type[H]) -> "Run[H]":
        """InvalidInput: no `records.jsonl`, or a file that does not hold what it should."""
        names = ("config.json", "environment.json", "result.json")
        files = (read_object(folder / name) for name in names)
        return cls(folder, history.read(folder / "records.jsonl"), *files)

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    @property
    def command(self) -> str | None:
        """The command that reproduces the run, as it was recorded."""
        files = (self.result, self.config, self.environment)
        command = next((file["command"] for file in files if file.get("command")), None)
        if isinstance(command, list):
            return shlex.join(str(part) for part in command)
        return None if command is None else str(command)


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; {} if there is no such file."""
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"{path.name} of a run must be readable JSON, but {path} is not: {error}. "
            "Restore it from a copy of the run, or move it away to go on without it."
        ) from error
    if not isinstance(data, dict):
        raise InvalidInput(
            f"{path.name} of a run holds a JSON object, but {path} does not. "
            "Restore it or move it away."
        )
    return data
