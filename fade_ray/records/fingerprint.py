"""What lies in a file or folder of data, in words that are equal where the same data lie.

Nodes are sent this file as it stands, to be asked the same: nothing here needs more than the
standard library.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple

BLOCK = 1 << 20
TABLES = (b".parquet", b"train.txt", b"valid.txt", b"test.txt")
"""How names of files end that count beside folders."""
DEPTH = 4
"""Folders are looked into so deep: `hub/data/train/class/picture`."""


class Effort(NamedTuple):
    """How much is read. A folder of more than `files` files or `size` bytes is told by the names of
    all and the content of `sample`, evenly spread; a file of more than `blocks` MiB by so many of
    its blocks, None: in full.
    """

    files: int
    size: int
    sample: int
    blocks: int | None

    def covers(self, size: int) -> bool:
        """Whether a file of so many bytes is read in full."""
        return self.blocks is None or size <= self.blocks * BLOCK


THOROUGH = Effort(files=1 << 16, size=1 << 34, sample=4096, blocks=None)
QUICK = Effort(files=256, size=1 << 30, sample=256, blocks=64)


def contents(path: Path, effort: Effort = THOROUGH) -> str:
    """What lies at `path`, such as "a file of 1,234 bytes (fingerprint 0123456789abcdef)".

    Of a file counts what is in it, of a folder the names in it, too; not where it lies, nor when it
    was written. Hidden files do not count, nor do those beside the class folders, but for Parquet
    and texts. Words that begin with "nothing" say that there is nothing to be read.
    """
    try:
        if path.is_dir():
            return _folder(os.fsencode(path), effort)
        with path.open("rb"):  # may it be read?
            size = path.stat().st_size
            part = "" if effort.covers(size) else f" of {effort.blocks} MiB"
            digest = _file(os.fsencode(path), effort)
            return f"a file of {size:,} bytes (fingerprint{part} {digest})"
    except FileNotFoundError:
        return "nothing"
    except OSError as error:
        return f"nothing that can be read ({error.strerror or error})"


def _folder(root: bytes, effort: Effort) -> str:
    paths = list(_below(root))
    read, told = paths, ""
    if len(paths) > effort.files or sum(map(_size, paths)) > effort.size:
        read = paths[:: -(-len(paths) // effort.sample)]
        told = f" of all names and {len(read):,} contents"
    digest = blake2b(digest_size=8)
    for path in paths:
        digest.update(path[len(root) :] + b"\n")
    with ThreadPoolExecutor(8) as pool:  # folders on a network answer many at once
        for found in pool.map(_files, _chunks(read), repeat(effort)):
            digest.update(found.encode())
    return f"a folder of {len(paths):,} files (fingerprint{told} {digest.hexdigest()})"


def _below(folder: bytes, depth: int = 1) -> Iterator[bytes]:
    """The paths of all files that count, in the order of their names."""
    with os.scandir(folder) as entries:
        listed = sorted((entry.name, entry.is_dir(), entry.path) for entry in entries)
    for name, is_folder, path in listed:
        if name.startswith(b"."):
            continue
        if not is_folder and (depth > 1 or name.endswith(TABLES)):
            yield path
        if is_folder and depth < DEPTH:
            yield from _below(path, depth + 1)


def _chunks(paths: Sequence[bytes], size: int = 64) -> Iterator[Sequence[bytes]]:
    return (paths[start : start + size] for start in range(0, len(paths), size))


def _size(path: bytes) -> int:
    """0 for what is no file, such as a link to nothing."""
    return os.stat(path).st_size if os.path.exists(path) else 0


def _files(paths: Sequence[bytes], effort: Effort) -> str:
    return " ".join(f"{_size(path)} {_file(path, effort)}" for path in paths)


def _file(path: bytes, effort: Effort) -> str:
    """Of its content; of one in a folder that cannot be read, of nothing."""
    digest = blake2b(digest_size=8)
    if os.path.isfile(path):
        with open(path, "rb", buffering=0) as file:
            for block in _blocks(file, os.fstat(file.fileno()).st_size, effort):
                digest.update(block)
    return digest.hexdigest()


def _blocks(file: Any, size: int, effort: Effort) -> Iterator[bytes]:
    if effort.blocks is None or effort.covers(size):
        while block := file.read(BLOCK):
            yield block
        return
    for number in range(effort.blocks):  # the first block and the last one among them
        file.seek(number * (size - BLOCK) // (effort.blocks - 1))
        yield file.read(BLOCK)
