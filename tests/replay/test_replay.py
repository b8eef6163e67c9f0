"""Replays: budgets kept, traces that are the same by seed, what the command refuses and writes, and
FaDE against random search.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from dataclasses import replace as changed
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import wait_for
from rich.console import Console

from fade_ray.analysis.paired_tests import signed_rank
from fade_ray.cli import main
from fade_ray.compare.compare_config import CompareConfig, ContestConfig
from fade_ray.compare.trace import Trace, final
from fade_ray.records.json_form import as_json, from_json
from fade_ray.replay.benchmarks import Benchmark, read_benchmark
from fade_ray.replay.replay_config import ReplayConfig
from fade_ray.replay.replay_run import ReplayRun, read_traces
from fade_ray.replay.replay_study import (
    DRAWS,
    Job,
    Replayed,
    agreement,
    prepare,
    replay,
    run_study,
    searcher_of,
)
from fade_ray.replay.table_objective import RankModel, TableObjective
from fade_ray.run import lifecycle
from fade_ray.search.entrants import entrant, replayed
from searchers import AnchorSearch, AskTell, Outcome, RandomPoints, RandomSearch, TrialLengths
from spaces.errors import InvalidInput
from spaces.feature_space import FeatureSpace

SEARCHERS = list(replayed())
FAST = [name for name in SEARCHERS if not entrant(name).searcher.slow]
WALKS = [name for name in SEARCHERS if name.startswith("fade")]
KIND = ReplayRun()
RECORD = KIND.record


def replay_run(config: ReplayConfig, console: Console | None = None) -> None:
    """As `fade-ray replay` does."""
    KIND.tell(lifecycle.run(KIND, config), console or Console())


def recorded(out: Path) -> dict[Job, Replayed]:
    return KIND.read_record(out).done


def run(
    benchmark: Benchmark,
    name: str,
    seed: int,
    budget: float = 20.0,
    ranks: float = 1.0,
    noise: float = 0.5,
) -> Replayed:
    model = replace(RankModel(noise), **entrant(name).ranks)
    objective = TableObjective(benchmark, seed, model)
    build = partial(searcher_of, benchmark, name, seed)
    return replay(name, build, objective, budget, ranks)


@pytest.mark.parametrize("name", SEARCHERS)
def test_every_searcher_uses_its_budget_and_is_the_same_by_seed(name: str, toy: Benchmark) -> None:
    budget = 20.0 if name in FAST else 6.0  # the first five points of Bayesian search are random
    found = run(toy, name, 3, budget)
    trace = found.trace
    assert trace.complete
    assert (trace.searcher, trace.seed, trace.unit) == (name, 3, "evaluations")
    assert found.spent_on_ranks + len(trace.costs) == budget
    assert list(trace.costs) == sorted(set(trace.costs))
    assert trace.costs[-1] <= budget
    assert run(toy, name, 3, budget) == found
    if name in FAST:
        assert run(toy, name, 4, budget).trace.scores != trace.scores


@pytest.mark.parametrize("name", FAST)
def test_a_longer_replay_begins_like_a_shorter_one(name: str, toy: Benchmark) -> None:
    short, long = run(toy, name, 0, 20.0).trace, run(toy, name, 0, 33.0).trace
    # the last batch of a budget evaluates what it has no ranks for any more
    same = len(short.scores) - 4
    assert same > 3
    assert long.scores[:same] == short.scores[:same]


def test_hyper_architectures_cost_what_they_are_said_to(toy: Benchmark) -> None:
    found = run(toy, "fade-paper", 0, budget=10.0, ranks=1.5)
    # A fourth one would leave nothing to act on its ranks; the rest goes to what the third one's
    # prefer.
    assert found.trace.costs == (2.5, 5.0, 7.5, 8.5, 9.5)
    assert found.spent_on_ranks == 4.5
    assert run(toy, "fade-paper", 0, budget=11.0, ranks=1.5).trace.costs == (
        2.5,
        5.0,
        7.5,
        10.0,
        11.0,
    )
    assert run(toy, "fade-paper", 0, budget=3.0, ranks=0.0).trace.costs == (1.0, 2.0, 3.0)
    twice = run(toy, "fade-repeats", 0, budget=10.0, ranks=1.5)
    assert (twice.trace.costs, twice.spent_on_ranks) == ((4.0, 8.0, 9.0, 10.0), 6.0)
    # one more evaluation in each step but the first
    with_elites = run(toy, "fade", 0, budget=10.0, ranks=1.5)
    assert (with_elites.trace.costs, with_elites.spent_on_ranks) == (
        (2.5, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0),
        3.0,
    )


@pytest.mark.parametrize("name", WALKS)
def test_walks_are_the_same_here_and_in_comparisons(name: str, toy: Benchmark) -> None:
    """But for gamma, which goes by the boxes of the space."""
    here = searcher_of(toy, name, 0)
    contest = ContestConfig((name,), seeds=(0,), baseline=name)
    there = dict(CompareConfig(contest).configs())[f"{name}-0"].searcher
    assert isinstance(here, AnchorSearch)
    assert here.options == replace(there, gamma=here.options.gamma)
    assert here.options.gamma == min(0.5, 1 / min(toy.space.bins))


def test_less_noise_makes_ranks_that_agree_better(toy: Benchmark) -> None:
    found = [agreement(toy, RankModel(noise)) for noise in (0.0, 0.5, 2.0)]
    assert found[0] > found[1] > found[2]


def test_fade_with_exact_ranks_beats_random_search(real_data: Path) -> None:
    """On NAS-Bench-Macro, 20 seeds, two-sided signed-rank test, alpha 0.01."""
    benchmark = read_benchmark(real_data / "nasbench_macro.parquet")
    finals = {
        name: np.array(
            [final(run(benchmark, name, seed, 100.0, noise=0.0).trace) for seed in range(20)]
        )
        for name in ("fade", "random")
    }
    assert finals["fade"].mean() > finals["random"].mean()
    assert signed_rank(finals["fade"] - finals["random"]) < 0.01


def test_fade_with_exact_ranks_beats_its_own_walk_without_information(real_data: Path) -> None:
    """The control whose steps are about as long; on NAS-Bench-Macro, 20 seeds, two-sided
    signed-rank test, alpha 0.01.
    """
    benchmark = read_benchmark(real_data / "nasbench_macro.parquet")
    finals = {
        name: np.array(
            [final(run(benchmark, name, seed, 100.0, noise=0.0).trace) for seed in range(20)]
        )
        for name in ("fade", "fade-blind")
    }
    assert finals["fade"].mean() > finals["fade-blind"].mean()
    assert signed_rank(finals["fade"] - finals["fade-blind"]) < 0.01


def test_ordering_by_size_is_close_to_the_best_there_is(real_data: Path) -> None:
    """NAS-Bench-Macro, 60 and 200 evaluations, 100 seeds: what is published in
    docs/results/comparison.md.
    """
    benchmark = read_benchmark(real_data / "nasbench_macro.parquet")
    for budget, expected in ((60.0, 0.92898), (200.0, 0.92943)):
        finals = [final(run(benchmark, "by-size", seed, budget).trace) for seed in range(100)]
        assert np.mean(finals) == pytest.approx(expected, abs=5e-6)


class Breaking(RandomSearch):
    """Raises when it is told of its fourth evaluation."""

    def tell(self, trial_id: str, outcome: Outcome) -> None:
        super().tell(trial_id, outcome)
        if self.iteration > 4:
            raise ValueError("the fourth\nis too much")


@dataclass(frozen=True)
class BreakingPoints(RandomPoints, name="breaking"):
    """A random search that breaks with seed 2 in the midst of its budget, and with seed 4 before
    its first question.
    """

    def build(self, space: FeatureSpace, depth: int, lengths: TrialLengths, seed: int) -> AskTell:
        if seed == 4:
            raise RuntimeError("no start")
        search = Breaking if seed == 2 else RandomSearch
        return search(RandomPoints(1000, 1, 1), space, depth, lengths, seed)


def test_a_search_that_fails_is_partial_and_ends_no_other(
    tmp_path: Path,
    real_data: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    config = small(real_data, out, searchers=("breaking", "random"))
    replay_run(config, Console(width=300))
    printed = capsys.readouterr()
    assert (
        "breaking, seed 2: failed, partial (evaluations: 4): ValueError: the fourth is too much\n"
        in printed.err
    )
    assert (
        "breaking, seed 4: failed, partial (evaluations: 0): RuntimeError: no start\n"
        in printed.err
    )
    assert "4 (+ 2 partial)" in printed.out
    traces = read_traces(out / "traces.parquet")
    assert traces is not None
    assert [(t.searcher, t.seed) for t in traces if not t.complete] == [
        ("breaking", 2),
        ("breaking", 4),
    ]
    assert [len(trace.costs) for trace in traces] == [12, 12, 4, 12, 0, 12] + [12] * 6
    assert recorded(out)["breaking", 2].failure == "ValueError: the fourth is too much"
    assert [one.failure for one in recorded(out).values()].count(None) == 10
    failures = json.loads((out / "result.json").read_text())["failures"]
    assert [(one["searcher"], one["seed"]) for one in failures] == [
        ("breaking", 2),
        ("breaking", 4),
    ]
    assert "(+ 2 partial)" in (out / "report.html").read_text()
    before = (out / RECORD).read_text()
    replay_run(changed(config, seeds=7))  # grows; what has failed is not run again
    assert (out / RECORD).read_text().startswith(before)
    assert (
        len([line for line in (out / RECORD).read_text().splitlines() if '"replayed"' in line])
        == 14
    )


@dataclass(frozen=True)
class NeverPoints(RandomPoints, name="never"):
    def build(self, space: FeatureSpace, depth: int, lengths: TrialLengths, seed: int) -> AskTell:
        raise RuntimeError("no start")


def test_a_searcher_that_fails_in_its_first_seed_stops_nothing(real_data: Path) -> None:
    found = run_study(prepare(small(real_data, Path(), searchers=("never", "random"), seeds=2)))
    assert [one.failure for one in found] == ["RuntimeError: no start"] * 2 + [None] * 2


def test_records_without_failures_are_read() -> None:
    found = Replayed(Trace("random", 0, 1.0, "evaluations", (), (), ()), 0.0)
    values = as_json(found)
    del values["failure"]  # as written by earlier versions
    assert from_json(Replayed, values) == found


def test_noise_in_points_is_said_and_kept(
    tmp_path: Path, real_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = small(real_data, tmp_path / "out", seeds=2, rank_noise=2.0)
    replay_run(config, Console(width=1000))
    table = read_benchmark(config.table)
    expected = np.mean([200 * table.view(seed % 3).spread for seed in range(DRAWS)])
    assert json.loads((tmp_path / "out" / "result.json").read_text())[
        "rank_noise_points"
    ] == pytest.approx(expected)
    assert f"marginals with noise 2, {expected:.2f} points of accuracy" in capsys.readouterr().out


def test_ranks_that_are_all_equal_have_no_correlation(
    tmp_path: Path, real_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    replay_run(
        small(real_data, tmp_path / "out", seeds=2, rank_noise=0.0, rank_signal=0.0),
        Console(width=1000),
    )
    assert json.loads((tmp_path / "out" / "result.json").read_text())["rank_spearman"] is None
    assert "no marginals with noise 0, 0.00 points" in capsys.readouterr().out


def test_the_table_may_be_in_the_home_of_the_user(
    tmp_path: Path, real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "macro.parquet").symlink_to(real_data / "nasbench_macro.parquet")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_benchmark("~/macro.parquet").name == "NAS-Bench-Macro"
    with pytest.raises(InvalidInput, match=re.escape(f"but {tmp_path / 'none.parquet'}")):
        read_benchmark("~/none.parquet")


def test_learned_ranks_are_read(tmp_path: Path, real_data: Path) -> None:
    (tmp_path / "ranks.json").write_text(json.dumps({"weights": [[0.2, 0.3, 0.5]] * 8}))
    table = str(real_data / "nasbench_macro.parquet")
    config = ReplayConfig(
        table, ("fade", "random"), seeds=2, budget=10, ranks=str(tmp_path / "ranks.json")
    )
    study = prepare(config)
    assert study.model.weights == ((0.2, 0.3, 0.5),) * 8
    assert [one.trace.seed for one in run_study(study)] == [0, 1, 0, 1]


def test_several_processes_give_the_same(real_data: Path) -> None:
    options = {
        "table": str(real_data / "nasbench_macro.parquet"),
        "searchers": ("fade,random",),
        "seeds": 3,
        "budget": 6.0,
    }
    one, two = (run_study(prepare(ReplayConfig(**options, workers=workers))) for workers in (1, 2))  # type: ignore[arg-type]
    assert one == two


def test_the_command_writes_what_it_found(
    tmp_path: Path, real_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    table = str(real_data / "nasbench_macro.parquet")
    main(
        [
            "replay",
            "--table",
            table,
            "--searchers",
            "fade,random",
            "--seeds",
            "6",
            "--budget",
            "20",
            "--out",
            str(out),
        ]
    )
    text = " ".join(capsys.readouterr().out.split())
    assert "fade against random, the final report, 6 seeds" in text
    traces = read_traces(out / "traces.parquet")
    assert traces is not None
    assert [(trace.searcher, trace.seed) for trace in traces] == [
        (n, s) for n in ("fade", "random") for s in range(6)
    ]
    comparison = json.loads((out / "comparison.json").read_text())
    assert all(sentence in text for sentence in comparison["verdict"])
    assert json.loads((out / "result.json").read_text())["benchmark"] == "NAS-Bench-Macro"
    assert (out / "tables" / "tests.csv").exists()
    study = prepare(ReplayConfig(table, ("fade", "random"), seeds=6, budget=20))
    assert [one.trace for one in run_study(study)] == traces
    (out / "report.html").unlink()
    main(["report", str(out)])
    assert (out / "report.html").stat().st_size > 10_000
    main(["status", str(out)])
    assert "a replay on NAS-Bench-Macro" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"searchers": ("fade", "randm")}, "Did you mean 'random'?"),
        ({"searchers": ("fade,fade-elite,random",)}, "Did you mean 'fade-elites'?"),
        ({"searchers": ("random", "random")}, "searchers differ"),
        ({"searchers": ()}, "at least one"),
        ({"searchers": ("fade",)}, "the baseline takes part"),
        ({"seeds": 0}, "seeds >= 1"),
        ({"workers": 0}, "workers >= 1"),
        ({"budget": 0.5}, "1 <= budget"),
        ({"rank_cost": -1.0}, "rank cost"),
        ({"rank_noise": float("nan")}, "rank noise"),
        ({"rank_signal": -1.0}, "rank signal"),
        ({"rank_signal": float("inf")}, "rank signal"),
        ({"temperature": 0.0}, "temperature"),
    ],
)
def test_what_makes_no_sense_is_refused_before_the_table_is_read(
    options: dict[str, object], text: str
) -> None:
    with pytest.raises(InvalidInput, match=text):
        ReplayConfig("nowhere.parquet", **options)  # type: ignore[arg-type]


def test_a_budget_below_the_first_evaluation_is_refused(real_data: Path) -> None:
    table = str(real_data / "nasbench_macro.parquet")
    with pytest.raises(InvalidInput, match="Give --budget 2 or more"):
        prepare(ReplayConfig(table, ("random", "fade"), budget=1.5))


@pytest.mark.parametrize(
    "content", ["{}", '{"weights": 3}', "[", '{"weights": [["a"]]}', '{"weights": [[-1, 2]]}']
)
def test_ranks_that_are_none_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "ranks.json").write_text(content)
    config = ReplayConfig("nowhere.parquet", ranks=str(tmp_path / "ranks.json"))
    with pytest.raises(InvalidInput, match="weights"):
        config.model(config.learned())


def test_a_directory_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("mine")
    with pytest.raises(InvalidInput, match="something else"):
        replay_run(ReplayConfig("nowhere.parquet", out=str(tmp_path)))
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_a_directory_that_cannot_be_made_is_refused_before_any_work(
    tmp_path: Path, real_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InvalidInput, match="must be writable"):
        replay_run(
            ReplayConfig(
                str(real_data / "nasbench_macro.parquet"),
                seeds=1,
                out=str(tmp_path / "file" / "out"),
            )
        )
    assert "1 seed" not in capsys.readouterr().out


def small(real_data: Path, out: Path, **more: Any) -> ReplayConfig:
    table = str(real_data / "nasbench_macro.parquet")
    return ReplayConfig(
        table,
        **{"searchers": ("fade", "random"), "seeds": 6, "budget": 12.0, "out": str(out)} | more,
    )


def command(config: ReplayConfig) -> list[str]:
    """The arguments of `fade-ray` that ask for that."""
    given = {"table": config.table, "searchers": ",".join(config.searchers), "out": config.out}
    given |= {"seeds": str(config.seeds), "budget": str(config.budget)}
    flags = [f"--{name}={value}" for name, value in given.items()]
    return ["replay", *flags]


def test_a_replay_that_was_killed_goes_on_where_it_stood(
    tmp_path: Path, real_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "[red]killed"  # no markup of a terminal's
    replay_run(small(real_data, whole))
    code = f"""
import os, signal
from fade_ray.cli import main
from fade_ray.replay.replay_study import Study
run = Study.run
def dying(self, job):
    if job == ("random", 2):
        os.kill(os.getpid(), signal.SIGKILL)
    return run(self, job)
Study.run = dying
main({command(small(real_data, killed))!r})
"""
    ended = subprocess.run([sys.executable, "-c", code], timeout=120, check=False)
    assert ended.returncode == -signal.SIGKILL
    with (killed / RECORD).open("ab") as record:
        record.write(b'{"event": "repl')  # torn
    capsys.readouterr()
    main(["status", str(killed)])
    assert "8 of 12 searches" in capsys.readouterr().out
    main(["report", str(killed)])
    assert [trace.complete for trace in read_traces(killed / "traces.parquet")] == [True] * 8 + [
        False
    ] * 4
    main(["replay", "--out", str(killed)])  # with the flags it was started with
    printed = capsys.readouterr()
    assert "random: 6 seeds" in printed.err
    assert f"{killed / 'report.html'}" in printed.out
    assert read_traces(killed / "traces.parquet") == read_traces(whole / "traces.parquet")
    assert (killed / "comparison.json").read_text() == (whole / "comparison.json").read_text()


def test_a_replay_grows_by_searchers_and_seeds(tmp_path: Path, real_data: Path) -> None:
    grown, whole = tmp_path / "grown", tmp_path / "whole"
    replay_run(small(real_data, grown, seeds=3))
    first = (grown / RECORD).read_text()
    more = {"searchers": ("random", "evolution", "fade"), "seeds": 5}
    replay_run(small(real_data, grown, **more))
    assert (grown / RECORD).read_text().startswith(first)
    assert len(recorded(grown)) == 15
    replay_run(small(real_data, whole, **more))
    assert read_traces(grown / "traces.parquet") == read_traces(whole / "traces.parquet")
    before = (grown / "comparison.json").read_text()
    replay_run(small(real_data, grown, **more))  # nothing is left to do
    assert (grown / "comparison.json").read_text() == before
    with pytest.raises(InvalidInput, match=r"rank_noise: 0.5 -> 1.0"):
        replay_run(small(real_data, grown, rank_noise=1.0))


@pytest.mark.slow
def test_ctrl_c_ends_all_processes_at_once_and_keeps_what_has_ended(
    tmp_path: Path, real_data: Path
) -> None:
    """A search of Bayesian search takes far longer than the wait here allows for."""
    out = tmp_path / "out"
    options = [
        "--searchers",
        "random,bayes",
        "--seeds",
        "2",
        "--budget",
        "2000",
        "--workers",
        "2",
        "--out",
        str(out),
    ]
    code = "from fade_ray.cli import main; main()"
    command = [
        sys.executable,
        "-c",
        code,
        "replay",
        "--table",
        str(real_data / "nasbench_macro.parquet"),
        *options,
    ]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE)
    try:
        wait_for(lambda: (out / RECORD).is_file() and len(recorded(out)) == 2, 240, process)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        told = process.communicate(timeout=60)[1].decode()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 130
    assert "Traceback" not in told
    assert f"fade-ray replay --out {out}" in told
    assert len(recorded(out)) == 2
