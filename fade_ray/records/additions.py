"""Files of a user's own (`--use`, `--space FILE.py`): what they add is known in every process.

A file is a plain Python module that registers something as it is loaded: a member of a `Choice`, an
entry of a table; or it holds a space. It is loaded under a name made from its content, so that two
files, or two states of one, never meet; worker processes get its text with the job and load it
before anything else. A run keeps a copy of each, by which it is read where the file itself is gone.
"""

import hashlib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from types import ModuleType
from typing import Any

from fade_ray.records.atomic import write_atomically
from fade_ray.records.run_files import Around, read_object
from spaces.errors import InvalidInput, upheld

COPIES = "use"
"""The folder of a run that holds them."""


@dataclass(frozen=True)
class Addition:
    """A user's file as it was read. `path` is absolute."""

    path: str
    text: str

    @classmethod
    def read(cls, path: Path | str) -> "Addition":
        """Raises InvalidInput where there is no such file."""
        place = Path(path).expanduser().resolve()
        rule, remedy = (
            "`--use` and `--space` must name a Python file that can be read",
            f"It is {path}.",
        )
        with upheld(rule, remedy, OSError, UnicodeDecodeError):
            return cls(str(place), place.read_text(encoding="utf-8"))

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def module(self) -> str:
        """The name it is loaded under."""
        return f"{Path(self.path).stem}_{self.sha256[:12]}"

    def load(self) -> ModuleType:
        """Load it, once in a process. Raises InvalidInput for a file that cannot be run."""
        LOADED[self.path] = self
        if self.module in sys.modules:
            known = sys.modules[self.module]
            if enter := getattr(getattr(known, "space", None), "enter", None):
                enter()  # another file may have taken its names since
            return known
        module = ModuleType(self.module)
        module.__file__ = self.path
        sys.modules[self.module] = module  # dataclasses look their module up
        LOADING.append(self.path)
        try:
            exec(compile(self.text, self.path, "exec"), vars(module))
        except Exception as error:
            del sys.modules[self.module]
            if isinstance(error, InvalidInput):
                raise
            raise InvalidInput(
                f"A file given with `--use` or `--space` must run, but {self.path} does not: "
                f"{type(error).__name__}: {error}. Mend it, or leave it out."
            ) from error
        finally:
            LOADING.remove(self.path)
        return module


LOADED: dict[str, Addition] = {}
"""Those of this process, by their paths: a worker may have no such file."""
LOADING: list[str] = []
"""The paths of those that are running now."""


def check_loaded() -> None:
    """InvalidInput while a file is being loaded: a run that it starts would load it again."""
    for path in LOADING:
        raise InvalidInput(
            "A file of your own is run again in every process, so what starts a run must stand "
            f"behind `if __name__ == '__main__':`, but {path} starts one as it is loaded. Put it "
            "there."
        )


def addition_at(path: str) -> Addition:
    """The file there, as it was when it was loaded first. Raises InvalidInput."""
    place = str(Path(path).expanduser().resolve())
    return LOADED.get(place) or Addition.read(place)


def module_at(path: str) -> ModuleType:
    """The file there, loaded, as it was when it was loaded first. Raises InvalidInput."""
    return addition_at(path).load()


def load_additions(files: Iterable[str | Addition]) -> tuple[Addition, ...]:
    """Load files in their order, those that are given by their path as they are now. Raises
    InvalidInput.
    """
    additions = tuple(Addition.read(file) if isinstance(file, str) else file for file in files)
    for addition in additions:
        addition.load()
    return additions


def keep(additions: Iterable[Addition], folder: Path) -> None:
    """Copy them into the directory of a run that began with them."""
    for addition in additions:
        copy = _copy(folder, addition.path, addition.sha256)
        if not copy.exists():
            write_atomically(copy, addition.text.encode())


def kept(folder: Path, use: Iterable[str]) -> tuple[str, ...]:
    """Where the files of a run are: where they were, else their copies."""
    noted = _noted(folder)
    # a copy itself, where the run has been moved since, is known by its folder
    shas = {path: noted.get(path, Path(path).parent.name) for path in use}
    copies = {path: _copy(folder, path, sha256) for path, sha256 in shas.items()}
    gone = {path for path, copy in copies.items() if copy.exists() and not Path(path).exists()}
    return tuple(str(copies[path]) if path in gone else path for path in use)


def joined(before: Iterable[str], more: Iterable[str]) -> tuple[str, ...]:
    """Files of a run and `more`, which take the place of those with the same content."""
    given = {Addition.read(path).sha256 for path in more}
    others = (path for path in before if Addition.read(path).sha256 not in given)
    return tuple(dict.fromkeys((*others, *more)))


def same_files(folder: Path, use: Iterable[str]) -> bool:
    """Whether these are what a run began with, wherever they lie."""
    return {Addition.read(path).sha256 for path in use} == set(_noted(folder).values())


def _copy(folder: Path, path: str, sha256: str) -> Path:
    return folder.resolve() / COPIES / sha256[:12] / Path(path).name


def _noted(folder: Path) -> Mapping[str, str]:
    noted: Mapping[str, str] = read_object(folder / "environment.json", Around).get("use", {})
    return noted


def check_unchanged(
    additions: Iterable[Addition], environment: Mapping[str, Any], folder: Path
) -> None:
    """InvalidInput naming a file that is not what it was when the run of `environment` in `folder`
    began, and the first line in which it differs.
    """
    for addition in additions:
        before = environment.get("use", {}).get(addition.path, addition.sha256)
        if before != addition.sha256:
            raise InvalidInput(
                f"A run is continued with the files it was started with, but {addition.path} has "
                f"changed since (sha256 {before[:12]} -> {addition.sha256[:12]}"
                f"{_change(_copy(folder, addition.path, before), addition.text)}). Restore it, or "
                "start in another directory with --out."
            )


def _change(copy: Path, text: str) -> str:
    """The first line that differs; nothing where there is no copy, as of older runs."""
    if not copy.exists():
        return ""
    was, now = copy.read_text(encoding="utf-8").splitlines(), text.splitlines()
    both = enumerate(zip_longest(was, now, fillvalue=""), start=1)
    return next((f", line {n}: {old!r} -> {new!r}" for n, (old, new) in both if old != new), "")
