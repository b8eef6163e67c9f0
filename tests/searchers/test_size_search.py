"""The largest first: every architecture once, in an order that ignores what it is told."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from searches import size_search

from searchers import Outcome
from searchers.size_search import largest_first, sorted_sums
from spaces import HyperArchitecture, nasbench_cell, nasbench_macro
from spaces.candidates import Candidate
from spaces.errors import InvalidInput
from spaces.feature_space import FeatureSpace, GraphSpace
from spaces.features import Feature


def order(
    space: FeatureSpace, depth: int, seed: int = 0, trials: int = 1000, accuracy: float = 0.5
) -> list[str]:
    """The codes of all architectures that are asked for, in that order."""
    search = size_search(space, depth, trials, seed=seed)
    codes = []
    while (proposal := search.ask()) is not None:
        codes.append(proposal.hyper.code())
        search.tell(proposal.id, Outcome(score=accuracy))
    return codes


def test_every_architecture_once_the_largest_first() -> None:
    codes = order(nasbench_macro.space(), depth=3)
    sizes = [sum(int(row[-1]) for row in code.split("/")) for code in codes]
    assert sizes == sorted(sizes, reverse=True)
    expected = {"/".join(f"block.{n}" for n in numbers) for numbers in product(range(3), repeat=3)}
    assert len(codes) == len(expected)
    assert set(codes) == expected


def test_the_seed_draws_the_order_within_a_size_and_no_outcome_changes_it() -> None:
    space = nasbench_macro.space()
    assert (
        order(space, 4, seed=1) == order(space, 4, seed=1, accuracy=0.9) != order(space, 4, seed=2)
    )
    assert order(space, 4, trials=5) == order(space, 4)[:5]


def test_cells_of_nasbench201_are_ordered_as_their_parameters_do() -> None:
    """Parameters of one cell with C channels: C^2 (9 n3 + n1) + 2 C (n3 + n1), from the definition
    of its convolutions.
    """
    space = nasbench_cell.space()
    size = np.array([cell.size for cell in space.cells])
    three, one = (
        np.array([nasbench_cell.CELL_FEATURES[n].raw(c) for c in space.cells])
        for n in ("conv_3x3", "conv_1x1")
    )
    parameters = 16**2 * (9 * three + one) + 2 * 16 * (three + one)
    ranks = np.unique(parameters, return_inverse=True)[1]
    assert (np.unique(size, return_inverse=True)[1] == ranks).all()


def test_spaces_too_large_to_be_put_into_order_are_walked_from_the_top() -> None:
    space = GraphSpace.create()
    codes = order(space, depth=6, trials=200)
    sizes = [sum(row[0].size for row in HyperArchitecture.from_code(code).rows) for code in codes]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(codes)) == 200
    assert sizes[0] == 6 * max(cell.size for cell in space.cells)
    assert codes == order(space, depth=6, trials=200) != order(space, depth=6, trials=200, seed=1)


@settings(deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=4), min_size=1, max_size=4),
    st.integers(0, 9),
)
def test_both_orders_have_every_architecture_once_by_falling_sums(
    sizes: list[list[int]], seed: int
) -> None:
    rows = [np.array(row, float) for row in sizes]
    both = []
    for order in (sorted_sums, largest_first):
        both.append([*order(rows, np.random.default_rng(seed))])
    sums = [[sum(r[i] for r, i in zip(rows, p, strict=True)) for p in places] for places in both]
    assert sums[0] == sums[1] == sorted(sums[0], reverse=True)
    assert set(both[0]) == set(both[1]) == set(product(*(range(len(row)) for row in rows)))


def test_what_has_no_size_is_refused() -> None:
    cells = [Unsized(number) for number in range(3)]
    feature = {"number": Feature(lambda cell: cell.number, True, "its number")}
    space = FeatureSpace.over(cells, ["number"], feature)
    with pytest.raises(InvalidInput, match="Unsized has none"):
        size_search(space, depth=1, iterations=3)


@dataclass(frozen=True)
class Unsized(Candidate):
    number: int

    @property
    def code(self) -> str:
        return f"unsized.{self.number}"

    def edits(self) -> dict[str, tuple[Candidate, ...]]:
        return {}
