"""What the files of a run directory say, each read once."""

import json
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypedDict, TypeVar

from fade_ray.records.history import RunHistory
from fade_ray.records.json_form import as_json, check_form
from fade_ray.records.seal import KEY, Damaged, checked
from spaces.errors import InvalidInput, require, upheld

C = TypeVar("C")
H = TypeVar("H", bound=RunHistory)


class Told(dict[str, Any]):
    """An object in the JSON of a file. Raises Damaged, with the file, for what it does not say."""

    path: Path

    def __missing__(self, name: str) -> Any:
        raise Damaged(f"{self.path} must say {name!r}, but does not. {RESTORE}")


RESTORE = "Restore it from a copy of the run, or move it away to go on without it."


class Row(TypedDict, total=False):
    """A row of the network that a search found."""

    cell: str
    channels: int
    side: int
    parameters: float
    multiply_adds: float


class Found(TypedDict, total=False):
    """The network that a search found."""

    code: str
    cells: list[str]
    parameters: float
    multiply_adds: float
    latency_ms: float
    rows: list[Row]


class Ended(TypedDict, total=False):
    """result.json, as far as it is read again; each kind of run says some of it, and more."""

    training_share: float | None
    data: str
    chance: float
    test_images: int
    valid_accuracy: float
    test_accuracy: float
    test_accuracy_last: float
    architecture: Found
    shape: dict[str, int]
    complete: dict[str, bool]
    unspent: dict[str, float]
    benchmark: str
    floor: float
    rank_spearman: float | None
    rank_noise_points: float | None


class Begun(TypedDict, total=False):
    """config.json, likewise, beside the configuration itself."""

    kind: str
    use: list[str]


class Around(TypedDict, total=False):
    """environment.json, likewise."""

    data: str
    inputs: dict[str, dict[str, str]]
    use: dict[str, str]
    cluster: dict[str, Any]


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


def read_object(path: Path, form: type[Any] = dict) -> Told:
    """The JSON object in a file, empty if there is no such file. Raises InvalidInput where it is
    not of this form, see `check_form`; Damaged too.
    """

    def told(values: dict[str, Any]) -> Told:
        made = Told(values)
        made.path = path
        return made

    rule, nothing = f"{path} must be readable JSON, an object", suppress(*ABSENT)
    with upheld(rule, RESTORE, OSError, ValueError, RecursionError), nothing:
        data = json.loads(checked(path.read_bytes(), path), object_hook=told)
        require(isinstance(data, Told), rule, RESTORE, path=str(path))
        try:
            check_form(form, data)
        except InvalidInput as error:
            raise InvalidInput(f"{path} must say what it is to, but: {error} {RESTORE}") from error
        return told({name: value for name, value in data.items() if name != KEY})
    return told({})


ABSENT = FileNotFoundError, NotADirectoryError


@contextmanager
def legible(folder: Path) -> Iterator[None]:
    """What the files of a run say is told in here. InvalidInput where that cannot be done."""
    rule = f"What records and JSON in {folder} say must be numbers and words where they belong"
    wrong = TypeError, ValueError, LookupError, AttributeError, ArithmeticError
    with upheld(rule, "Restore them from a copy of the run; were they edited?", *wrong):
        yield
