"""Labelled images and their three parts, as plain NumPy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fade_ray.data.targets import TARGETS, Array, Target, target_of
from spaces.errors import at_least, require

IntArray = npt.NDArray[np.int64]
ByteArray = npt.NDArray[np.uint8]

MIN_SIDE = 8
_STATISTICS_CHUNK = 1024  # images at a time: bounds the memory of the wide integers


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images with their targets, class numbers unless `target` says otherwise.

    `images`: uint8 [N, C, H, W], N >= 1, C = 1 (grayscale) or 3 (RGB). `labels`: of the form of
    this one of TARGETS; int64 [N], not negative, of classes. The arrays may be read-only (as those
    from an object store are). Raises `InvalidInput` for anything else.
    """

    images: ByteArray
    labels: Array
    target: str = "class"

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        given = {
            "images": f"{images.dtype} {images.shape}",
            "labels": f"{labels.dtype} {labels.shape}",
        }
        fits = images.dtype == np.uint8 and images.ndim == 4 and images.shape[1] in (1, 3)
        rule = "images are uint8 [N, C, H, W] with 1 or 3 channels"
        require(fits, rule, "Convert them first.", **given)
        rule = "labels are one per image"
        require(len(labels) == len(images), rule, "Give a target of each.", **given)
        target = target_of(self.target, labels)
        fits, rule = images.size > 0, "images >= 1, of at least one pixel"
        require(fits, rule, "Give more images.", **given)
        if target.dtype == np.int64:
            remedy = "Number the classes from 0 and leave out unlabelled images."
            require(labels.min() >= 0, "labels >= 0", remedy, lowest=int(labels.min()))
        sides, maps = images.shape[2:], labels.shape[1:]
        rule, remedy = "maps of classes are of the size of their images", "Resize one of them."
        require(not target.dense or sides == maps, rule, remedy, images=sides, maps=maps)

    def __len__(self) -> int:
        return len(self.labels)

    @staticmethod
    def joined(*parts: LabelledImages) -> LabelledImages:
        """Several parts as one, in their order, copied."""
        images, labels = ([getattr(part, n) for part in parts] for n in ("images", "labels"))
        return LabelledImages(np.concatenate(images), np.concatenate(labels), parts[0].target)

    def take(self, indices: Sequence[int] | IntArray) -> LabelledImages:
        """Those at `indices`, in that order, copied. Raises `InvalidInput` where there is none."""
        chosen = np.asarray(indices, dtype=np.int64)
        within = chosen.size == 0 or (chosen.min() >= 0 and chosen.max() < len(self))
        rule = f"indices in 0..{len(self) - 1}"
        require(within, rule, "Ask for images that exist.", indices=chosen.tolist())
        return LabelledImages(self.images[chosen], self.labels[chosen], self.target)


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
        at_least(0, crop=self.crop, cutout=self.cutout)

    def __str__(self) -> str:
        parts = [f"crop {self.crop}"] * (self.crop > 0) + ["flip"] * self.flip
        return ", ".join(parts + [f"cutout {self.cutout}"] * (self.cutout > 0)) or "none"


@dataclass(frozen=True, eq=False)
class Splits:
    """One data set in three disjoint parts (FaDE 3: weights, architecture, test).

    All images are square, [C, side, side], side >= 8. `mean`, `std`: per channel, in units of [0,
    1], from the weights part alone. `augment`: what is recommended for this data set. `classes`:
    the names of the outputs, whatever the targets are. Raises `InvalidInput` where the parts do not
    agree.
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
        parts = {"weights": self.weights, "architecture": self.architecture, "test": self.test}
        shapes = {name: part.images.shape[1:] for name, part in parts.items()}
        alike = len(set(shapes.values())) == 1 and shapes["test"][1] == shapes["test"][2]
        rule = "all parts hold square images of one shape [C, side, side]"
        require(alike, rule, "Give an image side.", **shapes)
        remedy = "Give a larger image side to scale up."
        require(self.side >= MIN_SIDE, f"side >= {MIN_SIDE}", remedy, side=self.side)
        classes, target = self.classes, self.target
        rule = f"{('one', 'two')[target.least - 1]} {target.noun[1]} or more, with different names"
        differ = len(set(classes)) == len(classes) >= target.least
        require(differ, rule, "Name each class once.", classes=classes)
        for part in parts.values():
            target.check(part.labels, len(classes), f"Name every {target.noun[0]}.")
        rule = "mean and std have one entry per channel, std positive"
        fits = len(self.mean) == len(self.std) == self.channels and min(self.std) > 0
        require(fits, rule, "Use `channel_statistics`.", mean=self.mean, std=self.std)

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
        """Scores of an image, or of a pixel."""
        return len(self.classes)

    @property
    def target(self) -> Target:
        """What is asked of each image."""
        return TARGETS[self.weights.target]

    @property
    def dense(self) -> bool:
        """Whether each pixel has scores of its own."""
        return self.target.dense

    @property
    def all_but_test(self) -> LabelledImages:
        """The weights part, behind it the architecture part."""
        return LabelledImages.joined(self.weights, self.architecture)

    def describe(self) -> str:
        """One line for people: sizes of the parts, shape of an image, augmentation."""
        sizes = {n: len(getattr(self, n)) for n in ("weights", "architecture", "test")}
        parts = ", ".join(f"{name} {size:,}" for name, size in sizes.items())
        return (
            f"{self.name}: {sum(sizes.values()):,} images of {self.side}x{self.side} in "
            f"{self.channels} channel(s), {self.target.count(self.num_classes)}; {parts}; "
            f"augmentation: {self.augment}"
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
