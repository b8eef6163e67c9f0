"""Folders and the names in them that are still there after a power cut."""

import os
from pathlib import Path


def made(folder: Path) -> Path:
    """`folder`, made where it is missing; its name is on the disk, too."""
    if not folder.is_dir():
        made(folder.parent)
        folder.mkdir(exist_ok=True)
        flush_folder(folder.parent)
    return folder


def flush_folder(folder: Path) -> None:
    """Put the names in `folder` on the disk, where the system can (Windows cannot) and lets this
    user read them.
    """
    if not hasattr(os, "O_DIRECTORY") or not os.access(folder, os.R_OK):
        return
    entry = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(entry)
    finally:
        os.close(entry)
