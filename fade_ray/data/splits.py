"""Stratified, seeded choices of images by their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fade_ray.data.images import IntArray, LabelledImages
from spaces.errors import InvalidInput


@dataclass(frozen=True, eq=False)
class Parts:
    """Disjoint, ascending image numbers; `test` is empty where the set brings its own."""

    weights: IntArray
    architecture: IntArray
    test: IntArray


def apportion(counts: Sequence[int], numerator: int, denominator: int) -> list[int]:
    """The share `numerator/denominator` (in 0..1) of each count, as integers that add up to the
    share of the total.

    Largest remainders: every entry is its exact share rounded down or up, and the sum is the exact
    total share rounded to the nearest integer (halves up). Ties go to the lower index.
    """
    floors = [count * numerator // denominator for count in counts]
    total = (2 * sum(counts) * numerator + denominator) // (2 * denominator)
    remainders = [count * numerator % denominator for count in counts]
    order = sorted(range(len(counts)), key=lambda i: (-remainders[i], i))
    for i in order[: total - sum(floors)]:
        floors[i] += 1
    return floors


def stratified_parts(
    labels: IntArray,
    classes: Sequence[str],
    *,
    with_test: bool,
    limit: int | None,
    rng: np.random.Generator,
) -> Parts:
    """Split `labels` [N] 1:1:4 into test : architecture : weights, or 1:4 into architecture :
    weights.

    Each part holds the same share of each class to within one image (`apportion`), drawn uniformly
    without replacement. `limit` keeps that many of the N images beforehand, in the proportions of
    the classes; all where there are fewer. Raises `InvalidInput` where a class has fewer images
    than the split has shares (6 or 5).
    """
    shares = 6 if with_test else 5
    groups = _shuffled_classes(labels, len(classes), limit, rng)
    counts = [len(group) for group in groups]
    for name, count in zip(classes, counts, strict=True):
        if count < shares:
            ratio = (
                "1:1:4 (test : architecture : weights)"
                if with_test
                else "1:4 (architecture : weights)"
            )
            kept = (
                f" after limit={limit} of {len(labels)} images"
                if limit is not None and limit < len(labels)
                else ""
            )
            raise InvalidInput(
                f"Every class needs at least {shares} images for the split {ratio}, but class "
                f"{name!r} has {count}{kept}. "
                + ("Raise the limit." if kept else "Add images or leave the class out.")
            )
    test, architecture, weights = [], [], []
    for group, size in zip(groups, apportion(counts, 1, shares), strict=True):
        tested = size if with_test else 0
        test.append(group[:tested])
        architecture.append(group[tested : tested + size])
        weights.append(group[tested + size :])
    return Parts(_ascending(weights), _ascending(architecture), _ascending(test))


def stratified_limit(
    labels: IntArray, num_classes: int, limit: int | None, rng: np.random.Generator
) -> IntArray:
    """`limit` of the N images or all, ascending, in the proportions of the classes."""
    return _ascending(_shuffled_classes(labels, num_classes, limit, rng))


def _shuffled_classes(
    labels: IntArray, num_classes: int, limit: int | None, rng: np.random.Generator
) -> list[IntArray]:
    groups = [
        rng.permutation(np.flatnonzero(labels == c)).astype(np.int64) for c in range(num_classes)
    ]
    if limit is None or limit >= len(labels):
        return groups
    sizes = apportion([len(group) for group in groups], limit, len(labels))
    return [group[:size] for group, size in zip(groups, sizes, strict=True)]


def _ascending(groups: Sequence[IntArray]) -> IntArray:
    return np.sort(np.concatenate(groups))


def stratified_halves(
    images: LabelledImages, share: float
) -> tuple[LabelledImages, LabelledImages]:
    """In order; the second part has the last `share` of each class, in thousandths."""
    classes = range(int(images.labels.max()) + 1)
    groups = [np.flatnonzero(images.labels == c) for c in classes]
    sizes = apportion([len(group) for group in groups], round(share * 1000), 1000)
    held_out = _ascending(
        [group[len(group) - size :] for group, size in zip(groups, sizes, strict=True)]
    )
    return images.take(np.setdiff1d(np.arange(len(images)), held_out)), images.take(held_out)
