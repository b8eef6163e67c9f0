"""NAS-Bench-201: a cell of six edges, five operations, 15,625 strings (algorithms E.2)."""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from spaces.cell import NONE, CellSpace, Macro
from spaces.errors import InvalidInput, require, require_known
from spaces.stackings import STACKINGS, Stacking, three_stages

OPS = (NONE, "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""The operations in the order of the benchmark: their positions are the numbers in its tables."""
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""In the order of its strings and of `CellSpace.edges`."""
SIZE = len(OPS) ** len(EDGES)
DEPTH = 15
"""Cells in the networks of the benchmark: three stages of five."""
KIND = "cell"

Architecture = str | CellSpace | Macro
"""One architecture of the space: its string, its cell, or the network of that cell."""

_EXAMPLE = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+"
    "|skip_connect~0|nor_conv_3x3~1|skip_connect~2|"
)
_TERM = re.compile(r"([^|~+]+)~(\d)", re.ASCII)


def space() -> CellSpace:
    """Every operation, `none` included, on each of the six edges; the last node is the output."""
    return CellSpace.create(1, 4, OPS, edges=EDGES, outputs=(3,), keep=None)


_SPACE = space()


def macro(depth: int = DEPTH, cell: CellSpace | None = None) -> Macro:
    """The benchmark's network of `depth` cells, all of one kind: the full space, or `cell`."""
    return Macro({KIND: _SPACE if cell is None else cell}, "nasbench201", depth)


def from_numbers(numbers: tuple[int, ...]) -> CellSpace:
    """The cell with these positions in `OPS` on the six `EDGES`. InvalidInput for other numbers."""
    check_numbers(numbers)
    allowed = tuple(tuple(k == number for k in range(len(OPS))) for number in numbers)
    return replace(_SPACE, allowed=allowed)


def check_numbers(numbers: tuple[int, ...]) -> None:
    """InvalidInput for what are no positions in `OPS` of the operations on the six `EDGES`."""
    fits = len(numbers) == len(EDGES) and all(number in range(len(OPS)) for number in numbers)
    rule = f"{len(EDGES)} numbers of operations, each from 0 to {len(OPS) - 1}"
    remedy = "Give one per edge, in the order 0->1, 0->2, 1->2, 0->3, 1->3, 2->3."
    require(fits, rule, remedy, numbers=numbers)


def numbers(architecture: Architecture) -> tuple[int, ...]:
    """The positions in `OPS` of its operations on the six `EDGES`; an edge of a cell that allows
    nothing carries `none`.

    Raises InvalidInput for a string that is not of the benchmark, a cell of another shape or with a
    choice left, and operations that the benchmark does not have.
    """
    if isinstance(architecture, str):
        return _numbers_of_string(architecture)
    cell = architecture.cells.get(KIND) if isinstance(architecture, Macro) else architecture
    if cell is None or (cell.inputs, cell.nodes, cell.edges) != (1, 4, EDGES):
        other = "other kinds of cells"
        if cell is not None:
            other = f"inputs={cell.inputs}, nodes={cell.nodes}, edges={cell.edges}"
        rule = "A cell of NAS-Bench-201 must have one input, four nodes and all six edges"
        raise InvalidInput(f"{rule}, but got {other}. Search in the space `nasbench201`.")
    remedy = "Discretise the space first."
    require(cell.is_discrete, "one operation per edge", remedy, choices=cell.size)
    return tuple(_number(cell.ops[row.index(True)] if any(row) else NONE) for row in cell.allowed)


def encode(architecture: Architecture) -> str:
    """The benchmark's string, `|nor_conv_3x3~0|+|none~0|skip_connect~1|+|...|`; as `numbers`."""
    return _string(numbers(architecture))


def decode(text: str) -> CellSpace:
    """The inverse of `encode`; the terms of a node may come in any order, with blanks between them
    and quotes around all. Errors as `numbers`.
    """
    return from_numbers(_numbers_of_string(text))


def cells() -> Iterator[CellSpace]:
    """All 15,625 cells by `numbers`, lexicographically (not the order of the benchmark's index)."""
    return (from_numbers(choice) for choice in product(range(len(OPS)), repeat=len(EDGES)))


def unique_key(architecture: Architecture) -> str:
    """The benchmark's name of its isomorphism class with zero operations removed: 6,466 classes in
    all (NAS-Bench-201, section 3.1).

    Each node is the sorted sum of its terms, written out down to the input: `0` the input, `(x)@op`
    an operation on x, x itself for a skip-connect, `#` for what carries nothing: `none`, or any
    operation on such a node. As in the benchmark, `#` stays in a sum: cells of one key compute the
    same, but not all that compute the same have one key (dropping every `#` leaves 4,930 classes).
    """
    nodes, operations = ["0"], iter(numbers(architecture))
    for node in (1, 2, 3):
        terms = sorted(_term(OPS[next(operations)], source) for source in nodes[:node])
        nodes.append("+".join(terms))
    return nodes[-1]


def _string(numbers: tuple[int, ...]) -> str:
    nodes = dict.fromkeys((1, 2, 3), "|")
    for (source, node), number in zip(EDGES, numbers, strict=True):
        nodes[node] += f"{OPS[number]}~{source}|"
    return "+".join(nodes.values())


def _term(op: str, value: str) -> str:
    if op == NONE or value == "#":
        return "#"
    return value if op == "skip_connect" else f"({value})@{op}"


def _numbers_of_string(text: str) -> tuple[int, ...]:
    parts = "".join(text.split()).strip("'\"").split("+")
    terms = [_TERM.findall(part) for part in parts]
    written = ["|" + "".join(f"{op}~{source}|" for op, source in part) for part in terms]
    edges = [(int(source), n) for n, part in enumerate(terms, 1) for _, source in part]
    numbers = [_number(op) for part in terms for op, _ in part]
    if written != parts or sorted(edges) != sorted(EDGES):
        shown = text if len(text) <= 200 else text[:200] + "..."
        raise InvalidInput(
            "A string of NAS-Bench-201 must give one operation to each of the edges 0->1 + 0->2, "
            f"1->2 + 0->3, 1->3, 2->3, but got {shown!r}. Write it like {_EXAMPLE}."
        )
    return tuple(numbers[edges.index(edge)] for edge in EDGES)


def _number(op: str) -> int:
    require_known("An operation of NAS-Bench-201", op, OPS)
    return OPS.index(op)


STACKINGS["nasbench201"] = Stacking(
    three_stages,
    encode,
    inputs=1,
    single_output=True,
    stems=("nasbench201",),
    final_norm=True,
    search_pool_norm=False,
    auxiliary=False,
    retrained=(DEPTH, 16),
)
