"""Tables of spaces: which training a search sees, and which ones it is reported with."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import product
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fade_ray.analysis.pair_regression import PairRegression
from fade_ray.analysis.rank_measures import Rows, log_psis, spearman
from fade_ray.ranks.rank_correlation import rank_against_table
from spaces import accel_nasbench, nasbench201, nasbench_cell, nasbench_macro
from spaces.accel_nasbench import BLOCKS, DEVICES, AccelTable
from spaces.candidates import Candidate
from spaces.errors import InvalidInput, require
from spaces.feature_space import Space
from spaces.generator import generate, uniform_points
from spaces.hyper import HyperArchitecture
from spaces.limits import RowCosts
from spaces.nasbench201_table import OPERATIONS, Table
from spaces.nasbench_macro import SEEDS, MacroTable

Array = npt.NDArray[np.float64]
Choice = tuple[int, ...]

VALID = ("c10_valid_12", "c10_valid_200")
"""Columns of NAS-Bench-201 that a search may see."""
TEST = "c10_test_200"
DRAWN = 1000


class View(Protocol):
    """A table as one replay sees it; accuracies are shares in [0, 1]. A choice [d] holds the place
    of each row's candidate.
    """

    @property
    def spread(self) -> float:
        """The standard deviation of what a search may see."""

    @property
    def mean(self) -> float:
        """Of the reports of all architectures."""

    def score(self, choice: Choice) -> float:
        """What an evaluation says."""

    def report(self, choice: Choice) -> float:
        """Of other trainings or images; never fed back."""

    def marginals(self, rows: Sequence[Sequence[int]]) -> list[Array]:
        """Mean score of all architectures with a candidate in a row, of those that take row i from
        `rows[i]`, distinct places: [d][n_i] -> [d][n_i].
        """

    def spearman(self, weights: Rows) -> float:
        """Between psi, of weights [d][w_i] of all candidates, and the reports."""


@dataclass(frozen=True, eq=False)
class Whole:
    """The `View` of a table of all architectures, [w, ..., w] (d axes) each."""

    scores: Array
    reports: Array

    @property
    def spread(self) -> float:
        return float(self.scores.std())

    @property
    def mean(self) -> float:
        return float(self.reports.mean())

    def score(self, choice: Choice) -> float:
        return float(self.scores[choice])

    def report(self, choice: Choice) -> float:
        return float(self.reports[choice])

    def marginals(self, rows: Sequence[Sequence[int]]) -> list[Array]:
        return marginals(self.scores, rows)

    def spearman(self, weights: Rows) -> float:
        return rank_against_table(weights, self.reports).spearman


def marginals(accuracies: Array, rows: Sequence[Sequence[int]]) -> list[Array]:
    """Mean accuracy of all architectures with a candidate in a row, by row and candidate: [w, ...,
    w], [d][n_i] -> [d][n_i].

    Of the prod n_i architectures that take row i from `rows[i]`, distinct indices.
    """
    # One flat index of all of them: gathering by it is many times faster than by an index per axis.
    index = np.zeros(1, dtype=np.intp)
    for row, width in zip(rows, accuracies.shape, strict=True):
        index = (index[:, None] * width + np.asarray(row)).reshape(-1)
    return _marginals(accuracies.reshape(-1)[index], [len(row) for row in rows])


def _marginals(values: Array, counts: list[int]) -> list[Array]:
    """[prod n_i] -> [d][n_i], half of the rows averaged out at once: about two sums over all."""
    if len(counts) == 1:
        return [values]
    half = len(counts) // 2
    table = values.reshape(math.prod(counts[:half]), -1)
    first, last = table.mean(axis=1), table.mean(axis=0)
    return _marginals(first, counts[:half]) + _marginals(last, counts[half:])


@dataclass(frozen=True, eq=False)
class Predicted:
    """The `View` of a regression fitted to some architectures, `choices` [N, d]: a search sees the
    prediction with noise, of `noise` and `seed`, always the same for an architecture.
    """

    model: PairRegression
    choices: npt.NDArray[np.intp]
    rows: Sequence[Sequence[int]]
    noise: float
    seed: int

    @cached_property
    def _known(self) -> Array:
        return self.model(self.choices)

    @property
    def spread(self) -> float:
        return float(self._known.std())

    @property
    def mean(self) -> float:
        first, *_ = self.model.marginals(self.rows)
        return float(first.mean())

    def score(self, choice: Choice) -> float:
        generator = np.random.Generator(np.random.PCG64([self.seed, *choice]))
        return self.report(choice) + self.noise * float(generator.standard_normal())

    def report(self, choice: Choice) -> float:
        return float(self.model(np.array([choice]))[0])

    def marginals(self, rows: Sequence[Sequence[int]]) -> list[Array]:
        return self.model.marginals(rows)

    def spearman(self, weights: Rows) -> float:
        """Over the architectures that were trained."""
        return float(spearman(log_psis(weights, self.choices), self._known))


@dataclass(frozen=True, eq=False)
class Benchmark:
    """Architectures of `depth` rows that each hold one of `candidates`."""

    name: str
    space: Space
    depth: int
    candidates: Mapping[Candidate, int]
    """Place of each candidate in the choices of the views."""
    view: Callable[[int], View]
    """By the seed of a replay."""
    facts: Mapping[str, float] = field(default_factory=dict)
    """What is to be known of a table that does not hold all."""
    costs: Mapping[str, RowCosts] = field(default_factory=dict)
    """What else it says of architectures, by name."""

    @property
    def random_pick(self) -> float:
        """The mean report of all architectures: what can be handed over without any evaluation;
        within limits of `DRAWN` that random search would draw.
        """
        if not self.space.limits:
            return self.view(0).mean
        view, rng, reports = self.view(0), np.random.default_rng(0), []
        for _ in range(DRAWN):
            points = uniform_points(self.space, self.depth, rng)[:, None]
            reports.append(view.report(self.choice(generate(self.space, points, rng))))
        return float(np.mean(reports))

    @cached_property
    def rows(self) -> list[tuple[Candidate, ...]]:
        """The candidates of each row, by their places."""
        rows = (self.space.at(row).cells for row in range(self.depth))
        return [tuple(sorted(cells, key=self.candidates.__getitem__)) for cells in rows]

    @property
    def narrowest(self) -> float:
        """The width of a box of the coarsest axis."""
        return 1 / min(min(self.space.at(row).bins) for row in range(self.depth))

    def choice(self, architecture: HyperArchitecture) -> Choice:
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
        "--table must be NAS-Bench-Macro (column arch), NAS-Bench-201 (columns "
        f"{', '.join(OPERATIONS)}) or Accel-NASBench (column {ACCEL} and more), but {path} has "
        f"{has}. Give one of these tables."
    )


def macro_benchmark(table: MacroTable) -> Benchmark:
    """NAS-Bench-Macro has test accuracies only: seed s sees training s mod 3, the others report."""
    seen = [np.ascontiguousarray(table.accuracies[..., seed]) for seed in range(SEEDS)]
    others = [np.delete(table.accuracies, seed, axis=-1).mean(axis=-1) for seed in range(SEEDS)]
    views = [Whole(*pair) for pair in zip(seen, others, strict=True)]
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
    view = Whole(table.column(valid)[order] / 100, table.column(TEST)[order] / 100)
    ops = range(len(nasbench201.OPS))
    cells: dict[Candidate, int] = {
        nasbench_cell.BenchCell(numbers): int(np.dot(numbers, powers))
        for numbers in product(ops, repeat=len(nasbench201.EDGES))
    }
    return Benchmark("NAS-Bench-201", nasbench_cell.space(), 1, cells, lambda seed: view)


def accel_benchmark(table: AccelTable) -> Benchmark:
    """Accel-NASBench has a few of its architectures; the others are predicted by a regression. Its
    noise is that of the architectures that were trained twice.
    """
    attributes = np.array([[b.layers, b.expansion, b.kernel, b.squeezes] for b in BLOCKS], float)
    model = PairRegression.fit(table.choices, table.accuracies, attributes)
    errors = model.left_out - table.accuracies
    fit = float(1 - errors.var() / table.accuracies.var())
    trained = f"{len(errors):,} architectures trained, the others predicted with R2 {fit:.2f}"
    noise = repeat_noise(table.choices, table.accuracies)
    rows = [range(len(accel_nasbench.blocks(row))) for row in range(accel_nasbench.DEPTH)]
    candidates: dict[Candidate, int] = {block: place for place, block in enumerate(BLOCKS)}
    return Benchmark(
        f"Accel-NASBench ({trained})",
        accel_nasbench.space(sizes(table.choices, table.parameters, len(BLOCKS))),
        accel_nasbench.DEPTH,
        candidates,
        partial(Predicted, model, table.choices, rows, noise),
        {
            "trained_architectures": len(errors),
            "r2_of_left_out": fit,
            "error_of_left_out_points": 100 * float(np.sqrt((errors**2).mean())),
            "noise_points": 100 * noise,
        },
        {
            name: row_costs(name, table.choices, values, BLOCKS)
            for name, values in table.costs.items()
        },
    )


def row_costs(
    name: str,
    choices: npt.NDArray[np.intp],
    values: Array,
    candidates: Sequence[Candidate],
) -> RowCosts:
    """The sums of one cost of each row that fit `values` [N] best, where they are known;
    milliseconds in nanoseconds.
    """
    unit = 10**6 if name in DEVICES else 1
    known = np.isfinite(values)
    each = sizes(choices[known], unit * values[known], len(candidates))
    rows = [row[: row_choices.max() + 1] for row, row_choices in zip(each, choices.T, strict=True)]
    beyond = (np.rint(row - row.min()).astype(int).tolist() for row in rows)
    costs = tuple(dict(zip(candidates, row, strict=False)) for row in beyond)
    text = f"ms on {name}" if name in DEVICES else name
    return RowCosts(text, round(sum(float(row.min()) for row in rows)), costs, unit)


def repeat_noise(choices: npt.NDArray[np.intp], values: Array) -> float:
    """The standard deviation between trainings of one architecture, from those that stand twice or
    more; 0 without any.
    """
    groups: dict[Choice, list[float]] = {}
    for choice, value in zip(map(tuple, choices.tolist()), values.tolist(), strict=True):
        groups.setdefault(choice, []).append(value)
    repeated = [group for group in groups.values() if len(group) > 1]
    squares = sum(float(np.var(group)) * len(group) for group in repeated)
    freedom = sum(len(group) - 1 for group in repeated)
    return float(np.sqrt(squares / freedom)) if freedom else 0.0


def sizes(choices: npt.NDArray[np.intp], values: Array, candidates: int) -> Array:
    """[d, candidates]: what each adds to the sums `values` [N] in each row, but for a constant of
    the row. (Parameters of a chain are such sums.)
    """
    rows = [row[:, None] == np.arange(candidates) for row in choices.T]
    each: Array = np.linalg.lstsq(np.concatenate(rows, axis=1).astype(float), values, rcond=None)[0]
    return each.reshape(len(rows), candidates).round(9)


ACCEL = "block0_expansion"
BENCHMARKS: dict[str, Callable[[Path, str], Benchmark]] = {
    "arch": lambda path, valid: macro_benchmark(MacroTable.read(path)),
    OPERATIONS[0]: lambda path, valid: cell_benchmark(Table.read(path), valid),
    ACCEL: lambda path, valid: accel_benchmark(AccelTable.read(path)),
}
"""By a column of their tables."""
