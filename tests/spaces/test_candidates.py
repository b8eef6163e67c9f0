"""Every kind of cell that may stand in a hyper-architecture, and the spaces of the benchmarks."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spaces import (
    GraphSpace,
    HyperArchitecture,
    InvalidInput,
    accel_nasbench,
    nasbench_cell,
    nasbench_macro,
)
from spaces.accel_nasbench import COLUMNS, AccelTable, MobileBlock
from spaces.candidates import Candidate
from spaces.nasbench_cell import BenchCell
from spaces.nasbench_macro import MacroTable

SPACES = {
    "graphs": GraphSpace.create(3, 4),
    "blocks of NAS-Bench-Macro": nasbench_macro.space(),
    "cells of NAS-Bench-201": nasbench_cell.space(),
    "blocks of Accel-NASBench": accel_nasbench.space(np.zeros((7, 48))).at(5),
}
every = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)


@every
def test_codes_are_read_back_and_differ(space):
    cells = space.cells[:: max(1, len(space.cells) // 300)]
    assert [Candidate.from_code(cell.code) for cell in cells] == list(cells)
    assert len({cell.code for cell in cells}) == len(set(cells)) == len(cells)
    hyper = HyperArchitecture((tuple(cells[:3]), tuple(cells[-3:])))
    assert HyperArchitecture.from_code(hyper.code()) == hyper


@every
def test_edits_are_other_cells_of_the_space_and_can_be_undone(space):
    cells = space.cells[:: max(1, len(space.cells) // 40)]
    opposite = {"add": "drop", "drop": "add", "move": "move", "swap": "swap"}
    for cell in cells:
        for kind, edited in cell.edits().items():
            assert len(set(edited)) == len(edited)
            assert cell not in edited
            for other in edited[:5]:
                assert other in space.members(space.embed(other))
                assert cell in other.edits()[opposite.get(kind, kind)]


def test_every_graph_on_as_many_vertices_can_be_reached_by_adding_and_dropping():
    whole = {dag for dag in SPACES["graphs"].cells if dag.n == 4}
    reached, border = set(), {next(iter(whole))}
    while border:
        reached |= border
        border = {
            new for dag in border for kind in ("add", "drop") for new in dag.edits()[kind]
        } - reached
    assert reached == whole


@pytest.mark.parametrize(
    "code",
    [
        *("block.3", "block.", "block.00", "nb201.12345", "nb201.1234567", "nb201.55555x", "x.1"),
        *("mbconv.2-3-1-0", "mbconv.6-5-5-1", "mbconv.6-5-3", "mbconv.6-5-3-2"),
    ],
)
def test_malformed_codes_are_refused(code):
    with pytest.raises(InvalidInput):
        Candidate.from_code(code)


def test_features_of_the_cells_of_nas_bench_201():
    depth = nasbench_cell.CELL_FEATURES["depth"].raw
    chain = BenchCell((3, 0, 3, 0, 0, 2))  # 0 -3x3-> 1 -3x3-> 2 -1x1-> 3
    assert depth(chain) == 3
    assert depth(BenchCell((3, 0, 0, 0, 0, 2))) == 0  # nothing arrives
    assert depth(BenchCell((1, 1, 1, 1, 1, 1))) == 0
    assert nasbench_cell.CELL_FEATURES["conv_3x3"].raw(chain) == 2
    assert SPACES["cells of NAS-Bench-201"].bins == (7, 7, 4)


def write(path, change=lambda rows: None):
    rows = [
        {"arch": code, "test_acc_0": 50 + n / 200, "test_acc_1": 50.0, "test_acc_2": 51.0}
        for n, code in enumerate(nasbench_macro.codes())
    ]
    pq.write_table(pa.Table.from_pylist(change(rows) or rows), path)
    return path


def test_a_table_of_nas_bench_macro_is_read_by_the_digits_not_by_the_order(tmp_path):
    table = MacroTable.read(write(tmp_path / "t.parquet", lambda rows: rows[::-1]))
    assert table.accuracies.shape == (3,) * 8 + (3,)
    assert table.accuracies.reshape(-1, 3)[:, 0] == pytest.approx(0.5 + np.arange(6561) / 20000)
    assert table.accuracies[2, 1, 0, 0, 0, 0, 0, 1, 0] == pytest.approx(
        0.5 + nasbench_macro.codes().index("21000001") / 20000
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: rows[:-1], "6561 rows"),
        (lambda rows: [*rows[:-1], rows[0]], "more than once"),
        (
            lambda rows: [{**row, "arch": "3" + row["arch"][1:]} for row in rows],
            "digits from 0 to 2",
        ),
        (lambda rows: [{**row, "test_acc_1": None} for row in rows], "between 0 and 100"),
        (lambda rows: [{"arch": row["arch"]} for row in rows], "lacks test_acc_0"),
    ],
)
def test_bad_tables_of_nas_bench_macro_are_refused(tmp_path, change, words):
    with pytest.raises(InvalidInput, match=words):
        MacroTable.read(write(tmp_path / "t.parquet", change))


def test_the_published_table(real_data):
    means = MacroTable.read(real_data / "nasbench_macro.parquet").accuracies.mean(axis=-1)
    assert means.max() == means[2, 2, 2, 1, 2, 2, 2, 0] == pytest.approx(0.93127, abs=1e-5)
    assert means.min() == means[(0,) * 8] == pytest.approx(0.45363, abs=1e-5)


def accel(path, change=lambda rows: None):
    block = {"expansion": 6, "kernel": 5, "layers": 3, "se": True}
    row = {f"block{b}_{name}": block[name] for b in range(7) for name in COLUMNS}
    rows = [row | {"top1": 50.0 + n, "params_m": 4.0} for n in range(3)]
    pq.write_table(pa.Table.from_pylist(change(rows) or rows), path)
    return path


def test_a_table_of_accel_nasbench_is_read(tmp_path):
    table = AccelTable.read(accel(tmp_path / "t.parquet"))
    whole = accel_nasbench.blocks(0)
    assert [whole[place] for place in table.choices[0]] == [MobileBlock(3, 6, 5, True)] * 7
    assert table.accuracies == pytest.approx([0.5, 0.51, 0.52])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: [{**row, "block3_layers": 4} for row in rows], "block3 in .* 3.* but one"),
        (lambda rows: [{**row, "block2_kernel": 7} for row in rows], "kernel .3, 5."),
        (lambda rows: [{**row, "top1": 101.0} for row in rows], "top1 <= 100"),
        (lambda rows: [{**row, "params_m": None} for row in rows], "finite"),
        (lambda rows: [{"block0_kernel": 3}], "lacks block0_expansion"),
    ],
)
def test_bad_tables_of_accel_nasbench_are_refused(tmp_path, change, words):
    with pytest.raises(InvalidInput, match=words):
        AccelTable.read(accel(tmp_path / "t.parquet", change))


def test_the_published_table_of_accel_nasbench(real_data):
    table = AccelTable.read(real_data / "accel_nasbench.parquet")
    assert len(table.choices) == 5138
    assert 100 * table.accuracies.min() == pytest.approx(42.85)
    assert 100 * table.accuracies.max() == pytest.approx(67.052, abs=1e-4)
    assert 100 * table.accuracies.mean() == pytest.approx(60.176, abs=1e-3)
    assert len(np.unique(table.choices, axis=0)) == 5138 - 13
