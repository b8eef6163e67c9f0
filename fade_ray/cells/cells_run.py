"""A grid of cell searches from configuration to report: `run_cells(config) -> folder`."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as TextTable

from fade_ray.cells.cell_history import CELLS, CellHistory
from fade_ray.cells.cell_recipes import RECIPES
from fade_ray.cells.cell_trial import CellJob, search_network
from fade_ray.cells.cell_trials import trials_of
from fade_ray.cells.cell_watchers import CellProgress, CellTensorBoard
from fade_ray.cells.cells_config import CellPlan, CellsConfig
from fade_ray.data import Splits
from fade_ray.data.data_config import load_images
from fade_ray.records.run_files import Run
from fade_ray.run.engines import carry_out, interruptible, recording
from fade_ray.run.folder import (
    check_kind,
    check_same_run,
    command_line,
    run_folder,
    write_json,
)
from fade_ray.run.session import Session, Watcher
from fade_ray.training import place
from searchers.grid import GridSearch
from spaces.errors import InvalidInput


def run_cells(
    config: CellsConfig, *, watchers: Sequence[Watcher] | None = None, command: str | None = None
) -> Path:
    """Run every search of the grid, or what is left of it in `config.out`; returns the run
    directory.

    `watchers` replaces the progress display (use () for silence). Raises InvalidInput for
    everything a user can mend, before any work where that is possible, and where no search
    succeeded; Interrupted on Ctrl-C, with everything done so far on disk.
    """
    folder = run_folder(config)
    if check_same_run(folder, config, CELLS) and (folder / "result.json").exists():
        finish_cells(folder)
        return folder
    with interruptible(folder, CELLS):
        splits = prepare_cells(config)
        with recording(folder, config, CELLS, CellHistory, command or command_line()) as (
            journal,
            history,
        ):
            plans = config.plans()
            shown = [CellProgress(plans)] if watchers is None else list(watchers)
            everyone = [*shown, CellTensorBoard(folder / "tensorboard")]
            # a search that fails would fail again by its seed; one whose process dies is restarted
            # by the engine
            searcher = GridSearch(plans, lambda plan: plan, max_retries=0)
            session: Session[CellPlan] = Session(searcher, journal, history, everyone)
            share = carry_out(session, CellJob(config), splits, config.run, folder)
            write_json(folder / "result.json", {"kind": "cells", "training_share": share})
        finish_cells(folder)
    return folder


def prepare_cells(config: CellsConfig) -> Splits:
    """The data of a run; every rule that can be checked before work starts is checked here."""
    import torch

    if config.run.engine == "local" or config.run.device not in ("auto", "cuda"):
        place(config.run.device, config.train.precision)
    config.check_table()
    splits = load_images(config.data)
    with torch.device("meta"):  # shapes alone
        for space in config.grid.spaces:
            for name in config.grid.recipes:
                search_network(
                    config.macro(space),
                    splits,
                    config,
                    space,
                    RECIPES[name].partial,
                    torch.Generator(device="cpu"),
                )
    return splits


def cell_rows(folder: Path) -> list[dict[str, Any]]:
    """One row per search of the run in `folder`, with what is known of it by now; retrained
    accuracies where there are any.
    """
    return [trial.row for trial in trials_of(Run.read(folder, CellHistory))]


def finish_cells(folder: Path) -> None:
    """Everything that is made from the records alone: cells.json and the report."""
    from fade_ray.cells.cell_page import cells_page
    from fade_ray.report.page import write_page

    check_kind(folder, CELLS)
    run = Run.read(folder, CellHistory)
    trials = trials_of(run)
    write_json(folder / "cells.json", {"trials": [trial.row for trial in trials]})
    write_page(cells_page(run, trials), folder)


def best_row(folder: Path) -> dict[str, Any]:
    """The search of best proxy accuracy. Raises InvalidInput where none has ended well."""
    done = [row for row in cell_rows(folder) if row["proxy_accuracy"] is not None]
    if not done:
        raise InvalidInput(
            f"A search must have ended well, but none has in {folder}. See its report.html."
        )
    return max(done, key=lambda row: float(row["proxy_accuracy"]))


def print_rows(rows: Sequence[Mapping[str, Any]], console: Console) -> None:
    """The table at the end of a run."""
    table = TextTable(box=None, pad_edge=False)
    true = any(row["true"] for row in rows)
    heads = [
        "id",
        "method",
        "space",
        "seed",
        "free",
        "proxy",
        "retrained",
        *(["true"] if true else []),
        "seconds",
        "MiB",
    ]
    for head in heads:
        table.add_column(
            head, justify="left" if head in ("id", "method", "space") else "right", no_wrap=True
        )
    for row in rows:
        shown = [
            row["id"],
            row["method"],
            row["space"],
            str(row["seed"]),
            _share(row["parameter_free_share"]),
        ]
        shown += [_number(row["proxy_accuracy"], 3), _number(row["retrained_accuracy"], 3)]
        shown += [_number((row["true"] or {}).get("c10_test_200"), 2)] if true else []
        shown += [_number(row["device_seconds"], 0), _number(row["peak_memory_mib"], 0)]
        table.add_row(*shown)
    console.print(table)
    console.print(
        "free: share of operations without parameters; proxy: accuracy of the search network on held-out images"
    )
    for row in rows:
        if row["genotype"]:
            console.print(f"{row['id']} {row['genotype']}", soft_wrap=True, markup=False)
        elif row["state"].startswith("failed"):
            console.print(f"{row['id']} {row['state']}", soft_wrap=True, markup=False, style="red")


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"
