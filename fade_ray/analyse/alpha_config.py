"""Which searches a study of alpha makes, and which operations it swaps in what they find."""

from dataclasses import dataclass, field
from itertools import chain

from fade_ray.cells.cells_config import CellsConfig, GridConfig, RetrainingOptions
from spaces.cell import Macro
from spaces.errors import InvalidInput, require, require_known
from spaces.genotype import read_cells

ALL = "all"


@dataclass(frozen=True)
class SwapOptions:
    """Whose operations are exchanged."""

    edges: tuple[str, ...] = ()
    """Edges of the genotypes by name, such as normal:0-2 or cell:0-1, or all. By default the first
    edge of the first cell (StacNAS, Fig. 5), with a table all.
    """


@dataclass(frozen=True)
class AlphaStudy(CellsConfig):
    """Searches as those of `fade-ray cells`, and every operation on some edges of what they found,
    trained from scratch or looked up.

    Raises InvalidInput for what makes no sense together.
    """

    grid: GridConfig = field(
        default_factory=lambda: GridConfig(
            recipes=("darts-1st", "single-level-softmax"), spaces=("s1",), seeds=(0, 1, 2)
        )
    )
    swaps: SwapOptions = field(default_factory=SwapOptions)
    retraining: RetrainingOptions = field(
        default_factory=lambda: RetrainingOptions(retrain=True, retrain_seeds=1)
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.retraining.retrain or self.grid.table is not None,
            "accuracies are trained or looked up",
            "Leave --no-retrain out, or give a --table.",
            retrain=self.retraining.retrain,
            table=self.grid.table,
        )
        for space in self.grid.spaces:
            self.edges(space)
            self._check_notation(space)

    def edges(self, space: str) -> tuple[str, ...]:
        """The names of the edges whose operations are swapped, on that space. Raises InvalidInput,
        with the nearest name, for an unknown one.
        """
        known = edge_names(self.macro(space))
        for name in self.swaps.edges:
            require_known(f"An edge of {space}", name, [ALL, *known])
        if ALL in self.swaps.edges or (not self.swaps.edges and self.looked_up(space)):
            return known
        return self.swaps.edges or known[:1]

    def looked_up(self, space: str) -> bool:
        """Whether accuracies on that space are those of a table."""
        return self.grid.table is not None and self.macro(space).stack.table is not None

    def _check_notation(self, space: str) -> None:
        """What is trained is told by its notation alone."""
        genotype = self.setup(self.grid.recipes[0], space).unlearned[-1]
        try:
            read_cells(genotype.notation)
        except InvalidInput as error:
            raise InvalidInput(
                "Operations are swapped in genotypes that the field has a notation for, but those "
                f"of {space!r} have none. Use `darts`, `s1` to `s5` or `nasbench201`."
            ) from error


def edge_names(macro: Macro) -> tuple[str, ...]:
    """Of every edge: its kind of cell and its nodes, "normal:0-2"."""
    names = ([f"{kind}:{name}" for name in c.edge_names] for kind, c in macro.cells.items())
    return tuple(chain.from_iterable(names))
