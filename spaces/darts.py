"""The published spaces of cells, by name (algorithms B.1, C.1, D.5, E.2)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from spaces import nasbench201, recurrent
from spaces.cell import NONE, SKIP, CellSpace, Macro
from spaces.errors import require_known
from spaces.groups import Groups
from spaces.notation import INPUTS
from spaces.stackings import unshared_layout


def _sized(name: str, *kernels: int) -> tuple[str, ...]:
    return tuple(f"{name}_{kernel}x{kernel}" for kernel in kernels)


_POOLS = ("max_pool_3x3", "avg_pool_3x3")
_SEPARABLE, _DILATED = _sized("sep_conv", 3, 5), _sized("dil_conv", 3, 5)
_SKIP_OR_SEP = (SKIP, "sep_conv_3x3")
_SKIP_OR_CONVOLUTION = (SKIP, *_SEPARABLE, *_DILATED)
DARTS_OPS = (NONE, *_POOLS, *_SKIP_OR_CONVOLUTION)
"""The eight operations of DARTS in their order there; where scores tie, the first wins."""
_ALL_POOLS = (*_sized("max_pool", 3, 5), *_sized("avg_pool", 3, 5))
_STACNAS_S2 = (NONE, *_ALL_POOLS, SKIP, *_SEPARABLE)
_TO_7X7 = _sized("sep_conv", 3, 5, 7)
_STACNAS_S3 = (NONE, "max_pool_3x3", SKIP, *_TO_7X7, *_DILATED)

CONV_7X1_1X7 = "conv_7x1_1x7"
"""Two full convolutions, one along each axis: in AmoebaNet-A, and in no space here."""
NODES = 6
"""A cell of DARTS: c_{k-2}, c_{k-1} and four intermediate nodes, all of which are concatenated."""


def fixed_edges(inputs: int = INPUTS, nodes: int = NODES) -> tuple[tuple[int, int], ...]:
    """Amended-DARTS's rule "F": every node takes c_{k-2} and the node before it, the first one
    c_{k-2} and c_{k-1} (algorithms D.4).
    """
    ends = ((sorted({0, node - 1}), node) for node in range(inputs, nodes))
    return tuple((source, node) for sources, node in ends for source in sources)


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
    groups: Groups | None = None
    """Operations that its paper takes together, the representative first (StacNAS)."""

    @property
    def ops(self) -> tuple[str, ...]:
        """The operations of its cells, in the order of DARTS, `none` first."""
        return next(iter(self.macro.cells.values())).ops


# the published groups, their key operations first (algorithms C.3); in S2 skip-connect stands with
# the pools, though its correlation was not measured
_G1: Groups = (_POOLS, (SKIP,), _SEPARABLE, _DILATED)
_G2: Groups = ((SKIP, *_ALL_POOLS), _SEPARABLE)
_G3: Groups = (("max_pool_3x3",), (SKIP,), _TO_7X7, _DILATED)
_G4: Groups = ((SKIP,), (*_SEPARABLE, *_DILATED))
_G5: Groups = ((SKIP,), ("sep_conv_3x3",))
_AMENDED = "Amended-DARTS, section 3.1.2"


def _shared(
    depth: int, ops: Sequence[str], description: str, source: str, groups: Groups | None = None
) -> PublishedSpace:
    return PublishedSpace(Macro(cells_of(ops), "darts", depth), 16, description, source, groups)


def _stacnas(name: str, ops: Sequence[str], description: str, groups: Groups) -> PublishedSpace:
    source = f"StacNAS, section 3.2, {name}; the depth of its first stage"
    return _shared(14, ops, description, source, groups)


def _each_its_own(cell: CellSpace, depth: int) -> Macro:
    return Macro({place.kind: cell for place in unshared_layout(depth)}, "unshared", depth)


def _unshared(edges: Iterable[tuple[int, int]] | None, description: str) -> PublishedSpace:
    cell = darts_cell(_SKIP_OR_SEP, edges)  # without none: the two operations that the paper names
    return PublishedSpace(_each_its_own(cell, 20), 36, description, f"{_AMENDED}, S2")


def _larger(space: PublishedSpace) -> PublishedSpace:
    """The space with a choice of its own for every cell of the first stage."""
    return replace(
        space,
        macro=_each_its_own(space.macro.cells["normal"], space.macro.depth),
        description=f"{space.description}; every cell differs",
        source="StacNAS of 2019, section 2.1",
    )


_PAIR = "skip_connect or sep_conv_3x3"
_ALL = "7 operations and none, 14 edges"
_THREE = "sep_conv_3x3, skip_connect and none"
_S3 = "max pool, separable to 7x7 and dilated convolutions, skip-connect, none"
_S4 = "convolutions, skip-connect and none, without pools"
SPACES: dict[str, PublishedSpace] = {
    "darts": _shared(8, DARTS_OPS, _ALL, "DARTS, section 3.1"),
    "s1": _stacnas("S1", DARTS_OPS, f"{_ALL}: those of DARTS", _G1),
    "s2": _stacnas("S2", _STACNAS_S2, "pools, separable convolutions, skip-connect and none", _G2),
    "s3": _stacnas("S3", _STACNAS_S3, _S3, _G3),
    "s4": _stacnas("S4", (NONE, *_SKIP_OR_CONVOLUTION), _S4, _G4),
    "s5": _stacnas("S5", (NONE, *_SKIP_OR_SEP), _THREE, _G5),
    # The paper counts seven operations, none being no choice (1.1e18); its figures 1 and 8 show the
    # weight of none in S1, so the search network holds it.
    "amended-s1": _shared(8, DARTS_OPS, f"{_ALL}: those of DARTS", f"{_AMENDED}, S1"),
    "amended-s2": _unshared(None, f"{_PAIR}, 20 cells that share no choice, 14 edges"),
    "amended-s2-fixed": _unshared(fixed_edges(), f"{_PAIR}, 20 unshared cells, 8 fixed edges"),
    "amended-s3": _shared(
        8, (NONE, *_SKIP_OR_SEP), _THREE, "Amended-DARTS, appendix C.2, S3: S3 of RobustDARTS"
    ),
    "nasbench201": PublishedSpace(
        nasbench201.macro(),
        16,
        "5 operations on 6 edges, one cell in all 15 places",
        "NAS-Bench-201",
    ),
    "recurrent": PublishedSpace(
        recurrent.macro(),
        300,
        "4 activations and none, 36 edges, one of them kept into each node, on text",
        "DARTS, section 3.2",
    ),
}
"""Every published space of cells by name."""
SPACES |= {f"s{n}-unshared": _larger(SPACES[f"s{n}"]) for n in range(1, 6)}


def published(name: str) -> PublishedSpace:
    """The space of that name. Raises InvalidInput, with the nearest name, for an unknown one."""
    require_known("A space", name, SPACES)
    return SPACES[name]
