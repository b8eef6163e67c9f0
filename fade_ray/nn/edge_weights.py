"""What a cell is mixed with."""

from typing import NamedTuple

from torch import Tensor


class EdgeWeights(NamedTuple):
    """The architecture weights of one kind of cell.

    `operations` [E, O]: weight of each operation on each edge; exactly 0 where the space allows
    none. `edges` [E]: factor of the whole output of each edge (edge normalisation of PC-DARTS,
    pairs of edges of Amended-DARTS eq. 16), None for 1. `used` [E]: the numbers of the operations
    to run on each edge, None for every allowed one; the others must have weight 0.
    """

    operations: Tensor
    edges: Tensor | None = None
    used: tuple[tuple[int, ...], ...] | None = None
