"""A genotype on one line, for tables and records."""

from collections.abc import Callable

from spaces import nasbench201
from spaces.cell import Macro
from spaces.errors import InvalidInput
from spaces.genotype import write_genotype


def _genes(macro: Macro) -> str:
    """Cells that the field's notations have no words for: each kind with its genes."""
    return "; ".join(
        f"{kind}: " + " ".join(f"{gene.op}({gene.source}>{gene.target})" for gene in cell.genes)
        for kind, cell in macro.cells.items()
    )


def _darts(macro: Macro) -> str:
    try:
        return write_genotype(macro)
    except InvalidInput:  # a node with another number of edges than two
        return _genes(macro)


NOTATIONS: dict[str, Callable[[Macro], str]] = {
    "darts": _darts,
    "unshared": _genes,
    "nasbench201": lambda macro: nasbench201.encode(macro.cells["cell"]),
}


def notation(macro: Macro) -> str:
    """`Genotype(normal=...)`, the string of NAS-Bench-201, or a list of genes by kind, as the
    stacking has it.
    """
    return NOTATIONS[macro.stacking](macro)
