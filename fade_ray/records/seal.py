"""Checksums within what is written, so that damage is seen as it is read: of JSON objects, of lines
of a record, and of safetensors, whose head is one.
"""

import re
from pathlib import Path
from zlib import crc32

from spaces.errors import InvalidInput

KEY, OPEN = "crc32", "00000000"
"""An object holds `KEY: OPEN` until it is sealed."""
_SEAL = re.compile(rb'"crc32": ?"([0-9a-f]{8})"')


class Damaged(InvalidInput):
    """A file that is not what was written."""


def sealed(content: bytes, of: int = 0) -> bytes:
    """`content` with its own checksum, which goes on from `of`, in place of the last OPEN."""
    start, end = _place(content)
    return content[:start] + b"%08x" % crc32(content, of) + content[end:]


def seal(content: bytes) -> int | None:
    """The checksum that it holds; None of what was never sealed."""
    start, end = _place(content)
    return int(content[start:end], 16) if start else None


def whole(content: bytes, of: int = 0) -> bool:
    """Whether it is what was sealed; of what never was nobody knows: True."""
    start, end = _place(content)
    opened = content[:start] + OPEN.encode() + content[end:]
    return not start or seal(content) == crc32(opened, of)


def checked(content: bytes, path: Path) -> bytes:
    """`content`, which was read from `path`. Raises Damaged unless it is whole."""
    if not whole(content):
        raise Damaged(
            f"A file must be what was written, but the checksum in {path} is another one than that "
            "of its content. Restore it from a copy of the run, or move it away to go on without "
            f'it. (Where you have edited it yourself, take its "{KEY}" out.)'
        )
    return content


def _place(content: bytes) -> tuple[int, int]:
    """Where the digits are; (0, 0) for nowhere."""
    json = content[:1] == b"{"
    head = len(content) if json else 8 + int.from_bytes(content[:8], "little")
    places = [found.span(1) for found in _SEAL.finditer(content, 0, min(head, len(content)))]
    return places[-1] if places else (0, 0)
