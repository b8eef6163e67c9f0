"""A grid of cell searches as a kind of run: recipes x spaces x seeds."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.console import Console

from fade_ray.cells.cell_job import CellJob, cell_stages, staged
from fade_ray.cells.cell_page import cells_page, open_sections
from fade_ray.cells.cell_trials import CellHistory, best_row, proxy_name, trials_of
from fade_ray.cells.cell_watchers import EDGES, CellProgress, ended
from fade_ray.cells.cells_config import CellPlan, CellsConfig, upgrade
from fade_ray.cells.confusion_plan import ConfusionPlan
from fade_ray.cells.depth_matching import check_matching, matchings, most_trainings
from fade_ray.cells.method_page import method_table, print_methods, write_methods
from fade_ray.cells.method_table import MethodTable
from fade_ray.cells.retrainings import RetrainPlan, check_settings, retrainings, trained_in
from fade_ray.cells.search_data import SEARCH_DATA
from fade_ray.data import Splits
from fade_ray.records.run_files import Run
from fade_ray.report.page import Section, write_page
from fade_ray.report.trials import measure_of
from fade_ray.report.words import Measure
from fade_ray.run.folder import write_json
from fade_ray.run.forecast import Planned, counted
from fade_ray.run.inputs import IMAGES
from fade_ray.run.run_of_trials import RunOfTrials, Trials, check_run
from fade_ray.run.text_table import number, text_table
from fade_ray.run.watcher import Watcher
from searchers.staged import StagedSearch
from spaces.cell import Macro
from spaces.errors import InvalidInput, require

Ran = Run[CellsConfig, CellHistory]
Row = dict[str, Any]


class Made(NamedTuple):
    """What a run comes to: a row per search, and the methods beside each other, where anything was
    retrained.
    """

    rows: list[Row]
    methods: MethodTable | None


class CellsRun(RunOfTrials[CellsConfig, CellHistory], name="cells"):
    """Search cells: which operation stands on which edge. Every recipe on every space, every seed.

    `--out DIR` continues the unfinished run in DIR, with its flags.
    """

    example = "fade-ray cells --recipes darts-1st single-level --spaces s5 --data cifar10"
    summary = "cells.json"
    inputs = (*IMAGES, "grid.table")
    config, history = CellsConfig, CellHistory
    board = EDGES

    def upgrade(self, values: dict[str, Any]) -> dict[str, Any]:
        return upgrade(values)

    def grows(self, before: CellsConfig, now: CellsConfig) -> bool:
        """Whether seeds were added behind the old ones, or retrainings: all trials stay."""
        known, options = before.grid.seeds, now.retraining.includes(before.retraining)
        rest = {name: getattr(before, name) for name in ("retraining", "run", "out", "name")}
        same = replace(now, grid=replace(now.grid, seeds=known), **rest)
        return now.grid.seeds[: len(known)] == known and options and same == before

    def prepare(self, config: CellsConfig) -> Trials[StagedSearch[Any]]:
        return Trials(staged(config, cell_stages(config)), CellJob(config), checked_data(config))

    def watchers(
        self, config: CellsConfig, prepared: Trials[Any], history: CellHistory
    ) -> list[Watcher]:
        total = len(config.plans()) + most_trainings(config) + trainings(config, history)
        told = partial(ended, score=measure_of(self.to_json(config)))
        return [CellProgress(total, told, self.forecast(config, history), history.active)]

    def coming(self, config: CellsConfig) -> dict[str, Planned]:
        """Searches, and what they find trained from scratch: at most, as equal cells are trained
        once. What it takes to match depths is not foreseen.
        """
        searches, seeds = config.plans(), config.retraining.retrain_seeds
        parts = counted(searches)
        for plan in searches if config.retraining.retrain else ():
            for name, setting in config.settings(plan.space).items():
                kind = trained_in(name)
                trials, epochs, _ = parts.get(kind, Planned(0.0, 0.0))
                parts[kind] = Planned(trials + seeds, epochs + seeds * setting.epochs, True)
        return parts

    def finish(self, run: Ran) -> Made:
        trials = trials_of(run)
        rows = [trial.row for trial in trials]
        depths = matchings(run.config, run.history)
        known = {"depths": [each.to_dict() for each in depths]} if depths else {}
        write_json(run.folder / "cells.json", {"trials": rows, **known})
        scores, table = method_table(run.history)
        if table is not None:
            write_methods(scores, table, measure_of(run.settings), run.folder)
        write_page(cells_page(run, trials, depths), run.folder)
        return Made(rows, table)

    def watched(self, run: Ran) -> Iterator[Section]:
        return open_sections(trials_of(run))

    def reached(self, run: Ran) -> str:
        config, history = run.config, run.history
        ended = [history.proposals[id].sort for id in history.outcomes]
        matched = ended.count(ConfusionPlan.sort)
        parts = [f"{matched} trainings to match depths"] if matched else []
        parts += [f"{ended.count(CellPlan.sort)} of {len(config.plans())} cell searches"]
        if config.retraining.retrain:
            trained = ended.count(RetrainPlan.sort)
            parts.append(f"{trained} of {trainings(config, history)} retrainings")
        return f"{' and '.join(parts)} on {config.data.data}"

    def best(self, run: Run[Any, CellHistory]) -> str:
        row = best_row([trial.row for trial in trials_of(run)])
        if row is None:
            return "-"
        kind = run.history.proposals[row["id"]].kind
        score = measure_of(run.settings)
        proxy = score.plain(row["proxy_accuracy"])
        return f"{proxy_name(row, score)} {proxy:.4f} ({kind}, trial {row['id']})"

    def tell(self, run: Ran, console: Console) -> None:
        for match in matchings(run.config, run.history):
            console.print(match.text, soft_wrap=True)
        rows, table = run.made
        _print(rows, run, console)
        best = best_row(rows)
        # drawn cells were not searched, so that none of them is the best
        chosen = best or next((row for row in rows if row["genotype"]), None)
        if chosen is None:
            raise InvalidInput(
                f"A search must have ended well, but none has in {run.folder}. See its report.html."
            )
        console.print(
            f"train {'the best' if best else 'the first'} "
            f"fade-ray retrain {run.folder} --trial {chosen['id']}",
            soft_wrap=True,
        )
        if table is not None:
            print_methods(table, measure_of(run.settings), console)

    def architecture(self, run: Ran) -> Macro | None:
        """Of the search of best proxy accuracy."""
        trials = {trial.plan.id: trial for trial in trials_of(run)}
        best = best_row([trial.row for trial in trials.values()])
        return None if best is None else trials[best["id"]].macro

    def export(self, run: Ran, forms: Sequence[str] = ()) -> list[Path]:
        raise InvalidInput(
            f"Trained networks are exported, but {run.folder} holds a search of cells. Train one "
            f"of its genotypes with `fade-ray retrain {run.folder}`, which exports it."
        )


CELLS = CellsRun()


def checked_data(config: CellsConfig) -> Any:
    """The data of a run whose every network can be built on them. Raises InvalidInput."""
    check_run(config.run, config.train.precision)
    config.check_table()
    kind, generator = SEARCH_DATA[config.task], torch.Generator(device="cpu")
    splits: Any = kind.load(config.data)
    with torch.device("meta"):  # shapes alone
        for space, name in itertools.product(config.grid.spaces, config.grid.recipes):
            setup = config.setup(name, space)
            setup.train.check_task(setup.task)
            setup.train.check_classes()
            for stage, macro in zip(setup.stages, setup.unlearned, strict=False):
                kind.network(macro.at_depth(stage.cells), splits, setup, stage, generator)
        for space in config.grid.spaces:
            check_settings(config, space, splits)
    check_matching(config, splits)
    return splits


def checked_images(config: CellsConfig) -> Splits:
    """The same of studies that know images alone. Raises InvalidInput for spaces of text."""
    rule, remedy = "a study of spaces for images", "Choose another space."
    require(config.task == "images", rule, remedy, spaces=config.grid.spaces)
    splits: Splits = checked_data(config)
    return splits


def trainings(config: CellsConfig, history: CellHistory) -> int:
    """How many retrainings there are; at most, while a search goes on."""
    searches = config.plans()
    if all(plan.id in history.outcomes for plan in searches):
        return len(retrainings(config, history.outcomes))
    each = {space: len(config.settings(space)) for space in config.grid.spaces}
    return config.retraining.retrain_seeds * sum(each[plan.space] for plan in searches)


COLUMNS = ("id", "method", "space", "seed", "free", "proxy", "retrained", "true", "seconds", "MiB")


def _print(rows: Sequence[Row], run: Ran, console: Console) -> None:
    """The table at the end of a run."""
    score = measure_of(run.settings)
    left_out = set() if any(row["true"] for row in rows) else {"true"}
    heads = [head for head in COLUMNS if head not in left_out]
    cells, marked = [_shown(row, score) for row in rows], any(map(_on_training_images, rows))
    table = [[texts[head] for head in heads] for texts in cells]
    console.print(text_table(heads, table, left=("id", "method", "space")))
    console.print(
        f"free: share of operations without parameters; proxy: {score.name} of the search network "
        f"on held-out {score.data}" + f", or, where a t stands, on training {score.data}" * marked,
        soft_wrap=True,
    )
    settings = {row["method"]: row["setting"] for row in rows}
    if set(settings.values()) != {"small"}:
        told = "; ".join(f"{name}: {setting}" for name, setting in settings.items())
        console.print(f"setting of {told}", soft_wrap=True)
    for row in rows:
        if row["genotype"]:
            console.print(f"{row['id']} {row['genotype']}", soft_wrap=True)
        elif row["state"].startswith("failed"):
            console.print(f"{row['id']} {row['state']}", soft_wrap=True, style="red")


def _shown(row: Mapping[str, Any], score: Measure) -> dict[str, str]:
    """By the head of its column."""

    def plain(name: str) -> float | None:
        return None if row[name] is None else score.plain(row[name])

    free = row["parameter_free_share"]
    return {
        **{name: str(row[name]) for name in ("id", "method", "space", "seed")},
        "free": "-" if free is None else f"{free:.0%}",
        "proxy": number(plain("proxy_accuracy"), 3) + " t" * _on_training_images(row),
        "retrained": number(plain("retrained_accuracy"), 3),
        "true": number((row["true"] or {}).get("c10_test_200"), 2),
        "seconds": number(row["device_seconds"], 0),
        "MiB": number(row["peak_memory_mib"], 0),
    }


def _on_training_images(row: Mapping[str, Any]) -> bool:
    return row["proxy_accuracy"] is not None and row["proxy_images"] == "training"
