"""The results of NAS-Bench-201 as a Parquet table: read, queried, converted."""

import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from spaces import nasbench201
from spaces.errors import InvalidInput, require, require_known, upheld
from spaces.nasbench201 import EDGES, OPS, Architecture
from spaces.parquet import read_columns
from spaces.stackings import STACKINGS

DATASETS = ("c10", "c100", "in16")
"""CIFAR-10, CIFAR-100, ImageNet16-120."""
SPLITS = ("valid", "test")
EPOCHS = (12, 200)
ACCURACIES = tuple(
    f"{d}_{split}_{epochs}" for d, split, epochs in product(DATASETS, SPLITS, EPOCHS)
)
"""Columns in percent, `c10_valid_12` to `in16_test_200`: means over the seeds of the benchmark."""
PARAMETERS = tuple(f"params_{dataset}" for dataset in DATASETS)
OPERATIONS = tuple(f"op_e{source}{target}" for source, target in EDGES)
"""Columns with the number of each edge's operation in `nasbench201.OPS`."""

_ANEW = "Write the table with `convert`."
_POWERS = len(OPS) ** np.arange(len(EDGES))
_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Record:
    """What the benchmark knows of one architecture."""

    index: int
    """In the benchmark's own order."""
    architecture: str
    columns: Mapping[str, float]
    """`ACCURACIES` in percent; `PARAMETERS`, trainable ones of 15 cells with 16 channels."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, under the names of the columns."""
        return {"index": self.index, "architecture": self.architecture, **self.columns}


@dataclass(frozen=True)
class RandomPick:
    """What an architecture drawn uniformly from the table has in one column."""

    mean: float
    std: float
    """Of the whole table (no correction for a sample)."""
    quantiles: Mapping[float, float]
    count: int
    """Architectures in the table."""


@dataclass(frozen=True, eq=False)
class Table:
    """The table, or a part of it: one row per architecture. Made by `read`."""

    index: Integers
    """[N], the benchmark's own order."""
    codes: Integers
    """[N], the operations of each row as one number in base 5, the first edge last."""
    columns: Mapping[str, Floats]
    """Each [N]: `ACCURACIES` in percent and `PARAMETERS`."""
    _rows: Mapping[int, int]

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """The table in a Parquet file with the columns `index`, `OPERATIONS`, `ACCURACIES` and
        `PARAMETERS`; further ones are ignored.

        InvalidInput for no Parquet file, columns that are missing or hold other than numbers in
        range, an architecture twice.
        """
        needed = ("index", *OPERATIONS, *ACCURACIES, *PARAMETERS)
        raw = read_columns(path, needed, "Give a table of NAS-Bench-201, as `convert` writes it.")
        operations = np.stack([raw[name] for name in OPERATIONS], axis=1)  # [N, 6]
        _check(path, raw, operations)
        codes = (operations @ _POWERS).astype(np.int64)
        rows = {int(code): row for row, code in enumerate(codes)}
        rule = "a table holds every architecture once, and at least one"
        counts = {"rows": len(codes), "architectures": len(rows)}
        require(len(rows) == len(codes) > 0, rule, _ANEW, path=str(path), **counts)
        columns = {name: raw[name] for name in (*ACCURACIES, *PARAMETERS)}
        return cls(raw["index"].astype(np.int64), codes, columns, rows)

    def __len__(self) -> int:
        return len(self.codes)

    def __contains__(self, architecture: Architecture) -> bool:
        return self._code(architecture) in self._rows

    def lookup(self, architecture: Architecture) -> Record:
        """All that is known of an architecture; InvalidInput where it is not in this table."""
        return self._record(self._row(architecture))

    def column(self, name: str) -> Floats:
        """A column, [N]. Raises InvalidInput, with the nearest name, for an unknown one."""
        require_known("A column", name, self.columns)
        return self.columns[name]

    def accuracy(self, architecture: Architecture, column: str = "c10_test_200") -> float:
        """By default the test accuracy on CIFAR-10 after 200 epochs, in percent."""
        return float(self.column(column)[self._row(architecture)])

    def rank(self, architecture: Architecture, column: str = "c10_test_200") -> int:
        """1 + the number of architectures that are strictly better; 1 is the best."""
        return 1 + int((self.column(column) > self.accuracy(architecture, column)).sum())

    def percentile(self, architecture: Architecture, column: str = "c10_test_200") -> float:
        """The share of architectures that are strictly worse, in percent."""
        return 100 * float((self.column(column) < self.accuracy(architecture, column)).mean())

    def optimum(self, column: str = "c10_test_200") -> Record:
        """The best architecture of the table; the one with the smaller row where two are equal."""
        return self._record(int(self.column(column).argmax()))

    def random_pick(
        self, column: str = "c10_test_200", quantiles: Sequence[float] = _QUANTILES
    ) -> RandomPick:
        """What a uniform draw has in `column`; `quantiles` in [0, 1], interpolated."""
        within, remedy = all(0 <= q <= 1 for q in quantiles), "Use 0.5 for the median."
        require(within, "0 <= quantile <= 1", remedy, quantiles=quantiles)
        values = self.column(column)
        at = {float(q): float(np.quantile(values, q)) for q in quantiles}
        return RandomPick(float(values.mean()), float(values.std()), at, len(values))

    def _code(self, architecture: Architecture) -> int:
        return int(np.array(nasbench201.numbers(architecture)) @ _POWERS)

    def _row(self, architecture: Architecture) -> int:
        row = self._rows.get(self._code(architecture))
        if row is None:
            missing = f"{nasbench201.encode(architecture)} is not among its {len(self)}"
            rule = "An architecture must be in the table to be looked up"
            remedy = f"of {nasbench201.SIZE}. Use the whole table."
            raise InvalidInput(f"{rule}, but {missing} {remedy}")
        return row

    def _record(self, row: int) -> Record:
        numbers = tuple(int(self.codes[row]) // int(power) % len(OPS) for power in _POWERS)
        accuracies = {name: float(self.columns[name][row]) for name in ACCURACIES}
        parameters = {name: int(self.columns[name][row]) for name in PARAMETERS}
        architecture = nasbench201.encode(nasbench201.from_numbers(numbers))
        return Record(int(self.index[row]), architecture, accuracies | parameters)


_OFFICIAL = {
    "c10": {"valid": "cifar10-valid", "test": "cifar10"},
    "c100": {"valid": "cifar100", "test": "cifar100"},
    "in16": {"valid": "ImageNet16-120", "test": "ImageNet16-120"},
}
"""The benchmark's datasets. On CIFAR-10 the network of the validation accuracy has trained on half
of the training set, that of the test accuracy on all of it.
"""


def convert(
    source: Any,
    target: str | Path,
    *,
    progress: Callable[[int, int], object] | None = None,
) -> None:
    """Write the table that `Table.read` reads from the official files of NATS-Bench (topology),
    through the package `nats_bench`. They are pickles, which run code when they are read: convert
    those that you trust, once.

    `source`: the folder `NATS-tss-v1_0-3ffb9-simple` (read one architecture at a time), the file
    `NATS-tss-v1_0-3ffb9.pickle.pbz2` (needs much memory), or what `nats_bench.create` returned.
    `target` appears whole or not at all. `progress` is called after each architecture with its
    number from 1 and the number of all. InvalidInput where the package or a file is missing, the
    files are not those of the benchmark, the target cannot be written.
    """
    api = _open(Path(source)) if isinstance(source, str | Path) else source
    total = len(api)
    rows: list[dict[str, Any]] = []
    for index in range(total):
        rows.append(_official_row(api, index))
        if getattr(api, "fast_mode", False):
            # It keeps what it has read, tens of GiB for all; what is dropped it would read again.
            getattr(api, "arch2infos_dict", {}).pop(index, None)
        if progress is not None:
            progress(index + 1, total)
    rule, remedy = "the benchmark has architectures", "Give its complete files."
    require(total > 0, rule, remedy, architectures=total)
    _write(rows, Path(target))


def _open(path: Path) -> Any:
    rule = "the official files of NATS-Bench exist"
    remedy = "Download NATS-tss-v1_0-3ffb9-simple and give its path."
    require(path.exists(), rule, remedy, path=str(path))
    try:
        nats_bench = importlib.import_module("nats_bench")
    except ImportError as error:
        rule = "Converting the official files takes the package nats_bench, which is not installed"
        raise InvalidInput(f'{rule}. Run: pip install "fade-ray[nasbench201]"') from error
    rule = f"{path} must hold the files of NATS-Bench's topology space"
    remedy = "Give the folder NATS-tss-v1_0-3ffb9-simple or NATS-tss-v1_0-3ffb9.pickle.pbz2."
    with upheld(rule, remedy, Exception):  # whatever unpickling a wrong file raises
        return nats_bench.create(str(path), "tss", fast_mode=path.is_dir(), verbose=False)


def _official_row(api: Any, index: int) -> dict[str, Any]:
    """The row of one architecture. InvalidInput where the benchmark lacks one of its results."""
    cell = nasbench201.decode(api.arch(index))
    numbers = nasbench201.numbers(cell)
    row: dict[str, Any] = {
        "index": index,
        "arch_str": nasbench201.encode(cell),
        "unique_str": nasbench201.unique_key(cell),
        **dict(zip(OPERATIONS, numbers, strict=True)),
    }
    rule = f"The benchmark must have all results of all architectures, of number {index} too"
    wrong = (KeyError, ValueError, TypeError, AssertionError, OSError)
    with upheld(rule, "Give its complete files.", *wrong):
        for dataset, split, epochs in product(DATASETS, SPLITS, EPOCHS):
            # is_random=False: the mean over the seeds
            official = _OFFICIAL[dataset][split]
            info = api.get_more_info(index, official, hp=str(epochs), is_random=False)
            row[f"{dataset}_{split}_{epochs}"] = float(info[f"{split}-accuracy"])
        for dataset in DATASETS:
            cost = api.get_cost_info(index, _OFFICIAL[dataset]["test"], "200")
            row[f"params_{dataset}"] = round(float(cost["params"]) * 1e6)  # given in millions
    return row


def _write(rows: Sequence[Mapping[str, Any]], target: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"index": pa.int32(), "arch_str": pa.string(), "unique_str": pa.string()}
    types |= dict.fromkeys(OPERATIONS, pa.int8()) | dict.fromkeys(ACCURACIES, pa.float64())
    types |= dict.fromkeys(PARAMETERS, pa.int32())
    part = target.with_name(target.name + ".part")
    table = pa.Table.from_pylist(list(rows), schema=pa.schema(list(types.items())))
    remedy = "Name a file in a folder that exists."
    with upheld(f"The table must be writable to {target}", remedy, OSError):
        try:
            pq.write_table(table, part, compression="zstd")
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)


def _check(path: str | Path, raw: Mapping[str, Floats], operations: Floats) -> None:
    """InvalidInput for what is out of range; a missing value reads as NaN and is in no range."""
    whole = bool(np.isin(operations, np.arange(len(OPS))).all())
    rule = f"operations are whole numbers from 0 to {len(OPS) - 1}"
    require(whole, rule, _ANEW, path=str(path))
    top = dict.fromkeys(ACCURACIES, 100.0) | dict.fromkeys(("index", *PARAMETERS), 2.0**31)
    bad = [name for name, high in top.items() if not ((raw[name] >= 0) & (raw[name] <= high)).all()]
    rule = "accuracies are in percent, indices and counts not negative, and none is missing"
    require(not bad, rule, _ANEW, path=str(path), columns=bad)


STACKINGS["nasbench201"] = replace(STACKINGS["nasbench201"], table=Table.read)
