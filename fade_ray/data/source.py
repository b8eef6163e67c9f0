"""What every kind of data source provides: labels at once, pictures on request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fade_ray.data.decode import Pictures
from fade_ray.data.images import IntArray
from spaces.errors import InvalidInput


@dataclass(frozen=True, eq=False)
class Source:
    """A labelled set whose pictures are not decoded yet.

    `labels`: int64 [N]. `classes`: their names, None where only numbers are known. `pictures`: the
    encoded pictures of the given image numbers, in that order. `flip`: whether mirrored images keep
    their class. `test`: the set's own test part, if it has one. Raises `InvalidInput` for labels
    outside of the classes.
    """

    name: str
    labels: IntArray
    classes: tuple[str, ...] | None
    pictures: Callable[[IntArray], Pictures]
    flip: bool
    test: Source | None = None

    def __post_init__(self) -> None:
        if len(self.labels) == 0:
            raise InvalidInput(f"A data set needs images, but {self.name} has none. Add images.")
        lowest, highest = int(self.labels.min()), int(self.labels.max())
        # without names the labels are 0, 1, ... without gaps: fewer classes than images
        bound = len(self.labels if self.classes is None else self.classes)
        if lowest < 0 or highest >= bound:
            raise InvalidInput(
                f"Labels must lie in 0..{bound - 1} (one number per class, without gaps), but "
                f"those of {self.name} lie in {lowest}..{highest}. Renumber the classes, or leave "
                "out unlabelled images."
            )

    def class_names(self) -> tuple[str, ...]:
        """The names, or "0", "1", ... up to the highest label."""
        return self.classes or tuple(str(i) for i in range(int(self.labels.max()) + 1))


def check_without_gaps(training: Source) -> None:
    """Raises `InvalidInput` where numbers without names are not 0, 1, 2, ..."""
    numbers = np.unique(training.labels)
    if training.classes is None and int(numbers[-1]) >= len(numbers):
        listed = ", ".join(map(str, numbers[:5])) + (", ..." if len(numbers) > 5 else "")
        start = int(numbers[0])
        fault = f"start at {start}" if int(numbers[-1]) - start < len(numbers) else "have gaps"
        raise InvalidInput(
            "Labels without names must be 0, 1, 2, ... without gaps, but those of "
            f"{training.name} {fault} ({listed}). Renumber them, or give the names of the classes "
            "as text."
        )


def check_same_classes(training: Source, test: Source) -> None:
    """Raises `InvalidInput` where the test set's classes are not those of the training set."""
    rule = "Test data must have the classes of the training data"
    ours, theirs = training.classes, test.classes
    if ours is not None and theirs is not None and ours != theirs:
        raise InvalidInput(
            f"{rule}, in the same order, but {_difference(ours, theirs)}. Give matching sets."
        )
    known, highest = len(training.class_names()), int(test.labels.max())
    if highest >= known:
        raise InvalidInput(
            f"{rule}, but {training.name} has the classes 0..{known - 1} and {test.name} a label "
            f"{highest}. Give matching sets."
        )


def _difference(training: tuple[str, ...], test: tuple[str, ...]) -> str:
    missing, extra = sorted(set(training) - set(test)), sorted(set(test) - set(training))
    if missing or extra:
        return f"it lacks {missing[:5]} and has {extra[:5]} in addition"
    return f"the orders differ ({', '.join(training[:5])}, ... and {', '.join(test[:5])}, ...)"
