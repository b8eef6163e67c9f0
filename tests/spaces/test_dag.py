"""Dag: canonical form, codes, counts, embodiment; against OEIS A003087 and the isomorphism test of
networkx.
"""

from collections import Counter
from itertools import combinations, permutations

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spaces import INPUT, OUTPUT, Dag, InvalidInput, catalogue, complete_dag, enumerate_dags
from spaces.dag import MAX_VERTICES

untimed = settings(deadline=None)  # a busy machine is not a failure


@st.composite
def labelled_dags(draw, max_vertices=7):
    """A vertex count and acyclic edges whose labels need not be in topological order."""
    n = draw(st.integers(1, max_vertices))
    pairs = list(combinations(range(n), 2))
    kept = draw(st.lists(st.booleans(), min_size=len(pairs), max_size=len(pairs)))
    label = draw(st.permutations(range(n)))
    return n, tuple((label[u], label[v]) for (u, v), keep in zip(pairs, kept, strict=True) if keep)


def digraph(n, edges):
    graph = nx.DiGraph()
    graph.add_nodes_from(range(n))
    graph.add_edges_from(edges)
    return graph


@untimed
@given(labelled_dags(), st.data())
def test_relabelling_gives_the_same_dag(labelled, data):
    n, edges = labelled
    label = data.draw(st.permutations(range(n)))
    relabelled = data.draw(st.permutations([(label[u], label[v]) for u, v in edges]))
    a, b = Dag(n, edges), Dag(n, tuple(relabelled))
    assert a == b
    assert hash(a) == hash(b)
    assert a.code == b.code


@untimed
@given(labelled_dags())
def test_the_canonical_graph_is_isomorphic_to_the_given_one_and_in_topological_order(labelled):
    n, edges = labelled
    dag = Dag(n, edges)
    assert nx.is_isomorphic(digraph(n, edges), digraph(dag.n, dag.edges))
    assert all(u < v for u, v in dag.edges)
    assert dag.edges == tuple(sorted(dag.edges))


@untimed
@given(labelled_dags(max_vertices=5))
def test_the_canonical_order_has_the_smallest_bits_of_all_topological_orders(labelled):
    n, edges = labelled
    relabellings = [[(label[u], label[v]) for u, v in edges] for label in permutations(range(n))]
    topological = [pairs for pairs in relabellings if all(u < v for u, v in pairs)]
    assert Dag(n, edges).bits == min(upper_triangular_bits(n, pairs) for pairs in topological)


def upper_triangular_bits(n, edges):
    """Written apart from the code under test: text of columns 1..n-1, each from its highest row
    down.
    """
    return int(
        "0" + "".join("01"[(u, v) in edges] for v in range(n) for u in reversed(range(v))), 2
    )


@untimed
@given(labelled_dags())
def test_canonical_vertices_are_sorted_by_depth(labelled):
    dag = Dag(*labelled)
    level = [0] * dag.n
    for v in range(dag.n):
        level[v] = 1 + max((level[u] for u, w in dag.edges if w == v), default=0)
    assert level == sorted(level)
    assert dag.depth == max(level)


@untimed
@given(labelled_dags())
def test_code_round_trip_and_alphabet(labelled):
    dag = Dag(*labelled)
    assert Dag.from_code(dag.code) == dag
    assert set(dag.code) <= set("0123456789abcdef.")
    assert Dag(dag.n, dag.edges) == dag


@pytest.mark.parametrize(("n", "count"), [(1, 1), (2, 2), (3, 6), (4, 31), (5, 302), (6, 5984)])
def test_number_of_dags(n, count):
    dags = enumerate_dags(n)
    assert len(dags) == count
    assert {dag.n for dag in dags} == {n}
    assert [dag.bits for dag in dags] == sorted({dag.bits for dag in dags})


@pytest.mark.parametrize(("n", "count"), [(1, 1), (2, 1), (3, 4), (4, 24), (5, 267)])
def test_number_of_weakly_connected_dags(n, count):
    assert (
        sum(nx.is_weakly_connected(digraph(dag.n, dag.edges)) for dag in enumerate_dags(n)) == count
    )


def test_the_enumeration_is_that_of_all_labelled_graphs():
    """Every one of the 2^6 upper-triangular matrices on 4 vertices, one by one."""
    pairs = list(combinations(range(4), 2))
    found = {
        Dag(4, tuple(p for i, p in enumerate(pairs) if code >> i & 1))
        for code in range(2 ** len(pairs))
    }
    assert found == set(enumerate_dags(4))


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (3, {3: 4, 4: 2}),
        (4, {4: 9, 5: 11, 6: 9, 7: 2}),
        (5, {5: 20, 6: 50, 7: 86, 8: 82, 9: 46, 10: 16, 11: 2}),
    ],
)
def test_counts_by_number_of_operations(n, expected):
    assert Counter(dag.operations for dag in enumerate_dags(n)) == expected


def test_catalogue_sizes_and_order():
    assert len(catalogue(3, 5)) == 339
    assert len(catalogue(1, 5)) == 342
    assert catalogue(2, 3) == enumerate_dags(2) + enumerate_dags(3)


def test_complete_dag_contains_every_graph_in_canonical_order():
    complete = complete_dag(5)
    assert len(complete.edges) == 10
    assert complete.operations == 11
    assert all(set(dag.edges) <= set(complete.edges) for dag in catalogue(1, 5))


@untimed
@given(labelled_dags())
def test_embodiment_joins_input_and_output_to_every_vertex(labelled):
    dag = Dag(*labelled)
    cell = dag.embodiment()
    assert nx.is_directed_acyclic_graph(cell)
    assert not cell.has_edge(INPUT, OUTPUT)
    assert tuple(sorted(cell.successors(INPUT))) == dag.sources
    assert tuple(sorted(cell.predecessors(OUTPUT))) == dag.sinks
    assert nx.descendants(cell, INPUT) == {*range(dag.n), OUTPUT}
    assert nx.ancestors(cell, OUTPUT) == {*range(dag.n), INPUT}
    # operations: every edge except those from INPUT carries one; depth counts those of the longest
    # way
    assert dag.operations == cell.number_of_edges() - len(dag.sources)
    assert dag.depth == nx.dag_longest_path_length(cell) - 1


def test_an_isolated_vertex_is_a_source_and_a_sink():
    dag = Dag(3, ((2, 0),))
    assert dag.sources == (0, 1)
    assert dag.sinks == (1, 2)
    assert dag.edges == ((0, 2),)


def test_labels_of_other_integer_types_and_repeated_edges_are_accepted():
    assert Dag(3, [[0, 1], [0, 1], [1, 2]]) == Dag(3, ((0, 1), (1, 2)))


def test_many_symmetric_vertices_are_canonicalised():
    """10 interchangeable vertices stand in 10! orders; the rule for twins leaves one."""
    assert Dag(MAX_VERTICES).edges == ()
    fan = Dag(MAX_VERTICES, tuple((3, v) for v in range(MAX_VERTICES) if v != 3))
    assert fan.edges == tuple((0, v) for v in range(1, MAX_VERTICES))


@pytest.mark.parametrize(
    ("n", "edges", "words"),
    [
        (3, ((0, 1), (1, 2), (2, 0)), "cycle"),
        (2, ((0, 1), (1, 0)), "cycle"),
        (3, ((1, 1),), r"self-loop \(1, 1\)"),
        (3, ((0, 3),), r"\(0, 3\)"),
        (3, ((-1, 2),), r"\(-1, 2\)"),
        (0, (), "1 <= n"),
        (MAX_VERTICES + 1, (), "1 <= n"),
        (3, ((0, 1, 2),), "pairs"),
        (3, ((0, 1.5),), "pairs"),
        ("3", (), "pairs"),
    ],
)
def test_bad_graphs_are_refused(n, edges, words):
    with pytest.raises(InvalidInput, match=words):
        Dag(n, edges)


def test_the_message_shows_the_cycle_only():
    with pytest.raises(InvalidInput, match=r"but 1 -> 2 -> 1 does|but 2 -> 1 -> 2 does"):
        Dag(4, ((0, 1), (1, 2), (2, 1), (2, 3)))


@pytest.mark.parametrize(
    "code",
    [
        "",
        "5",
        "5.",
        ".3",
        "0.0",
        "3.8",
        "3.01",
        "3.G",
        "3.A",
        "11.0",
        "03.1",
        "-3.1",
        "3.1 ",
        "3,1",
        "3.1\n",
    ],
)
def test_malformed_codes_are_refused(code):
    with pytest.raises(InvalidInput, match="A graph code is"):
        Dag.from_code(code)


def test_the_code_of_another_labelling_is_refused_with_the_canonical_one():
    # 3 vertices with the one edge 0 -> 1: canonical puts the isolated vertex second, edge 0 -> 2
    assert Dag(3, ((0, 1),)).code == "3.1"
    with pytest.raises(InvalidInput, match=r"'3\.4'.*'3\.1'"):
        Dag.from_code("3.4")


@pytest.mark.parametrize("n", [0, 7])
def test_vertex_counts_that_are_not_enumerated_are_refused(n):
    with pytest.raises(InvalidInput, match=f"n={n}"):
        enumerate_dags(n)


@pytest.mark.parametrize(("low", "high"), [(4, 3), (0, 3), (3, 7)])
def test_bad_catalogue_ranges_are_refused(low, high):
    with pytest.raises(InvalidInput, match=f"min_vertices={low}, max_vertices={high}"):
        catalogue(low, high)
