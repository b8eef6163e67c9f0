"""Groups of operations: clustered from correlations, by hand, their representatives."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces import (
    NONE,
    SKIP,
    SPACES,
    InvalidInput,
    check_groups,
    cluster,
    load_groups,
    representatives,
)
from spaces.groups import S1_CORRELATIONS, without_variance

S1 = SPACES["s1"]
OPS = S1.ops[1:]
MEASURED = tuple(op for op in OPS if op != SKIP)


def of_the_space(ops=OPS):
    """The published matrix in the order of the space, skip-connect not measured."""
    whole = np.full((len(ops), len(ops)), np.nan)
    for one, other in product(MEASURED, MEASURED):
        value = 1.0 if one == other else S1_CORRELATIONS[frozenset((one, other))]
        whole[ops.index(one), ops.index(other)] = value
    return whole


def test_the_published_matrix():
    assert len(S1_CORRELATIONS) == 15
    assert sum(S1_CORRELATIONS.values()) == pytest.approx(
        0.52
        - 0.03
        - 0.03
        + 0
        - 0.04
        + 0
        + 0.02
        - 0.13
        - 0.08
        + 0.38
        + 0.15
        + 0.08
        + 0.11
        + 0.06
        + 0.27
    )  # the upper triangle, row by row (algorithms F.5)


@given(st.floats(0.1001, 0.2699))  # single linkage: above 0.15
def test_the_published_matrix_gives_the_published_groups(cut):
    assert cluster(of_the_space(), OPS, cut) == S1.groups


@pytest.mark.parametrize(("cut", "groups"), [(0.09, 3), (0.12, 4), (0.28, 5), (0.39, 6), (0.53, 7)])
def test_average_linkage_merges_at_052_038_027_and_010(cut, groups):
    assert len(cluster(of_the_space(), OPS, cut)) == groups


@given(st.permutations(OPS))
def test_the_order_of_operations_changes_no_group(ops):
    found = cluster(of_the_space(tuple(ops)), ops)
    assert {frozenset(group) for group in found} == {frozenset(group) for group in S1.groups}
    check_groups(found, ops)
    assert all(op.endswith("3x3") or op == SKIP for op in representatives(found))


def test_what_is_no_operation_to_compare_is_set_apart():
    alike = np.ones((3, 3))
    assert cluster(alike, ("sep_conv_5x5", SKIP, "sep_conv_3x3")) == (
        ("sep_conv_3x3", "sep_conv_5x5"),
        (SKIP,),
    )
    alike[2] = alike[:, 2] = np.nan
    assert without_variance(alike, ("a", "b", "c")) == ("c",)
    assert cluster(alike, ("a", "b", "c")) == (("a", "b"), ("c",))
    assert cluster(np.full((2, 2), np.nan), ("a", SKIP)) == (("a",), (SKIP,))


@pytest.mark.parametrize(
    ("matrix", "cut", "said"),
    [
        (np.eye(2), 1.0, "-1 < cut < 1"),
        (np.eye(3), 0.2, r"\[O, O\]"),
        (np.array([[1, 0.5], [0.1, 1]]), 0.2, "symmetric"),
    ],
)
def test_another_matrix_or_cut_is_refused(matrix, cut, said):
    with pytest.raises(InvalidInput, match=said):
        cluster(matrix, ("a", "b"), cut)


@pytest.mark.parametrize("name", ["s1", "s2", "s3", "s4", "s5"])
def test_published_groups_hold_their_spaces(name):
    check_groups(SPACES[name].groups, SPACES[name].ops)


def test_published_key_operations():
    keys = {name: representatives(SPACES[name].groups) for name in ("s1", "s2", "s3", "s4", "s5")}
    assert keys["s1"] == ("max_pool_3x3", SKIP, "sep_conv_3x3", "dil_conv_3x3")
    assert keys["s2"] == keys["s4"] == keys["s5"] == (SKIP, "sep_conv_3x3")
    assert keys["s3"] == keys["s1"]


def test_random_representatives_are_of_their_groups_and_of_the_seed():
    def drawn(seed):
        generator = np.random.default_rng(seed)
        return representatives(S1.groups, "random", generator)

    several = [drawn(seed) for seed in range(40)]
    assert several == [drawn(seed) for seed in range(40)]
    assert {op for ops in several for op in ops} == set(OPS)
    for ops in several:
        assert all(op in group for op, group in zip(ops, S1.groups, strict=True))
    with pytest.raises(InvalidInput, match="'random'"):
        representatives(S1.groups, "randon", np.random.default_rng(0))
    with pytest.raises(InvalidInput, match="generator"):
        representatives(S1.groups, "random")


BAD = {
    "a representative": (("max_pool_3x3",), ()),
    "`none` is in no group": ((NONE, "max_pool_3x3"),),
    "Did you mean 'sep_conv_3x3'": (("sep_conv_33",),),
    "overlap": (("sep_conv_3x3", "sep_conv_5x5"), ("sep_conv_3x3",)),
    "missing": S1.groups[:-1],
}


@pytest.mark.parametrize("said", BAD)
def test_groups_that_are_none_are_refused(said):
    with pytest.raises(InvalidInput, match=said):
        check_groups(BAD[said], S1.ops)


def test_groups_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "groups.json"
    for held in (S1.groups, {"groups": S1.groups, "cut": 0.2}):
        path.write_text(json.dumps(held))
        assert load_groups(path) == S1.groups


@pytest.mark.parametrize("text", ["{", "3", "[3]", '[["a", 3]]', "{}"])
def test_a_file_without_groups_is_refused_with_their_form(text: str, tmp_path: Path) -> None:
    path = tmp_path / "groups.json"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=r'Write \{"groups"'):
        load_groups(path)
    with pytest.raises(InvalidInput, match="readable"):
        load_groups(tmp_path / "none.json")
