"""What a run reads: files and folders that its configuration names, the same ones wherever they lie
as long as they hold the same.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, reduce
from pathlib import Path
from typing import Any, TypedDict, TypeVar

from fade_ray.records.fingerprint import contents
from fade_ray.records.json_form import from_json
from fade_ray.records.run_files import Around, mark, read_object
from spaces.errors import InvalidInput

C = TypeVar("C")

IMAGES = ("data.data", "data.test_data")
"""Fields of a configuration, by their names from its top."""
SPACE = "space.space"
"""The file of a space of a user's own."""
ROOT = "data.data_root"
"""Where named sets lie, or will; `~` is whoever's home looks for them."""


class Noted(TypedDict):
    """What is on record of an input."""

    path: str
    contents: str


@dataclass(frozen=True)
class Inputs:
    """The files and folders of a run. `paths`: absolute, by the field that names them; `known`:
    what they were when the run began, as `now` tells it, {} where that is not on record.
    """

    paths: Mapping[str, str]
    known: Mapping[str, Noted]

    @classmethod
    def of(cls, config: Any, fields: Iterable[str], folder: Path) -> "Inputs":
        """Of a run in `folder`; `config` is `placed`."""
        noted = read_object(folder / "environment.json", Around).get("inputs", {})
        return cls(input_paths(config, fields), from_json(dict[str, Noted], noted))

    @cached_property
    def now(self) -> Mapping[str, Noted]:
        """What they are, for the record; those that cannot be read are left out."""
        held = {name: _contents(path) for name, path in self.paths.items()}
        return {
            name: {"path": self.paths[name], "contents": words}
            for name, words in held.items()
            if not words.startswith("nothing")
        }

    @property
    def changes(self) -> list[str]:
        """A sentence for each that is on record and not what it was."""
        now = self.now if self.known else {}  # reading takes a while
        both = ((self.known[name], now[name]) for name in now if name in self.known)
        return [
            f"{before['path']} was {before['contents']}, and {_again(before, now)} is "
            f"{now['contents']}"
            for before, now in both
            if before["contents"] != now["contents"]
        ]

    def check_unchanged(self) -> None:
        """Raises InvalidInput, with both fingerprints, for what is not what it was."""
        for change in self.changes:
            raise InvalidInput(
                f"A run goes with the data that it began with, but {change}. Restore it, or start "
                "in another directory with --out."
            )

    def carried_over(self, before: C) -> C:
        """A configuration with what has not changed since where it lies now."""
        for name in self.known.keys() & self.now.keys():
            before = with_value(before, name.split("."), self.paths[name])
        return before


def _again(before: Noted, now: Noted) -> str:
    return "it" if before["path"] == now["path"] else now["path"]


def input_paths(config: Any, fields: Iterable[str]) -> dict[str, str]:
    """The paths in those of the `fields` that this configuration has, where they name any."""
    from fade_ray.data import SOURCES  # what lists commands does without

    held = {name: _value(config, name) for name in fields}
    return {
        name: value
        for name, value in held.items()
        if value and not (name.rpartition(".")[2] == "data" and value in SOURCES)
    }


def placed(config: C, fields: Iterable[str]) -> C:
    """`config` with absolute paths, the same from every working directory."""
    places = {name: absolute_path(path) for name, path in input_paths(config, fields).items()}
    root = _value(config, ROOT)
    if root is not None and not root.startswith("~"):
        places[ROOT] = os.path.abspath(root)
    for space in space_of(config):
        places[SPACE] = absolute_path(space)
    for name, place in places.items():
        config = with_value(config, name.split("."), place)
    return config


def absolute_path(path: str) -> str:
    """As it is where it leads nowhere, for the message about it to have the user's own words."""
    try:
        place = Path(path).expanduser().resolve()
        return str(place) if place.exists() else path
    except (OSError, RuntimeError, ValueError):  # a name too long, `~nobody`, a zero byte
        return path


def with_value(config: Any, path: Sequence[str], value: Any) -> Any:
    """`config` with another value of the field that these fields lead to."""
    first, *rest = path
    inner = with_value(getattr(config, first), rest, value) if rest else value
    return replace(config, **{first: inner})


def space_of(config: Any) -> tuple[str, ...]:
    """The file of the user's own space; none of a run that has none."""
    space = _value(config, SPACE)
    return (space,) if space else ()


def files_of(config: Any) -> tuple[str, ...]:
    """The user's own files that a run loads."""
    return (*config.use, *space_of(config))


def with_space(config: C, files: Sequence[str]) -> C:
    """`config`, its space in that file; as it is without one."""
    return with_value(config, SPACE.split("."), files[0]) if files else config


def _value(config: Any, name: str) -> Any:
    """None where there is no such field."""
    return reduce(lambda part, field: getattr(part, field, None), name.split("."), config)


def _contents(path: str) -> str:
    """Of a file that has not been written to, no second time in this process."""
    place = Path(path)
    return contents(place) if place.is_dir() else _of_file(path, mark(place.parent, place.name))


@lru_cache(maxsize=64)
def _of_file(path: str, as_it_is: Any) -> str:
    return contents(Path(path))
