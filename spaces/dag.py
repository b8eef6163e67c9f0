"""Small directed acyclic graphs up to isomorphism: the cells of FaDE (FaDE 2.4)."""

import operator
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, ClassVar

import networkx as nx

from spaces.candidates import Candidate
from spaces.errors import InvalidInput, require

INPUT = "INPUT"
OUTPUT = "OUTPUT"
MAX_VERTICES = 10
"""Largest graph a `Dag` holds; the canonical order of some larger graphs would take seconds."""
MAX_ENUMERATED = 6
"""Largest vertex count whose graphs are enumerated; 7 vertices already have 243,668."""

Edges = tuple[tuple[int, int], ...]

_CODE = re.compile(r"([1-9][0-9]?)\.(0|[1-9a-f][0-9a-f]*)")


@dataclass(frozen=True)
class Dag(Candidate, kind=""):
    """A directed acyclic graph on `n` unlabelled vertices; isomorphic graphs compare equal.

    Any acyclic labelling may be given, each edge `(source, target)` any number of times. The graph
    relabels itself to its canonical order: of all topological orders, the one whose columns
    (predecessors of vertex v, as the number sum of 2^u) are lexicographically smallest. This order
    is sorted by depth, sources first. Vertex v of every graph stands for vertex v of
    `complete_dag`, so that isomorphic draws share the same weights of a hyper-cell (FaDE 2.2).

    InvalidInput for no vertex or more than `MAX_VERTICES`, an edge outside 0..n-1, a self-loop, a
    cycle.
    """

    size_name: ClassVar = "the number of their operations"
    n: int
    edges: Edges = ()
    """Sorted pairs u < v in canonical labels."""

    def __post_init__(self) -> None:
        n, edges = _checked(self.n, self.edges)
        object.__setattr__(self, "n", n)
        object.__setattr__(self, "edges", _canonical_edges(n, edges))

    @property
    def bits(self) -> int:
        """The canonical adjacency as a number: columns v = 1..n-1 of v bits, the first on top."""
        number = 0
        for v, column in enumerate(_columns(self.n, self.edges)):
            number = number << v | column
        return number

    @property
    def code(self) -> str:
        """Vertex count and `bits` in hexadecimal, "5.1d5": safe in file names."""
        return f"{self.n}.{self.bits:x}"

    @classmethod
    def from_code(cls, code: str) -> "Dag":
        """The graph with this `code`. InvalidInput for malformed text, and for the code of a
        labelling that is not the canonical one.
        """
        match = _CODE.fullmatch(code)
        n, bits = (int(match[1]), int(match[2], 16)) if match else (0, 0)
        if not 1 <= n <= MAX_VERTICES or bits >> (n * (n - 1) // 2):
            raise InvalidInput(
                f"A graph code is a vertex count from 1 to {MAX_VERTICES}, a dot and n (n - 1) / 2 "
                "bits in lower-case hexadecimal without leading zeros, but got "
                f"{code!r}. Write it as `Dag(n, edges).code`: '3.5'."
            )
        dag = cls(n, tuple(_edges(bits >> (n * (n - 1) - v * (v + 1)) // 2 for v in range(n))))
        if dag.code != code:
            rule = f"A graph code must be the canonical one, but got {code!r}."
            raise InvalidInput(f"{rule} Write {dag.code!r} for this graph.")
        return dag

    def edits(self) -> dict[str, tuple["Dag", ...]]:
        """The graphs with one edge more, one less or one elsewhere, each once, sorted by `bits`."""
        rests = [tuple(other for other in self.edges if other != edge) for edge in self.edges]
        add, drop = set(_grown(self.n, self.edges)), {Dag(self.n, rest) for rest in rests}
        move = {dag for rest in rests for dag in _grown(self.n, rest)} - {self}
        return {"add": _sorted(add), "drop": _sorted(drop), "move": _sorted(move)}

    @property
    def sources(self) -> tuple[int, ...]:
        """Vertices without a predecessor, ascending: those fed by INPUT."""
        return tuple(sorted(set(range(self.n)) - {v for _, v in self.edges}))

    @property
    def sinks(self) -> tuple[int, ...]:
        """Vertices without a successor, ascending: those that feed OUTPUT; may be sources too."""
        return tuple(sorted(set(range(self.n)) - {u for u, _ in self.edges}))

    @property
    def operations(self) -> int:
        """One per edge and per sink, since only the edges from INPUT are free (FaDE 2.4)."""
        return len(self.edges) + len(self.sinks)

    @property
    def size(self) -> float:
        return self.operations

    @property
    def depth(self) -> int:
        """Vertices on the longest path, 1..n; as many operations lie between INPUT and OUTPUT."""
        length = [1] * self.n
        for u, v in self.edges:  # sorted by u, and u < v: length[u] is final when its edges come
            length[v] = max(length[v], length[u] + 1)
        return max(length)

    def embodiment(self) -> Any:
        """The cell as `networkx.DiGraph`, INPUT wired to sources, sinks to OUTPUT (FaDE 2.4)."""
        graph = nx.DiGraph()
        graph.add_nodes_from([INPUT, *range(self.n), OUTPUT])
        graph.add_edges_from(self.edges)
        graph.add_edges_from((INPUT, v) for v in self.sources)
        graph.add_edges_from((v, OUTPUT) for v in self.sinks)
        return graph


def _grown(n: int, edges: Edges) -> Iterator[Dag]:
    """The graphs with one edge more, but for those that would close a cycle."""
    reaches = [{v} for v in range(n)]
    for u, v in sorted(edges, reverse=True):  # u < v: what v reaches is complete
        reaches[u] |= reaches[v]
    for u in range(n):
        for v in range(n):
            if u not in reaches[v] and (u, v) not in edges:
                yield Dag(n, (*edges, (u, v)))


def complete_dag(n: int) -> Dag:
    """The graph with every edge u < v, G_max of a hyper-cell (FaDE 2.2)."""
    return Dag(n, tuple((u, v) for v in range(n) for u in range(v)))


@cache
def enumerate_dags(n: int) -> tuple[Dag, ...]:
    """All non-isomorphic DAGs with exactly `n` vertices, sorted by `bits`: 1, 2, 6, 31, 302, 5984
    (OEIS A003087). InvalidInput for `n` below 1 or above `MAX_ENUMERATED`.

    Every DAG with n vertices is one with n - 1 and a further sink, so extending each of those by
    every set of predecessors misses none.
    """
    remedy = "Choose a vertex count that is enumerated."
    require(1 <= n <= MAX_ENUMERATED, f"1 <= n <= {MAX_ENUMERATED}", remedy, n=n)
    if n == 1:
        return (Dag(1),)
    sink = n - 1
    grown = {
        Dag(n, dag.edges + tuple((u, sink) for u in range(sink) if column >> u & 1))
        for dag in enumerate_dags(n - 1)
        for column in range(1 << sink)
    }
    return _sorted(grown)


def _sorted(dags: Iterable[Dag]) -> tuple[Dag, ...]:
    return tuple(sorted(dags, key=lambda dag: dag.bits))


def catalogue(min_vertices: int, max_vertices: int) -> tuple[Dag, ...]:
    """All non-isomorphic DAGs with `min_vertices` to `max_vertices` vertices, by count, then
    `bits`; 339 for 3..5. InvalidInput for a range that is empty or not enumerated.
    """
    holds = 1 <= min_vertices <= max_vertices <= MAX_ENUMERATED
    rule = f"1 <= min_vertices <= max_vertices <= {MAX_ENUMERATED}"
    remedy = "Choose such a range; the paper's largest graphs have 5 vertices."
    require(holds, rule, remedy, min_vertices=min_vertices, max_vertices=max_vertices)
    return tuple(dag for n in range(min_vertices, max_vertices + 1) for dag in enumerate_dags(n))


def _checked(n: int, edges: Iterable[tuple[int, int]]) -> tuple[int, frozenset[tuple[int, int]]]:
    try:
        n = operator.index(n)
        pairs = frozenset((operator.index(u), operator.index(v)) for u, v in edges)
    except (TypeError, ValueError):
        rule = "A graph is a vertex count and pairs (source, target) of vertex numbers"
        remedy = "Write it as `Dag(3, ((0, 1), (1, 2)))`."
        raise InvalidInput(f"{rule}, but got {n=}, {edges=}. {remedy}") from None
    remedy = "Choose a number of vertices in this range."
    require(1 <= n <= MAX_VERTICES, f"1 <= n <= {MAX_VERTICES}", remedy, n=n)
    for u, v in sorted(pairs):
        if not (0 <= u < n and 0 <= v < n):
            rule = f"Edges of a graph with {n=} join vertices 0 to {n - 1}, but got {(u, v)}."
            raise InvalidInput(f"{rule} Renumber its vertices or raise n.")
        if u == v:
            rule = "An edge joins two different vertices, but got the self-loop"
            raise InvalidInput(f"{rule} {(u, v)}. Leave it out.")
    return n, pairs


def _edges(columns: Iterable[int]) -> Iterator[tuple[int, int]]:
    """The inverse of `_columns`; further bits of a column are left out."""
    for v, column in enumerate(columns):
        yield from ((u, v) for u in range(v) if column >> u & 1)


def _columns(n: int, edges: Iterable[tuple[int, int]]) -> list[int]:
    """Per vertex, its predecessors as the number sum of 2^u."""
    columns = [0] * n
    for u, v in edges:
        columns[v] |= 1 << u
    return columns


@lru_cache(maxsize=1 << 16)
def _canonical_edges(n: int, edges: frozenset[tuple[int, int]]) -> Edges:
    """In canonical labels: place vertex after vertex, keep each order of the smallest columns."""
    before = _columns(n, edges)
    after = _columns(n, ((v, u) for u, v in edges))
    # twins (same predecessors and successors) are interchangeable: placed in ascending order only
    twins = [
        sum(1 << u for u in range(v) if (before[u], after[u]) == (before[v], after[v]))
        for v in range(n)
    ]
    columns: list[int] = []
    ties: list[tuple[int, ...]] = [()]  # orders placed so far, all with the same `columns`
    for _ in range(n):
        best, ties = _extend(ties, before, twins)
        if not ties:
            cycle = " -> ".join(str(u) for u, _ in nx.find_cycle(nx.DiGraph(list(edges))))
            rule, closed = "The edges of a Dag must not close a cycle", cycle.split()[0]
            remedy = "Turn or drop one of these edges."
            raise InvalidInput(f"{rule}, but {cycle} -> {closed} does. {remedy}")
        columns.append(best)
    return tuple(sorted(_edges(columns)))


def _extend(
    ties: list[tuple[int, ...]], before: list[int], twins: list[int]
) -> tuple[int, list[tuple[int, ...]]]:
    """The smallest next column over all `ties`, and every order that has it (none: a cycle)."""
    best = 1 << len(before)  # above every column
    longer: list[tuple[int, ...]] = []
    for order in ties:
        placed = sum(1 << v for v in order)
        for v, needed in enumerate(before):
            if placed >> v & 1 or (needed | twins[v]) & ~placed:
                continue
            column = sum(1 << position for position, u in enumerate(order) if needed >> u & 1)
            if column < best:
                best, longer = column, []
            if column == best:
                longer.append((*order, v))
    return best, longer
