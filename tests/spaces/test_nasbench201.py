"""NAS-Bench-201: the codec over all 15,625 cells, isomorphism classes, the table and its
conversion.
"""

import sys
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spaces import SPACES, CellSpace, InvalidInput, nasbench201
from spaces.nasbench201 import OPS, decode, encode, unique_key
from spaces.nasbench201_table import ACCURACIES, DATASETS, OPERATIONS, PARAMETERS, Table, convert

untimed = settings(deadline=None, max_examples=60)
choices = st.tuples(*[st.integers(0, 4)] * 6)
BEST = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+"
    "|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"
)
SINGLE_LEVEL = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+"
    "|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
)
ALL_SKIP = (
    "|skip_connect~0|+|skip_connect~0|skip_connect~1|+"
    "|skip_connect~0|skip_connect~1|skip_connect~2|"
)


def computed(numbers):
    """What a cell computes: nested sums as sorted tuples, without all that carries nothing."""
    nodes, operations = [("x",)], iter(numbers)
    for node in (1, 2, 3):
        terms = []
        for source in range(node):
            op = OPS[next(operations)]
            if op == "skip_connect":
                terms.extend(nodes[source])
            elif op != "none" and nodes[source]:
                terms.append((op, nodes[source]))
        nodes.append(tuple(sorted(terms, key=repr)))
    return nodes[-1]


def test_every_cell_has_a_string_of_its_own_and_comes_back():
    strings = [encode(cell) for cell in nasbench201.cells()]
    assert len(set(strings)) == nasbench201.SIZE == 15_625
    assert all(
        decode(string) == cell for string, cell in zip(strings, nasbench201.cells(), strict=True)
    )


def test_classes_hold_cells_that_compute_the_same():
    classes = defaultdict(set)
    for cell in nasbench201.cells():
        classes[unique_key(cell)].add(computed(nasbench201.numbers(cell)))
    assert len(classes) == 6_466
    assert all(len(functions) == 1 for functions in classes.values())
    assert len(set.union(*classes.values())) == 4_930


@untimed
@given(choices)
def test_numbers_cells_and_strings_agree(numbers):
    cell = nasbench201.from_numbers(numbers)
    assert cell.is_discrete
    assert cell <= nasbench201.space()
    assert nasbench201.numbers(cell) == nasbench201.numbers(encode(cell)) == numbers
    assert nasbench201.numbers(nasbench201.macro(3, cell)) == numbers
    assert [gene.op for gene in cell.genes] == [OPS[number] for number in numbers]


@untimed
@given(choices)
def test_edges_without_an_operation_carry_none(numbers):
    space = CellSpace.create(1, 4, OPS[1:], outputs=(3,))
    genes = [
        (*edge, OPS[number])
        for edge, number in zip(nasbench201.EDGES, numbers, strict=True)
        if number
    ]
    assert nasbench201.numbers(space.genotype(genes)) == numbers


def test_keys_by_hand():
    assert unique_key(ALL_SKIP) == "0+0+0+0"
    assert unique_key(SINGLE_LEVEL).endswith("+((0)@nor_conv_3x3)@nor_conv_3x3+0")
    assert (
        unique_key("|none~0|+|none~0|none~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|")
        == "#+#+(0)@avg_pool_3x3"
    )


def test_a_string_may_give_its_terms_in_any_order():
    shuffled = (
        "|nor_conv_3x3~0|+|nor_conv_3x3~1|nor_conv_3x3~0|+"
        "|nor_conv_1x1~2|skip_connect~0|nor_conv_3x3~1|"
    )
    assert encode(decode(shuffled)) == encode(f" {BEST}\n") == BEST
    assert encode(f"'{BEST}'") == encode(BEST.replace("|", " | ").replace("~", " ~")) == BEST


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BEST.replace("nor_conv_1x1", "conv_1x1"), "Did you mean 'nor_conv_1x1'"),
        (BEST.replace("~2", "~1"), "must give one operation to each"),
        (BEST.replace("~2", "~3"), "must give one operation to each"),
        (BEST.replace("~2", ""), "must give one operation to each"),
        (BEST.replace("|+|", "+"), "must give one operation to each"),
        (BEST + "+|none~0|none~1|none~2|none~3|", "must give one operation to each"),
        ("|none~0" + BEST, "must give one operation to each"),
        (BEST[:-1], "must give one operation to each"),
        ("", "must give one operation to each"),
        ("||", "must give one operation to each"),
        ("|none~0|" * 1000, r"\.\.\.'\. Write it like"),
    ],
)
def test_bad_strings_are_refused(text, words):
    with pytest.raises(InvalidInput, match=words):
        decode(text)


def test_cells_of_other_spaces_are_refused():
    with pytest.raises(InvalidInput, match="other kinds of cells"):
        encode(SPACES["darts"].macro)
    with pytest.raises(InvalidInput, match="inputs=2, nodes=6"):
        encode(SPACES["darts"].macro.cells["normal"])
    with pytest.raises(InvalidInput, match="Discretise the space first"):
        encode(nasbench201.macro())
    for numbers in ((0,) * 5, (0, 0, 0, 0, 0, 5), (-1, 0, 0, 0, 0, 0)):
        with pytest.raises(InvalidInput, match="6 numbers of operations"):
            nasbench201.from_numbers(numbers)


# ---------------------------------------------------------------- the real table


@pytest.fixture(scope="module")
def real_path(real_data):
    path = real_data / "nasbench201.parquet"
    if not path.is_file():
        pytest.skip(f"no table of NAS-Bench-201 in {real_data}")
    return path


@pytest.fixture(scope="module")
def real(real_path):
    return Table.read(real_path)


def test_classes_are_those_of_the_benchmark(real_path):
    rows = pq.read_table(real_path, columns=["arch_str", "unique_str", *OPERATIONS]).to_pylist()
    ours, theirs = defaultdict(set), defaultdict(set)
    for row in rows:
        assert nasbench201.numbers(row["arch_str"]) == tuple(row[name] for name in OPERATIONS)
        ours[unique_key(row["arch_str"])].add(row["arch_str"])
        theirs[row["unique_str"]].add(row["arch_str"])
    assert len(theirs) == 6_466
    assert {frozenset(members) for members in ours.values()} == {
        frozenset(members) for members in theirs.values()
    }


def test_known_results(real):
    assert len(real) == 15_625
    assert real.optimum().index == 6111
    assert real.optimum().architecture == BEST
    assert real.accuracy(BEST) == pytest.approx(94.373, abs=5e-4)
    assert real.rank(BEST) == 1
    # another one, 13714, is as good
    assert real.percentile(BEST) == pytest.approx(100 * 15_623 / 15_625)
    found = real.lookup(nasbench201.macro(cell=decode(SINGLE_LEVEL)))
    assert found.index == real.optimum("c100_test_200").index == 9930
    test = [found.columns[f"{dataset}_test_200"] for dataset in DATASETS]
    valid = [found.columns[f"{dataset}_valid_200"] for dataset in DATASETS]
    assert test == pytest.approx([94.363, 73.513, 46.344], abs=1e-3)
    assert valid == pytest.approx([91.553, 73.493, 46.367], abs=1e-3)
    skip = real.lookup(ALL_SKIP)
    assert skip.index == 1835
    assert [
        real.accuracy(ALL_SKIP, f"{name}_test_200") for name in ("c10", "c100", "in16")
    ] == pytest.approx([54.297, 15.607, 16.322], abs=5e-4)
    assert [skip.columns[name] for name in PARAMETERS] == [73_306, 79_156, 80_456]


def test_random_picks_and_ranks(real):
    pick = real.random_pick("c10_test_200", (0, 0.5, 1))
    values = real.column("c10_test_200")
    assert pick.mean == pytest.approx(values.sum() / 15_625)
    assert pick.std**2 == pytest.approx((values**2).mean() - pick.mean**2)
    assert pick.quantiles[1.0] == pytest.approx(real.accuracy(BEST))
    assert (values < pick.quantiles[0.5]).mean() <= 0.5 <= (values <= pick.quantiles[0.5]).mean()
    worst = real.lookup("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    assert pick.quantiles[0.0] == worst.to_dict()["c10_test_200"] == 10.0
    assert real.percentile(worst.architecture) == 0
    assert real.rank(worst.architecture) == 1 + int((values > 10).sum())


# ---------------------------------------------------------------- a small table, converted


class Benchmark:
    """Some architectures with the methods of the official api; every result tells where it comes
    from.
    """

    DATASETS = ("cifar10-valid", "cifar10", "cifar100", "ImageNet16-120")

    def __init__(self, architectures):
        self.architectures = architectures
        self.fast_mode = True
        self.arch2infos_dict = {}

    def __len__(self):
        return len(self.architectures)

    def arch(self, index):
        return self.architectures[index]

    def get_more_info(self, index, dataset, iepoch=None, hp="12", is_random=True):
        assert not is_random  # the mean over the seeds, not one of them
        self.arch2infos_dict[index] = "kept"
        base = 30 * index + 7 * self.DATASETS.index(dataset) + (5 if hp == "200" else 0)
        info = {"train-accuracy": 99.0, "test-accuracy": base + 0.5}
        return info if dataset == "cifar10" else {**info, "valid-accuracy": base + 0.25}

    def get_cost_info(self, index, dataset, hp="12"):
        return {"flops": 15.6, "params": 0.073306 + index + 0.001 * self.DATASETS.index(dataset)}


SMALL = (ALL_SKIP, BEST)


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.parquet"
    api = Benchmark(SMALL)
    told = []
    convert(api, path, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]
    assert not api.arch2infos_dict  # what was read is not kept
    assert [file.name for file in tmp_path.iterdir()] == ["small.parquet"]
    return path


def test_conversion_asks_for_the_right_results(small):
    found = Table.read(small).lookup(BEST)
    assert (found.index, found.architecture) == (1, BEST)
    # the validation accuracy on CIFAR-10 is of the networks that saw half of the training set
    c10, c100 = [30.25, 35.25, 37.5, 42.5], [44.25, 49.25, 44.5, 49.5]
    assert [found.columns[name] for name in ACCURACIES] == [*c10, *c100, 51.25, 56.25, 51.5, 56.5]
    parameters = [found.columns[name] for name in PARAMETERS]
    assert parameters == [1_074_306, 1_075_306, 1_076_306]
    assert found.to_dict()["in16_valid_200"] == 56.25


def test_a_converted_table_has_the_layout(small, real_path):
    ours, theirs = pq.read_schema(small), pq.read_schema(real_path)
    assert {*OPERATIONS, *ACCURACIES, *PARAMETERS, "index", "arch_str", "unique_str"} == set(
        ours.names
    )
    assert all(ours.field(name).type == theirs.field(name).type for name in ours.names)
    row = pq.read_table(small).to_pylist()[0]
    assert (row["unique_str"], row["op_e23"]) == (unique_key(ALL_SKIP), 1)


def test_what_a_table_lacks_is_told(small):
    table = Table.read(small)
    assert BEST in table
    assert SINGLE_LEVEL not in table
    for query in (table.lookup, table.accuracy, table.rank):
        with pytest.raises(InvalidInput, match="is not among its 2 of 15625"):
            query(SINGLE_LEVEL)
    with pytest.raises(InvalidInput, match="Did you mean 'c100_test_200'"):
        table.accuracy(BEST, "c100_test200")
    with pytest.raises(InvalidInput, match="0 <= quantile <= 1"):
        table.random_pick(quantiles=[50])


def rewritten(path, change):
    table = pq.read_table(path)
    pq.write_table(change(table), path)
    return path


def with_values(name, values):
    def change(table):
        return table.set_column(table.column_names.index(name), name, pa.array(values))

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda table: table.drop_columns(["op_e12", "c10_test_200"]),
            "but lacks op_e12, c10_test_200",
        ),
        (lambda table: pa.concat_tables([table, table]), "every architecture once"),
        (lambda table: table.slice(0, 0), "at least one"),
        (with_values("op_e12", [0, 5]), "whole numbers from 0 to 4"),
        (with_values("op_e12", [0.0, 0.5]), "whole numbers from 0 to 4"),
        (with_values("c10_test_200", [90.0, None]), r"none is missing.*c10_test_200"),
        (with_values("c10_test_200", [90.0, 101.0]), "in percent"),
        (with_values("c10_test_200", ["high", "low"]), "must be a readable Parquet table"),
    ],
)
def test_bad_tables_are_refused(small, change, words):
    with pytest.raises(InvalidInput, match=words):
        Table.read(rewritten(small, change))


def test_files_that_are_no_tables_are_refused(tmp_path):
    (tmp_path / "text").write_text("no table")
    for path in (tmp_path / "text", tmp_path / "missing", tmp_path):
        with pytest.raises(InvalidInput, match="must be a readable Parquet table"):
            Table.read(path)


def test_conversion_without_the_package_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "nats_bench", None)  # as where it is not installed
    with pytest.raises(InvalidInput, match=r'pip install "fade-ray\[nasbench201\]"'):
        convert(tmp_path, tmp_path / "table.parquet")
    with pytest.raises(InvalidInput, match="files of NATS-Bench exist"):
        convert(tmp_path / "missing", tmp_path / "table.parquet")


def test_a_conversion_that_fails_leaves_nothing(tmp_path):
    class Incomplete(Benchmark):
        def get_more_info(self, index, dataset, iepoch=None, hp="12", is_random=True):
            info = super().get_more_info(index, dataset, iepoch, hp, is_random)
            return {} if index == 1 else info

    target = tmp_path / "table.parquet"
    with pytest.raises(InvalidInput, match="number 1 too, but"):
        convert(Incomplete(SMALL), target)
    with pytest.raises(InvalidInput, match="has architectures"):
        convert(Benchmark(()), target)
    with pytest.raises(InvalidInput, match="Name a file in a folder that exists"):
        convert(Benchmark(SMALL), tmp_path / "missing" / "table.parquet")
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(InvalidInput, match="must be writable"):
        convert(Benchmark(SMALL), folder)
    folder.rmdir()
    assert not list(tmp_path.iterdir())


def test_columns_hold_the_rows_in_order(small):
    table = Table.read(small)
    assert np.array_equal(table.index, [0, 1])
    assert np.array_equal(table.column("c10_test_12"), [7.5, 37.5])
