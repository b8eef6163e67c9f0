"""How cells are stacked to networks: all that depends on the stacking alone, once per stacking."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from spaces.errors import require
from spaces.notation import genes_by_kind, in_field_notation

if TYPE_CHECKING:
    from spaces.cell import Macro

RESIDUAL = "residual"
"""The kind of a fixed residual block between the cells (NAS-Bench-201); no space belongs to it."""


class Position(NamedTuple):
    """One place: the kind of its cell, and whether it halves the map (twice the channels)."""

    kind: str
    reduction: bool


class TrueAccuracies(Protocol):
    """A table of trained architectures."""

    def __len__(self) -> int: ...

    def lookup(self, genotype: Any) -> Any:
        """What is known of the `Macro` genotype, by `to_dict`. InvalidInput where it is missing."""
        ...


@dataclass(frozen=True)
class Stacking:
    """What all networks of one stacking have in common. Add your own to `STACKINGS`."""

    layout: Callable[[int], tuple[Position, ...]]
    """Every place in a stack of that many cells; InvalidInput for a number it cannot have."""
    notation: Callable[[Macro], str]
    """A genotype on one line."""
    shared: bool = True
    """Whether kinds of cells repeat, so that they fit any depth; else each place has its own."""
    task: str = "images"
    """What its networks are given: images, or text."""
    inputs: int = 2
    """Inputs of every cell: the outputs of that many places before it."""
    single_output: bool = False
    """Whether one node is a cell's output; else those it names are concatenated."""
    stems: tuple[str, ...] = ("cifar", "imagenet", "imagenet-search")
    """What may stand before the first cell; the first is the usual one."""
    final_norm: bool = False
    """BatchNorm and ReLU between the last cell and the classifier."""
    search_pool_norm: bool = True
    """BatchNorm after pooling operations in search networks."""
    auxiliary: bool = True
    """Whether an auxiliary head is possible."""
    retrained: tuple[int, int] | None = None
    """Cells and channels in which genotypes are trained; None: it is up to the images."""
    table: Callable[[Path], TrueAccuracies] | None = None
    """Reads the table of true accuracies of all genotypes, where there is one."""


def darts_layout(depth: int) -> tuple[Position, ...]:
    """Normal cells with a reduction cell at depth // 3 and at 2 depth // 3 (algorithms B.1).
    InvalidInput where no place is left for a normal one.
    """
    rule = "depth >= 3, for a normal cell beside two reduction cells"
    require(depth >= 3, rule, "Use 8, 14 or 20 cells.", depth=depth)
    reductions = {depth // 3, 2 * depth // 3}
    kinds = ("reduce" if place in reductions else "normal" for place in range(depth))
    return tuple(Position(kind, kind == "reduce") for kind in kinds)


def unshared_layout(depth: int) -> tuple[Position, ...]:
    """The DARTS stack with a kind of its own at each place (Amended-DARTS S2)."""
    places = enumerate(darts_layout(depth))
    return tuple(Position(f"cell{number}", place.reduction) for number, place in places)


def three_stages(depth: int) -> tuple[Position, ...]:
    """Three stages of depth // 3 cells, joined by reducing residual blocks (algorithms E.2)."""
    fits, remedy = depth >= 3 and depth % 3 == 0, "NAS-Bench-201 has three equal stages: 15, or 3."
    require(fits, "depth is a multiple of 3", remedy, depth=depth)
    stage = (Position("cell", False),) * (depth // 3)
    return (*stage, Position(RESIDUAL, True), *stage, Position(RESIDUAL, True), *stage)


STACKINGS: dict[str, Stacking] = {
    "darts": Stacking(darts_layout, in_field_notation),
    "unshared": Stacking(unshared_layout, genes_by_kind, shared=False),
}
"""By name; that of NAS-Bench-201 stands with the rest of the benchmark."""
