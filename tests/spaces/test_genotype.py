"""Genotypes: the field's notation both ways, the published ones, files."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spaces import (
    DARTS_OPS,
    GENOTYPES,
    SPACES,
    InvalidInput,
    Macro,
    cells_of,
    load_cells,
    nasbench201,
    read_genotype,
    write_genotype,
)
from spaces.darts import PublishedSpace
from spaces.genotype import genotype_of, named_genotype

untimed = settings(deadline=None, max_examples=60)
# As printed in the repositories of DARTS and PC-DARTS.
DARTS_V1 = (
    "Genotype(normal=[('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('skip_connect', 0), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), "
    "('sep_conv_3x3', 1), ('sep_conv_3x3', 0), "
    "('skip_connect', 2)], normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), "
    "('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 0), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), "
    "('avg_pool_3x3', 0)], reduce_concat=[2, 3, 4, 5])"
)
PC_DARTS_CIFAR = (
    "Genotype(normal=[('sep_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 0), "
    "('dil_conv_3x3', 1), ('sep_conv_5x5', 0), "
    "('sep_conv_3x3', 1), ('avg_pool_3x3', 0), "
    "('dil_conv_3x3', 1)], normal_concat=range(2, 6), reduce=[('sep_conv_5x5', 1), "
    "('max_pool_3x3', 0), ('sep_conv_5x5', 1), ('sep_conv_5x5', 2), ('sep_conv_3x3', 0), "
    "('sep_conv_3x3', 3), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 2)], reduce_concat=range(2, 6))"
)
DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), "
    "('sep_conv_3x3', 1), ('sep_conv_3x3', 1), "
    "('skip_connect', 0), ('skip_connect', 0), "
    "('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), "
    "('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), "
    "('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
)


@st.composite
def genotypes(draw, ops=DARTS_OPS):
    macro = Macro(cells_of(ops), "darts", 20)
    cells = {}
    for kind, cell in macro.cells.items():
        genes = []
        for node in range(2, 6):
            sources = draw(st.lists(st.integers(0, node - 1), min_size=2, max_size=2, unique=True))
            genes += [
                (source, node, draw(st.sampled_from([op for op in ops if op != "none"])))
                for source in sources
            ]
        cells[kind] = cell.genotype(genes)
    return macro.with_cells(cells)


@untimed
@given(genotypes())
def test_notation_both_ways(macro):
    assert read_genotype(write_genotype(macro)) == macro
    assert macro <= SPACES["darts"].macro


@untimed
@given(genotypes(SPACES["s3"].ops))
def test_operations_beyond_those_of_darts(macro):
    again = read_genotype(write_genotype(macro))
    assert [cell.genes for cell in again.cells.values()] == [
        cell.genes for cell in macro.cells.values()
    ]
    wanted = {gene.op for cell in macro.cells.values() for gene in cell.genes}
    assert again.cells["normal"].ops == (
        DARTS_OPS if "sep_conv_7x7" not in wanted else SPACES["s3"].ops
    )


def test_operations_of_no_published_space_join_those_of_darts():
    text = DARTS_V2.replace("dil_conv_3x3", "sep_conv_7x7").replace(
        "('max_pool_3x3', 1)]", "('avg_pool_5x5', 1)]"
    )
    ops = read_genotype(text).cells["normal"].ops
    assert set(ops) == {*DARTS_OPS, "sep_conv_7x7", "avg_pool_5x5"}


def test_published_genotypes():
    assert read_genotype(DARTS_V2) == GENOTYPES["DARTS_V2"]
    assert all(macro.is_discrete for macro in GENOTYPES.values())
    stacked = {name: macro for name, macro in GENOTYPES.items() if macro.stack.task == "images"}
    assert {macro.depth for macro in stacked.values()} == {20}
    beyond = {name for name, macro in stacked.items() if not macro <= SPACES["darts"].macro}
    assert beyond == {"NASNET_A", "AMOEBANET_A"}
    assert all(read_genotype(write_genotype(macro)) == macro for macro in GENOTYPES.values())
    assert read_genotype(DARTS_V1) == GENOTYPES["DARTS_V1"]
    assert read_genotype(PC_DARTS_CIFAR) == GENOTYPES["PC_DARTS_cifar"]
    assert write_genotype(GENOTYPES["PC_DARTS_cifar"]).endswith(
        "('sep_conv_3x3', 2)], reduce_concat=range(2, 6))"
    )
    ops = {
        name: [gene.op for cell in macro.cells.values() for gene in cell.genes]
        for name, macro in GENOTYPES.items()
    }
    assert set(ops["all-skip"]) == {"skip_connect"}
    assert (ops["DARTS_V1"].count("sep_conv_3x3"), ops["DARTS_V1"].count("avg_pool_3x3")) == (5, 1)
    nasnet, amoebanet = (GENOTYPES[name].cells for name in ("NASNET_A", "AMOEBANET_A"))
    assert [cell.outputs for cell in nasnet.values()] == [(2, 3, 4, 5, 6), (4, 5, 6)]
    assert [cell.outputs for cell in amoebanet.values()] == [(4, 5, 6), (3, 4, 6)]
    assert nasnet["normal"].genes.count((0, 5, "avg_pool_3x3")) == 2
    assert (0, 6, "conv_7x1_1x7") in amoebanet["reduce"].genes


@pytest.mark.parametrize(
    "text",
    [
        f"DARTS_V2 = {DARTS_V2}",
        f"best: object = {DARTS_V2}",
        "from collections import namedtuple\nGenotype = namedtuple('Genotype', 'normal reduce')\n"
        f"\nfound = {DARTS_V2}\nPRIMITIVES = []\n",
        DARTS_V2.replace("[2, 3, 4, 5]", "range(2, 6)"),
        DARTS_V2.replace("[2, 3, 4, 5]", "(2, 3, 4, 5)"),
        DARTS_V2.replace("normal=", "")
        .replace("normal_concat=", "")
        .replace("reduce=", "")
        .replace("reduce_concat=", ""),
        DARTS_V2.replace("Genotype(", "genotypes.Genotype("),
        f"\n  {DARTS_V2}  # found in the second order search\n",
        f"epoch 3 (of 5) genotype = {DARTS_V2}\n",
        f"[0] {DARTS_V2}, [1] {DARTS_V2}: the same",
    ],
)
def test_forms_of_the_notation(text):
    assert read_genotype(text) == GENOTYPES["DARTS_V2"]


def test_other_sizes_and_outputs():
    text = "Genotype([('skip_connect', 0), ('skip_connect', 1), ('skip_connect', 1), "
    text += "('skip_connect', 2)], [3], "
    text += "[('max_pool_3x3', 0), ('max_pool_3x3', 1)], [2, 0])"
    macro = read_genotype(text, depth=8)
    assert (macro.cells["normal"].nodes, macro.cells["reduce"].nodes, macro.depth) == (4, 3, 8)
    assert (macro.cells["normal"].outputs, macro.cells["reduce"].outputs) == ((3,), (2, 0))
    assert read_genotype(write_genotype(macro), depth=8) == macro


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("dil_conv_3x3", "dil_conv3x3", "Did you mean 'dil_conv_3x3'"),
        ("('dil_conv_3x3', 2)", "('dil_conv_3x3', 5)", "sources of node 5 being 0 to 4"),
        ("('dil_conv_3x3', 2)", "('dil_conv_3x3', -1)", "sources of node 5"),
        ("('dil_conv_3x3', 2)", "('dil_conv_3x3', True)", "a gene is"),
        ("('dil_conv_3x3', 2)", "(2, 'dil_conv_3x3')", "a gene is"),
        ("('dil_conv_3x3', 2)", "'dil_conv_3x3'", "a gene is"),
        (", ('dil_conv_3x3', 2)", "", "two .operation, source. pairs"),
        ("normal_concat=[2, 3, 4, 5]", "normal_concat=[2, 6]", "joins some of the nodes 0 to 5"),
        ("normal_concat=[2, 3, 4, 5]", "normal_concat=[2, 2]", "each once"),
        ("normal_concat=[2, 3, 4, 5]", "normal_concat=[]", "joins some"),
        ("normal_concat=[2, 3, 4, 5]", "normal_concat=5", "joins some"),
        ("normal_concat=[2, 3, 4, 5]", "normal_concat=range(10 ** 30)", "literals"),
        ("normal_concat=[2, 3, 4, 5]", f"normal_concat=range({10**30})", "joins some"),
        ("normal_concat=[2, 3, 4, 5]", "normal_concat=range('a')", "literals"),
        ("normal_concat=[2, 3, 4, 5]", "normal_concat=range()", "literals"),
        ("normal_concat=[2, 3, 4, 5]", "normal_concat=open('f')", "literals"),
        ("normal_concat=[2, 3, 4, 5], ", "", "has the fields"),
        ("normal_concat=", "concat=", "has the fields"),
        ("Genotype(", "Genotype([], ", "has the fields"),
        ("Genotype(", "Genotype(**x, ", "has the fields"),
        ("Genotype(", "Genotyp(", "must be written as"),
        ("Genotype(", "Genotype((", "must be written as"),
    ],
)
def test_bad_notations_are_refused(old, new, words):
    assert old in DARTS_V2
    with pytest.raises(InvalidInput, match=words):
        read_genotype(DARTS_V2.replace(old, new, 1))


@pytest.mark.parametrize(
    "text", ["", "no genotype", "import os", "x = 3", "[1, 2]", "Genotype", "\0", "(" * 5000]
)
def test_what_is_no_genotype_is_refused(text):
    with pytest.raises(InvalidInput, match="must be written as"):
        read_genotype(text)


def test_several_genotypes_are_refused():
    with pytest.raises(InvalidInput, match="one genotype in the text"):
        read_genotype(f"{DARTS_V2}\n{DARTS_V2}\n")
    with pytest.raises(InvalidInput, match=r"found=\['A', 'B'\]"):
        read_genotype(f"A = {DARTS_V2}\nB = {DARTS_V2}\n")
    with pytest.raises(InvalidInput, match=r"one genotype in the text.*genotypes=2"):
        read_genotype(f"epoch 1: {DARTS_V1}\nepoch 2: {DARTS_V2}\n")


TWICE = [("('sep_conv_3x3', 1), ('skip_connect', 0)", "('dil_conv_5x5', 0), ('skip_connect', 0)")]
AXES = [("('skip_connect', 0)", "('conv_7x1_1x7', 0)")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (DARTS_V2.replace(*TWICE[0]), r"one operation per edge.*cell='normal', edge=\(0, 4\)"),
        (DARTS_V2.replace(*AXES[0]), r"a space that is searched.*operation='conv_7x1_1x7'"),
        (
            write_genotype(GENOTYPES["NASNET_A"]).replace("sep_conv_7x7", "sep_conv_5x5"),
            r"one operation per edge.*NASNET_A and AMOEBANET_A are read",
        ),
        (
            write_genotype(GENOTYPES["AMOEBANET_A"]).replace("[3, 4, 6]", "[3, 4, 5]"),
            r"one operation per edge.*AMOEBANET_A",
        ),
    ],
)
def test_slips_that_only_published_genotypes_may_have(text, words, tmp_path):
    path = tmp_path / "slip.txt"
    path.write_text(text)
    for read in (lambda: read_genotype(text), lambda: load_cells(path), lambda: genotype_of(text)):
        with pytest.raises(InvalidInput, match=words):
            read()


@pytest.mark.parametrize("name", ["NASNET_A", "AMOEBANET_A"])
def test_published_genotypes_with_them_are_read_in_every_form(name, tmp_path):
    macro, path = GENOTYPES[name], tmp_path / "cells"
    for text in (f"Found = {macro.notation}\n", json.dumps(macro.to_dict())):
        path.write_text(text)
        assert load_cells(path) == named_genotype(name) == macro
    assert read_genotype(macro.notation, depth=8) == macro.at_depth(8)


def test_an_operation_of_a_space_of_ones_own_is_usual(monkeypatch):
    text = DARTS_V2.replace(*AXES[0])
    own = Macro(cells_of(("none", "conv_7x1_1x7", *DARTS_OPS[1:])), "darts", 8)
    monkeypatch.setitem(SPACES, "own", PublishedSpace(own, 16, "", ""))
    assert (0, 4, "conv_7x1_1x7") in read_genotype(text).cells["normal"].genes


def test_nothing_in_the_text_is_run(tmp_path):
    target = tmp_path / "ran"
    for text in (
        f"open({str(target)!r}, 'w')",
        f"Genotype(open({str(target)!r}, 'w'), [2], [], [2])",
    ):
        with pytest.raises(InvalidInput):
            read_genotype(text)
    assert not target.exists()


def test_what_the_notation_cannot_say_is_not_written():
    with pytest.raises(InvalidInput, match="Discretise the space first"):
        write_genotype(SPACES["darts"].macro)
    with pytest.raises(InvalidInput, match=r"the cells normal and reduce.*as JSON"):
        write_genotype(SPACES["amended-s2"].macro)
    cell = SPACES["darts"].macro.cells["normal"].genotype([(0, 2, "skip_connect")])
    with pytest.raises(InvalidInput, match="two edges into each node"):
        write_genotype(SPACES["darts"].macro.with_cells({"normal": cell, "reduce": cell}))


def test_files_of_every_form(tmp_path):
    path = tmp_path / "cells"
    wanted = GENOTYPES["DARTS_V2"]
    for text in (
        json.dumps(wanted.to_dict(), indent=2),
        DARTS_V2,
        f"\ufeffDARTS_V2 = {DARTS_V2}\n",
    ):
        path.write_text(text, encoding="utf-8")
        assert load_cells(path) == load_cells(str(path)) == wanted
    path.write_text(json.dumps(SPACES["amended-s2"].macro.to_dict()))
    assert load_cells(path) == SPACES["amended-s2"].macro
    string = nasbench201.encode(nasbench201.from_numbers((3, 3, 4, 1, 3, 1)))
    path.write_text(f"{string}\n")
    macro = load_cells(path)
    assert (macro.stacking, macro.depth, nasbench201.encode(macro)) == ("nasbench201", 15, string)
    line = f"12:30 | Structure(4 nodes with {string}), 94"
    for text in (f'"{string}"', string.replace("+", " + "), line):
        path.write_text(text)
        assert load_cells(path) == named_genotype(text) == macro


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "A file of cells holds the JSON"),
        (b"hello", "A file of cells holds the JSON"),
        (b"{", "not JSON of cells.*A file of cells holds"),
        (b"{" + b'"a":[' * 100_000, "not JSON of cells"),
        (b'{"normal": []}', "needs format"),
        (b'{"format": "fade_ray.architecture/1"}', "Is this a file of cells"),
        (b"\x80\x02PK\xff", "not text"),
        (b"|nor_conv_3x3~0|+|x~0|", "must be one of none"),
        (b"|nor_conv_3x3~0|", "six edges|edges 0->1"),
    ],
)
def test_files_of_something_else_are_refused(tmp_path, content, words):
    path = tmp_path / "cells.txt"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=words) as caught:
        load_cells(path)
    assert str(path) in str(caught.value)


def test_files_that_cannot_be_read_are_refused(tmp_path):
    for path in (tmp_path / "missing.json", tmp_path):
        with pytest.raises(InvalidInput, match="cannot be read"):
            load_cells(path)
    huge = tmp_path / "weights.pt"
    with huge.open("wb") as file:
        file.truncate(2**30)  # sparse
    with pytest.raises(InvalidInput, match="bytes at most"):
        load_cells(huge)
