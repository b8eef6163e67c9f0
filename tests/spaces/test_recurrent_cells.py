"""Recurrent cells: their space, and their genotypes in the field's notation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces import GENOTYPES, InvalidInput, Macro, read_genotype, write_genotype
from spaces.recurrent import KIND, OPS, macro, recurrent_cell

TEXT = "Genotype(recurrent=[('relu', 0), ('tanh', 1), ('identity', 0)], concat=range(1, 4))"


def test_the_size_of_the_space_and_of_its_logits() -> None:
    """Algorithms F.2, F.3."""
    space = macro()
    assert space.cells[KIND].mask.shape == (36, 5)
    assert space.size == math.factorial(8) * 4**8
    assert Macro.from_dict(space.to_dict()) == space


@given(st.data())
def test_the_notation_both_ways(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 12))
    genes = [
        (data.draw(st.integers(0, node - 1)), node, data.draw(st.sampled_from(OPS[1:])))
        for node in range(1, count + 1)
    ]
    genotype = macro(recurrent_cell(count).genotype(genes))
    assert (
        read_genotype(write_genotype(genotype), depth=20)
        == genotype
        <= macro(recurrent_cell(count))
    )
    assert genotype.notation == write_genotype(genotype)


def test_published_ones() -> None:
    for name in ("RNN_DARTS_V1", "RNN_DARTS_V2"):
        assert GENOTYPES[name] <= macro()
    enas = GENOTYPES["RNN_ENAS"].cells[KIND]
    assert (enas.nodes, enas.outputs) == (12, (2, 5, 6, 9, 10, 11))
    assert GENOTYPES["RNN_DARTS_V2"].notation.startswith(
        "Genotype(recurrent=[('sigmoid', 0), ('relu', 1), ('relu', 1), ('identity', 1), "
    )


def test_positional_and_in_a_log() -> None:
    bare = "Genotype([('relu', 0), ('tanh', 1), ('identity', 0)], range(1, 4))"
    assert read_genotype(f"epoch 3 | {bare} end") == read_genotype(TEXT)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("('relu', 0)", "('relu', 1)", "sources of node 1 being 0 to 0"),
        ("('relu', 0)", "('rellu', 0)", "Did you mean 'relu'"),
        ("range(1, 4)", "range(1, 9)", r"nodes 0 to 3.*Write concat=range\(1, 4\)"),
        ("recurrent=", "recurent=", "has the fields normal, .* or recurrent, concat"),
        ("[('relu', 0), ('tanh', 1), ('identity', 0)]", "[]", "one .* pair for each"),
    ],
)
def test_what_breaks_a_rule_is_refused(old: str, new: str, match: str) -> None:
    with pytest.raises(InvalidInput, match=match):
        read_genotype(TEXT.replace(old, new))


def test_a_recurrent_network_has_one_cell() -> None:
    with pytest.raises(InvalidInput, match="depth == 1"):
        macro().at_depth(8)
    assert np.all(macro().cells[KIND].mask)
