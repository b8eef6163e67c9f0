"""Studies of learned ranks in `scripts/`: from recorded trainings to the published numbers."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import ranks_against_size
import replay_learned_ranks

RESULTS = Path(__file__).parents[2] / "docs" / "results"
STUDIES = (RESULTS / "nasbench-macro", RESULTS / "nasbench-macro-again")


def test_every_recorded_training_is_replayed() -> None:
    runs = ranks_against_size.recorded_runs(STUDIES)
    assert [(run.setting, run.seed) for run in runs] == [
        *(("default", seed) for seed in range(3)),
        *(("late", seed) for seed in range(3)),
        *(("marginal-late", seed) for seed in range(6)),
    ]
    record = pq.read_table(RESULTS / "replay-learned" / "searches.parquet").to_pylist()
    replayed = {(row["setting"], row["training"]) for row in record if row["searcher"] == "fade"}
    assert replayed == {(run.setting, run.seed) for run in runs}


def test_the_summary_is_that_of_the_record() -> None:
    """The unit is the training: the mean of six numbers, not of six hundred."""
    record = pq.read_table(RESULTS / "replay-learned" / "searches.parquet").to_pylist()
    published = json.loads((RESULTS / "replay-learned" / "summary.json").read_text())
    runs = ranks_against_size.recorded_runs(STUDIES)
    rho = {(run.setting, run.seed): published["rho"][run.setting][str(run.seed)] for run in runs}
    found = json.loads(json.dumps(replay_learned_ranks.summary(record, runs, rho)))
    for measure in ("final", "area"):
        assert found[measure] == published[measure]
    late = found["final"]["settings"]["marginal-late"]
    assert len(late["trainings"]) == 6
    assert (late["against"]["random"]["above"], late["against"]["random"]["family"]) == (6, 12)
    assert late["against"]["by-size"]["finding"] == "no difference shown"


def test_a_walk_of_the_record_can_be_made_again(real_data: Path) -> None:
    options = replay_learned_ranks.Options(real_data / "nasbench_macro.parquet", STUDIES, seeds=2)
    benchmark = replay_learned_ranks.read_benchmark(options.table)
    run = ranks_against_size.recorded_runs(STUDIES, "marginal-late")[0]
    record = pq.read_table(RESULTS / "replay-learned" / "searches.parquet").to_pylist()
    known = {
        (row["training"], row["searcher"], row["seed"]): row["final"]
        for row in record
        if row["setting"] == run.setting
    }
    for row in replay_learned_ranks.searches(options, benchmark, replay_learned_ranks.RANKED, run):
        assert row["final"] == known[run.seed, row["searcher"], row["seed"]]


def test_ranks_beside_size_are_as_published(real_data: Path) -> None:
    options = ranks_against_size.Options(real_data / "nasbench_macro.parquet", STUDIES)
    published = json.loads((RESULTS / "ranks-against-size" / "summary.json").read_text())
    found = ranks_against_size.summary(options)
    for part in ("over_trainings", "minus_size"):
        for name, values in found[part].items():
            assert values == pytest.approx(published[part][name], abs=1e-9)
