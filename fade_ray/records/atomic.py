"""Files that are whole or not there at all."""

import os
from contextlib import suppress
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> Path:
    """Put `content` at `path` in one step and return `path`; the folder is made where it is
    missing.

    A reader finds the old file or the new one. The temporary file's name is this process's own: two
    may write the same file, and the later one wins.

    Raises:
        OSError: if the place cannot be written (read-only, full disk). What was at `path` stays,
        and nothing is left beside it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return path
