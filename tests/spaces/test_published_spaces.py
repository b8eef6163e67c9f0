"""The published spaces: their operations, edges, depths, and their sizes to the digit."""

import json

import pytest

from spaces import (
    DARTS_OPS,
    NONE,
    SPACES,
    InvalidInput,
    Macro,
    cells_of,
    darts_cell,
    fixed_edges,
    published,
)

SIZES = {
    "darts": 1_076_746_950_455_072_400,
    "s1": 1_076_746_950_455_072_400,
    "s2": 1_076_746_950_455_072_400,
    "s3": 1_076_746_950_455_072_400,
    "s4": (180 * 5**8) ** 2,
    "s5": 2_123_366_400,
    "amended-s1": 1_076_746_950_455_072_400,
    "amended-s2": (180 * 2**8) ** 20,
    "amended-s2-fixed": 2**160,
    "amended-s3": 2_123_366_400,
    "nasbench201": 15_625,
    "recurrent": 40_320 * 4**8,
    # 14 cells of their own
    **{f"s{number}-unshared": (180 * 7**8) ** 14 for number in (1, 2, 3)},
    "s4-unshared": (180 * 5**8) ** 14,
    "s5-unshared": (180 * 2**8) ** 14,
}


@pytest.mark.parametrize("name", SIZES)
def test_sizes(name):
    assert SPACES[name].macro.size == SIZES[name]


def test_every_space_is_listed_under_its_name():
    assert SPACES.keys() == SIZES.keys()
    assert all(space.description and space.source for space in SPACES.values())
    assert f"{SIZES['amended-s2']:.3e}" == "1.863e+93"  # 1.9e93 in the paper


@pytest.mark.parametrize("name", SIZES)
def test_spaces_are_full_and_survive_json(name):
    macro = published(name).macro
    assert all(all(all(row) for row in cell.allowed) for cell in macro.cells.values())
    assert all(cell.ops == SPACES[name].ops for cell in macro.cells.values())
    assert not macro.is_discrete
    again = Macro.from_dict(json.loads(json.dumps(macro.to_dict())))
    assert again == macro
    assert again <= macro <= again


def test_operations_keep_the_order_of_darts():
    order = [
        "none",
        "max_pool_3x3",
        "max_pool_5x5",
        "avg_pool_3x3",
        "avg_pool_5x5",
        "skip_connect",
        "sep_conv_3x3",
        "sep_conv_5x5",
        "sep_conv_7x7",
        "dil_conv_3x3",
        "dil_conv_5x5",
    ]
    apart = {"nasbench201", "recurrent"}
    cells = {name: space.ops for name, space in SPACES.items() if name not in apart}
    assert {op for ops in cells.values() for op in ops} == set(order)
    assert all(list(ops) == sorted(ops, key=order.index) for ops in cells.values())
    assert all((NONE in ops) == (not name.startswith("amended-s2")) for name, ops in cells.items())
    assert cells["s1"] == cells["amended-s1"] == DARTS_OPS
    assert cells["s5"] == cells["amended-s3"]


@pytest.mark.parametrize(
    ("name", "depth", "channels", "kinds", "edges", "logits"),
    [
        ("darts", 8, 16, 2, 14, 224),
        ("s1", 14, 16, 2, 14, 224),
        ("amended-s1", 8, 16, 2, 14, 224),
        ("amended-s2", 20, 36, 20, 14, 560),
        ("amended-s2-fixed", 20, 36, 20, 8, 320),
        ("amended-s3", 8, 16, 2, 14, 84),
        ("nasbench201", 15, 16, 1, 6, 30),
    ],
)
def test_search_networks(name, depth, channels, kinds, edges, logits):
    space = published(name)
    assert (space.macro.depth, space.channels, len(space.macro.cells)) == (depth, channels, kinds)
    assert {len(cell.edges) for cell in space.macro.cells.values()} == {edges}
    assert sum(cell.mask.size for cell in space.macro.cells.values()) == logits


def test_fixed_edges_go_to_the_node_before_and_to_the_first_input():
    assert fixed_edges() == ((0, 2), (1, 2), (0, 3), (2, 3), (0, 4), (3, 4), (0, 5), (4, 5))
    assert all(
        len(darts_cell(DARTS_OPS, fixed_edges()).incoming(node)) == 2 for node in range(2, 6)
    )


def test_cells_of():
    cells = cells_of(["skip_connect", "sep_conv_3x3"])
    assert list(cells) == ["normal", "reduce"]
    assert Macro(cells, "darts", 8).size == SIZES["s5"]
    assert (cells["normal"].outputs, cells["normal"].keep) == ((2, 3, 4, 5), 2)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("S1", "s1"), ("amended_s2_fixed", "amended-s2-fixed"), ("nas-bench-201", "nasbench201")],
)
def test_an_unknown_name_is_answered_with_the_nearest(name, nearest):
    with pytest.raises(InvalidInput, match=f"Did you mean '{nearest}'"):
        published(name)
