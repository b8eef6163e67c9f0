"""From encoded pictures to pixels, the same for all loaders; every bad picture is named."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import ExifTags, Image, ImageOps

from fade_ray.data.images import MIN_SIDE, ByteArray, IntArray
from spaces.errors import InvalidInput

Item = Path | bytes | ByteArray  # a file, its content, or pixels [H, W] or [H, W, 3]
T = TypeVar("T")

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_GRAYSCALE = ("1", "L", "LA")
_COLOUR = ("P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV")
_LYING = (5, 6, 7, 8)  # EXIF orientations that exchange width and height
_CHUNK = 64  # pictures per task of a thread


@dataclass(frozen=True)
class Pictures:
    """Encoded pictures in order, and how to call each one in a message."""

    items: Sequence[Item]
    name: Callable[[int], str]


@dataclass(frozen=True)
class Shape:
    """What all decoded images have in common: channels (1 or 3) and side (pixels)."""

    channels: int
    side: int


@dataclass(frozen=True)
class Survey:
    """What the headers of some pictures say."""

    grayscale: bool
    sizes: dict[tuple[int, int], str]  # (width, height) in pixels -> the first picture of that size

    def shape(self, image_side: int | None) -> Shape:
        """Of all pictures. Raises `InvalidInput` where only a given side would make them equal."""
        channels = 1 if self.grayscale else 3
        if image_side is not None:
            return Shape(channels, image_side)
        found = [f"{name} has {width}x{height}" for (width, height), name in self.sizes.items()]
        if len(found) > 1:
            raise InvalidInput(
                f"All images must have the same size, but {found[0]} and {found[1]} pixels. "
                "Give an image side to resize them to."
            )
        (width, height) = next(iter(self.sizes))
        if width != height:
            raise InvalidInput(
                f"Images must be square, but {found[0]} pixels. Give an image side to crop them to."
            )
        if width < MIN_SIDE:
            raise InvalidInput(
                f"The image side must be at least {MIN_SIDE} pixels, but {found[0]}. "
                f"Give an image side of {MIN_SIDE} or more to scale up."
            )
        return Shape(channels, width)


def survey(*groups: Pictures) -> Survey:
    """From headers alone. Raises `InvalidInput` for what has not 8 bits per channel."""
    grayscale = True
    sizes: dict[tuple[int, int], str] = {}
    for pictures in groups:
        for modes, first in _threaded(_headers, pictures):
            grayscale &= modes <= set(_GRAYSCALE)
            for size, name in first.items():
                sizes.setdefault(size, name)
    return Survey(grayscale, sizes)


def decode(pictures: Pictures, shape: Shape) -> ByteArray:
    """uint8 [N, C, side, side], decoded in threads. Pictures of another size are scaled (shorter
    side, bilinear) and cut at the centre.

    Transparency is dropped, of an animation the first frame is taken. Raises `InvalidInput` for a
    corrupt picture.
    """
    out = np.empty((len(pictures.items), shape.channels, shape.side, shape.side), np.uint8)

    def fill(pictures: Pictures, numbers: range) -> None:
        for i in numbers:
            out[i] = _pixels(pictures, i, shape)

    for _ in _threaded(fill, pictures):
        pass
    return out


def array_pictures(pixels: ByteArray, name: str) -> Callable[[IntArray], Pictures]:
    """Pictures by number out of uint8 [N, H, W] (grayscale) or [N, H, W, 3]."""

    def pictures(numbers: IntArray) -> Pictures:
        return Pictures([pixels[i] for i in numbers], lambda i: f"{name} image {numbers[i]}")

    return pictures


def picture(pictures: Pictures, i: int, mode: str) -> Image.Image:
    """The one decoder of all loaders: picture `i` in `mode`, "L" or "RGB", the way up that its
    camera noted (EXIF), as every viewer shows it. Errors as in `survey` and `decode`.
    """
    with _opened(pictures, i) as image:
        image.load()
        with suppress(Exception):  # a note that cannot be read turns nothing
            ImageOps.exif_transpose(image, in_place=True)
        if image.mode == "P" and "transparency" in image.info:
            # a palette with transparency cannot become RGB in one step
            return image.convert("RGBA").convert(mode)
        return image.convert(mode)


def _headers(pictures: Pictures, numbers: range) -> tuple[set[str], dict[tuple[int, int], str]]:
    """The modes that occur, and the first picture of each size."""
    modes: set[str] = set()
    sizes: dict[tuple[int, int], str] = {}
    for i in numbers:
        with _opened(pictures, i) as image:
            modes.add(image.mode)
            sizes.setdefault(_upright_size(image), pictures.name(i))
    return modes, sizes


def _upright_size(image: Image.Image) -> tuple[int, int]:
    """(width, height) once it is upright. A square one is not asked: PNG decodes for the answer."""
    width, height = image.size
    turned = False
    if width != height and image.format != "TIFF":  # whose size is the upright one already
        with suppress(Exception):
            turned = image.getexif().get(ExifTags.Base.Orientation) in _LYING
    return (height, width) if turned else (width, height)


def _pixels(pictures: Pictures, i: int, shape: Shape) -> ByteArray:
    """uint8 [C, side, side]."""
    image = picture(pictures, i, "L" if shape.channels == 1 else "RGB")
    if image.size != (shape.side, shape.side):
        image = ImageOps.fit(image, (shape.side, shape.side), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, np.uint8)
    return pixels[None] if shape.channels == 1 else pixels.transpose(2, 0, 1)


@contextmanager
def _opened(pictures: Pictures, i: int) -> Iterator[Image.Image]:
    """Not decoded yet; errors, in what is done with it too, are named."""
    item = pictures.items[i]
    with _named(pictures, i):
        if isinstance(item, np.ndarray):
            image = Image.fromarray(item)
        else:
            file = io.BytesIO(item) if isinstance(item, bytes) else item
            image = Image.open(file, formats=FORMATS)
        with image:
            if image.mode not in _GRAYSCALE + _COLOUR:
                raise InvalidInput(
                    f"Images must have 8 bits per channel, but {pictures.name(i)} has mode "
                    f"{image.mode!r}. Convert it first: which of its values are black and white "
                    "the file does not say."
                )
            yield image


@contextmanager
def _named(pictures: Pictures, i: int) -> Iterator[None]:
    """Say which it was. Pillow raises nearly anything: OSError, SyntaxError, struct.error, ..."""
    try:
        yield
    except (InvalidInput, MemoryError):
        raise
    except Exception as error:
        raise InvalidInput(
            f"Every image must be readable ({', '.join(FORMATS)}), but {pictures.name(i)} is not: "
            f"{error}. Replace or remove it."
        ) from error


def _threaded(work: Callable[[Pictures, range], T], pictures: Pictures) -> Iterator[T]:
    """In chunks, in order. Pillow decodes without holding the interpreter's lock."""
    count = len(pictures.items)
    tasks = [range(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK)]
    with ThreadPoolExecutor(max_workers=_cores()) as pool:
        yield from pool.map(work, [pictures] * len(tasks), tasks)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
