"""`fade-ray replay --table FILE`: searchers against a table, with the comparison that follows from
it.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table as TextTable

from fade_ray.compare.comparison import Comparison, Summary
from fade_ray.compare.comparison_tables import comparison_tables
from fade_ray.compare.entered_history import EnteredHistory
from fade_ray.compare.trace import Trace
from fade_ray.records.journal import FORMAT, Journal, plain, read_events
from fade_ray.records.json_form import as_json, from_json
from fade_ray.records.run_files import Run, read_object
from fade_ray.replay.replay_config import ReplayConfig
from fade_ray.replay.replay_study import Job, Study, agreement, noise_points, prepare, run_study
from fade_ray.replay.replayed import UNIT, Replayed
from fade_ray.report.tables import write_tables
from fade_ray.run.engines import interruptible
from fade_ray.run.folder import (
    RunKind,
    check_same_run,
    command_line,
    environment,
    opened,
    run_folder,
    stored,
    write_json,
)
from spaces.errors import InvalidInput

RECORD = "replays.jsonl"

SEQUENCES = ("costs", "scores", "reports")
TRACES = pa.schema(
    [
        ("searcher", pa.string()),
        ("seed", pa.int64()),
        ("budget", pa.float64()),
        ("unit", pa.string()),
        *((name, pa.list_(pa.float64())) for name in SEQUENCES),
        ("complete", pa.bool_()),
    ]
)
"""One line per trace, as `Trace`."""

REPLAY: RunKind[ReplayConfig] = RunKind(
    "replay", ReplayConfig.from_dict, ReplayConfig.same_answers, ("tables",)
)


def replay_run(
    config: ReplayConfig, console: Console | None = None, *, command: str | None = None
) -> Path:
    """Run every search of a replay, or those that `config.out` does not hold yet; returns the run
    directory.

    `RECORD` is appended to as each search ends. `console` is told of each searcher and of the
    outcome. Raises InvalidInput for everything a user can mend, before any work; Interrupted on
    Ctrl-C, with everything done so far on disk.
    """
    console = console or Console(quiet=True)
    folder = run_folder(config)
    check_same_run(folder, config, REPLAY)
    study = prepare(config)
    command = command or command_line()
    with (
        interruptible(folder, REPLAY),
        opened(folder, config, command, REPLAY),
        Journal(folder / RECORD) as journal,
    ):
        done = recorded(folder)
        journal.append("start", format=FORMAT, environment=environment(command))
        found = run_study(
            study,
            lambda text: console.print(text, soft_wrap=True),
            done,
            lambda one: journal.append("replayed", **one.to_dict()),
        )
        finish_replay(folder, study, found, console)
    return folder


def recorded(folder: Path) -> dict[Job, Replayed]:
    """The searches that have ended, by (searcher, seed). Raises InvalidInput for a record that
    cannot be read.
    """
    path = folder / RECORD
    try:
        ended = [
            Replayed.from_dict(event) for event in read_events(path) if event["event"] == "replayed"
        ]
    except (KeyError, TypeError) as error:
        raise InvalidInput(
            f"{path} must hold the searches of a replay, but: {error!r}. Restore it, or choose another --out."
        ) from error
    return {(one.trace.searcher, one.trace.seed): one for one in ended}


def report_replay(folder: Path) -> None:
    """Draw the report of a replay; of an unfinished one with the searches that have ended, the
    others marked as partial.
    """
    config = stored(folder, REPLAY)
    if config is not None and (folder / RECORD).exists() and not (folder / "result.json").exists():
        done = recorded(folder)
        traces = [
            done[job].trace
            if job in done
            else Trace(*job, config.budget, UNIT, (), (), (), complete=False)
            for job in config.jobs()
        ]
        write_tables({"traces": traces_table(traces)}, folder)
    traces = read_traces(folder / "traces.parquet")
    made = read_object(folder / "comparison.json")
    write_comparison(folder, traces, compared(traces, made) if traces else None)


def compared(traces: Sequence[Trace], made: Mapping[str, Any]) -> Comparison:
    """The comparison of a replay as it was made, by its comparison.json ({}: none is recorded)."""
    if not made:
        names = [trace.searcher for trace in traces]
        return Comparison.of(traces, "random" if "random" in names else names[0])
    spent = {(r["searcher"], int(r["seed"])): r.get("spent_on_ranks") for r in made["results"]}
    return Comparison.of(traces, made["baselines"], made["floor"], made["k"], spent)


def write_comparison(folder: Path, traces: Sequence[Trace], comparison: Comparison | None) -> None:
    """The report of a replay."""
    from fade_ray.compare.comparison_page import comparison_page
    from fade_ray.report.page import write_page

    names = ("config.json", "environment.json", "result.json")
    run = Run(folder, EnteredHistory([]), *(read_object(folder / name) for name in names))
    write_page(comparison_page(run, traces, comparison, replayed=True), folder)


def read_traces(path: Path) -> list[Trace]:
    """The traces in a Parquet file. Raises InvalidInput where they cannot be read."""
    try:
        return [from_json(Trace, line) for line in pq.read_table(path).to_pylist()]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InvalidInput(
            f"The traces of a replay must be readable, but {path} is not: {error}. Restore it, or "
            "make it again from the record."
        ) from error


def finish_replay(folder: Path, study: Study, found: Sequence[Replayed], console: Console) -> None:
    """The files of a replay, its report and what it says. InvalidInput if the folder cannot be
    written.
    """
    traces = [one.trace for one in found]
    on_ranks = {(one.trace.searcher, one.trace.seed): one.spent_on_ranks for one in found}
    comparison = Comparison.of(
        traces, study.config.baseline, study.benchmark.random_pick, spent_on_ranks=on_ranks
    )
    rho, points = (
        agreement(study.benchmark, study.model),
        noise_points(study.benchmark, study.model),
    )
    try:
        write_tables({"traces": traces_table(traces)}, folder)
        write_json(folder / "comparison.json", plain(as_json(comparison)))
        write_tables(comparison_tables(comparison, traces), folder / "tables", "csv")
        write_comparison(folder, traces, comparison)
        write_json(folder / "result.json", result_of(study, found, rho, points))
    except OSError as error:
        raise InvalidInput(
            f"{folder} must be writable, but: {error.strerror}. Free space or choose another with --out."
        ) from error
    print_results(console, study, comparison, rho, points)


def result_of(
    study: Study, found: Sequence[Replayed], rho: float, points: float | None
) -> dict[str, Any]:
    """What result.json says: what the ranks were made of, and the searches that failed."""
    failed = [(one.trace, one.failure) for one in found if one.failure is not None]
    return {
        "kind": "replay",
        "benchmark": study.benchmark.name,
        "rank_spearman": rho if math.isfinite(rho) else None,
        "rank_noise_points": points,
        "failures": [
            {"searcher": trace.searcher, "seed": trace.seed, "failure": text}
            for trace, text in failed
        ],
    }


def traces_table(traces: Sequence[Trace]) -> pa.Table:
    """One line per trace."""
    return pa.Table.from_pylist(as_json(list(traces)), schema=TRACES)


def print_results(
    console: Console, study: Study, comparison: Comparison, rho: float, points: float | None
) -> None:
    """Means, the tests in words, and what the ranks were made of. Columns: evaluations per seed;
    evaluations' worth spent on ranks; final report with its standard deviation; area under the
    curve; mean ranks by both.
    """
    table = TextTable(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for head in (
        "searcher",
        "seeds",
        "evals",
        "ranks",
        "report %",
        "std",
        "area %",
        "rank",
        "area rank",
    ):
        table.add_column(head, justify="left" if head == "searcher" else "right", no_wrap=True)
    for summary in comparison.summaries:
        table.add_row(*_cells(summary))
    console.print()
    console.print(table)
    config = study.config
    source = f"learned ({config.ranks})" if points is None else _made_of(study, points)
    console.print(
        f"\n{study.benchmark.name}, budget {config.budget:g} evaluations; a hyper-architecture costs {config.rank_cost:g}. FaDE-ranks: {source}; "
        f"over all architectures their Spearman's rho with the reports is {_number(rho)}. "
        f"Areas count {100 * comparison.floor:.2f}%, the mean of the table, before the first evaluation.\n",
        soft_wrap=True,
    )
    for sentence in comparison.verdict:
        console.print(sentence, soft_wrap=True)


def _number(rho: float) -> str:
    return f"{rho:.2f}" if math.isfinite(rho) else "undefined, since they are all equal"


def _made_of(study: Study, points: float) -> str:
    """The ranks of a table in words."""
    model = study.model
    signal = {0.0: "no marginals", 1.0: "marginals"}.get(
        model.signal, f"{model.signal:g} x marginals"
    )
    return f"{signal} with noise {model.noise:g}, {points:.2f} points of accuracy"


def _cells(summary: Summary) -> tuple[str, ...]:
    return (
        summary.searcher,
        f"{summary.seeds}" + (f" (+ {summary.partial} partial)" if summary.partial else ""),
        f"{summary.evaluations:.0f}",
        f"{summary.spent_on_ranks or 0:.0f}",
        f"{100 * summary.mean:.3f}",
        f"{100 * summary.std:.3f}",
        f"{100 * summary.area:.3f}",
        f"{summary.rank:.2f}",
        f"{summary.area_rank:.2f}",
    )
