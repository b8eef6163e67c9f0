"""A comparison as tables, CSV for people and Parquet for pandas, polars or DuckDB: evaluations,
seeds, searchers, curves, tests, top.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fade_ray.compare.comparison import Comparison, jsonable
from fade_ray.compare.trace import Trace
from fade_ray.records.atomic import write_atomically
from spaces.errors import InvalidInput

TEXT, WHOLE, REAL, TRUTH = pa.string(), pa.int64(), pa.float64(), pa.bool_()

SCHEMAS = {
    "evaluations": {
        "searcher": TEXT,
        "seed": WHOLE,
        "number": WHOLE,
        "cost": REAL,
        "score": REAL,
        "report": REAL,
    },
    "seeds": {"searcher": TEXT, "seed": WHOLE, "complete": TRUTH, "evaluations": WHOLE}
    | dict.fromkeys(("spent", "spent_on_ranks", "score", "final", "area"), REAL),
    "searchers": {"searcher": TEXT, "seeds": WHOLE, "partial": WHOLE}
    | dict.fromkeys(
        ("mean", "std", "low", "high", "area", "area_std", "rank", "area_rank", "evaluations"), REAL
    )
    | dict.fromkeys(("spent", "spent_on_ranks", "top_mean"), REAL),
    "curves": {"searcher": TEXT, "seeds": WHOLE}
    | dict.fromkeys(("budget", "mean", "low", "high", "score"), REAL),
    "tests": {
        "searcher": TEXT,
        "baseline": TEXT,
        "measure": TEXT,
        "seeds": WHOLE,
        "zeros": WHOLE,
        "family": WHOLE,
    }
    | dict.fromkeys(
        (
            "difference",
            "low",
            "high",
            "effect",
            "superiority",
            "p",
            "corrected",
            "smallest",
            "smallest_corrected",
        ),
        REAL,
    ),
    "top": {"searcher": TEXT, "place": WHOLE, "report": REAL},
}
"""Columns by table. Accuracies, differences and areas are shares of 1; `cost`, `spent` and `budget`
in the traces' unit; `number` and `place` count from 1; what is undefined is null (an empty field in
CSV).
"""


def rows(comparison: Comparison, traces: Sequence[Trace]) -> dict[str, list[dict[str, Any]]]:
    """The rows of each table of `SCHEMAS`."""
    evaluations = [
        {
            "searcher": t.searcher,
            "seed": t.seed,
            "number": i,
            "cost": cost,
            "score": score,
            "report": report,
        }
        for t in traces
        for i, (cost, score, report) in enumerate(
            zip(t.costs, t.scores, t.reports, strict=True), start=1
        )
    ]
    curves = [
        {
            "searcher": band.searcher,
            "seeds": band.seeds,
            "budget": budget,
            "mean": mean,
            "low": low,
            "high": high,
            "score": score,
        }
        for band in comparison.bands
        for budget, mean, low, high, score in zip(
            band.grid, band.mean, band.low, band.high, band.score, strict=True
        )
    ]
    top = [
        {"searcher": one.searcher, "place": place, "report": report}
        for one in comparison.summaries
        for place, report in enumerate(one.top, start=1)
    ]
    found = {
        "evaluations": evaluations,
        "seeds": [vars(result) for result in comparison.results],
        "searchers": [vars(summary) for summary in comparison.summaries],
        "curves": curves,
        "tests": [vars(test) | {"seeds": len(test.seeds)} for test in comparison.tests],
        "top": top,
    }
    return {
        name: [{key: jsonable(row[key]) for key in SCHEMAS[name]} for row in found[name]]
        for name in SCHEMAS
    }


def write_csv(comparison: Comparison, traces: Sequence[Trace], folder: Path) -> None:
    """Write each table as `folder/<name>.csv`, whole or not at all. InvalidInput if the folder
    cannot be written.
    """
    for name, lines in rows(comparison, traces).items():
        text = io.StringIO()
        writer = csv.DictWriter(text, list(SCHEMAS[name]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
        _write(folder / f"{name}.csv", text.getvalue().encode())


def write_parquet(comparison: Comparison, traces: Sequence[Trace], folder: Path) -> None:
    """Write each table as `folder/<name>.parquet`, whole or not at all. InvalidInput if the folder
    cannot be written.
    """
    for name, lines in rows(comparison, traces).items():
        buffer = io.BytesIO()
        pq.write_table(
            pa.Table.from_pylist(lines, schema=pa.schema(list(SCHEMAS[name].items()))), buffer
        )
        _write(folder / f"{name}.parquet", buffer.getvalue())


def _write(path: Path, content: bytes) -> None:
    try:
        write_atomically(path, content)
    except OSError as error:
        raise InvalidInput(
            f"The tables of a comparison are written to {path.parent}, but that failed: {error.strerror or error}. "
            "Free space or set the permissions and write them again."
        ) from error
