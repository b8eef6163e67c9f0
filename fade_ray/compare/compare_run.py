"""Searchers x seeds under one budget, from configuration to report: `compare(config) -> folder`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as TextTable

from fade_ray.compare.compare_config import CompareConfig, ContestConfig
from fade_ray.compare.comparison import Comparison
from fade_ray.compare.comparison_tables import comparison_tables
from fade_ray.compare.contest_progress import ContestProgress
from fade_ray.compare.contest_session import ContestSession
from fade_ray.compare.entered_history import EnteredHistory
from fade_ray.compare.entry_job import PRICES, EntryJob
from fade_ray.compare.record_traces import complete, traces, unspent
from fade_ray.compare.trace import Trace
from fade_ray.data import Splits
from fade_ray.data.data_config import load_images
from fade_ray.nn import chain_layout
from fade_ray.records.journal import plain
from fade_ray.records.json_form import as_json
from fade_ray.records.run_files import Run
from fade_ray.report.tables import write_tables
from fade_ray.run.engines import carry_out, interruptible, recording
from fade_ray.run.folder import (
    RunKind,
    check_same_run,
    command_line,
    read_json,
    read_result,
    run_folder,
    stored,
    write_json,
)
from fade_ray.run.session import Watcher
from fade_ray.run.tensorboard import TensorBoard
from fade_ray.search.search_config import Config
from fade_ray.training import place
from searchers import AskTell, Outcome, Proposal
from searchers.contest import Contest
from spaces import GraphSpace
from spaces.errors import InvalidInput

COMPARE: RunKind[CompareConfig] = RunKind("compare", CompareConfig.from_dict)
EVALUATIONS = 30  # of the default budget in images
SECONDS = 300.0


def compare(
    config: CompareConfig, *, watchers: Sequence[Watcher] | None = None, command: str | None = None
) -> Path:
    """Run every search of a comparison to the end of its budget, or what is left of them in
    `config.out`; returns the run directory.

    `watchers` replaces the progress display (use () for silence). Raises InvalidInput for
    everything a user can mend, before any work where that is possible; Interrupted on Ctrl-C, with
    everything done so far on disk.
    """
    folder = run_folder(config)
    if check_same_run(folder, config, COMPARE) and (folder / "result.json").exists():
        finish_compare(folder)
        return folder
    with interruptible(folder, COMPARE):
        splits, contest = prepare_compare(config)
        with recording(folder, config, COMPARE, EnteredHistory, command or command_line()) as (
            journal,
            history,
        ):
            shown = [ContestProgress(contest)] if watchers is None else list(watchers)
            everyone = [*shown, TensorBoard(folder / "tensorboard")]
            write_json(
                folder / "budget.json", {"budget": contest.budget, "unit": config.contest.unit}
            )
            session = ContestSession(contest, journal, history, everyone)
            job = EntryJob(dict(config.configs()), config.contest.unit)
            share = carry_out(session, job, splits, config.run, folder)
            for name, reason in contest.failures.items():
                session.warn(f"the search {name} ended before its budget: {reason}")
            if (message := without_evaluation(folder)) is not None:
                session.warn(message)
            result = {
                "kind": "compare",
                "training_share": share,
                "complete": {name: contest.over(name) for name in contest.entries},
                "unspent": {
                    name: max(0.0, contest.budget - contest.spent(name)) for name in contest.entries
                },
                "chance": 1 / splits.num_classes,
                "data": splits.describe(),
                "test_images": len(splits.test),
            }
            write_json(folder / "result.json", result)
        finish_compare(folder)
    return folder


def prepare_compare(config: CompareConfig) -> tuple[Splits, Contest]:
    """The data and the searches; every rule that can be checked before work starts is checked here."""
    if config.run.engine == "local" or config.run.device not in ("auto", "cuda"):
        place(config.run.device, config.train.precision)
    space = GraphSpace.create(**vars(config.space))
    config.check_ranks()
    configs = dict(config.configs())
    searches = {name: one.search(space) for name, one in configs.items()}
    splits = load_images(config.data)
    network = config.network
    chain_layout(
        splits.side, network.depth, splits.channels, network.final_channels, network.strides
    )
    config.data.augmentation(splits.augment)
    unit = config.contest.unit
    budget = config.contest.budget or _default_budget(unit, splits, config)
    if unit == "images":
        _check_budget(
            budget,
            {name: (one.search(space), one) for name, one in configs.items()},
            splits,
        )
    return splits, Contest(
        searches, budget, lambda name, proposal: PRICES[unit](proposal, splits, configs[name])
    )


def _default_budget(unit: str, splits: Splits, config: CompareConfig) -> float:
    per_evaluation = config.outer.evaluation_epochs * len(splits.weights)
    return float(EVALUATIONS * per_evaluation) if unit == "images" else SECONDS


def _check_budget(
    budget: float, searches: Mapping[str, tuple[AskTell, Config]], splits: Splits
) -> None:
    """InvalidInput for a budget that ends before the first evaluation of some search."""
    for name, (searcher, config) in searches.items():
        needed = 0.0
        while (proposal := searcher.ask()) is not None:
            needed += PRICES["images"](proposal, splits, config) or 0.0
            if proposal.kind == "evaluation":
                break
            searcher.tell(proposal.id, _no_opinion(proposal))
        if needed > budget:
            raise InvalidInput(
                f"The budget must cover the first evaluation of each search, but --budget {budget:g} training images is less than the "
                f"{needed:,.0f} of {name}. Raise it, lower --evaluation-epochs or --rank-epochs, or use fewer images (--limit)."
            )


def _no_opinion(proposal: Proposal) -> Outcome:
    """Ranks that prefer nothing."""
    rows = tuple((-float(len(row)),) * len(row) for row in proposal.hyper.rows)
    return Outcome(log_weights=rows)


@dataclass(frozen=True)
class _Files:
    """What the directory of a comparison says, finished or not; `result` is {} before its end."""

    contest: ContestConfig
    history: EnteredHistory
    result: Mapping[str, Any]
    traces: list[Trace]


def _read(folder: Path) -> _Files:
    config = stored(folder, COMPARE)
    if config is None:
        raise InvalidInput(f"{folder} must hold a run of `fade-ray compare`, but it holds none.")
    names = {
        f"{name}-{seed}": (name, seed)
        for seed in config.contest.seeds
        for name in config.contest.searchers
    }
    history = EnteredHistory.read(folder / "records.jsonl")
    result = read_result(folder)
    budget = read_json(folder / "budget.json")
    found = traces(history, names, budget["budget"], budget["unit"], complete(history, result))
    return _Files(config.contest, history, result, found)


def read_traces(folder: Path) -> list[Trace]:
    """The traces of the comparison in `folder`, finished or not, from its record."""
    return _read(folder).traces


def spent_on_ranks(history: EnteredHistory) -> dict[tuple[str, int], float]:
    """What each search spent on hyper-architectures, by (searcher, seed)."""
    sums: dict[tuple[str, int], float] = {}
    for id, outcome in history.outcomes.items():
        entered = history.proposals[id]
        name, _, seed = entered.entry.rpartition("-")
        ranks = outcome.cost if entered.proposal.kind == "ranks" else 0.0
        sums[name, int(seed)] = sums.get((name, int(seed)), 0.0) + (ranks or 0.0)
    return sums


def without_evaluation(folder: Path) -> str | None:
    """What to tell where searches came to their end before their first evaluation did, as they may
    if only trials tell their cost; None without any.

    Searches whose evaluations have all failed are not meant: each of those failures has been told.
    """
    files = _read(folder)
    took: dict[str, list[float]] = {}  # by search
    failed: set[str] = set()
    for id, outcome in files.history.outcomes.items():
        entered = files.history.proposals[id]
        if entered.kind == "evaluation" and outcome.score is not None:
            took.setdefault(entered.entry, []).append(outcome.cost or 0.0)
        elif entered.kind == "evaluation":
            failed.add(entered.entry)
    empty = [f"{one.searcher}-{one.seed}" for one in files.traces if one.complete and not one.costs]
    empty = [name for name in empty if name in took or name not in failed]
    if not empty:
        return None
    costs = [cost for name in empty for cost in took.get(name, [])]
    each = (
        f"an evaluation took {sum(costs) / len(costs):.3g} on average"
        if costs
        else "none came to an evaluation"
    )
    return (
        f"Each search must have room for an evaluation, but {', '.join(empty)} ended without one inside the budget of {files.traces[0].budget:g} "
        f"{files.traces[0].unit}: {each}. They count as a random pick. Raise --budget, lower --evaluation-epochs or --rank-epochs, or use fewer "
        "images (--limit), in another --out."
    )


def random_pick(found: Sequence[Trace], baseline: str, chance: float) -> float:
    """What a search counts as before its first evaluation: the mean report of all that the baseline
    has evaluated, `chance` of nothing.

    The accuracy of a guess would make the area a measure of when the first evaluation ends, and of
    little else.
    """
    reports = [report for trace in found if trace.searcher == baseline for report in trace.reports]
    return sum(reports) / len(reports) if reports else chance


def finish_compare(folder: Path) -> None:
    """Everything that is made from the records alone: traces, comparison, tables, report."""
    from fade_ray.compare.comparison_page import comparison_page
    from fade_ray.report.page import write_page

    files = _read(folder)
    found, run = files.traces, Run.read(folder, EnteredHistory)
    write_json(folder / "traces.json", as_json(found))
    comparison = Comparison.of(
        found,
        files.contest.baseline,
        random_pick(found, files.contest.baseline, files.result.get("chance", 0.0)),
        spent_on_ranks=spent_on_ranks(files.history),
    )
    write_json(folder / "comparison.json", plain(as_json(comparison)))
    write_tables(comparison_tables(comparison, found), folder / "tables", "csv", "parquet")
    write_page(comparison_page(run, found, comparison), folder)


def print_comparison(folder: Path, console: Console) -> None:
    """The table and the verdict at the end of a comparison."""
    comparison: dict[str, Any] = json.loads((folder / "comparison.json").read_text())
    table = TextTable(box=None, pad_edge=False)
    for head in ("searcher", "seeds", "evaluated", "test accuracy", "area", "rank"):
        table.add_column(head, justify="left" if head == "searcher" else "right", no_wrap=True)
    for row in comparison["summaries"]:
        partial = f" (+{row['partial']} partial)" if row["partial"] else ""
        table.add_row(
            row["searcher"],
            f"{row['seeds']}{partial}",
            _number(row["evaluations"], 1),
            f"{_number(row['mean'], 4)} +- {_number(row['std'], 4)}",
            _number(row["area"], 4),
            _number(row["rank"], 2),
        )
    console.print(table)
    console.print(
        f"budget of each search: {comparison['budget']:,.0f} {comparison['unit']}; mean and standard deviation over seeds"
    )
    result = read_result(folder)
    left = unspent(result, comparison["budget"])
    if any(left.values()):
        text = ", ".join(f"{name} {share:.1%}" for name, share in left.items())
        console.print(f"unspent, as it covers nothing more of use: {text}", soft_wrap=True)
    share = result["training_share"]
    if share is not None:
        console.print(f"training: {share:.0%} of the trials' wall time")
    for sentence in comparison["verdict"]:
        console.print(sentence, soft_wrap=True)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
