from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from searches import evolution_search

from searchers import EvolutionSearch, Outcome, Proposal
from searchers.evolution import edited, moved_box, mutated
from spaces import nasbench_macro
from spaces.dag import Dag
from spaces.errors import InvalidInput
from spaces.feature_space import FeatureSpace, GraphSpace

unhurried = settings(deadline=None, max_examples=50)


@cache
def graphs() -> GraphSpace:
    return GraphSpace.create()


@cache
def blocks() -> FeatureSpace:
    return nasbench_macro.space()


def larger(proposal: Proposal) -> float:
    return float(np.mean([graphs().embed(row[0]).mean() for row in proposal.hyper.rows]))


def drive(searcher: EvolutionSearch, accuracy: Any = larger, broken: Any = ()) -> list[Proposal]:
    asked = []
    while (proposal := searcher.ask()) is not None:
        asked.append(proposal)
        failed = proposal.index in broken
        searcher.tell(
            proposal.id,
            Outcome.failed("crashed", "broken") if failed else Outcome(score=accuracy(proposal)),
        )
    return asked


def changed(parent: Proposal, child: Proposal) -> int:
    """Number of rows that differ."""
    return sum(a != b for a, b in zip(parent.hyper.rows, child.hyper.rows, strict=True))


# --- mutations


@unhurried
@given(cell=st.integers(0, 338), seed=st.integers(0, 2**32))
def test_a_mutant_is_another_cell_of_the_space(cell: int, seed: int) -> None:
    parent = graphs().cells[cell]
    child = mutated(graphs(), parent, np.random.default_rng(seed))
    assert child in graphs().cells
    assert child != parent


@unhurried
@given(cell=st.integers(0, 338), seed=st.integers(0, 2**32))
def test_an_edit_is_one_edge_and_a_moved_box_is_another_box(cell: int, seed: int) -> None:
    parent, rng = graphs().cells[cell], np.random.default_rng(seed)
    edit = edited(graphs(), parent, rng)
    assert isinstance(parent, Dag)
    assert any(edit in cells for cells in parent.edits().values())
    moved = moved_box(graphs(), parent, rng)
    assert moved is not None
    assert not graphs().same_box(graphs().embed(moved), graphs().embed(parent))


def test_a_box_moves_by_one_bin_where_no_box_is_empty() -> None:
    rng = np.random.default_rng(0)
    reached = [
        {moved_box(blocks(), block, rng) for _ in range(50)} for block in nasbench_macro.BLOCKS
    ]
    small, middle, large = nasbench_macro.BLOCKS
    assert reached == [{middle}, {small, large}, {middle}]


def test_kinds_of_edits_are_drawn_alike_however_many_edits_they_have() -> None:
    parent = Dag(5, ((0, 1), (1, 2), (2, 3), (3, 4)))
    kinds = parent.edits()
    assert len({len(cells) for cells in kinds.values()}) > 1
    rng = np.random.default_rng(1)
    drawn = [edited(graphs(), parent, rng) for _ in range(600)]
    for cells in kinds.values():  # no graph is of two kinds: they differ in their number of edges
        assert sum(cell in cells for cell in drawn) / 600 == pytest.approx(
            1 / 3, abs=4 * np.sqrt(2 / 9 / 600)
        )


def test_an_edit_stays_in_the_space() -> None:
    whole, rng = graphs(), np.random.default_rng(2)
    chain = Dag(3, ((0, 1), (1, 2)))
    empty = Dag(3)
    single = Dag(3, ((0, 1),))
    two = GraphSpace((chain, single), whole.feature_map, whole.bins)
    assert {edited(two, chain, rng) for _ in range(20)} == {single}
    assert edited(GraphSpace((chain, empty), whole.feature_map, whole.bins), chain, rng) is None
    assert {
        mutated(GraphSpace((chain,), whole.feature_map, whole.bins), chain, rng) for _ in range(20)
    } == {chain}


def test_both_mutations_are_used_alike() -> None:
    """Of the middle block both lead to the others; of the smallest one, only the edit leads to the
    largest.
    """
    small, _, large = nasbench_macro.BLOCKS
    rng = np.random.default_rng(3)
    share = np.mean([mutated(blocks(), small, rng) == large for _ in range(4000)])
    assert share == pytest.approx(1 / 4, abs=4 * np.sqrt(3 / 16 / 4000))


# --- the search


def test_random_trials_first_then_children_of_the_population_that_differ_in_one_row() -> None:
    searcher = evolution_search(graphs(), 3, 7, population=6, tournament=2, batch=4, seed=1)
    asked = drive(searcher)
    assert [p.iteration for p in asked] == [1] * 6 + [2 + i // 4 for i in range(22)]
    assert all(p.points for p in asked[:6])
    for child in asked[6:]:
        before = [p for p in asked if p.iteration < child.iteration][-6:]
        assert min(changed(parent, child) for parent in before) <= 1
        assert child.points == ()


def test_the_oldest_die_however_good_they_are() -> None:
    searcher = evolution_search(graphs(), 2, 20, population=4, tournament=4, seed=1)
    asked = drive(searcher, lambda p: 1.0 if p.index == 0 else 0.5)
    assert [hyper for hyper, _ in searcher.population_scored] == [p.hyper for p in asked[-4:]]
    assert searcher.best == (asked[0].hyper, 1.0)


def test_the_best_of_a_tournament_breeds() -> None:
    """One outstanding member: it wins the share 1 - (1 - 1/P)^S of tournaments drawn with
    replacement.
    """
    shares = []
    for seed in range(300):
        searcher = evolution_search(graphs(), 6, 9, population=8, tournament=3, seed=seed)
        asked = drive(searcher, lambda p: 1.0 if p.index == 3 else 0.5)
        shares.append(changed(asked[3], asked[8]) == 1)
    p = 1 - (1 - 1 / 8) ** 3
    assert np.mean(shares) == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / 300))


def test_what_failed_has_no_children_and_without_a_success_it_goes_on_at_random() -> None:
    searcher = evolution_search(graphs(), 3, 12, population=3, tournament=1, max_retries=0, seed=5)
    asked = drive(searcher, broken=(0, 1, 2, 3, 5))
    assert [bool(p.points) for p in asked] == [True] * 5 + [False] * 7
    assert changed(asked[4], asked[5]) == changed(asked[4], asked[6]) == 1
    assert [hyper for hyper, _ in searcher.population_scored] == [p.hyper for p in asked[-3:]]


def test_it_ends_better_than_it_began() -> None:
    """A planted optimum and noisy accuracies: the last ten of 60 trials against the first, random
    ten.
    """
    optimum = np.array([0.2, 0.8, 1.0])

    def closeness(proposal: Proposal) -> float:
        return float(
            1
            - np.mean(
                [np.linalg.norm(graphs().embed(row[0]) - optimum) for row in proposal.hyper.rows]
            )
        )

    def accuracy(proposal: Proposal) -> float:
        return float(
            np.clip(
                closeness(proposal) + np.random.default_rng(proposal.seed).normal(0, 0.01), 0, 1
            )
        )

    for seed in range(5):
        scores = [
            closeness(p) for p in drive(evolution_search(graphs(), 4, 60, seed=seed), accuracy)
        ]
        assert np.mean(scores[-10:]) > np.mean(scores[:10]) + 0.15


def test_all_of_nasbench_macro_can_be_reached_by_children() -> None:
    asked = drive(evolution_search(blocks(), 2, 200, seed=0), lambda p: 0.5)
    assert len({p.hyper for p in asked}) == 9


WRONG: list[dict[str, Any]] = [
    *(
        {name: 0}
        for name in (
            "depth",
            "iterations",
            "population",
            "tournament",
            "batch",
            "evaluation_epochs",
        )
    ),
    {"population": 21},
    {"tournament": 11},
    {"iterations": 9},
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_wrong_arguments_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(wrong))):
        evolution_search(graphs(), **({"depth": 2, "iterations": 20} | wrong))
