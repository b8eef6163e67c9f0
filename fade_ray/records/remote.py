"""Run directories in object stores: a process works in a copy of its own, and what must last is in
the store before it goes on.

The store is the truth. A copy is made by each process where it starts, and forgotten with it; files
are fetched into it (`refresh`, `fetched`) and whatever `write_atomically` writes there is put into
the store, whole. A record is kept there as segments, each named by its offset in the record, in a
folder for each start of the run: the newest start's counts, whose first segment is the record up to
then. A driver that was followed by another one unawares writes where nobody reads.
"""

import atexit
import os
import secrets
import shlex
import shutil
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from glob import escape
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import SplitResult, urlsplit

from fade_ray.records.lasting import flush_folder
from spaces.errors import InvalidInput, upheld

APART = ("checkpoints", "tensorboard", "tune")
"""Folders of which nothing is fetched but what is asked for."""
SEGMENTS = ".segments"  # of a record, behind its name
AT_ONCE = 16  # objects that are fetched at a time

_STORES: dict[Path, "Store"] = {}  # by the copy


class Objects:
    """What lies at `address`, any that pyarrow or fsspec knows, by its names there. Raises
    InvalidInput for an address that is none, OSError for what fails.
    """

    def __init__(self, address: str) -> None:
        self.address, (self.files, self.root) = address, file_system(address)

    def get(self, name: str) -> bytes | None:
        """None where there is none."""
        try:
            with self.files.open_input_stream(f"{self.root}/{name}") as stream:
                content: bytes = stream.read()
                return content
        except FileNotFoundError:
            return None

    def put(self, name: str, content: bytes) -> None:
        """In one step, where the store can, as object stores do."""
        path = f"{self.root}/{name}"
        try:
            stream = self.files.open_output_stream(path)
        except FileNotFoundError:  # one that has folders
            self.files.create_dir(str(PurePosixPath(path).parent), recursive=True)
            stream = self.files.open_output_stream(path)
        with stream:
            stream.write(content)

    def delete(self, name: str) -> None:
        try:
            self.files.delete_file(f"{self.root}/{name}")
        except FileNotFoundError:
            return

    def listed(self, under: str = "") -> dict[str, tuple[int, int]]:
        """Every object by its name: its time in ns, and its size."""
        from pyarrow.fs import FileSelector

        top = f"{self.root}/{under}".rstrip("/")
        found = self.files.get_file_info(FileSelector(top, recursive=True, allow_not_found=True))
        names = {PurePosixPath(each.path).relative_to(self.root).as_posix(): each for each in found}
        return {n: (each.mtime_ns or 0, each.size) for n, each in names.items() if each.is_file}


class Store(Objects):
    """A run directory at `address`, and this process's copy of it, `folder`."""

    def __init__(self, address: str, within: Path | None = None) -> None:
        super().__init__(address)
        copy = Path(tempfile.mkdtemp(prefix="fade-ray-", dir=within)).resolve()
        atexit.register(shutil.rmtree, copy, ignore_errors=True)
        self.folder = copy / PurePosixPath(self.root).name
        self.folder.mkdir()
        self._known = dict[str, tuple[int, int]]()  # name -> time and size of what is in the copy
        self._read = dict[str, tuple[str, int]]()  # record -> start and length that are in the copy
        self._lock, self._looked = threading.Lock(), 0.0
        self.ours = set[str]()
        """What this process writes, of which the copy is the latest."""
        _STORES[self.folder] = self

    def name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def refresh(self, every: float = 0.0) -> None:
        """Fetch what is new in the store, unless that was done `every` seconds ago or less."""
        with self._lock:
            if self._looked and time.monotonic() - self._looked < every:
                return
            objects = self.listed()
            segments = [name for name in objects if SEGMENTS in name]
            whole = [name for name in objects if SEGMENTS not in name and _fetched(name)]
            new = [n for n in whole if n not in self.ours and self._known.get(n) != objects[n]]
            for name, content in zip(new, self._all(new), strict=True):
                if content is not None:
                    self._keep(name, content)
            self._known |= {name: objects[name] for name in new}
            for record in {name.partition(SEGMENTS)[0] for name in segments} - self.ours:
                self._append(record, [n for n in segments if n.startswith(f"{record}{SEGMENTS}/")])
            self._looked = time.monotonic()

    def _append(self, record: str, segments: Sequence[str]) -> None:
        """To the copy of a record what segments have of it; all of it where it was begun anew."""
        start = max(PurePosixPath(name).parent.name for name in segments)
        begun, length = self._read.get(record, ("", 0))
        length = length if begun == start else 0
        offsets = {int(PurePosixPath(n).name): n for n in segments if f"/{start}/" in n}
        new = sorted(offset for offset in offsets if offset >= length)
        contents = self._all([offsets[offset] for offset in new])
        parts = [part for part in contents if part is not None]
        if len(parts) < len(new):
            return  # begun anew meanwhile: the next look sees it
        content = b"".join(parts)
        with (self.folder / record).open("ab" if length else "wb") as file:
            file.write(content)
        self._read[record] = start, length + len(content)

    def go_on(self, record: str, start: str, length: int) -> None:
        """Read on behind what this process wrote."""
        self._read[record] = start, length
        self.ours.discard(record)

    def _all(self, names: Sequence[str]) -> list[bytes | None]:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(self.get, names))

    def _keep(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        partial.write_bytes(content)
        return partial.replace(path)

    def publish(self, path: Path, content: bytes) -> None:
        """Put a file of the copy."""
        self.ours.add(self.name(path))
        self.put(self.name(path), content)

    def fetch(self, path: Path) -> None:
        """What the store has of one file, which another process may have written."""
        content = self.get(self.name(path))
        if content is None:
            path.unlink(missing_ok=True)
        else:
            self._keep(self.name(path), content)


def _fetched(name: str) -> bool:
    """Whether it is fetched unasked."""
    first = name.partition("/")[0]
    return first not in APART and not first.startswith(".")


class Segments:
    """Where one start of a run puts its record, an open `file`, which `path` names."""

    def __init__(self, store: Store, path: Path, file: int) -> None:
        self._store, self._record = store, store.name(path)
        self._end, self._put = 0, time.monotonic()
        store.ours.add(self._record)
        top = f"{self._record}{SEGMENTS}"
        before = sorted({PurePosixPath(name).parent.name for name in store.listed(top)})
        number = 1 + (int(before[-1].partition("-")[0]) if before else 0)
        self._start = f"{number:06d}-{secrets.token_hex(4)}"
        self.follow(file)
        for start in before[:-1]:  # the last one may be being read
            for name in store.listed(f"{top}/{start}"):
                store.delete(name)

    def follow(self, file: int, every: float = 0.0) -> None:
        """Put what comes behind the last segment, unless that was put `every` seconds ago or less.
        What could not be put is put the next time.
        """
        new = os.pread(file, os.fstat(file).st_size - self._end, self._end)
        if new and (not every or time.monotonic() - self._put >= every):
            name = f"{self._record}{SEGMENTS}/{self._start}/{self._end:015d}"
            self._store.put(name, new)
            self._end, self._put = self._end + len(new), time.monotonic()

    def close(self, file: int) -> None:
        """From now on the record may be another's, too."""
        with suppress(OSError):  # epochs alone, which are told again
            self.follow(file)
        self._store.go_on(self._record, self._start, self._end)


def file_system(address: str) -> tuple[Any, str]:
    """Of pyarrow, and the path in it. Raises InvalidInput, with the package that is not there."""
    parts = urlsplit(address)
    if parts.password is not None:
        raise InvalidInput(
            f"The address of a run is recorded, but {parts.scheme}://{parts.username}:... holds a "
            "password. Give it in the environment (as AWS_SECRET_ACCESS_KEY, say)."
        )
    rule = "The address of a run must be that of a directory which pyarrow or fsspec can reach"
    with upheld(rule, "See docs/cluster.md, Storage.", ImportError, ValueError, OSError):
        files, root = _file_system(address, parts)
        return files, root.rstrip("/")


def _file_system(address: str, parts: SplitResult) -> tuple[Any, str]:
    from pyarrow import ArrowInvalid
    from pyarrow.fs import FileSystem, FSSpecHandler, PyFileSystem

    if parts.scheme == "s3":  # one request for a small object in place of three
        with suppress(ArrowInvalid):  # not every pyarrow knows that
            asked = f"{address}{'&' if parts.query else '?'}allow_delayed_open=true"
            return tuple(FileSystem.from_uri(asked))
    try:
        return tuple(FileSystem.from_uri(address))
    except ArrowInvalid as error:
        if "Unrecognized filesystem type" not in str(error):
            raise
    files, root = import_module("fsspec").url_to_fs(address)
    return PyFileSystem(FSSpecHandler(files)), root


def is_address(place: Path | str) -> bool:
    """Whether it is in a store and no directory of this machine."""
    return "://" in str(place)


def directory(place: Path | str) -> Path:
    """The directory that `place` names; of one in a store a copy that is up to date."""
    return refreshed(attached(place))


def attached(place: Path | str, within: Path | None = None) -> Path:
    """The directory that `place` names; of one in a store the copy, which is made (in `within`)
    once for each process, empty.
    """
    if not is_address(place):
        return Path(place).expanduser()
    known = [store for store in _STORES.values() if store.address == place]
    return (known[0] if known else Store(str(place), within)).folder


def refreshed(folder: Path, every: float = 0.0) -> Path:
    """`folder`, up to date if it is a copy, see `refresh`. Raises InvalidInput."""
    store = store_of(folder)
    if store is not None:
        rule, remedy = f"{store.address} must be readable", "Check its name and your rights there."
        with upheld(rule, remedy, OSError):
            store.refresh(every)
    return folder


def store_of(path: Path) -> Store | None:
    """Where `path` is a copy of something."""
    if not _STORES:
        return None
    return next((_STORES[p] for p in (path, *path.parents) if p in _STORES), None)


def fetched(path: Path) -> Path:
    """`path`, as the store has it by now."""
    store = store_of(path)
    if store is not None:
        store.fetch(path)
    return path


def remove(path: Path) -> None:
    """Here and in the store; also what a process left here that was killed while it wrote it."""
    for left in (path, *path.parent.glob(f".{escape(path.name)}.*")):
        left.unlink(missing_ok=True)
    with suppress(OSError):  # then it may lie there again after a power cut
        flush_folder(path.parent)
    store = store_of(path)
    if store is not None:
        store.delete(store.name(path))


def drop_copy(path: Path) -> None:
    """The file of this process, where the store has it too."""
    if store_of(path) is not None:
        path.unlink(missing_ok=True)


def clear(folder: Path) -> None:
    """Remove the files of a folder, here and in the store."""
    for path in folder.glob("*"):
        path.unlink(missing_ok=True)
    store = store_of(folder)
    if store is not None:
        for name in store.listed(store.name(folder)):
            store.delete(name)


def address(folder: Path) -> str:
    """What names a run directory everywhere."""
    return _STORES[folder].address if folder in _STORES else str(folder)


def named(text: object) -> str:
    """A path, or what is said of paths, with the addresses of copies in their place."""
    said = str(text)
    for folder, store in _STORES.items():
        said = said.replace(f"{folder}/", f"{store.address.partition('?')[0].rstrip('/')}/")
        said = said.replace(str(folder), shlex.quote(store.address))
    return said
