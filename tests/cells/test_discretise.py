"""Discretisers: only ever narrower, the published rules on cases worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fade_ray.cells.discretise import (
    DISCRETISERS,
    Learned,
    Whole,
    best_edge_pairs,
    best_op,
    top_edges,
)
from fade_ray.nn.relaxations import edge_pairs
from spaces.cell import CellSpace
from spaces.darts import SPACES

OPS = ("none", "skip_connect", "sep_conv_3x3")
SPACE = CellSpace.create(2, 4, OPS, keep=2)  # edges 0>2, 1>2, 0>3, 1>3, 2>3
WHOLE = CellSpace.create(1, 4, OPS)


def random(space: CellSpace, seed: int) -> Learned:
    rng = np.random.default_rng(seed)
    edges = len(space.edges)
    return Learned(
        np.where(space.mask, rng.random((edges, len(space.ops))), 0.0), None, rng.random(edges**2)
    )


WIDENING = {"representatives", "activate-groups"}
"""They start from the whole space again; see test_groups.py."""


@pytest.mark.parametrize("name", sorted(DISCRETISERS.keys() - WIDENING))
@given(seed=st.integers(0, 2**31 - 1), which=st.sampled_from(sorted(SPACES)))
@settings(max_examples=30, deadline=None)
def test_discretising_only_narrows(name: str, seed: int, which: str) -> None:
    space = next(iter(SPACES[which].macro.cells.values()))
    smaller = DISCRETISERS[name](random(space, seed), space, Whole(space))
    assert smaller <= space
    again = DISCRETISERS[name](random(space, seed), smaller, Whole(space))
    assert again == smaller


@given(seed=st.integers(0, 2**31 - 1))
@settings(max_examples=30, deadline=None)
def test_top_edges_gives_a_genotype_of_two_edges_per_node_without_none(seed: int) -> None:
    space = SPACES["darts"].macro.cells["normal"]
    found = top_edges(random(space, seed), space, Whole(space))
    assert found.is_discrete
    assert found.size == 1
    targets = [gene.target for gene in found.genes]
    assert targets == [2, 2, 3, 3, 4, 4, 5, 5]
    assert "none" not in {gene.op for gene in found.genes}


def test_the_best_edges_are_those_of_the_best_operation_none_apart() -> None:
    weights = np.array(
        [[0.9, 0.05, 0.05], [0.1, 0.4, 0.5], [0.8, 0.1, 0.1], [0.2, 0.3, 0.5], [0.0, 0.9, 0.1]]
    )
    found = top_edges(Learned(weights, None, np.empty(0)), SPACE, Whole(SPACE))
    assert [tuple(gene) for gene in found.genes] == [
        (0, 2, "skip_connect"),  # a tie of the operations goes to the first
        (1, 2, "sep_conv_3x3"),
        (1, 3, "sep_conv_3x3"),
        (2, 3, "skip_connect"),
    ]


def test_ties_between_edges_go_to_the_lower_node() -> None:
    found = top_edges(Learned(np.full((5, 3), 1 / 3), None, np.empty(0)), SPACE, Whole(SPACE))
    assert [(gene.source, gene.target) for gene in found.genes] == [(0, 2), (1, 2), (0, 3), (1, 3)]


def test_edge_factors_weigh_in() -> None:
    weights = np.full((5, 3), 1 / 3)
    found = top_edges(
        Learned(weights, np.array([1, 1, 0.1, 0.5, 0.4]), np.empty(0)), SPACE, Whole(SPACE)
    )
    assert [(gene.source, gene.target) for gene in found.genes if gene.target == 3] == [
        (1, 3),
        (2, 3),
    ]


def test_none_is_a_choice_where_no_edge_is_dropped() -> None:
    weights = np.zeros((6, 3))
    weights[:, 0] = 1
    assert {
        gene.op for gene in best_op(Learned(weights, None, np.empty(0)), WHOLE, Whole(WHOLE)).genes
    } == {"none"}
    assert {
        gene.op
        for gene in top_edges(Learned(weights, None, np.empty(0)), WHOLE, Whole(WHOLE)).genes
    } == {"none"}


def test_the_heaviest_pair_of_edges_stays_with_all_its_operations() -> None:
    pairs = edge_pairs(SPACE)
    logits = np.zeros(len(pairs))
    logits[pairs.index((2, 4))] = 1.0  # edges 0>3 and 2>3
    found = best_edge_pairs(Learned(np.ones((5, 3)), None, logits), SPACE, Whole(SPACE))
    assert [bool(any(row)) for row in found.allowed] == [True, True, True, False, True]
    assert found.allowed[2] == SPACE.allowed[2]
    weights = np.random.default_rng(0).random((5, 3))
    assert best_op(Learned(weights, None, logits), found, Whole(SPACE)).is_discrete
