"""The Parquet tables of a run say the same as its records."""

import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from synthetic_run import FEATURES, SyntheticRun

from fade_ray.records.journal import Journal
from fade_ray.report.tables import write_tables
from fade_ray.search.search_history import History
from fade_ray.search.search_tables import search_tables
from searchers.outcome import Outcome
from spaces.dag import Dag
from spaces.errors import InvalidInput
from spaces.feature_space import GraphSpace
from spaces.hyper import HyperArchitecture

NAMES = ("trials", "epochs", "ranks", "anchors")


def tables(history: History, folder: Path) -> dict[str, list[dict]]:
    write_tables(search_tables(history, FEATURES), folder)
    return {name: pq.read_table(folder / f"{name}.parquet").to_pylist() for name in NAMES}


@pytest.fixture
def run(tmp_path: Path) -> SyntheticRun:
    return SyntheticRun(tmp_path, depth=2, walks=2).search(2).end()


def test_trials_and_epochs(run: SyntheticRun, tmp_path: Path) -> None:
    failing = run.propose("evaluation", 3, HyperArchitecture(((Dag(3),), (Dag(3),))))
    run.fail(failing, "NaN loss")
    waiting = run.propose("evaluation", 3, failing.hyper, index=failing.index, attempt=1)
    history = History.read(tmp_path / "records.jsonl")
    read = tables(history, tmp_path / "tables")
    trials = {row["id"]: row for row in read["trials"]}
    assert list(trials) == list(history.proposals)
    for id, row in trials.items():
        proposal, metrics = history.proposals[id], history.metrics.get(id, {})
        assert (row["kind"], row["index"], row["seed"]) == (
            proposal.kind,
            proposal.index,
            proposal.seed,
        )
        assert HyperArchitecture.from_code(row["hyper"]) == proposal.hyper
        assert row["images"] == metrics.get("images")
        assert row["seconds"] == metrics.get("seconds")
    assert [trials[id]["status"] for id in (failing.id, waiting.id)] == ["failed", "in flight"]
    assert trials[failing.id]["failure"] == "NaN loss"
    assert trials[waiting.id]["finished"] is None
    assert all(row["proposed"] <= row["finished"] for row in trials.values() if row["finished"])
    assert [row["test_accuracy"] for row in trials.values() if row["kind"] == "retraining"] == [
        0.972
    ]
    assert len(read["epochs"]) == sum(len(epochs) for epochs in history.epochs.values())
    first = read["epochs"][0]
    assert (first["id"], first["epoch"], first["accuracy"]) == ("00000", 1, pytest.approx(0.2))
    assert first["weights"] == history.epochs["00000"][1]["weights"]


def test_ranks_and_anchors(run: SyntheticRun, tmp_path: Path) -> None:
    history = History.read(tmp_path / "records.jsonl")
    read = tables(history, tmp_path / "tables")
    ranks = [id for id, proposal in history.proposals.items() if proposal.kind == "ranks"]
    assert len(read["ranks"]) == len(ranks) * 2 * 7
    space = GraphSpace.create(features=FEATURES)
    for row in read["ranks"]:
        proposal, outcome = history.proposals[row["id"]], history.outcomes[row["id"]]
        assert outcome.log_weights is not None
        assert row["weight"] == pytest.approx(np.exp(outcome.log_weights[row["row"]][row["place"]]))
        assert row["dag"] == proposal.hyper.rows[row["row"]][row["place"]].code
        point = np.array([row[f"point_{name}"] for name in FEATURES])
        assert Dag.from_code(row["dag"]) in space.members(point), (
            "the graph was generated at this point"
        )
    value = {
        (r["iteration"], r["walk"], r["row"], r["feature"]): r["value"] for r in read["anchors"]
    }
    assert len(value) == len(read["anchors"]) == 3 * 2 * 2 * 3
    assert value[2, 1, 0, "vertices"] == history.anchors[2][1][0][2]


def test_an_empty_run_gives_empty_tables_with_the_same_columns(
    run: SyntheticRun, tmp_path: Path
) -> None:
    Journal(tmp_path / "empty.jsonl").close()
    write_tables(
        search_tables(History.read(tmp_path / "records.jsonl"), FEATURES), tmp_path / "full"
    )
    write_tables(
        search_tables(History.read(tmp_path / "empty.jsonl"), FEATURES), tmp_path / "empty"
    )
    for name in NAMES:
        full, empty = (
            pq.read_table(tmp_path / folder / f"{name}.parquet") for folder in ("full", "empty")
        )
        assert empty.num_rows == 0 < full.num_rows
        assert empty.schema == full.schema


def test_searchers_without_points_or_anchors(tmp_path: Path) -> None:
    run = SyntheticRun(tmp_path)
    run.journal.append("iteration", iteration=1, anchors=[])
    proposal = run.propose("ranks", 1, HyperArchitecture(((Dag(3), Dag(2)),)))
    run.finish(proposal, Outcome(log_weights=((np.log(0.25), np.log(0.75)),)))
    read = tables(History.read(tmp_path / "records.jsonl"), tmp_path / "tables")
    assert read["anchors"] == []
    assert [(row["dag"], row["point_vertices"]) for row in read["ranks"]] == [
        ("3.0", None),
        ("2.0", None),
    ]


def test_writing_again_replaces_and_leaves_nothing_else(run: SyntheticRun, tmp_path: Path) -> None:
    history = History.read(tmp_path / "records.jsonl")
    for _ in range(2):
        write_tables(search_tables(history, FEATURES), tmp_path / "tables")
    assert sorted(os.listdir(tmp_path / "tables")) == sorted(f"{name}.parquet" for name in NAMES)


def test_a_folder_that_cannot_be_written_is_said_in_one_message(tmp_path: Path) -> None:
    (tmp_path / "tables").write_text("a file where the folder should be")
    with pytest.raises(InvalidInput, match="tables of a run"):
        write_tables(search_tables(History([]), FEATURES), tmp_path / "tables")
