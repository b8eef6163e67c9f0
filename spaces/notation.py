"""A genotype on one line, for tables, records and files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spaces.errors import InvalidInput, require

if TYPE_CHECKING:
    from spaces.cell import CellSpace, Macro

INPUTS = 2
"""Inputs of a cell of DARTS, and edges into each of its nodes."""


def genes_by_kind(macro: Macro) -> str:
    """Cells that the field's notations have no words for: each kind with its genes."""
    genes = {kind: cell.genes for kind, cell in macro.cells.items()}
    texts = {kind: [f"{op}({u}>{v})" for u, v, op in each] for kind, each in genes.items()}
    return "; ".join(f"{kind}: {' '.join(text)}" for kind, text in texts.items())


def in_darts_notation(macro: Macro) -> str:
    """As `write_genotype`; by their genes where a node has another number of edges than two."""
    try:
        return write_genotype(macro)
    except InvalidInput:
        return genes_by_kind(macro)


def write_genotype(macro: Macro) -> str:
    """The field's notation of a shared genotype of DARTS, `Genotype(normal=[...], ...)`, on one
    line: `spaces.read_genotype` reads the same cells from it. InvalidInput for a choice left, other
    kinds than `normal` and `reduce`, another number of edges into a node than two.
    """
    kinds = ("normal", "reduce")
    rule = "the notation Genotype(...) has the cells normal and reduce"
    require(set(macro.cells) == set(kinds), rule, _REMEDY, kinds=sorted(macro.cells)[:5])
    return f"Genotype({', '.join(_cell(kind, macro.cells[kind]) for kind in kinds)})"


_REMEDY = "Write `Macro.to_dict` as JSON."


def _cell(kind: str, cell: CellSpace) -> str:
    edges = [(gene.source, gene.target) for gene in cell.genes]
    twice = sorted([*range(INPUTS, cell.nodes)] * 2)
    holds = cell.inputs == INPUTS and [target for _, target in edges] == twice
    rule = "the notation Genotype(...) has two edges into each node after two inputs"
    require(holds, rule, _REMEDY, cell=kind, edges=edges)
    first, last = min(cell.outputs), max(cell.outputs)
    block = cell.outputs == tuple(range(first, last + 1))
    concat = f"range({first}, {last + 1})" if block else str(list(cell.outputs))
    return f"{kind}={[(gene.op, gene.source) for gene in cell.genes]}, {kind}_concat={concat}"
