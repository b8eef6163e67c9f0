"""The files of an export."""

from pathlib import Path

from fade_ray.records.atomic import write_atomically
from spaces.errors import InvalidInput


def write_whole(path: Path, content: bytes) -> Path:
    """Put `content` at `path` in one step; the directory is made where it is missing.

    Raises:
        InvalidInput: if the place cannot be written (read-only, full disk); what was at `path`
        stays.
    """
    try:
        return write_atomically(path, content)
    except OSError as error:
        raise InvalidInput(
            f"An export must be writable, but writing {path} failed: {error.strerror or error}. "
            "Free space, set the permissions or choose another folder."
        ) from error
