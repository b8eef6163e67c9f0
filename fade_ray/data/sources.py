"""Every data set by one name or path: `load` returns its three parts."""

from __future__ import annotations

from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np

from fade_ray.data.decode import array_pictures, decode, survey
from fade_ray.data.folder import read_folder
from fade_ray.data.images import (
    MIN_SIDE,
    Augment,
    ByteArray,
    LabelledImages,
    Splits,
    channel_statistics,
)
from fade_ray.data.parquet import hub_files, read_hub, read_parquet
from fade_ray.data.source import Source, check_same_classes
from fade_ray.data.splits import stratified_limit, stratified_parts
from fade_ray.data.targets import TARGETS, Target
from spaces.errors import InvalidInput, at_least, upheld

_TRAINING_DRAW, _TEST_DRAW = 0, 1  # independent streams of one seed


def digits(root: Path, download: bool = True) -> Source:
    """scikit-learn's 1,797 digits, 8x8 in 17 shades of gray, scaled to 0..255."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return Source(
        name="digits",
        labels=data.target.astype(np.int64),
        classes=tuple(str(name) for name in data.target_names),
        pictures=array_pictures(np.rint(data.images * (255 / 16)).astype(np.uint8), "digits"),
        flip=False,
    )


def cifar10(root: Path, download: bool = True) -> Source:
    """CIFAR-10: 50,000 + 10,000 images of 32x32 in colour, 10 classes. See `_cifar`."""
    return _cifar("CIFAR10", root, download)


def cifar100(root: Path, download: bool = True) -> Source:
    """CIFAR-100: 50,000 + 10,000 images of 32x32 in colour, 100 classes. See `_cifar`."""
    return _cifar("CIFAR100", root, download)


SOURCES: dict[str, Callable[[Path, bool], Source]] = {
    "digits": digits,
    "cifar10": cifar10,
    "cifar100": cifar100,
}


def load(
    data: str,
    *,
    test_data: str | None = None,
    root: str = "~/.cache/fade_ray",
    image_side: int | None = None,
    limit: int | None = None,
    test_limit: int | None = None,
    split_seed: int = 0,
    download: bool = True,
    target: str = "class",
) -> Splits:
    """Read, choose, decode and split one data set (FaDE's 1:1:4 split: algorithms A.5).

    `data`: a name in `SOURCES`, a folder of class folders or of Parquet files, or a Parquet file.
    `test_data`: a folder or Parquet file that replaces the set's own test part. Without any test
    set the images are split 1:1:4 into test : architecture : weights; with one, all of it is the
    test part and the rest is split 1:4 into architecture : weights. Both are stratified and depend
    on labels and `split_seed` alone.

    `root`: where named data sets are kept (and downloaded to). `image_side`: pixels, at least 8;
    images of another size are scaled (shorter side) and cut at the centre. `limit`, `test_limit`:
    how many images to keep at most of `data` and of its own test set, in the proportions of the
    classes.

    `target`: what is asked of each image, by its name in TARGETS; splits of anything but classes
    are not stratified.

    Images are grayscale where all of them are (training and test), else RGB. Raises `InvalidInput`,
    before anything is decoded wherever the fault can be seen before.
    """
    at_least(MIN_SIDE, image_side=image_side)
    at_least(1, limit=limit, test_limit=test_limit)
    at_least(0, split_seed=split_seed)
    asked = TARGETS[target]
    training = _open(data, "data", root, download, asked).of(asked)
    asked.learnable(training.labels, training.classes, training.name)
    test = training.test
    if test_data is not None:
        test = _open(test_data, "test data", root, download, asked).of(asked)
    if test is None and test_limit is not None:
        raise InvalidInput(
            f"`test_limit` needs a test set of its own, but got test_limit={test_limit} and "
            f"{data!r} has none. Give test data, or use `limit`, which counts all images."
        )
    if (
        test_data is not None
        and Path(test_data).expanduser().resolve() == Path(data).expanduser().resolve()
    ):
        raise InvalidInput(
            f"Test data must not be the training data, but both are {data!r}. Leave the test data "
            "out."
        )
    if test is not None:
        check_same_classes(training, test, asked)
    return _decode(training, test, image_side, limit, test_limit, split_seed, target)


def _decode(
    training: Source,
    test: Source | None,
    image_side: int | None,
    limit: int | None,
    test_limit: int | None,
    seed: int,
    target: str,
) -> Splits:
    asked = TARGETS[target]
    classes = asked.names(training.labels, training.classes)
    parts = stratified_parts(
        *asked.strata(training.labels, classes),
        with_test=test is None,
        limit=limit,
        rng=np.random.default_rng([seed, _TRAINING_DRAW]),
    )
    # Decoded in one go, part after part: the parts are slices of one array, without a copy.
    groups = [(training, np.concatenate([parts.weights, parts.architecture, parts.test]))]
    if test is not None:
        rng = np.random.default_rng([seed, _TEST_DRAW])
        strata, names = asked.strata(test.labels, classes)
        groups.append((test, stratified_limit(strata, len(names), test_limit, rng)))
    pictures = [source.pictures(numbers) for source, numbers in groups]
    shape = survey(*pictures).shape(image_side)
    decoded = [
        LabelledImages(decode(encoded, shape), source.labels[numbers], target)
        for encoded, (source, numbers) in zip(pictures, groups, strict=True)
    ]
    n, m = len(parts.weights), len(parts.weights) + len(parts.architecture)
    weights = _slice(decoded[0], 0, n)
    mean, std = channel_statistics(weights.images)
    return Splits(
        name=training.name,
        classes=classes,
        weights=weights,
        architecture=_slice(decoded[0], n, m),
        test=_slice(decoded[0], m, None) if test is None else decoded[1],
        mean=mean,
        std=std,
        augment=Augment(crop=_usual_crop(shape.side) * asked.augmented, flip=training.flip),
    )


def _usual_crop(side: int) -> int:
    """An eighth of the side, usual for CIFAR; none below 16, where a pixel moves too much."""
    return side // 8 if side >= 16 else 0


def _slice(images: LabelledImages, start: int, stop: int | None) -> LabelledImages:
    return LabelledImages(images.images[start:stop], images.labels[start:stop], images.target)


def _open(data: str, role: str, root: str, download: bool, target: Target) -> Source:
    rule, remedy = f"The {role} must be readable, as {data!r} is to be", "Check the path."
    # no permission, name too long, a `~user` that does not exist
    with upheld(rule, remedy, OSError, RuntimeError):
        if role == "data" and data in SOURCES:
            return SOURCES[data](Path(root).expanduser(), download)
        path = Path(data).expanduser()
        if data and path.is_dir():
            files = hub_files(path)
            if not files:
                return read_folder(path)
            source = read_hub(path, files, target)
            return (role == "test data" and source.test) or source
        if data and path.is_file():
            return read_parquet(path, target=target)
    names = f"one of {', '.join(SOURCES)}, " if role == "data" else ""
    raise InvalidInput(
        f"The {role} must be {names}a folder of class folders, or a Parquet file, but got "
        f"{data!r}, and there is no file or folder of that name. Check the spelling and the path."
    )


def _cifar(kind: str, root: Path, download: bool) -> Source:
    """From torchvision's copy in `root`, else downloaded. Raises `InvalidInput`."""
    import torchvision

    dataset = getattr(torchvision.datasets, kind)
    rule = f"{kind} must be in {str(root)!r} or be downloadable"
    remedy = (
        f"Put its Python version ({dataset.filename}) there, or give the data as a Parquet file or "
        "a folder of class folders."
    )
    # no network, read-only folder, incomplete or corrupt copy
    with upheld(rule, remedy, OSError, HTTPException, RuntimeError):
        parts = [dataset(str(root), train=train, download=download) for train in (True, False)]
    training, test = parts
    return _from_torchvision(
        kind.lower(), training, _from_torchvision(f"{kind.lower()} test", test)
    )


def _from_torchvision(name: str, dataset: Any, test: Source | None = None) -> Source:
    """With `data` uint8 [N, H, W, 3], `targets` and `classes`, as torchvision's have."""
    pixels: ByteArray = np.asarray(dataset.data, np.uint8)
    return Source(
        name=name,
        labels=np.asarray(dataset.targets, np.int64),
        classes=tuple(dataset.classes),
        pictures=array_pictures(pixels, name),
        flip=True,
        test=test,
    )
