"""The recurrent cell of DARTS (its section 3.2; algorithms B.5): a tree of activations, in which
each node reads one node before it, behind what is made of the word and of the state.
"""

from spaces.cell import NONE, CellSpace, Macro
from spaces.errors import require
from spaces.notation import in_field_notation
from spaces.stackings import STACKINGS, Position, Stacking

KIND = "recurrent"
OPS = (NONE, "tanh", "relu", "sigmoid", "identity")
"""In their order in DARTS; where weights tie, the first wins."""
NODES = 8
HIDDEN = 850
"""Units in published retrainings, and entries of a word's vector."""


def recurrent_cell(nodes: int = NODES) -> CellSpace:
    """Node 0 is made of word and state; each of the `nodes` behind it keeps one edge; the output is
    the mean of all but node 0.
    """
    return CellSpace.create(1, 1 + nodes, OPS, keep=1)


def macro(cell: CellSpace | None = None) -> Macro:
    """The network of one such cell: the full space, or `cell`."""
    return Macro({KIND: recurrent_cell() if cell is None else cell}, "recurrent", 1)


def _alone(depth: int) -> tuple[Position, ...]:
    require(depth == 1, "depth == 1", "A recurrent network has one cell.", depth=depth)
    return (Position(KIND, False),)


STACKINGS["recurrent"] = Stacking(
    _alone,
    in_field_notation,
    task="text",
    shared=False,
    inputs=1,
    stems=(),
    auxiliary=False,
    retrained=(1, HIDDEN),
)
