"""Files that are whole or not there at all, and still there after a power cut."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fade_ray.records.lasting import flush_folder, made
from fade_ray.records.remote import store_of
from spaces.errors import InvalidInput

REMEDIES = {
    errno.ENOSPC: "Free space",
    errno.EDQUOT: "Free space in your quota",
    errno.EMFILE: "Raise the limit of open files (`ulimit -n 65536`)",
    errno.ENFILE: "Raise this machine's limit of open files (`sysctl fs.file-max`)",
    errno.EROFS: "Mount it for writing",
}

GO_ON = " and continue in the same directory"


def remedy(error: OSError, otherwise: str = "Free space or set the permissions") -> str:
    """What to do about what the system refused."""
    return REMEDIES.get(error.errno or 0, otherwise)


@contextmanager
def writable(
    what: str, then: str, broken: Callable[[str], Exception] = InvalidInput
) -> Iterator[None]:
    """Raises `broken` for what the system refuses: what must be writable, why it is not, what to do
    about it, and `then`.
    """
    try:
        yield
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        said = f"{place}{error.strerror or error}"
        raise broken(f"{what} must be writable, but: {said}. {remedy(error)}{then}") from error


def write_atomically(path: Path, content: bytes, earlier: Path | None = None) -> Path:
    """Put `content` at `path` in one step, flushed to disk, and return `path`; its folder is made
    where it is missing. What was there is kept as `earlier`, beside it.

    A reader finds the old file or the new one. The temporary file's name is this process's own: two
    may write the same file, and the later one wins. File and folder are on the disk on return, so
    that an event which names the file may follow; of a directory in a store, in the store.

    Raises:
        OSError: if the place cannot be written (read-only, full disk). What was at `path` stays,
        and nothing is left beside it.
    """
    made(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if earlier is not None and path.exists():
            os.replace(path, earlier)
        os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    flush_folder(path.parent)
    store = store_of(path)
    if store is not None:
        store.publish(path, content)
    return path
