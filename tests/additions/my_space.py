"""A space of cells of one's own: three nodes, and a stacking without an auxiliary head."""

from spaces import SPACES, STACKINGS, CellSpace, Macro, Position, PublishedSpace, Stacking

OPS = ("none", "skip_connect", "sep_conv_3x3", "max_pool_3x3")


def layout(depth):
    """One kind of cell everywhere but in the middle, which reduces."""
    middle = depth // 2
    return tuple(
        Position("half" if place == middle else "cell", place == middle) for place in range(depth)
    )


def notation(macro):
    genes = [gene for cell in macro.cells.values() for gene in cell.genes]
    return " ".join(f"{gene.source}-{gene.op}-{gene.target}" for gene in genes)


CELL = CellSpace.create(2, 5, OPS, keep=2)
STACKINGS["flat"] = Stacking(layout, notation, auxiliary=False)
SPACES["small"] = PublishedSpace(
    Macro({"cell": CELL, "half": CELL}, "flat", 3),
    channels=4,
    description="4 operations on 9 edges",
    source="ours",
)
