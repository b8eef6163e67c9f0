"""What a task asks of each image: a class, labels, numbers, or a class for each pixel."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spaces.errors import InvalidInput, require

Array = npt.NDArray[Any]
Names = tuple[str, ...] | None
IGNORED = 255
"""The class of pixels that count nowhere."""
FAR = 30.0
"""Numbers beyond that, or that differ by less than its inverse, are hard to learn as they are."""
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Target:
    """One form of targets. Add your own to `TARGETS`.

    `asked`: in words, what every image needs. `columns`: of a Parquet file, the first that is
    there, and the `forms` it may have. `made(values, names, source)`: what a source gives as an
    array of `dtype` with `axes` behind that of the images; InvalidInput where that cannot be.
    `outputs(targets)`: how many scores they take, each of which has a name; `least` of them.
    `check(targets, outputs, remedy)`: InvalidInput where they do not fit so many.
    `learnable(targets, names, source)`: InvalidInput for what nothing can be learned from. `noun`:
    of one output and of several. `stratified`: whether a split divides each class alike. `dense`:
    whether every pixel has its own scores. `named`: whether classes are the outputs. `augmented`:
    whether images are flipped and cropped unless told otherwise.
    """

    asked: str
    columns: tuple[str, ...]
    forms: tuple[str, ...]
    dtype: type[np.generic]
    axes: int
    made: Callable[[Array, Names, str], Array]
    outputs: Callable[[Array], int]
    check: Callable[[Array, int, str], None]
    learnable: Callable[[Array, Names, str], None]
    noun: tuple[str, str]
    least: int = 1
    stratified: bool = False
    dense: bool = False
    named: bool = True
    augmented: bool = True

    def count(self, outputs: int) -> str:
        """ "10 classes"."""
        return f"{outputs} {self.noun[outputs != 1]}"

    def names(self, targets: Array, known: Names) -> tuple[str, ...]:
        """Of the outputs: those of the classes where they are some, else "0", "1", ..."""
        listed = tuple(map(str, range(self.outputs(targets))))
        return (known if self.named else None) or listed

    def strata(self, targets: Array, names: tuple[str, ...]) -> tuple[Array, tuple[str, ...]]:
        """The groups that a split divides alike, by number [N] and name."""
        whole = np.zeros(len(targets), np.int64), (f"of all {self.noun[1]}",)
        return (targets, names) if self.stratified else whole


def target_of(name: str, targets: Array) -> Target:
    """That of this name. InvalidInput where the arrays are of another form."""
    target = TARGETS[name]
    fits = targets.dtype == target.dtype and targets.ndim == 1 + target.axes
    given = f"{targets.dtype} {targets.shape}"
    require(fits, f"targets are {target.asked}", "Convert them first.", targets=given)
    return target


def _classes(values: Array, names: Names, source: str) -> Array:
    """int64 [N]."""
    _form(values, 0, "iu", "class", source)
    lowest, highest = int(values.min()), int(values.max())
    # without names the labels are 0, 1, ... without gaps: fewer classes than images
    bound = len(values if names is None else names)
    if lowest < 0 or highest >= bound:
        raise InvalidInput(
            f"Labels must lie in 0..{bound - 1} (one number per class, without gaps), but "
            f"those of {source} lie in {lowest}..{highest}. Renumber the classes, or leave "
            "out unlabelled images."
        )
    return values.astype(np.int64)


def _without_gaps(classes: Array, names: Names, source: str) -> None:
    """InvalidInput where numbers without names are not 0, 1, 2, ..."""
    numbers = np.unique(classes)
    if names is None and int(numbers[-1]) >= len(numbers):
        listed = ", ".join(map(str, numbers[:5])) + (", ..." if len(numbers) > 5 else "")
        start = int(numbers[0])
        fault = f"start at {start}" if int(numbers[-1]) - start < len(numbers) else "have gaps"
        raise InvalidInput(
            f"Labels without names must be 0, 1, 2, ... without gaps, but those of {source} "
            f"{fault} ({listed}). Renumber them, or give the names of the classes as text."
        )


def _numbers(values: Array, names: Names, source: str) -> Array:
    """float32 [N, k]; one number for each image may come without its axis."""
    values = values[:, None] if values.ndim == 1 else values
    _form(values, 1, "iufb", "numbers", source)
    odd = np.flatnonzero(~np.isfinite(values.astype(np.float32)).all(axis=1))
    if len(odd):
        raise InvalidInput(
            f"The numbers to learn must be finite, but row {odd[0]} (from 0) of {source} has "
            f"{values[odd[0]].tolist()} ({len(odd)} such rows). Mend these rows or leave them out."
        )
    mean, spread = float(abs(values.mean())), float(values.std())
    if max(mean, spread) > FAR or spread < 1 / FAR:
        LOG.info(
            "%s: the numbers to learn lie around %.3g and spread by %.3g; a training finds them "
            "best near 0 and 1: scale them before",
            *(source, float(values.mean()), spread),
        )
    return values.astype(np.float32)


def _labels(values: Array, names: Names, source: str) -> Array:
    """float32 [N, k] of 0 and 1."""
    _form(values, 1, "iufb", "labels", source)
    odd = np.setdiff1d(values, [0, 1])
    if len(odd):
        raise InvalidInput(
            f"Labels are 0 or 1, one for each that an image may have, but {source} holds "
            f"{odd[0]}. Make a row such as [0, 1, 1] of each image's labels."
        )
    return values.astype(np.float32)


def _maps(values: Array, names: Names, source: str) -> Array:
    """uint8 [N, H, W]."""
    _form(values, 2, "iub", "map", source)
    lowest, highest = int(values.min()), int(values.max())
    if lowest < 0 or highest > IGNORED:
        raise InvalidInput(
            f"The classes of pixels lie in 0..{IGNORED - 1}, and {IGNORED} counts nowhere, but "
            f"{source} holds {lowest}..{highest}. Renumber them."
        )
    return values.astype(np.uint8)


def _form(values: Array, axes: int, kinds: str, name: str, source: str) -> None:
    if values.ndim != 1 + axes or values.dtype.kind not in kinds:
        raise InvalidInput(
            f"This objective needs {TARGETS[name].asked}, but {source} holds {values.dtype} "
            f"{list(values.shape)}. Convert them, or choose another --objective."
        )


def _varies(targets: Array, names: Names, source: str) -> None:
    if (targets == targets[:1]).all():
        raise InvalidInput(
            f"There must be something to learn, but all targets of {source} are the same. "
            "Give others."
        )


def _highest(targets: Array) -> int:
    """Of classes; of pixels without those that count nowhere."""
    counted = targets[targets != IGNORED] if targets.dtype == np.uint8 else targets
    return int(counted.max(initial=0))


def _one_more(targets: Array) -> int:
    return _highest(targets) + 1


def _columns_of(targets: Array) -> int:
    return int(targets.shape[1])


def _in_range(targets: Array, outputs: int, remedy: str) -> None:
    rule, highest = f"labels in 0..{outputs - 1}", _highest(targets)
    require(highest < outputs, rule, remedy, highest=highest)


def _as_many(targets: Array, outputs: int, remedy: str) -> None:
    rule, given = f"{outputs} numbers for each image", targets.shape[1]
    require(given == outputs, rule, remedy, given=given)


OTHERS = ("target", "targets", "mask", "label", "labels")
TARGETS: dict[str, Target] = {
    "class": Target(
        asked="one class number for each image, int64 [N]",
        columns=("label", "labels", "fine_label"),
        forms=("integers", "text"),
        dtype=np.int64,
        axes=0,
        made=_classes,
        outputs=_one_more,
        check=_in_range,
        learnable=_without_gaps,
        noun=("class", "classes"),
        least=2,
        stratified=True,
    ),
    "labels": Target(
        asked="0 or 1 for each label of each image, float32 [N, labels]",
        columns=OTHERS,
        forms=("lists",),
        dtype=np.float32,
        axes=1,
        made=_labels,
        outputs=_columns_of,
        check=_as_many,
        learnable=_varies,
        noun=("label", "labels"),
    ),
    "numbers": Target(
        asked="one number or several for each image, float32 [N, numbers]",
        columns=OTHERS,
        forms=("numbers", "integers", "lists"),
        dtype=np.float32,
        axes=1,
        made=_numbers,
        outputs=_columns_of,
        check=_as_many,
        learnable=_varies,
        noun=("number", "numbers"),
        named=False,
        augmented=False,  # where something is does not outlive a crop
    ),
    "map": Target(
        asked="a class for each pixel of each image, uint8 [N, H, W]",
        columns=OTHERS,
        forms=("maps",),
        dtype=np.uint8,
        axes=2,
        made=_maps,
        outputs=_one_more,
        check=_in_range,
        learnable=_varies,
        noun=("class of pixels", "classes of pixels"),
        least=2,
        dense=True,
    ),
}
"""By the names that objectives have in `target`."""
