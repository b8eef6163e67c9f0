"""The records of a run as Parquet tables, to be read with pandas, polars or DuckDB: trials, epochs,
ranks, anchors.
"""

import io
import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fade_ray.records.atomic import write_atomically
from fade_ray.search.search_history import History
from spaces.errors import InvalidInput

Rows = Iterator[dict[str, Any]]

TRIALS = pa.schema(
    [
        *(
            (name, pa.string())
            for name in ("id", "kind", "status", "failure", "parent", "hyper", "device")
        ),
        *(
            (name, pa.int64())
            for name in ("index", "attempt", "iteration", "walk", "repeat", "seed", "epochs")
        ),
        *((name, pa.float64()) for name in ("accuracy", "test_accuracy", "hyper_accuracy")),
        *((name, pa.int64()) for name in ("images", "multiply_adds")),
        *((name, pa.float64()) for name in ("seconds", "trial_seconds", "peak_memory_mib")),
        *((name, pa.timestamp("ms", tz="UTC")) for name in ("proposed", "finished")),
    ]
)
"""`status` is done, failed or in flight. Accuracies are in [0, 1]: `accuracy` on the architecture
split, `test_accuracy` on the test part, `hyper_accuracy` of the hyper-architecture's argmax path on
the architecture split.
"""

EPOCHS = pa.schema(
    [
        ("id", pa.string()),
        ("epoch", pa.int64()),
        *(
            (name, pa.float64())
            for name in ("loss", "accuracy", "architecture_loss", "architecture_accuracy")
        ),
        *((name, pa.float64()) for name in ("images_per_second", "seconds", "peak_memory_mib")),
        *((name, pa.int64()) for name in ("images", "multiply_adds")),
        ("entropy", pa.list_(pa.float64())),
        ("weights", pa.list_(pa.list_(pa.float64()))),
    ]
)
"""`entropy` [row]; `weights` [row][distinct candidate]."""

ANCHORS = pa.schema(
    [
        *((name, pa.int64()) for name in ("iteration", "walk", "row")),
        ("feature", pa.string()),
        ("value", pa.float64()),
    ]
)
"""The anchors after each iteration, 0 being the random start; `value` in [0, 1]."""


def ranks_schema(features: Sequence[str]) -> pa.Schema:
    """One line per place of each trained hyper-architecture: where its point lay, its graph and its
    architecture weight.
    """
    return pa.schema(
        [
            ("id", pa.string()),
            *((name, pa.int64()) for name in ("iteration", "walk", "repeat", "row", "place")),
            *((f"point_{name}", pa.float64()) for name in features),
            ("dag", pa.string()),
            ("weight", pa.float64()),
        ]
    )


def write_tables(history: History, features: Sequence[str], folder: Path) -> None:
    """Write `trials`, `epochs`, `ranks` and `anchors` as `folder/<name>.parquet`, each whole or not
    at all.

    Rows, walks, repeats and places count from 0, iterations and epochs from 1.

    Args:
        features: names of the axes of the feature space, in the order of the points' coordinates.

    Raises:
        InvalidInput: if the folder cannot be written.
    """
    tables = {
        "trials": (TRIALS, _trials(history)),
        "epochs": (EPOCHS, _epochs(history)),
        "ranks": (ranks_schema(features), _ranks(history, features)),
        "anchors": (ANCHORS, _anchors(history, features)),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, (schema, rows) in tables.items():
            _write(pa.Table.from_pylist(list(rows), schema=schema), folder / f"{name}.parquet")
    except OSError as error:
        raise InvalidInput(
            f"The tables of a run are written to {folder}, but that failed: {error.strerror or error}. "
            "Free space or set the permissions and write them again."
        ) from error


def _write(table: pa.Table, path: Path) -> None:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    write_atomically(path, buffer.getvalue())


def _trials(history: History) -> Rows:
    for id, proposal in history.proposals.items():
        outcome, metrics = history.outcomes.get(id), history.metrics.get(id, {})
        status = "in flight" if outcome is None else "done" if outcome.failure is None else "failed"
        row = {name: metrics[name] for name in TRIALS.names if metrics.get(name) is not None}
        row |= {name: getattr(proposal, name) for name in TRIALS.names if hasattr(proposal, name)}
        row |= {"status": status, "hyper": proposal.hyper.code()}
        if outcome is not None:
            row |= {"failure": outcome.failure and str(outcome.failure), "accuracy": outcome.score}
        for event in ("proposed", "finished"):
            time = history.times.get((event, id))
            row[event] = None if time is None else datetime.fromisoformat(time)
        yield row


def _epochs(history: History) -> Rows:
    for id in sorted(history.epochs):
        for epoch, metrics in sorted(history.epochs[id].items()):
            yield {name: metrics.get(name) for name in EPOCHS.names} | {"id": id, "epoch": epoch}


def _ranks(history: History, features: Sequence[str]) -> Rows:
    for id, proposal in history.proposals.items():
        outcome = history.outcomes.get(id)
        if outcome is None or outcome.log_weights is None:
            continue
        where = {name: getattr(proposal, name) for name in ("id", "iteration", "walk", "repeat")}
        for row, (cells, logs) in enumerate(
            zip(proposal.hyper.rows, outcome.log_weights, strict=True)
        ):
            for place, (cell, log) in enumerate(zip(cells, logs, strict=True)):
                point = proposal.points[row][place] if proposal.points else [None] * len(features)
                coordinates = {
                    f"point_{name}": value for name, value in zip(features, point, strict=True)
                }
                yield (
                    where
                    | coordinates
                    | {"row": row, "place": place, "dag": cell.code, "weight": math.exp(log)}
                )


def _anchors(history: History, features: Sequence[str]) -> Rows:
    for iteration, walks in sorted(history.anchors.items()):
        for walk, rows in enumerate(walks):
            for row, point in enumerate(rows):
                for feature, value in zip(features, point, strict=True):
                    yield {
                        "iteration": iteration,
                        "walk": walk,
                        "row": row,
                        "feature": feature,
                        "value": value,
                    }
