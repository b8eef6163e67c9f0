"""How large a cell is, by its kind: the orders that architectures can be put into without any
training.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from spaces.candidates import Candidate
from spaces.dag import Dag
from spaces.errors import require_known
from spaces.nasbench_cell import CELL_FEATURES, BenchCell
from spaces.nasbench_macro import Block


@dataclass(frozen=True)
class Size:
    """A size of cells of one kind; that of an architecture is the sum over its rows."""

    name: str
    """Ends the sentence "architectures ordered by ..."."""
    of: Callable[[Any], float]


def _convolution_weights(cell: BenchCell) -> float:
    """In units of the squared channels: 9 per 3x3 convolution, 1 per 1x1. Orders cells as their
    parameters do.
    """
    return 9 * CELL_FEATURES["conv_3x3"].raw(cell) + CELL_FEATURES["conv_1x1"].raw(cell)


SIZES: dict[type[Candidate], Size] = {
    Dag: Size("the number of their operations", lambda dag: dag.operations),
    Block: Size("the sizes of their blocks", lambda block: block.number),
    BenchCell: Size("the weights of their convolutions", _convolution_weights),
}
"""By the kind of cell."""


def size_of(cell: Candidate) -> Size:
    """How cells of this kind are measured. InvalidInput for a kind without a size."""
    require_known(
        "A kind of cell with a size", type(cell).__name__, [kind.__name__ for kind in SIZES]
    )
    return SIZES[type(cell)]
