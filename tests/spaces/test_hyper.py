"""HyperArchitecture: shape, duplicates, codes."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spaces import Dag, HyperArchitecture, InvalidInput, catalogue, enumerate_dags

untimed = settings(deadline=None)  # a busy machine is not a failure
A, B, C = enumerate_dags(3)[:3]


@st.composite
def hypers(draw):
    """Few different graphs, so that duplicates are common."""
    depth, width = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    pool = draw(st.lists(st.sampled_from(catalogue(1, 5)), min_size=1, max_size=4))
    row = st.lists(st.sampled_from(pool), min_size=width, max_size=width).map(tuple)
    return HyperArchitecture(tuple(draw(st.lists(row, min_size=depth, max_size=depth))))


@untimed
@given(hypers())
def test_shape_and_size(hyper):
    assert len(hyper.rows) == hyper.depth
    assert {len(row) for row in hyper.rows} == {hyper.width}
    assert hyper.size == sum(1 for _ in product(*hyper.rows))
    assert hyper.is_architecture == (hyper.size == 1)


@untimed
@given(hypers())
def test_distinct_and_places_rebuild_the_rows(hyper):
    distinct, places = hyper.distinct(), hyper.places()
    assert all(len(set(row)) == len(row) for row in distinct)
    rebuilt = tuple(
        tuple(cells[k] for k in row) for cells, row in zip(distinct, places, strict=True)
    )
    assert rebuilt == hyper.rows
    # order of first appearance: each place is at most one beyond all places before it
    assert all(k <= max(row[:j], default=-1) + 1 for row in places for j, k in enumerate(row))


@untimed
@given(hypers())
def test_code_round_trip(hyper):
    assert HyperArchitecture.from_code(hyper.code()) == hyper
    assert hash(HyperArchitecture.from_code(hyper.code())) == hash(hyper)


@untimed
@given(hypers(), st.data())
def test_an_architecture_takes_one_distinct_candidate_per_row(hyper, data):
    choice = [data.draw(st.integers(0, len(row) - 1)) for row in hyper.distinct()]
    architecture = hyper.architecture(choice)
    assert architecture.is_architecture
    assert architecture.depth == hyper.depth
    chosen = tuple((cells[k],) for cells, k in zip(hyper.distinct(), choice, strict=True))
    assert architecture.rows == chosen


def test_an_example():
    hyper = HyperArchitecture(((A, B, A), (C, C, B)))
    assert hyper.code() == "3.0,3.1,3.0/3.3,3.3,3.1"
    assert (hyper.depth, hyper.width, hyper.size) == (2, 3, 9)
    assert hyper.distinct() == ((A, B), (C, B))
    assert hyper.places() == ((0, 1, 0), (0, 0, 1))
    assert hyper.architecture((1, 1)).code() == "3.1/3.1"
    assert HyperArchitecture(((A,) * 5,) * 4).size == 625


def test_isomorphic_candidates_are_one():
    assert HyperArchitecture(((Dag(3, ((0, 1),)), Dag(3, ((2, 1),))),)).places() == ((0, 0),)


def test_lists_become_tuples():
    assert HyperArchitecture([[A, B], [B, C]]) == HyperArchitecture(((A, B), (B, C)))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ((), "depth 0"),
        (((),), r"windows \[0\]"),
        (((), ()), r"windows \[0, 0\]"),
        (((A,), ()), r"windows \[1, 0\]"),
        (((A, B), (A,)), "equally many"),
        ((("3.1",),), "must be a cell such as a Dag"),
    ],
)
def test_bad_rows_are_refused(rows, words):
    with pytest.raises(InvalidInput, match=words):
        HyperArchitecture(rows)


@pytest.mark.parametrize("choice", [(), (0,), (0, 0, 0), (2, 0), (0, 2), (-1, 0)])
def test_bad_choices_are_refused(choice):
    with pytest.raises(InvalidInput, match=r"below \[2, 2\]"):
        HyperArchitecture(((A, B, A), (C, C, B))).architecture(choice)


@pytest.mark.parametrize("code", ["", "3.1,", "3.1//3.1", "3.1,3.1/3.1", "3.1;3.1", "3.9"])
def test_bad_codes_are_refused(code):
    with pytest.raises(InvalidInput):
        HyperArchitecture.from_code(code)
