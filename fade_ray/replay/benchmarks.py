"""Tables of whole spaces: which training a search sees, and which ones it is reported with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spaces import nasbench201, nasbench_cell, nasbench_macro
from spaces.candidates import Candidate
from spaces.errors import InvalidInput, require
from spaces.feature_space import FeatureSpace
from spaces.hyper import HyperArchitecture
from spaces.nasbench201_table import OPERATIONS, Table
from spaces.nasbench_macro import SEEDS, MacroTable

Array = npt.NDArray[np.float64]

VALID = ("c10_valid_12", "c10_valid_200")
"""Columns of NAS-Bench-201 that a search may see."""
TEST = "c10_test_200"


@dataclass(frozen=True, eq=False)
class View:
    """The table as one replay sees it, both [w, ..., w] (d axes) of shares in [0, 1]."""

    scores: Array
    """One training of each architecture: what evaluations and ranks are made of."""
    reports: Array
    """Of other trainings or images; never fed back."""


@dataclass(frozen=True, eq=False)
class Benchmark:
    """All architectures of `depth` rows that each hold one of `candidates`."""

    name: str
    space: FeatureSpace
    depth: int
    candidates: Mapping[Candidate, int]
    """Index of each candidate on the axes of the views."""
    view: Callable[[int], View]
    """By the seed of a replay."""

    @property
    def random_pick(self) -> float:
        """The mean report of all architectures: what can be handed over without any evaluation."""
        return float(self.view(0).reports.mean())

    def choice(self, architecture: HyperArchitecture) -> tuple[int, ...]:
        """[d]: where an architecture stands in the views."""
        return tuple(self.candidates[row[0]] for row in architecture.rows)


def read_benchmark(path: str | Path, valid: str = VALID[0]) -> Benchmark:
    """The benchmark whose column is in the Parquet file `path` (~ is the user's home); `valid`: the
    column of NAS-Bench-201 that a search sees. InvalidInput for no such table, one with missing
    columns, or with an architecture missing or twice.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(path).expanduser()
    try:
        columns = set(pq.read_schema(path).names)
    except (OSError, pa.ArrowException) as error:
        raise InvalidInput(
            f"--table must be a readable Parquet table, but {path}: {error}"
        ) from error
    for column, read in BENCHMARKS.items():
        if column in columns:
            return read(path, valid)
    has = ", ".join(sorted(columns)) or "no columns"
    raise InvalidInput(
        "--table must be NAS-Bench-Macro (column arch) or NAS-Bench-201 (columns "
        f"{', '.join(OPERATIONS)}), but {path} has {has}. Give one of these tables."
    )


def macro_benchmark(table: MacroTable) -> Benchmark:
    """NAS-Bench-Macro has test accuracies only: seed s sees training s mod 3, the others report."""
    seen = [np.ascontiguousarray(table.accuracies[..., seed]) for seed in range(SEEDS)]
    others = [np.delete(table.accuracies, seed, axis=-1).mean(axis=-1) for seed in range(SEEDS)]
    views = [View(*pair) for pair in zip(seen, others, strict=True)]
    blocks: dict[Candidate, int] = {block: i for i, block in enumerate(nasbench_macro.BLOCKS)}
    space = nasbench_macro.space()
    return Benchmark(
        "NAS-Bench-Macro", space, nasbench_macro.DEPTH, blocks, lambda seed: views[seed % SEEDS]
    )


def cell_benchmark(table: Table, valid: str) -> Benchmark:
    """NAS-Bench-201 on CIFAR-10, one row: a search sees `valid`, the report is `TEST`."""
    remedy = "Use accuracies on the validation images."
    require(valid in VALID, f"valid in {VALID}", remedy, valid=valid)
    whole, rule = len(table) == nasbench201.SIZE, f"{nasbench201.SIZE} rows"
    require(whole, rule, "Give the whole table.", rows=len(table))
    powers = len(nasbench201.OPS) ** np.arange(len(nasbench201.EDGES))
    order = np.argsort(table.codes)
    view = View(table.column(valid)[order] / 100, table.column(TEST)[order] / 100)
    ops = range(len(nasbench201.OPS))
    cells: dict[Candidate, int] = {
        nasbench_cell.BenchCell(numbers): int(np.dot(numbers, powers))
        for numbers in product(ops, repeat=len(nasbench201.EDGES))
    }
    return Benchmark("NAS-Bench-201", nasbench_cell.space(), 1, cells, lambda seed: view)


BENCHMARKS: dict[str, Callable[[Path, str], Benchmark]] = {
    "arch": lambda path, valid: macro_benchmark(MacroTable.read(path)),
    OPERATIONS[0]: lambda path, valid: cell_benchmark(Table.read(path), valid),
}
"""By a column of their tables."""
