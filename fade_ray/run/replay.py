"""`fade-ray replay --table FILE`: searchers against a table, with the comparison that follows from it."""

import dataclasses
import io
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table as TextTable

from fade_ray.analysis.comparison import Comparison, Summary
from fade_ray.analysis.comparison_tables import write_csv
from fade_ray.analysis.traces import Trace
from fade_ray.atomic import write_atomically
from fade_ray.replay.config import ReplayConfig
from fade_ray.replay.study import Study, agreement, prepare, run_study
from spaces.errors import InvalidInput

from .folder import command_line, environment, write_json

DESCRIPTION = (
    "Replay searchers against the table of a benchmark, without training: each proposal is answered from the table, each search has the same budget. "
    "Writes traces, tables, figures and the comparison with its tests into --out. Bayesian search takes minutes per seed (--bayes-seeds, --workers)."
)

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


def replay_command(arguments: list[str]) -> None:
    """Parse, replay, write, print. Raises InvalidInput for everything a user can mend, before any work."""
    import tyro

    config: ReplayConfig = tyro.cli(
        Annotated[ReplayConfig, tyro.conf.OmitArgPrefixes],
        args=arguments,
        prog="fade-ray replay",
        description=DESCRIPTION,
    )
    folder = output_folder(config.out)
    study = prepare(config)
    make_folder(folder)
    console = Console(highlight=False, markup=False)
    found = run_study(study, tell=lambda text: console.print(text, soft_wrap=True))
    traces = [one.trace for one in found]
    on_ranks = {(one.trace.searcher, one.trace.seed): one.spent_on_ranks for one in found}
    comparison = Comparison.of(traces, config.baseline, study.benchmark.random_pick, spent_on_ranks=on_ranks)
    rho = agreement(study.benchmark, study.model)
    write_results(folder, study, traces, comparison, rho)
    print_results(console, study, comparison, rho)
    console.print(f"\nreport {folder / 'report.html'}", soft_wrap=True)


def output_folder(out: str | None) -> Path:
    """The directory of the results, absolute. InvalidInput for one that holds files of something else than a replay."""
    folder = Path(out or f"runs/{datetime.now():%Y%m%d-%H%M%S}-replay").expanduser().resolve()
    if folder.exists() and not folder.is_dir():
        raise InvalidInput(f"--out must be a directory, but {folder} is a file. Choose another.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "replay.json").exists():
        raise InvalidInput(f"{folder} holds files of something else. Choose another directory with --out.")
    return folder


def make_folder(folder: Path) -> None:
    """Make the directory where it is missing. InvalidInput if it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> InvalidInput:
    return InvalidInput(f"{folder} must be writable, but: {error.strerror}. Choose another with --out.")


def write_results(folder: Path, study: Study, traces: Sequence[Trace], comparison: Comparison, rho: float) -> None:
    """The files of a replay and its report. InvalidInput if the folder cannot be written."""
    from fade_ray.report.comparison_page import write_comparison_report

    try:
        write_json(folder / "config.json", {"kind": "replay", "replay": dataclasses.asdict(study.config)})
        write_json(folder / "environment.json", environment(command_line()))
        write_json(folder / "replay.json", {"benchmark": study.benchmark.name, "rank_spearman": rho})
        write_traces(traces, folder / "traces.parquet")
        write_json(folder / "comparison.json", comparison.to_dict())
        write_csv(comparison, traces, folder / "tables")
        write_comparison_report(folder)
    except OSError as error:
        raise _unwritable(folder, error) from error


def write_traces(traces: Sequence[Trace], path: Path) -> None:
    """One line per trace, whole or not at all."""
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([trace.to_dict() for trace in traces], schema=TRACES), buffer)
    write_atomically(path, buffer.getvalue())


def print_results(console: Console, study: Study, comparison: Comparison, rho: float) -> None:
    """Means, the tests in words, and what the ranks were made of. Columns: evaluations per seed; evaluations' worth spent on ranks; final report
    with its standard deviation; area under the curve; mean ranks by both."""
    table = TextTable(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for head in ("searcher", "seeds", "evals", "ranks", "report %", "std", "area %", "rank", "area rank"):
        table.add_column(head, justify="left" if head == "searcher" else "right", no_wrap=True)
    for summary in comparison.summaries:
        table.add_row(*_cells(summary))
    console.print()
    console.print(table)
    config = study.config
    source = f"learned ({config.ranks})" if config.ranks else f"marginals with noise {config.rank_noise:g}"
    console.print(
        f"\n{study.benchmark.name}, budget {config.budget:g} evaluations; a hyper-architecture costs {config.rank_cost:g}. FaDE-ranks: {source}; "
        f"over all architectures their Spearman's rho with the reports is {rho:.2f}. "
        f"Areas count {100 * comparison.floor:.2f}%, the mean of the table, before the first evaluation.\n",
        soft_wrap=True,
    )
    for sentence in comparison.verdict:
        console.print(sentence, soft_wrap=True)


def _cells(summary: Summary) -> tuple[str, ...]:
    return (
        summary.searcher,
        str(summary.seeds),
        f"{summary.evaluations:.0f}",
        f"{summary.spent_on_ranks or 0:.0f}",
        f"{100 * summary.mean:.3f}",
        f"{100 * summary.std:.3f}",
        f"{100 * summary.area:.3f}",
        f"{summary.rank:.2f}",
        f"{summary.area_rank:.2f}",
    )
