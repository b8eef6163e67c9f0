"""Files of a user's own (`--use FILE.py`): what they add is known in every process of a run.

A file is a plain Python module that registers something as it is loaded: a member of a `Choice`, an
entry of a table. It is loaded under a name made from its content, so that two files, or two states
of one, never meet; worker processes get its text with the job and load it before anything else.
"""

import hashlib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from spaces.errors import InvalidInput, upheld


@dataclass(frozen=True)
class Addition:
    """A user's file as it was read. `path` is absolute."""

    path: str
    text: str

    @classmethod
    def read(cls, path: Path | str) -> "Addition":
        """Raises InvalidInput where there is no such file."""
        place = Path(path).expanduser().resolve()
        rule, remedy = "`--use` must name a Python file that can be read", f"It is {path}."
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
        if self.module in sys.modules:
            return sys.modules[self.module]
        module = ModuleType(self.module)
        module.__file__ = self.path
        sys.modules[self.module] = module  # dataclasses look their module up
        try:
            exec(compile(self.text, self.path, "exec"), vars(module))
        except Exception as error:
            del sys.modules[self.module]
            if isinstance(error, InvalidInput):
                raise
            raise InvalidInput(
                f"A file given with `--use` must run, but {self.path} does not: "
                f"{type(error).__name__}: {error}. Mend it, or leave it out."
            ) from error
        return module


def load_additions(files: Iterable[str | Addition]) -> tuple[Addition, ...]:
    """Load files in their order, those that are given by their path as they are now. Raises
    InvalidInput.
    """
    additions = tuple(Addition.read(file) if isinstance(file, str) else file for file in files)
    for addition in additions:
        addition.load()
    return additions


def check_unchanged(additions: Iterable[Addition], environment: Mapping[str, Any]) -> None:
    """InvalidInput naming a file that is not what it was when the run of `environment` began."""
    for addition in additions:
        before = environment.get("use", {}).get(addition.path, addition.sha256)
        if before != addition.sha256:
            raise InvalidInput(
                f"A run is continued with the files it was started with, but {addition.path} has "
                f"changed since (sha256 {before[:12]} -> {addition.sha256[:12]}). Restore it, or "
                "start in another directory with --out."
            )
