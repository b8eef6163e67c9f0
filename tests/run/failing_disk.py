"""A disk that fails: of all writes, flushes and renames below a folder the n-th one goes wrong, and
what is left after a power cut is worked out as POSIX allows it.

Patches `os` and `open` of this process while it is entered; what other threads do is not counted.
"""

import builtins
import errno
import io
import os
import random
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self


class Died(BaseException):
    """The process was killed, or the power was cut."""


Tree = dict[str, bytes | None]
"""Path below the folder -> content, None of a folder."""
FAULTS = ("fails", "full", "short", "killed", "dropped", "reordered")
"""The n-th call fails once; the disk is full from then on; a write takes half of what it is given;
the process is killed in the middle of the call; the power is cut behind it, and what was not
flushed is lost; or some of that is, as a drawn number says.
"""


@contextmanager
def replaced(place: Any, **calls: Any) -> Iterator[None]:
    before = {name: getattr(place, name) for name in calls}
    for name, call in calls.items():
        setattr(place, name, call)
    try:
        yield
    finally:
        for name, call in before.items():
            setattr(place, name, call)


@dataclass
class FailingDisk:
    """What happens below `root` from `__enter__` to `__exit__`; `fault` strikes at call `at`, from
    1. `calls`: what was called; `struck`: the call that went wrong, None while none has.

    `left`: after a death, what the disk holds.
    """

    root: Path
    fault: str = "fails"
    at: int = 0
    seed: int = 0
    calls: list[str] = field(default_factory=list)
    struck: str | None = None
    left: Tree | None = None

    def __post_init__(self) -> None:
        self.root = self.root.resolve()
        self._rng = random.Random(self.seed)
        self._thread = threading.get_ident()
        self._kept = dict[int, int]()  # inode -> a descriptor, so that its number is not used again
        self._content = dict[int, bytes]()  # inode -> what was flushed
        self._names = dict[str, dict[str, int]]()  # folder -> its entries that were flushed
        for folder, _, names in os.walk(self.root):
            self._flush_names(Path(folder))
            for name in names:
                self._flush_content(Path(folder, name))

    def __enter__(self) -> Self:
        self._patches = ExitStack()
        enter = self._patches.enter_context
        self._real = {name: getattr(os, name) for name in ("write", "fsync", "replace", "open")}
        self._real_file = io.open
        enter(replaced(os, **{name: getattr(self, f"_{name}") for name in self._real}))
        enter(replaced(os, rename=self._replace))
        enter(replaced(io, open=self._file))
        enter(replaced(builtins, open=self._file))
        return self

    def __exit__(self, *error: object) -> None:
        self._patches.close()
        for descriptor in self._kept.values():
            os.close(descriptor)

    # calls

    def _call(self, what: str, path: Path, do: Callable[[], Any], data: bytes = b"") -> Any:
        """`do`, unless it is its turn to go wrong."""
        if threading.get_ident() != self._thread or not path.is_relative_to(self.root):
            return do()
        if self.left is not None:
            raise Died  # what runs while a dead process unwinds does nothing
        self.calls.append(f"{what} {path.relative_to(self.root)}")
        full = self.struck is not None and self.fault == "full"
        if len(self.calls) != self.at and not (full and what == "write"):
            return do()
        self.struck = self.struck or self.calls[-1]
        return getattr(self, f"_is_{self.fault}")(what, do, data)

    def _is_fails(self, what: str, do: Callable[[], Any], data: bytes) -> Any:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def _is_full(self, what: str, do: Callable[[], Any], data: bytes) -> Any:
        if what == "replace":  # takes no room
            return do()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _is_short(self, what: str, do: Callable[[], Any], data: bytes) -> Any:
        return self._part(data) if data else do()

    def _is_killed(self, what: str, do: Callable[[], Any], data: bytes) -> Any:
        if data:
            self._part(data)
        self._die(self._as_it_is())

    def _is_dropped(self, what: str, do: Callable[[], Any], data: bytes) -> Any:
        do()
        self._die(dict(self._after_cut(Path(), drops=True)))

    def _is_reordered(self, what: str, do: Callable[[], Any], data: bytes) -> Any:
        do()
        self._die(dict(self._after_cut(Path(), drops=False)))

    def _die(self, left: Tree) -> None:
        self.left = left
        raise Died

    def _write(self, file: int, data: Any) -> int:
        return self._written(file, bytes(data), lambda part: self._real["write"](file, part))

    def _written(self, file: int, data: bytes, write: Callable[[bytes], int]) -> int:
        def part(data: bytes) -> int:
            return write(data[: (len(data) + 1) // 2])

        self._part = part
        return int(self._call("write", _place(file), lambda: write(data), data))

    def _fsync(self, file: Any) -> None:
        number = file if isinstance(file, int) else file.fileno()
        path = _place(number)
        ours = path.is_relative_to(self.root)  # no real flush is needed there
        self._call("fsync", path, lambda: self._flush(path) if ours else self._real["fsync"](file))

    def _replace(self, old: Any, new: Any, **rest: Any) -> None:
        self._call("replace", Path(new).resolve(), lambda: self._real["replace"](old, new, **rest))

    def _open(self, path: Any, *rest: Any, **more: Any) -> int:
        descriptor: int = self._real["open"](path, *rest, **more)
        self._keep(descriptor)
        return descriptor

    def _file(self, file: Any, mode: str = "r", *rest: Any, **more: Any) -> Any:
        """`open`, in whose place what is written to files below `root` is counted."""
        ours = isinstance(file, str | os.PathLike) and set(mode) & set("wax+")
        if not ours or not Path(file).resolve().is_relative_to(self.root):
            return self._real_file(file, mode, *rest, **more)
        raw = _Raw(self, os.fspath(file), mode.replace("b", "").replace("t", ""))
        self._keep(raw.fileno())
        buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, *rest[1:], **more)

    # what lasts

    def _keep(self, descriptor: int) -> None:
        number = os.fstat(descriptor).st_ino
        if number not in self._kept and _place(descriptor).is_relative_to(self.root):
            self._kept[number] = os.dup(descriptor)

    def _flush(self, path: Path) -> None:
        self._flush_names(path) if path.is_dir() else self._flush_content(path)

    def _flush_content(self, path: Path) -> None:
        with suppress(FileNotFoundError):
            self._content[path.stat().st_ino] = path.read_bytes()

    def _flush_names(self, folder: Path) -> None:
        self._names[str(folder)] = _entries(folder)

    def _as_it_is(self) -> Tree:
        paths = [path for path in self.root.rglob("*") if not path.is_symlink()]
        return {
            str(path.relative_to(self.root)): None if path.is_dir() else path.read_bytes()
            for path in paths
        }

    def _after_cut(self, below: Path, drops: bool) -> Iterator[tuple[str, bytes | None]]:
        """What is below `below` after the power was cut."""
        folder = self.root / below
        before, now = self._names.get(str(folder), {}), _entries(folder)
        lasts = {name: before[name] for name in before}
        for name in sorted(before.keys() | now.keys()):
            if before.get(name) != now.get(name) and not drops and self._rng.random() < 0.5:
                lasts.pop(name, None)
                if name in now:
                    lasts[name] = now[name]
        for name, number in before.items():  # one that was moved is under one of its two names
            if name not in now and number in now.values() and number not in lasts.values():
                lasts[name] = number
        for name, number in sorted(lasts.items()):
            path = below / name
            if (self.root / path).is_dir():
                yield str(path), None
                yield from self._after_cut(path, drops)
            else:
                yield str(path), self._content_after_cut(number, self.root / path, drops)

    def _content_after_cut(self, number: int, path: Path, drops: bool) -> bytes:
        before = self._content.get(number, b"")
        now = before if drops else self._now(number, path)
        if len(now) == len(before) <= 512:  # within a sector, which is written as one
            return self._rng.choice([before, now])
        kept = before if now.startswith(before) else b""
        new = now[len(kept) :]
        some = self._rng.randrange(len(new) + 1)
        return self._rng.choice(
            [
                before,
                now,
                kept + new[:some],
                kept + bytes(some) + new[some:],
                kept + bytes(len(new)),
            ]
        )

    def _now(self, number: int, path: Path) -> bytes:
        if number not in self._kept:
            return path.read_bytes() if path.exists() else b""
        return Path(f"/proc/self/fd/{self._kept[number]}").read_bytes()


def placed(root: Path, tree: Tree) -> None:
    """Put `tree` below `root`, and nothing else."""
    for path in root.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name, content in sorted(tree.items()):
        path = root / name
        path.mkdir() if content is None else path.write_bytes(content)


class _Raw(io.FileIO):
    def __init__(self, disk: FailingDisk, *opened: Any) -> None:
        super().__init__(*opened)
        self._disk = disk

    def write(self, data: Any) -> int:
        return self._disk._written(self.fileno(), bytes(data), super().write)


def _place(descriptor: int) -> Path:
    return Path(os.readlink(f"/proc/self/fd/{descriptor}"))


def _entries(folder: Path) -> dict[str, int]:
    """Name -> inode."""
    with os.scandir(folder) as entries:
        return {entry.name: entry.inode() for entry in entries}
