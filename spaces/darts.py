"""The published spaces of cells, by name: DARTS, StacNAS S1-S5, Amended-DARTS S1-S3, NAS-Bench-201
(algorithms B.1, C.1, D.5, E.2).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spaces import nasbench201
from spaces.cell import NONE, CellSpace, Macro
from spaces.errors import require_known
from spaces.notation import INPUTS
from spaces.stackings import unshared_layout

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

NODES = 6
"""A cell of DARTS: c_{k-2}, c_{k-1} and four intermediate nodes, all of which are concatenated."""


def fixed_edges(inputs: int = INPUTS, nodes: int = NODES) -> tuple[tuple[int, int], ...]:
    """Amended-DARTS's rule "F": every node takes c_{k-2} and the node before it, the first one
    c_{k-2} and c_{k-1} (algorithms D.4).
    """
    return tuple((source, node) for node in range(inputs, nodes) for source in (0, node - 1))


def darts_cell(ops: Sequence[str], edges: Iterable[tuple[int, int]] | None = None) -> CellSpace:
    """A cell of DARTS over `ops` on `edges` (all 14), two kept into each node."""
    return CellSpace.create(INPUTS, NODES, ops, edges=edges, keep=2)


def cells_of(
    ops: Sequence[str], edges: Iterable[tuple[int, int]] | None = None
) -> dict[str, CellSpace]:
    """The two kinds of cell of a shared space, `normal` and `reduce`, both as `darts_cell`."""
    cell = darts_cell(ops, edges)
    return {"normal": cell, "reduce": cell}


@dataclass(frozen=True)
class PublishedSpace:
    """A space as its paper searches it. Add your own to `SPACES`."""

    macro: Macro
    """Cells, stacked as high as the search network is."""
    channels: int
    """Initial channels of the search network."""
    description: str
    source: str
    """Paper and section."""

    @property
    def ops(self) -> tuple[str, ...]:
        """The operations of its cells, in the order of DARTS, `none` first."""
        return next(iter(self.macro.cells.values())).ops


def _shared(depth: int, ops: Sequence[str], description: str, source: str) -> PublishedSpace:
    return PublishedSpace(Macro(cells_of(ops), "darts", depth), 16, description, source)


def _unshared(edges: Iterable[tuple[int, int]] | None, description: str) -> PublishedSpace:
    depth = 20
    cell = darts_cell(_SKIP_OR_SEP, edges)  # without none: the two operations that the paper names
    macro = Macro({place.kind: cell for place in unshared_layout(depth)}, "unshared", depth)
    return PublishedSpace(macro, 36, description, "Amended-DARTS, section 3.1.2, S2")


_STACNAS = "StacNAS, section 3.2, {}; the depth of its first stage"
_ALL = "7 operations and none, 14 edges"
SPACES: dict[str, PublishedSpace] = {
    "darts": _shared(8, DARTS_OPS, _ALL, "DARTS, section 3.1"),
    "s1": _shared(14, DARTS_OPS, f"{_ALL}: those of DARTS", _STACNAS.format("S1")),
    "s2": _shared(
        14,
        _STACNAS_S2,
        "pools, separable convolutions, skip-connect and none",
        _STACNAS.format("S2"),
    ),
    "s3": _shared(
        14,
        _STACNAS_S3,
        "max pool, separable to 7x7 and dilated convolutions, skip-connect, none",
        _STACNAS.format("S3"),
    ),
    "s4": _shared(
        14,
        (NONE, "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5"),
        "convolutions, skip-connect and none, without pools",
        _STACNAS.format("S4"),
    ),
    "s5": _shared(
        14, (NONE, *_SKIP_OR_SEP), "sep_conv_3x3, skip_connect and none", _STACNAS.format("S5")
    ),
    # The paper counts seven operations, none being no choice (1.1e18); its figures 1 and 8 show the
    # weight of none in S1, so the search network holds it.
    "amended-s1": _shared(
        8, DARTS_OPS, f"{_ALL}: those of DARTS", "Amended-DARTS, section 3.1.2, S1"
    ),
    "amended-s2": _unshared(
        None, "skip_connect or sep_conv_3x3, 20 cells that share no choice, 14 edges"
    ),
    "amended-s2-fixed": _unshared(
        fixed_edges(), "skip_connect or sep_conv_3x3, 20 unshared cells, 8 fixed edges"
    ),
    "amended-s3": _shared(
        8,
        (NONE, *_SKIP_OR_SEP),
        "sep_conv_3x3, skip_connect and none",
        "Amended-DARTS, appendix C.2, S3: S3 of RobustDARTS",
    ),
    "nasbench201": PublishedSpace(
        nasbench201.macro(),
        16,
        "5 operations on 6 edges, one cell in all 15 places",
        "NAS-Bench-201",
    ),
}
"""Every published space of cells by name."""


def published(name: str) -> PublishedSpace:
    """The space of that name. Raises InvalidInput, with the nearest name, for an unknown one."""
    require_known("A space", name, SPACES)
    return SPACES[name]
