"""CellSpace and Macro: sizes against enumeration, narrowing, genotypes, layouts, JSON."""

import json
from itertools import combinations, product
from math import prod

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spaces import NONE, STACKINGS, CellSpace, InvalidInput, Macro, Position

untimed = settings(deadline=None, max_examples=60)  # a busy machine is not a failure
OPS = (NONE, "skip_connect", "sep_conv_3x3", "max_pool_3x3")


@st.composite
def masks(draw, space):
    flat = draw(st.lists(st.booleans(), min_size=space.mask.size, max_size=space.mask.size))
    return np.array(flat).reshape(space.mask.shape)


@st.composite
def cell_spaces(draw, nodes=5):
    """Some edges, some operations, something masked."""
    inputs = draw(st.integers(1, 2))
    last = draw(st.integers(inputs + 1, nodes))
    every = [(u, v) for v in range(inputs, last) for u in range(v)]
    edges = draw(st.lists(st.sampled_from(every), min_size=1, unique=True))
    ops = draw(st.lists(st.sampled_from(OPS), min_size=1, unique=True))
    space = CellSpace.create(
        inputs, last, ops, edges=edges, keep=draw(st.sampled_from([None, 1, 2]))
    )
    return space.narrowed(draw(masks(space)))


def enumerated(space):
    """The number of genotypes by listing them: the choices of edges of every node times those of
    their operations.
    """
    allowed = [[op for op, on in zip(space.ops, row, strict=True) if on] for row in space.allowed]
    if space.keep is None:
        return prod(max(1, len(ops)) for ops in allowed)
    total = 1
    for node in range(space.inputs, space.nodes):
        choices = [[op for op in allowed[i] if op != NONE] for i in space.incoming(node)]
        edges = [ops for ops in choices if ops]
        total *= len(
            [
                ops
                for chosen in combinations(edges, min(space.keep, len(edges)))
                for ops in product(*chosen)
            ]
        )
    return total


@untimed
@given(cell_spaces())
def test_size_counts_the_genotypes(space):
    assert space.size == enumerated(space)


@untimed
@given(cell_spaces(), st.data())
def test_narrowing_never_grows(space, data):
    narrow = space.narrowed(data.draw(masks(space)))
    assert narrow <= space
    assert narrow.size <= space.size
    assert (narrow.mask <= space.mask).all()
    assert space.narrowed(space.mask) == space


@untimed
@given(cell_spaces(nodes=4), st.data())
def test_narrowing_is_a_partial_order_with_meets(space, data):
    first, second = (space.narrowed(data.draw(masks(space))) for _ in range(2))
    meet = first.narrowed(second.mask)
    assert space <= space
    assert (first <= second and second <= first) == (first == second)
    assert meet <= first
    assert meet <= second
    assert meet == second.narrowed(first.mask)
    below = meet.narrowed(data.draw(masks(space)))
    assert below <= first <= space
    assert below <= space  # transitive


@untimed
@given(cell_spaces(), st.data())
def test_a_discrete_space_is_its_genes(space, data):
    mask = np.zeros_like(space.mask)
    for node in range(space.inputs, space.nodes):
        edges = [i for i in space.incoming(node) if space.mask[i].any()]
        for i in edges[: space.keep]:
            mask[i, data.draw(st.sampled_from(list(np.flatnonzero(space.mask[i]))))] = True
    genotype = space.narrowed(mask)
    assert genotype.is_discrete
    assert genotype.size == 1
    assert [(g.source, g.target) for g in genotype.genes] == [
        e for e, row in zip(space.edges, mask, strict=True) if row.any()
    ]
    assert space.genotype(genotype.genes) == genotype
    assert space.genotype(iter(genotype.genes)) == genotype


def test_edges_that_repeat_carry_an_operation_each():
    space = CellSpace.create(1, 3, OPS, edges=[(0, 1), (0, 2), (0, 2), (0, 2), (1, 2)], keep=2)
    assert space.edge_names == ("0-1", "0-2", "0-2-2", "0-2-3", "1-2")
    twice = space.genotype([(0, 2, "max_pool_3x3"), (0, 2, "max_pool_3x3")])
    assert twice.is_discrete
    assert list(twice.named_genes) == ["0-2", "0-2-2"]
    assert twice.genes == ((0, 2, "max_pool_3x3"),) * 2
    assert CellSpace.from_dict(json.loads(json.dumps(twice.to_dict()))) == twice
    assert space.size == 3 * (6 * 3**2)  # two of the four edges into node 2
    with pytest.raises(InvalidInput, match="`keep` edges per node"):
        space.genotype([(0, 2, "max_pool_3x3")] * 3)


@untimed
@given(cell_spaces())
def test_json_both_ways(space):
    assert CellSpace.from_dict(json.loads(json.dumps(space.to_dict()))) == space
    assume(space.inputs == 1)
    macro = Macro({"cell": space}, "nasbench201", 3)
    assert Macro.from_dict(json.loads(json.dumps(macro.to_dict()))) == macro


def test_a_choice_left_is_not_a_genotype():
    space = CellSpace.create(2, 4, OPS, keep=2)
    two_operations = np.zeros_like(space.mask)
    two_operations[0, :2] = True
    three_edges = np.zeros_like(space.mask)
    three_edges[list(space.incoming(3)), 1] = True
    for mask in (two_operations, three_edges):
        assert not space.narrowed(mask).is_discrete
        with pytest.raises(InvalidInput, match="Discretise the space first"):
            _ = space.narrowed(mask).genes


@pytest.mark.parametrize(
    ("genes", "words"),
    [
        ([(0, 2, "sep_conv")], "got 'sep_conv' on 0 -> 2"),
        ([(2, 1, "skip_connect")], "2 -> 1"),
        ([(0, 2, "skip_connect"), (0, 2, "sep_conv_3x3")], "one operation per edge"),
        ([(u, 3, "skip_connect") for u in range(3)], "`keep` edges per node"),
        (iter([(1, 2, "skip_connect")]), r"genes=\[\(1, 2, 'skip_connect'\)\]"),
    ],
)
def test_bad_genes_are_refused(genes, words):
    space = CellSpace.create(2, 4, OPS, keep=2)
    mask = space.mask
    mask[space.edges.index((1, 2))] = False
    with pytest.raises(InvalidInput, match=words):
        space.narrowed(mask).genotype(genes)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"inputs": 4}, "1 <= inputs < nodes"),
        ({"ops": ["none", "none", "a", "b"]}, "named once"),
        ({"edges": [[1, 2], [0, 2], [0, 3], [1, 3], [2, 3]]}, "sorted by target"),
        ({"edges": [[0, 2], [1, 2], [0, 3], [1, 3], [3, 3]]}, "source < target"),
        ({"allowed": [[True] * 4] * 4}, "Give one row per edge"),
        ({"outputs": [4]}, "outputs are nodes"),
        ({"outputs": []}, "at least one node"),
        ({"keep": 0}, "keep >= 1"),
        ({"edges": None}, "A cell needs inputs"),
        ({"inputs": "two"}, "A cell needs inputs"),
    ],
)
def test_a_broken_rule_in_json_is_named_itself(change, words):
    data = CellSpace.create(2, 4, OPS, keep=2).to_dict() | change
    with pytest.raises(InvalidInput, match=words) as caught:
        CellSpace.from_dict(data)
    assert "InvalidInput" not in str(caught.value)  # not wrapped in another message


def test_another_shape_of_mask_is_refused():
    with pytest.raises(InvalidInput, match=r"Give one row per edge"):
        CellSpace.create(2, 4, OPS).narrowed(np.ones((3, 4), dtype=bool))


@pytest.mark.parametrize(
    ("depth", "reductions"),
    [(8, {2, 5}), (14, {4, 9}), (20, {6, 13}), (11, {3, 7}), (17, {5, 11}), (5, {1, 3})],
)
def test_reduction_cells_stand_at_a_third_and_two_thirds(depth, reductions):
    shared, unshared = STACKINGS["darts"].layout(depth), STACKINGS["unshared"].layout(depth)
    assert {i for i, place in enumerate(shared) if place.reduction} == reductions
    assert {i for i, place in enumerate(unshared) if place.reduction} == reductions
    assert {i for i, place in enumerate(shared) if place.kind == "reduce"} == reductions
    assert len({place.kind for place in unshared}) == depth == len(shared)


def test_nasbench201_has_three_stages_and_two_residual_blocks():
    layout = STACKINGS["nasbench201"].layout(15)
    assert len(layout) == 17
    assert [i for i, place in enumerate(layout) if place == Position("residual", True)] == [5, 11]
    assert set(layout) == {Position("cell", False), Position("residual", True)}
    with pytest.raises(InvalidInput, match="multiple of 3"):
        STACKINGS["nasbench201"].layout(8)


def test_a_macro_needs_a_cell_of_every_kind():
    one, two = CellSpace.create(1, 4, OPS), CellSpace.create(2, 4, OPS)
    with pytest.raises(InvalidInput, match=r"missing=\['reduce'\]"):
        Macro({"normal": two}, "darts", 8)
    with pytest.raises(InvalidInput, match=r"same number of inputs.*Build all of them"):
        Macro({"normal": two, "reduce": one}, "darts", 8)
    with pytest.raises(InvalidInput, match="Did you mean 'darts'"):
        Macro({"normal": two, "reduce": two}, "dart", 8)
    with pytest.raises(InvalidInput, match="1 <= depth"):
        Macro({"normal": two, "reduce": two}, "darts", 0)


def test_a_macro_is_ordered_and_sized_by_its_cells():
    full = CellSpace.create(2, 4, OPS, keep=2)
    macro = Macro({"normal": full, "reduce": full}, "darts", 8)
    narrow = full.narrowed(np.arange(full.mask.size).reshape(full.mask.shape) % 4 == 1)
    assert macro.with_cells({"normal": narrow, "reduce": full}) <= macro
    assert not macro <= macro.with_cells({"normal": narrow, "reduce": full})
    assert macro.size == full.size**2
    assert macro.at_depth(20).cells == macro.cells
    assert not macro.with_cells({"normal": full.genotype([]), "reduce": full}).is_discrete


@given(low=st.integers(3, 20), high=st.integers(3, 20))
def test_unshared_cells_find_a_place_in_a_higher_stack_in_their_order(low, high):
    ops = tuple(f"op{number}" for number in range(20))
    full = CellSpace.create(2, 4, ops, keep=2)

    def only(number):
        return full.narrowed(np.arange(20)[None] == np.full((len(full.edges), 1), number))

    cells = {f"cell{number}": only(number) for number in range(low)}
    macro = Macro(cells, "unshared", low).at_depth(high)
    assert list(macro.cells) == [place.kind for place in macro.layout]
    order = [cell.allowed[0].index(True) for cell in macro.cells.values()]
    if high <= low:
        assert order == list(range(high))
    elif low >= 5:  # each section of the stack has cells
        assert order == sorted(order)
        assert set(order) == set(range(low))
        reducing = [place.reduction for place in Macro(cells, "unshared", low).layout]
        assert [reducing[number] for number in order] == [p.reduction for p in macro.layout]


@pytest.mark.parametrize(
    "data", [{}, [], {"format": "other"}, {"format": "fade_ray.cells/1", "cells": []}, None]
)
def test_json_of_something_else_is_refused(data):
    with pytest.raises(InvalidInput, match="format"):
        Macro.from_dict(data)
