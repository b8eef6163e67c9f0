"""Files that are whole or not there at all."""

import os
from pathlib import Path

from spaces.errors import InvalidInput


def write_whole(path: Path, content: bytes) -> Path:
    """Put `content` at `path` in one step; the directory is made where it is missing.

    Raises:
        InvalidInput: if the place cannot be written (read-only, full disk); what was at `path` stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(content)
            os.replace(temporary, path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InvalidInput(
            f"An export must be writable, but writing {path} failed: {error.strerror or error}. "
            "Free space, set the permissions or choose another folder."
        ) from error
    return path
