"""Labelled images and their three parts, as plain NumPy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from spaces.errors import InvalidInput

IntArray = npt.NDArray[np.int64]
ByteArray = npt.NDArray[np.uint8]

MIN_SIDE = 8
_STATISTICS_CHUNK = 1024  # images at a time: bounds the memory of the wide integers


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images with their class numbers.

    `images`: uint8 [N, C, H, W], N >= 1, C = 1 (grayscale) or 3 (RGB). `labels`: int64 [N], not
    negative. The arrays may be read-only (as those from an object store are). Raises `InvalidInput`
    for anything else.
    """

    images: ByteArray
    labels: IntArray

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
            raise InvalidInput(
                "Images must be uint8 of shape [N, C, H, W] with 1 or 3 channels, but got "
                f"{images.dtype} of shape {list(images.shape)}. Convert them first."
            )
        if labels.dtype != np.int64 or labels.shape != images.shape[:1]:
            raise InvalidInput(
                f"Labels must be int64, one per image, but got {labels.dtype} of shape {list(labels.shape)} "
                f"for {len(images)} images. Give one integer class number per image."
            )
        if len(images) == 0 or min(images.shape[2:]) == 0:
            raise InvalidInput(
                f"At least one image with at least one pixel is needed, but got shape {list(images.shape)}. "
                "Give more images."
            )
        if labels.min() < 0:
            raise InvalidInput(
                f"Class numbers must be 0 or more, but got {labels.min()}. Number the classes from 0 and leave out "
                "unlabelled images."
            )

    def __len__(self) -> int:
        return len(self.labels)

    @staticmethod
    def joined(*parts: LabelledImages) -> LabelledImages:
        """Several parts as one, in their order, copied."""
        images, labels = ([getattr(part, n) for part in parts] for n in ("images", "labels"))
        return LabelledImages(np.concatenate(images), np.concatenate(labels))

    def take(self, indices: Sequence[int] | IntArray) -> LabelledImages:
        """The images at `indices` (in that order), copied. Raises `InvalidInput` for an index that
        does not exist.
        """
        chosen = np.asarray(indices, dtype=np.int64)
        if chosen.size and not (chosen.min() >= 0 and chosen.max() < len(self)):
            raise InvalidInput(
                f"Indices must lie in 0..{len(self) - 1}, but got {chosen.min()}..{chosen.max()}. "
                "Ask for images that exist."
            )
        return LabelledImages(self.images[chosen], self.labels[chosen])


@dataclass(frozen=True)
class Augment:
    """What is done to every training image, in the order flip, crop, cutout; 0 or False switches a
    part off.

    `flip`: left-right, with probability 1/2. `crop`: padding in pixels; the image is padded with
    black on all sides and a window of its own size is cut out at a uniformly drawn offset.
    `cutout`: side in pixels of a square, around a uniformly drawn centre and clipped at the border,
    that is set to the mean (DeVries & Taylor, 2017). Raises `InvalidInput` for a negative number.
    """

    crop: int = 0
    flip: bool = False
    cutout: int = 0

    def __post_init__(self) -> None:
        if self.crop < 0 or self.cutout < 0:
            raise InvalidInput(
                f"`crop >= 0` and `cutout >= 0` (pixels) must hold, but got crop={self.crop}, cutout={self.cutout}. "
                "Use 0 to switch one off."
            )

    def __str__(self) -> str:
        parts = (
            [f"crop {self.crop}"] * (self.crop > 0)
            + ["flip"] * self.flip
            + [f"cutout {self.cutout}"] * (self.cutout > 0)
        )
        return ", ".join(parts) or "none"


@dataclass(frozen=True, eq=False)
class Splits:
    """One data set in three disjoint parts (FaDE 3: weights, architecture, test).

    All images are square, [C, side, side], side >= 8. `mean`, `std`: per channel, in units of [0,
    1], from the weights part alone. `augment`: what is recommended for this data set. Raises
    `InvalidInput` where the parts do not agree.
    """

    name: str
    classes: tuple[str, ...]
    weights: LabelledImages
    architecture: LabelledImages
    test: LabelledImages
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augment: Augment = field(default_factory=Augment)

    def __post_init__(self) -> None:
        shapes = {
            part: getattr(self, part).images.shape[1:]
            for part in ("weights", "architecture", "test")
        }
        if (
            len(set(shapes.values())) != 1
            or self.weights.images.shape[2] != self.weights.images.shape[3]
        ):
            raise InvalidInput(
                f"All parts must hold square images of one shape [C, side, side], but got {shapes}. Give an image side."
            )
        if self.side < MIN_SIDE:
            raise InvalidInput(
                f"`side >= {MIN_SIDE}` (pixels) must hold, but got {self.side}. Give a larger image side to scale up."
            )
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise InvalidInput(
                f"At least two classes with different names are needed, but got {self.classes}. Name each class once."
            )
        highest = max(
            int(part.labels.max()) for part in (self.weights, self.architecture, self.test)
        )
        if highest >= len(self.classes):
            raise InvalidInput(
                f"Class numbers must lie in 0..{len(self.classes) - 1}, but got {highest}. Name every class."
            )
        if not len(self.mean) == len(self.std) == self.channels or min(self.std) <= 0:
            raise InvalidInput(
                "Mean and standard deviation must have one entry per channel and the latter be positive, but got "
                f"mean={self.mean}, std={self.std} for {self.channels} channels. Use `channel_statistics`."
            )

    @property
    def side(self) -> int:
        """Height and width in pixels."""
        return int(self.weights.images.shape[2])

    @property
    def channels(self) -> int:
        """1 (grayscale) or 3 (RGB)."""
        return int(self.weights.images.shape[1])

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def all_but_test(self) -> LabelledImages:
        """The weights part, behind it the architecture part."""
        return LabelledImages.joined(self.weights, self.architecture)

    def describe(self) -> str:
        """One line for people: sizes of the parts, shape of an image, augmentation."""
        total = len(self.weights) + len(self.architecture) + len(self.test)
        return (
            f"{self.name}: {total:,} images of {self.side}x{self.side} in {self.channels} channel(s), "
            f"{self.num_classes} classes; weights {len(self.weights):,}, architecture {len(self.architecture):,}, "
            f"test {len(self.test):,}; augmentation: {self.augment}"
        )


def channel_statistics(images: ByteArray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and (population) standard deviation per channel of uint8 [N, C, H, W], in units of [0,
    1].

    Summed in integers, so the result does not depend on the order of the images. A channel without
    any variation gets a standard deviation of 1 instead of 0: it becomes exactly 0 when normalised,
    not NaN.
    """
    channels = images.shape[1]
    total, squares = np.zeros(channels, np.uint64), np.zeros(channels, np.uint64)
    for start in range(0, len(images), _STATISTICS_CHUNK):
        chunk = images[start : start + _STATISTICS_CHUNK].astype(np.uint32)
        total += chunk.sum(axis=(0, 2, 3), dtype=np.uint64)
        squares += (chunk * chunk).sum(axis=(0, 2, 3), dtype=np.uint64)
    count = images.size // channels
    mean, std = [], []
    for s, q in zip(total.tolist(), squares.tolist(), strict=True):
        # count^2 times the variance in units of 1/255^2, exact in Python's integers
        variance = count * q - s * s
        mean.append(s / count / 255)
        std.append(variance**0.5 / count / 255 if variance else 1.0)
    return tuple(mean), tuple(std)
