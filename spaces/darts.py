"""The published spaces of cells, by name: DARTS, StacNAS S1-S5, Amended-DARTS S1-S3, NAS-Bench-201
(algorithms B.1, C.1, D.5, E.2).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from spaces import nasbench201
from spaces.cell import NONE, CellSpace, Macro, unshared_layout
from spaces.errors import InvalidInput

DARTS_OPS = (
    NONE,
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
"""The eight operations of DARTS in their order there; where scores tie, the first wins."""

_STACNAS_S2 = (
    NONE,
    "max_pool_3x3",
    "max_pool_5x5",
    "avg_pool_3x3",
    "avg_pool_5x5",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
)
_STACNAS_S3 = (
    NONE,
    "max_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "sep_conv_7x7",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
_SKIP_OR_SEP = ("skip_connect", "sep_conv_3x3")

OPERATORS: dict[str, tuple[str, ...]] = {
    "darts": DARTS_OPS,
    "s1": DARTS_OPS,
    "s2": _STACNAS_S2,
    "s3": _STACNAS_S3,
    "s4": (NONE, "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5"),
    "s5": (NONE, *_SKIP_OR_SEP),
    # The paper counts seven operations, none being no choice (1.1e18); its figures 1 and 8 show the
    # weight of none in S1, so the search network holds it.
    "amended-s1": DARTS_OPS,
    "amended-s2": _SKIP_OR_SEP,  # without none: the two that the paper names
    "amended-s2-fixed": _SKIP_OR_SEP,
    "amended-s3": (NONE, *_SKIP_OR_SEP),
    "nasbench201": nasbench201.OPS,
}
"""The operations of every published space, in the order of DARTS, `none` first."""

INPUTS = 2
NODES = 6
"""A cell of DARTS: c_{k-2}, c_{k-1} and four intermediate nodes, all of which are concatenated."""


def fixed_edges(inputs: int = INPUTS, nodes: int = NODES) -> tuple[tuple[int, int], ...]:
    """Amended-DARTS's rule "F": every node takes c_{k-2} and the node before it, the first one
    c_{k-2} and c_{k-1} (algorithms D.4).
    """
    return tuple((source, node) for node in range(inputs, nodes) for source in (0, node - 1))


def darts_cell(ops: Sequence[str], edges: Iterable[tuple[int, int]] | None = None) -> CellSpace:
    """A cell of DARTS over `ops`, of which two edges into each node are kept: on all 14 edges, or
    on `edges`.
    """
    return CellSpace.create(INPUTS, NODES, ops, edges=edges, keep=2)


def cells_of(
    ops: Sequence[str], edges: Iterable[tuple[int, int]] | None = None
) -> dict[str, CellSpace]:
    """The two kinds of cell of a shared space, `normal` and `reduce`, both as `darts_cell`."""
    cell = darts_cell(ops, edges)
    return {"normal": cell, "reduce": cell}


@dataclass(frozen=True)
class PublishedSpace:
    """A space as its paper searches it."""

    name: str
    macro: Macro
    """Cells, stacked as high as the search network is."""
    channels: int
    """Initial channels of the search network."""
    description: str
    source: str
    """Paper and section."""


def _shared(name: str, depth: int, description: str, source: str) -> PublishedSpace:
    return PublishedSpace(
        name, Macro(cells_of(OPERATORS[name]), "darts", depth), 16, description, source
    )


def _unshared(
    name: str, edges: Iterable[tuple[int, int]] | None, description: str
) -> PublishedSpace:
    depth = 20
    cell = darts_cell(OPERATORS[name], edges)
    macro = Macro({place.kind: cell for place in unshared_layout(depth)}, "unshared", depth)
    return PublishedSpace(name, macro, 36, description, "Amended-DARTS, section 3.1.2, S2")


_STACNAS = "StacNAS, section 3.2, {}; the depth of its first stage"
SPACES: dict[str, PublishedSpace] = {
    space.name: space
    for space in (
        _shared("darts", 8, "7 operations and none, 14 edges", "DARTS, section 3.1"),
        _shared("s1", 14, "7 operations and none, 14 edges: those of DARTS", _STACNAS.format("S1")),
        _shared(
            "s2", 14, "pools, separable convolutions, skip-connect and none", _STACNAS.format("S2")
        ),
        _shared(
            "s3",
            14,
            "max pool, separable to 7x7 and dilated convolutions, skip-connect, none",
            _STACNAS.format("S3"),
        ),
        _shared(
            "s4", 14, "convolutions, skip-connect and none, without pools", _STACNAS.format("S4")
        ),
        _shared("s5", 14, "sep_conv_3x3, skip_connect and none", _STACNAS.format("S5")),
        _shared(
            "amended-s1",
            8,
            "7 operations and none, 14 edges: those of DARTS",
            "Amended-DARTS, section 3.1.2, S1",
        ),
        _unshared(
            "amended-s2",
            None,
            "skip_connect or sep_conv_3x3, 20 cells that share no choice, 14 edges",
        ),
        _unshared(
            "amended-s2-fixed",
            fixed_edges(),
            "skip_connect or sep_conv_3x3, 20 unshared cells, 8 fixed edges",
        ),
        _shared(
            "amended-s3",
            8,
            "sep_conv_3x3, skip_connect and none",
            "Amended-DARTS, appendix C.2, S3: S3 of RobustDARTS",
        ),
        PublishedSpace(
            "nasbench201",
            nasbench201.macro(),
            16,
            "5 operations on 6 edges, one cell in all 15 places",
            "NAS-Bench-201",
        ),
    )
}
"""Every published space by name."""


def published(name: str) -> PublishedSpace:
    """The published space of that name. Raises InvalidInput, with the nearest name, for an unknown
    one.
    """
    if name not in SPACES:
        nearest = get_close_matches(name.lower(), SPACES, n=1, cutoff=0.0)[0]
        raise InvalidInput(
            f"A space must be one of {', '.join(SPACES)}, but got {name!r}. Did you mean {nearest!r}?"
        )
    return SPACES[name]
