"""A genotype on one line, for tables, records and files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spaces.errors import InvalidInput, require

if TYPE_CHECKING:
    from spaces.cell import CellSpace, Macro

INPUTS = 2
"""Inputs of a cell of DARTS, and edges into each of its nodes."""


@dataclass(frozen=True)
class Form:
    """A form of the field's notation, for networks of one `stacking` ("darts", "recurrent").

    `inputs` of a cell and, as many, edges into each of its nodes; `fields`: kind of cell -> its
    fields of `Genotype(...)`, of the genes and of the outputs.
    """

    stacking: str
    inputs: int
    fields: Mapping[str, tuple[str, str]]
    example: str

    @property
    def names(self) -> tuple[str, ...]:
        """All fields, in the order of the positional form."""
        return tuple(name for both in self.fields.values() for name in both)


_CONCAT = "concat=range(2, 6)"
_PAIRS = "normal=[('sep_conv_3x3', 1), ...]"
FORMS = (
    Form(
        "darts",
        INPUTS,
        {kind: (kind, f"{kind}_concat") for kind in ("normal", "reduce")},
        f"Genotype({_PAIRS}, normal_{_CONCAT}, reduce=[...], reduce_{_CONCAT})",
    ),
    Form(
        "recurrent",
        1,
        {"recurrent": ("recurrent", "concat")},
        "Genotype(recurrent=[('tanh', 0), ...], concat=range(1, 9))",
    ),
)


def genes_by_kind(macro: Macro) -> str:
    """Cells that the field's notations have no words for: each kind with its genes."""
    genes = {kind: cell.genes for kind, cell in macro.cells.items()}
    texts = {kind: [f"{op}({u}>{v})" for u, v, op in each] for kind, each in genes.items()}
    return "; ".join(f"{kind}: {' '.join(text)}" for kind, text in texts.items())


def in_field_notation(macro: Macro) -> str:
    """As `write_genotype`; by their genes where it has no words for the cells."""
    try:
        return write_genotype(macro)
    except InvalidInput:
        return genes_by_kind(macro)


def write_genotype(macro: Macro) -> str:
    """The field's notation, `Genotype(normal=[...], ...)` or `Genotype(recurrent=[...], ...)`, on
    one line: `spaces.read_genotype` reads the same cells from it. InvalidInput for a choice left,
    other kinds of cells, another number of edges into a node than its form has.
    """
    form = next((form for form in FORMS if form.fields.keys() == macro.cells.keys()), None)
    if form is None:
        rule = "The notation Genotype(...) has the cells normal and reduce, or recurrent"
        raise InvalidInput(f"{rule}, but got kinds={sorted(macro.cells)[:5]}. {_REMEDY}")
    texts = (_cell(form, kind, macro.cells[kind]) for kind in form.fields)
    return f"Genotype({', '.join(texts)})"


_REMEDY = "Write `Macro.to_dict` as JSON."


def _cell(form: Form, kind: str, cell: CellSpace) -> str:
    edges = [(gene.source, gene.target) for gene in cell.genes]
    each = sorted([*range(form.inputs, cell.nodes)] * form.inputs)
    holds = cell.inputs == form.inputs and [target for _, target in edges] == each
    words = {
        1: "one edge into each node after one input",
        2: "two edges into each node after two inputs",
    }
    rule = f"the notation Genotype(...) has {words[form.inputs]}"
    require(holds, rule, _REMEDY, cell=kind, edges=edges)
    first, last = min(cell.outputs), max(cell.outputs)
    block = cell.outputs == tuple(range(first, last + 1))
    concat = f"range({first}, {last + 1})" if block else str(list(cell.outputs))
    genes, outputs = form.fields[kind]
    return f"{genes}={[(gene.op, gene.source) for gene in cell.genes]}, {outputs}={concat}"
