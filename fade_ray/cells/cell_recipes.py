"""The cell searches as compositions of parts. A new one is a new line."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fade_ray.cells.discretise import DISCRETISERS, Learned
from fade_ray.training.edge_architecture import CellArchitectureConfig
from spaces.cell import CellSpace, Macro
from spaces.errors import InvalidInput, require, require_known


@dataclass(frozen=True)
class Stage:
    """One training of a search network, from fresh weights and logits, and what makes the next
    space of its own.

    `edges`: weights of the edges. `cells`, `channels`, `epochs`: None for those of the run.
    """

    discretise: str
    edges: str = "none"
    cells: int | None = None
    channels: int | None = None
    epochs: int | None = None


@dataclass(frozen=True)
class Recipe:
    """A cell search: how the logits are trained, in which stages, on which share of the channels.

    `lower_rate_above`: when more than this share of the result is free of parameters, the search is
    run again with the weight learning rate divided by five, twice at most (single-level; algorithms
    E.4). `trains` False: the start decides (random search).
    """

    summary: str
    architecture: CellArchitectureConfig
    stages: tuple[Stage, ...]
    partial: int = 1
    lower_rate_above: float | None = None
    trains: bool = True


_DARTS = CellArchitectureConfig(relaxation="softmax", update="first-order")
_SIGMOID = CellArchitectureConfig(relaxation="sigmoid", update="joint", weight_decay=0.0)
_AMENDED = CellArchitectureConfig(relaxation="softmax", update="amended", eta=0.1)
_PRUNE = (Stage("top-edges"),)

RECIPES: dict[str, Recipe] = {
    "darts-1st": Recipe("DARTS, first order", _DARTS, _PRUNE),
    "darts-2nd": Recipe("DARTS, second order", replace(_DARTS, update="second-order"), _PRUNE),
    "single-level": Recipe(
        "single-level DARTS: joint, sigmoid", _SIGMOID, _PRUNE, lower_rate_above=0.3
    ),
    "single-level-softmax": Recipe("joint, softmax", replace(_DARTS, update="joint"), _PRUNE),
    "darts-1st-sigmoid": Recipe(
        "bilevel, sigmoid", replace(_SIGMOID, update="first-order"), _PRUNE
    ),
    "amended": Recipe("Amended-DARTS, edges pruned", _AMENDED, _PRUNE),
    "amended-edges": Recipe(
        "Amended-DARTS, edges searched in pairs, then operations",
        _AMENDED,
        (Stage("best-edge-pairs", edges="pairs"), Stage("best-op")),
    ),
    "amended-fixed": Recipe("Amended-DARTS on fixed edges", _AMENDED, (Stage("best-op"),)),
    # GDAS: tau from 10 to 0.1, linearly; 250 epochs in AutoDL's setting
    "gdas": Recipe(
        "GDAS: first order, one sampled operation per edge",
        replace(
            _DARTS, relaxation="gumbel-softmax-sampled", temperature=10.0, final_temperature=0.1
        ),
        _PRUNE,
    ),
    # PC-DARTS: a quarter of the channels, softmax over the edges of a node, logits still for 15 of
    # 50 epochs, alpha learning rate 6e-4
    "pc-darts": Recipe(
        "PC-DARTS: first order on a quarter of the channels, with edge normalisation",
        replace(_DARTS, learning_rate=6e-4, warm_up=0.3),
        (Stage("top-edges", edges="softmax"),),
        partial=4,
    ),
    # independent logits: every pair of edges and every operation is equally likely
    "random": Recipe(
        "a genotype drawn uniformly", replace(_DARTS, logit_std=1.0), _PRUNE, trains=False
    ),
}


def recipe(name: str) -> Recipe:
    """The recipe of that name. Raises InvalidInput with the nearest one."""
    require_known("A recipe", name, RECIPES)
    return RECIPES[name]


def check_pair(name: str, space: str, macro: Macro, channels: int) -> None:
    """Whether a recipe makes sense on a space: its stages must lead to a genotype, and each must
    leave out something.

    Raises InvalidInput where it does not.
    """
    chosen = recipe(name)
    require(
        channels % chosen.partial == 0,
        f"channels is a multiple of {chosen.partial}",
        f"`{name}` mixes 1/{chosen.partial} of the channels.",
        channels=channels,
    )
    for kind, whole in macro.cells.items():
        cell = whole
        for stage in chosen.stages:
            smaller = DISCRETISERS[stage.discretise](uniform(cell), cell, whole)
            if smaller == cell and not cell.is_discrete:
                raise InvalidInput(
                    f"Recipe {name!r} makes no sense on space {space!r}: {stage.discretise} would "
                    "leave out nothing there, since its edges are fixed already. Use "
                    "`amended-fixed` or another recipe."
                )
            cell = smaller
        filled = cell.keep is not None or all(any(row) for row in cell.allowed)
        if not cell.is_discrete or not filled:
            raise InvalidInput(
                f"Recipe {name!r} makes no sense on space {space!r}: its stages "
                f"({', '.join(s.discretise for s in chosen.stages)}) do not lead to a genotype of "
                f"the {kind} cell, which needs an operation on "
                f"{'every edge' if cell.keep is None else f'{cell.keep} edges into each node'}. "
                "Use `darts-1st` or another recipe."
            )


def uniform(cell: CellSpace) -> Learned:
    """What nothing has been learned from yet."""
    return Learned(cell.mask.astype(float), None, np.zeros(len(cell.edges) ** 2))


def overridden(
    architecture: CellArchitectureConfig, values: dict[str, Any]
) -> CellArchitectureConfig:
    """`architecture` with the `values` that are not None."""
    return replace(
        architecture, **{key: value for key, value in values.items() if value is not None}
    )
