"""Cells as choices of operations on the edges of a small DAG, and networks as stacks of such cells.

A `CellSpace` is a boolean matrix [edge, op]. Discretising only narrows it, and a genotype is a
space with at most one op per edge; so everything that is built, trained or drawn from a search
space is built, trained or drawn from a genotype too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import zip_longest
from typing import Any, NamedTuple, Self, TypeVar

import cattrs
import numpy as np
import numpy.typing as npt

from spaces.errors import InvalidInput, require, require_known, upheld
from spaces.stackings import RESIDUAL, STACKINGS, Position, Stacking

NONE = "none"
SKIP = "skip_connect"
FORMAT = "fade_ray.cells/1"
"""Of files of cells."""
LARGEST = 10_000
"""Nodes of a cell, and cells of a network."""
_ROWS = "Give one row per edge, one entry per operation."

T = TypeVar("T")
Polynomial = tuple[int, ...]
"""Coefficients from the constant on."""


class Gene(NamedTuple):
    """One edge of a genotype with its operation."""

    source: int
    target: int
    op: str


@dataclass(frozen=True)
class CellSpace:
    """The cells that may be built: which of `ops` may stand on which of `edges`.

    Nodes 0..inputs-1 are the cell's inputs; `edges` (source, target), source < target, sorted by
    target, then source; a pair may repeat, for two operations from one node into another (NASNet);
    `allowed` [E][O]; `outputs`: the nodes whose concatenation is the cell's output. `keep`: how
    many edges into each node a genotype keeps (DARTS: 2), None where it keeps all of them, `none`
    included (NAS-Bench-201).

    Raises InvalidInput where these rules do not hold.
    """

    inputs: int
    nodes: int
    ops: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    allowed: tuple[tuple[bool, ...], ...]
    outputs: tuple[int, ...]
    keep: int | None = None

    def __post_init__(self) -> None:
        inputs, nodes = self.inputs, self.nodes
        holds, rule = 1 <= inputs < nodes <= LARGEST, f"1 <= inputs < nodes <= {LARGEST}"
        require(holds, rule, "A cell needs both.", inputs=inputs, nodes=nodes)
        once = len(set(self.ops)) == len(self.ops) > 0
        require(once, "operations are named once", "Name each once.", ops=self.ops)
        self._check_edges()
        lengths, edges = [len(row) for row in self.allowed], len(self.edges)
        given = {"row_lengths": lengths, "edges": edges, "ops": len(self.ops)}
        require(lengths == [len(self.ops)] * edges, "allowed is [edges][ops]", _ROWS, **given)
        known = len(self.outputs) > 0 and set(self.outputs) <= set(range(nodes))
        remedy, rule = "Name at least one node.", "outputs are nodes of the cell"
        require(known, rule, remedy, outputs=self.outputs, nodes=nodes)
        holds = self.keep is None or self.keep >= 1
        require(holds, "keep >= 1", "Use 2, or None for all edges.", keep=self.keep)

    def _check_edges(self) -> None:
        for edge in self.edges:
            source, target = edge
            holds = 0 <= source < target < self.nodes and target >= self.inputs
            rule = "source < target, and no edge ends at an input"
            remedy = "Number the nodes in the order in which they are computed."
            require(holds, rule, remedy, edge=edge, inputs=self.inputs, nodes=self.nodes)
        rule = "edges are sorted by target, then source"
        require(_ordered(self.edges) == self.edges, rule, "Use `create`.", edges=self.edges)

    @classmethod
    def create(
        cls,
        inputs: int,
        nodes: int,
        ops: Sequence[str],
        *,
        edges: Iterable[tuple[int, int]] | None = None,
        outputs: Sequence[int] | None = None,
        keep: int | None = None,
    ) -> Self:
        """The full space: every op on every edge. By default every node is joined to all before it,
        and all but the inputs are outputs."""
        every = ((source, target) for target in range(inputs, nodes) for source in range(target))
        ordered = _ordered(every if edges is None else edges)
        allowed = ((True,) * len(ops),) * len(ordered)
        outputs = tuple(outputs or range(inputs, nodes))
        return cls(inputs, nodes, tuple(ops), ordered, allowed, outputs, keep)

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """`allowed` as an array [E, O]."""
        return np.array(self.allowed, dtype=bool).reshape(len(self.edges), len(self.ops))

    def narrowed(self, mask: npt.NDArray[np.bool_]) -> Self:
        """The part of this space that `mask` [E, O] leaves. Never larger than this one."""
        shapes = {"mask": mask.shape, "space": self.mask.shape}
        require(mask.shape == self.mask.shape, "mask is [edges, ops]", _ROWS, **shapes)
        left = (self.mask & mask).tolist()
        return replace(self, allowed=tuple(tuple(row) for row in left))

    @property
    def edge_names(self) -> tuple[str, ...]:
        """Of every edge, unique: "0-2", and "0-2-2" for the second from node 0 into node 2."""
        seen = Counter[tuple[int, int]]()
        names = []
        for edge in self.edges:
            seen[edge] += 1
            names.append("-".join(map(str, (*edge, seen[edge])[: 2 + (seen[edge] > 1)])))
        return tuple(names)

    def incoming(self, node: int) -> tuple[int, ...]:
        """Numbers of the edges into `node`, by source."""
        return tuple(index for index, (_, target) in enumerate(self.edges) if target == node)

    @property
    def is_discrete(self) -> bool:
        """Whether nothing is left to choose: one op per edge, `keep` edges per node."""
        counts = self.mask.sum(axis=1)
        into = [target for (_, target), count in zip(self.edges, counts, strict=True) if count]
        kept = self.keep is None or all(into.count(node) <= self.keep for node in into)
        return bool((counts <= 1).all()) and kept

    def __le__(self, other: CellSpace) -> bool:
        """Whether every choice of this space is one of `other`, on the same edges and ops."""
        same = (self.inputs, self.nodes, self.ops, self.edges, self.outputs)
        theirs = (other.inputs, other.nodes, other.ops, other.edges, other.outputs)
        return same == theirs and bool((self.mask <= other.mask).all())

    @property
    def size(self) -> int:
        """How many genotypes it holds: choices of `keep` edges into each node times those of their
        operations. `none` is no choice where edges are dropped, nothing at all one where none is.
        """
        return sum(self.tally(()))

    def tally(self, ops: Container[str]) -> Polynomial:
        """How many of its genotypes have 0, 1, ... of their edges carry one of `ops`."""
        free = [self.keep is None or op != NONE for op in self.ops]
        mask, named = self.mask & free, [op in ops for op in self.ops]
        total: Polynomial = (1,)
        for node in range(self.inputs, self.nodes):
            rows = [mask[index] for index in self.incoming(node) if mask[index].any()]
            choices = [(int(row[np.invert(named)].sum()), int(row[named].sum())) for row in rows]
            kept = len(choices) if self.keep is None else min(self.keep, len(choices))
            total = multiplied(total, _elementary(choices, kept))
        return total

    @property
    def genes(self) -> tuple[Gene, ...]:
        """The edges of a genotype with an operation, as `edges`. InvalidInput for a choice left."""
        return tuple(self.named_genes.values())

    @property
    def named_genes(self) -> dict[str, Gene]:
        """`genes` by the name of their edge."""
        rule, remedy = "one operation per edge", "Discretise the space first."
        require(self.is_discrete, rule, remedy, choices=self.size)
        names = zip(self.edge_names, self.edges, self.allowed, strict=True)
        filled = ((name, edge, row.index(True)) for name, edge, row in names if any(row))
        return {name: Gene(*edge, self.ops[number]) for name, edge, number in filled}

    def genotype(self, genes: Iterable[tuple[int, int, str]]) -> Self:
        """The genotype with these (source, target, op), on edges that repeat one after the other.
        InvalidInput where it is not in here.
        """
        mask = np.zeros_like(self.mask)
        given, seen = list(genes), Counter[tuple[int, int]]()
        for source, target, op in given:
            if (source, target) not in self.edges or op not in self.ops:
                rule = "A gene must name an edge and an operation of its space"
                edges = ", ".join(f"{u}->{v}" for u, v in self.edges)
                known = f"The space has the operations {', '.join(self.ops)} on the edges {edges}."
                raise InvalidInput(f"{rule}, but got {op!r} on {source} -> {target}. {known}")
            edge = source, target
            number = min(seen[edge], self.edges.count(edge) - 1)
            mask[self.edges.index(edge) + number, self.ops.index(op)] = True
            seen[edge] += 1
        allowed = bool((mask <= self.mask).all())
        require(allowed, "every gene is allowed in the space", "Use a larger space.", genes=given)
        genotype = self.narrowed(mask)
        rule = "one operation per edge and `keep` edges per node"
        require(genotype.is_discrete, rule, "Drop genes.", keep=self.keep)
        return genotype

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return dict(_CONVERTER.unstructure(self))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`. Raises InvalidInput for data of another form."""
        return _structured(cls, data, "A cell needs inputs, nodes, ops, edges, allowed and outputs")


@dataclass(frozen=True)
class Macro:
    """A network: the space of each kind of cell, and how `depth` of them are stacked. A repeated
    kind shares its choices. InvalidInput for a kind of the layout that has no cell.
    """

    cells: Mapping[str, CellSpace]
    stacking: str
    depth: int

    def __post_init__(self) -> None:
        holds, rule = 1 <= self.depth <= LARGEST, f"1 <= depth <= {LARGEST}"
        require(holds, rule, "Use 8 or 20.", depth=self.depth)
        require_known("A stacking", self.stacking, STACKINGS)
        missing = sorted({place.kind for place in self.layout} - {RESIDUAL} - set(self.cells))[:5]
        remedy = "Give the missing ones, or another depth."
        require(not missing, "every kind in the layout has a cell", remedy, missing=missing)
        places = set(self.layout)
        mixed = sorted({p.kind for p in places if p._replace(reduction=not p.reduction) in places})
        rule = "a kind of cell reduces in all of its places or in none"
        remedy = "Give the places that reduce a kind of their own."
        require(not mixed, rule, remedy, kinds=mixed)
        inputs = {kind: cell.inputs for kind, cell in self.cells.items()}
        rule = "all cells have the same number of inputs"
        remedy = "Build all of them with 2 inputs (DARTS), or all with 1 (NAS-Bench-201)."
        require(len(set(inputs.values())) == 1, rule, remedy, inputs=inputs)

    @property
    def stack(self) -> Stacking:
        """What belongs to the stacking: stem, head, notation, table."""
        return STACKINGS[self.stacking]

    @property
    def layout(self) -> tuple[Position, ...]:
        """Kind and reduction of every place, residual blocks included."""
        return self.stack.layout(self.depth)

    @property
    def notation(self) -> str:
        """The genotype on one line, as the stacking has it."""
        return self.stack.notation(self)

    def at_depth(self, depth: int) -> Self:
        """The same cells, `depth` high; of cells that share nothing those that find a place, and in
        a higher stack each serves the places beside its own (ours: no paper says how).
        """
        if self.stack.shared or depth == self.depth:
            return replace(self, depth=depth)
        layout = self.stack.layout(depth)
        if depth < self.depth:
            return replace(self, depth=depth, cells={p.kind: self.cells[p.kind] for p in layout})
        ours, theirs = _sections(self.layout), _sections(layout)
        cells = {}
        for section, kinds in theirs.items():
            known = ours.get(section) or [place.kind for place in self.layout]
            for number, kind in enumerate(kinds):
                cells[kind] = self.cells[known[number * len(known) // len(kinds)]]
        return replace(self, depth=depth, cells=cells)

    def with_cells(self, cells: Mapping[str, CellSpace]) -> Self:
        """The same stack of other cells."""
        return replace(self, cells=dict(cells))

    @property
    def size(self) -> int:
        """Genotypes of all kinds together."""
        return math.prod(cell.size for cell in self.cells.values())

    def tally(self, ops: Container[str]) -> Polynomial:
        """As that of its cells: of the genotypes of all kinds together."""
        return reduce(multiplied, (cell.tally(ops) for cell in self.cells.values()))

    @property
    def is_discrete(self) -> bool:
        return all(cell.is_discrete for cell in self.cells.values())

    def __le__(self, other: Macro) -> bool:
        return self.cells.keys() == other.cells.keys() and all(
            cell <= other.cells[kind] for kind, cell in self.cells.items()
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {"format": FORMAT, **_CONVERTER.unstructure(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`. Raises InvalidInput for data of another form."""
        needed = "A file of cells needs format, stacking, depth and cells"
        format = data.get("format") if isinstance(data, Mapping) else None
        remedy = f"{needed}. Is this a file of cells?"
        require(format == FORMAT, f"format == {FORMAT!r}", remedy, format=format)
        return _structured(cls, data, needed)


def _sections(layout: Iterable[Position]) -> dict[tuple[int, bool], list[str]]:
    """Kinds of places, by how many reductions stand before them and whether they reduce."""
    sections: dict[tuple[int, bool], list[str]] = {}
    reductions = 0
    for place in layout:
        sections.setdefault((reductions, place.reduction), []).append(place.kind)
        reductions += place.reduction
    return sections


_CONVERTER = cattrs.Converter(
    detailed_validation=False, unstruct_collection_overrides={tuple: list}
)


def _structured(cls: type[T], data: Mapping[str, Any], needed: str) -> T:
    wrong = LookupError, TypeError, ValueError, AttributeError, ArithmeticError
    with upheld(needed, "Give all of them.", *wrong):
        return _CONVERTER.structure(data, cls)


def _ordered(edges: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """By target, then source."""
    return tuple(sorted(edges, key=lambda edge: (edge[1], edge[0])))


def _elementary(values: Sequence[Polynomial], degree: int) -> Polynomial:
    """The elementary symmetric polynomial: a sum over subsets of `degree` of products."""
    sums: list[Polynomial] = [(1,)] + [()] * degree
    for value in values:
        for k in range(degree, 0, -1):
            pairs = zip_longest(sums[k], multiplied(value, sums[k - 1]), fillvalue=0)
            sums[k] = tuple(a + b for a, b in pairs)
    return sums[degree]


def multiplied(first: Polynomial, second: Polynomial) -> Polynomial:
    """The product; () is 0."""
    product = [0] * (len(first) + len(second) - 1 if first and second else 0)
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            product[i + j] += a * b
    return tuple(product)
