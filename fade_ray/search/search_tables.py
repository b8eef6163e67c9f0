"""The records of a search as tables: trials, epochs, ranks, anchors."""

import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from fade_ray.records.measures import ACCURACY, Measure
from fade_ray.report.tables import REAL, TEXT, WHOLE, columns
from fade_ray.search.search_history import History

Rows = Iterator[dict[str, Any]]
TIME = pa.timestamp("ms", tz="UTC")


def trial_columns(key: str) -> pa.Schema:
    """`status` is done, failed or in flight. `accuracy`, or what else a run measures under that
    `key`: on the architecture split (as shares of 1), `test_...` on the test part, `hyper_...` of
    the hyper-architecture's argmax path on the architecture split.
    """
    return columns(
        (TEXT, "id kind network status failure parent hyper device"),
        (WHOLE, "index attempt iteration walk repeat seed epochs"),
        (REAL, f"{key} test_{key} hyper_{key}"),
        (WHOLE, "images multiply_adds"),
        (REAL, "seconds trial_seconds peak_memory_mib"),
        (TIME, "proposed finished"),
    )


def epoch_columns(key: str) -> pa.Schema:
    """`entropy` [row]; `weights` [row][distinct candidate]."""
    return columns(
        (TEXT, "id"),
        (WHOLE, "epoch"),
        (REAL, f"loss {key} architecture_loss architecture_{key}"),
        (REAL, "images_per_second seconds peak_memory_mib"),
        (WHOLE, "images multiply_adds"),
        (pa.list_(REAL), "entropy"),
        (pa.list_(pa.list_(REAL)), "weights"),
    )


ANCHORS = columns((WHOLE, "iteration walk row"), (TEXT, "feature"), (REAL, "value"))
"""The anchors after each iteration, 0 being the random start; `value` in [0, 1]."""


def search_tables(
    history: History, features: Sequence[str], measure: Measure = ACCURACY
) -> dict[str, pa.Table]:
    """All of them by name. Rows, walks, repeats and places count from 0, iterations and epochs
    from 1. `features`: names of the axes of the feature space, in the order of the coordinates.
    """
    places, points = "iteration walk repeat row place", (f"point_{name}" for name in features)
    point = (REAL, " ".join(points))
    # a line per place of each hyper-architecture: its point, its graph and its weight
    ranks = columns((TEXT, "id"), (WHOLE, places), point, (TEXT, "dag"), (REAL, "weight"))
    tables = {
        "trials": (trials := trial_columns(measure.key), _trials(history, trials.names, measure)),
        "epochs": (epochs := epoch_columns(measure.key), _epochs(history, epochs.names)),
        "ranks": (ranks, _ranks(history, features)),
        "anchors": (ANCHORS, _anchors(history, features)),
    }
    return {
        name: pa.Table.from_pylist(list(rows), schema=schema)
        for name, (schema, rows) in tables.items()
    }


def _trials(history: History, names: Sequence[str], measure: Measure) -> Rows:
    for id, proposal in history.proposals.items():
        outcome, metrics = history.outcomes.get(id), history.metrics.get(id, {})
        status = "in flight" if outcome is None else "done" if outcome.failure is None else "failed"
        row = {name: metrics[name] for name in names if metrics.get(name) is not None}
        row |= {name: getattr(proposal, name) for name in names if hasattr(proposal, name)}
        row |= {"status": status, "hyper": proposal.hyper.code()}
        if outcome is not None:
            failure = None if outcome.failure is None else str(outcome.failure)
            score = None if outcome.score is None else measure.plain(outcome.score)
            row |= {"failure": failure, measure.key: score}
        for event in ("proposed", "finished"):
            time = history.times.get((event, id))
            row[event] = None if time is None else datetime.fromisoformat(time)
        yield row


def _epochs(history: History, names: Sequence[str]) -> Rows:
    for id in sorted(history.epochs):
        for epoch, metrics in sorted(history.epochs[id].items()):
            yield {name: metrics.get(name) for name in names} | {"id": id, "epoch": epoch}


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
                named = (f"point_{name}" for name in features)
                graph = {"row": row, "place": place, "dag": cell.code, "weight": math.exp(log)}
                yield where | dict(zip(named, point, strict=True)) | graph


def _anchors(history: History, features: Sequence[str]) -> Rows:
    for iteration, anchors in sorted(history.anchors.items()):
        for (walk, row, k), value in np.ndenumerate(np.asarray(anchors, float)):
            named = {"feature": features[k], "value": float(value)}
            yield {"iteration": iteration, "walk": walk, "row": row} | named
