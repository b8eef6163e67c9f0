"""A folder of class folders: `root/<class>/<picture>`."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
from PIL import Image

from fade_ray.data.decode import FORMATS, Pictures
from fade_ray.data.images import IntArray
from fade_ray.data.source import Source
from spaces.errors import InvalidInput, require_text


def read_folder(root: Path) -> Source:
    """Classes are the folders in `root`, numbered by name in ascending order; the pictures of a
    class likewise.

    Hidden files and folders (a leading dot) and files beside the class folders are ignored. Raises
    `InvalidInput` for fewer than two class folders, and for anything in a class folder that does
    not have the suffix of a picture.
    """
    folders = sorted(
        path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")
    )
    if len(folders) < 2:
        raise InvalidInput(
            f"A data folder needs at least two class folders, but {str(root)!r} has "
            f"{[path.name for path in folders]}. Put the pictures of each class into a folder of "
            "their own, named after the class."
        )
    require_text(*(path.name for path in folders))
    files = [_pictures(folder) for folder in folders]
    paths = list(itertools.chain.from_iterable(files))

    def pictures(numbers: IntArray) -> Pictures:
        chosen = [paths[i] for i in numbers]
        return Pictures(chosen, lambda i: str(chosen[i]))

    return Source(
        name=root.resolve().name,
        labels=np.repeat(np.arange(len(folders), dtype=np.int64), [len(found) for found in files]),
        classes=tuple(path.name for path in folders),
        pictures=pictures,
        flip=True,
    )


def _pictures(folder: Path) -> list[Path]:
    Image.init()  # fills in the suffixes
    suffixes = {suffix for suffix, kind in Image.registered_extensions().items() if kind in FORMATS}
    found = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    for path in found:
        if path.is_dir():
            raise InvalidInput(
                f"A class folder holds pictures only, but {str(path)!r} is a folder. If "
                f"{str(folder)!r} is a whole part such as a training or test set, give its path as "
                "the data or as the test data."
            )
        if path.suffix.lower() not in suffixes:
            raise InvalidInput(
                f"A class folder holds pictures only ({', '.join(FORMATS)}, by suffix), but "
                f"{str(path)!r} is none. Remove or rename it; hidden files are ignored."
            )
    return found
