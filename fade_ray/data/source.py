"""What every kind of data source provides: labels at once, pictures on request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from fade_ray.data.decode import Pictures
from fade_ray.data.images import IntArray
from fade_ray.data.targets import Array, Target
from spaces.errors import InvalidInput


@dataclass(frozen=True, eq=False)
class Source:
    """A labelled set whose pictures are not decoded yet.

    `labels`: [N, ...], of a form that `of` takes. `classes`: names of the classes, None where only
    numbers are known. `pictures`: the encoded pictures of the given image numbers, in that order.
    `flip`: whether mirrored images keep their class. `test`: the set's own test part, if it has
    one. Raises `InvalidInput` where there is no image.
    """

    name: str
    labels: Array
    classes: tuple[str, ...] | None
    pictures: Callable[[IntArray], Pictures]
    flip: bool
    test: Source | None = None

    def __post_init__(self) -> None:
        if len(self.labels) == 0:
            raise InvalidInput(f"A data set needs images, but {self.name} has none. Add images.")

    def of(self, target: Target) -> Source:
        """With its labels in that form. InvalidInput where they are of another one."""
        test = None if self.test is None else self.test.of(target)
        made = target.made(self.labels, self.classes, self.name)
        return replace(self, labels=made, test=test, flip=self.flip and target.augmented)


def check_same_classes(training: Source, test: Source, target: Target) -> None:
    """Raises `InvalidInput` where the test set's classes are not those of the training set."""
    rule = f"Test data must have the {target.noun[1]} of the training data"
    ours, theirs = training.classes, test.classes
    if ours is not None and theirs is not None and ours != theirs:
        raise InvalidInput(
            f"{rule}, in the same order, but {_difference(ours, theirs)}. Give matching sets."
        )
    known = len(target.names(training.labels, training.classes))
    remedy = f"{rule}: those of {training.name}, which {test.name} has not. Give matching sets."
    target.check(test.labels, known, remedy)


def _difference(training: tuple[str, ...], test: tuple[str, ...]) -> str:
    missing, extra = sorted(set(training) - set(test)), sorted(set(test) - set(training))
    if missing or extra:
        return f"it lacks {missing[:5]} and has {extra[:5]} in addition"
    return f"the orders differ ({', '.join(training[:5])}, ... and {', '.join(test[:5])}, ...)"
