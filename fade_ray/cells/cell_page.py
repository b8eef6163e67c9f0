"""`report.html` of a run of cell searches: what its sections say."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fade_ray.cells.cell_figures import indicators_over_epochs, methods_over_seeds, weight_maps
from fade_ray.cells.cell_trials import CellRun, Trial, trials_of
from fade_ray.cells.depth_matching import Matching
from fade_ray.cells.method_page import blocks, method_table
from fade_ray.report.genotype_drawing import draw_genotype
from fade_ray.report.page import Block, Column, Numbers, Page, Section, Table, Words, figure
from fade_ray.report.style import Picture
from fade_ray.report.trials import measure_of, origin, spent, state, warnings
from fade_ray.report.words import DASH, Measure, count, listed, number, share

FILES = (
    "the files of the run alone: records.jsonl, genotypes/, retrain/, config.json and "
    "environment.json"
)


def cells_page(
    run: CellRun, trials: Sequence[Trial] | None = None, depths: Sequence[Matching] = ()
) -> Page:
    """The report of a run of cell searches, finished or not; `trials`: where they are known;
    `depths`: those that were matched.
    """
    trials = trials_of(run) if trials is None else trials
    done = sum(trial.done for trial in trials)
    searches = f"{done} of {count(len(trials), 'search', 'searches')} done."
    reached = state(run.history, run.folder, "cells", searches, grid_text(trials))
    return Page("Cell search report", run.name, reached, _sections(run, trials, depths))


def grid_text(trials: Sequence[Trial]) -> str:
    """ "Methods darts-1st, gdas; spaces s3; seeds 0, 1."; nothing where there is no trial."""
    words = {"recipe": "method", "space": "space", "seed": "seed"}
    parts = []
    for name, word in words.items():
        values = dict.fromkeys(str(getattr(trial.plan, name)) for trial in trials)
        parts.append(f"{word}{'s' if len(values) > 1 else ''} {', '.join(values)}")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if trials else ""


def _sections(
    run: CellRun, trials: Sequence[Trial], depths: Sequence[Matching]
) -> Iterator[Section]:
    score = measure_of(run.settings)
    scores, table = method_table(run.history)
    compared_by = [] if table is None else list(blocks(scores, table, score, _device(run)))
    yield Section("", [*compared_by[:1], warnings(run.history)])
    if compared_by:
        yield Section("Methods", compared_by[1:])
    if depths:
        yield Section("Depth of the first stage", [Words(each.text, "card") for each in depths])
    methods = methods_over_seeds(trials)
    compared: list[Block] = [] if methods is None else [figure(methods)]
    tables: list[Block] = [trial_table(trials, score), genotype_table(trials)]
    yield Section("Searches", [*tables, *compared])
    for trial in trials:
        nothing = Words(f"Nothing to draw yet: {trial.state}.", "card nothing")
        drawn: list[Block] = [figure(picture) for picture in _pictures(trial)]
        id = trial.plan.id
        content = [*_groups(trial), *(drawn or [nothing])]
        yield Section(f"{id}: {trial.name}", content, f"trial-{id}")
    yield Section("How it was made", origin(run, FILES))


WATCHED = 4
"""Searches that are shown while they run."""


def open_sections(trials: Sequence[Trial]) -> Iterator[Section]:
    """The signs of a collapse in searches that are under way, and the genotypes found last."""
    begun = [trial for trial in trials if trial.epochs and trial.outcome is None]
    for trial in [*begun, *(trial for trial in reversed(trials) if trial.done)][:WATCHED]:
        if drawn := [figure(picture) for picture in _pictures(trial)][:2]:
            yield Section(f"{trial.plan.id}: {trial.name}", drawn, f"trial-{trial.plan.id}")


def _device(run: CellRun) -> str:
    """What trained in this run, in words."""
    threads = (run.settings.get("run") or {}).get("cpus_per_trial", 1)
    known = {str(metrics["device"]) for metrics in run.history.metrics.values() if metrics}
    return f"{listed(sorted(known))} with {count(threads, 'thread')}"


def _groups(trial: Trial) -> Iterator[Block]:
    """Which operations were searched as one."""
    groups = trial.metrics.get("groups")
    if groups:
        named = "; ".join(", ".join(group) for group in groups)
        yield Words(f"Groups of operations, of which one is chosen first: {named}.", "card")


def _pictures(trial: Trial) -> Iterator[Picture]:
    """What there is to see of one search."""
    if trial.macro is not None:
        output = "is the mean of" if trial.macro.stack.task == "text" else "joins"
        caption = (
            f"What {trial.name} found. Each box is an operation; a node adds up what reaches it, "
            f"and the output {output} the nodes."
        )
        yield draw_genotype(trial.macro, "Genotype", caption, f"cells-{trial.plan.id}")
    indicators = indicators_over_epochs(trial)
    if indicators is not None:
        yield indicators
    yield from weight_maps(trial)


TRUE = ("c10_test_200", "c100_test_200", "in16_test_200")
"""Columns of the NAS-Bench-201 table, in percent: CIFAR-10, CIFAR-100, ImageNet16-120."""


def _true(values: Mapping[str, Any] | None) -> str:
    return " / ".join(number(values.get(column)) for column in TRUE) if values else DASH


def trial_table(trials: Sequence[Trial], score: Measure) -> Table:
    """One line per search."""
    columns = (
        Column("trial", lambda row: row["id"]),
        Column("method", lambda row: row["method"]),
        Column("space", lambda row: row["space"]),
        Column("setting", lambda row: row["setting"]),
        Numbers("seed", lambda row: str(row["seed"])),
        Column("state", lambda row: row["state"]),
        Numbers("free of parameters", lambda row: share(row["parameter_free_share"], 0)),
        Numbers(f"proxy {score.name}", lambda row: _proxy(row, score)),
        Numbers("as genotype", lambda row: score.text(row["discrete_accuracy"])),
        Numbers("retrained", lambda row: score.text(row["retrained_accuracy"])),
        Numbers("device time", lambda row: spent(row["device_seconds"])),
        Numbers("peak MiB", lambda row: _mib(row["peak_memory_mib"])),
        Column("true: C10 / C100 / IN16 (%)", lambda row: _true(row["true"])),
    )
    rows = [trial.row | {"state": trial.state} for trial in trials]
    data = score.data
    note = (
        f"Proxy {score.name}: of the mixture with its own weights, on held-out {data}, which the "
        f"logits learned from unless they learn with the weights, or on training {data} where that "
        f"is said; as genotype: of the found operations alone, with the same weights and {data}. "
        f"Retrained: test {data}, {score.trained}."
    )
    missing = "No search has begun yet."
    return Table.of("All searches", columns, rows, note=note, missing=missing, label="searches")


def _proxy(row: Mapping[str, Any], score: Measure) -> str:
    text = score.text(row["proxy_accuracy"])
    return text + " (training images)" * (row["proxy_images"] == "training" and text != DASH)


def _mib(value: float | None) -> str:
    return DASH if value is None else f"{value:,.0f}"


def genotype_table(trials: Sequence[Trial]) -> Table:
    """The genotypes of the finished searches, each on one line."""
    known = [trial for trial in trials if trial.metrics.get("genotype")]
    columns = (
        Column("trial", lambda trial: trial.plan.id),
        Column("genotype", lambda trial: str(trial.metrics["genotype"])),
    )
    return Table.of("Genotypes", columns, known, label="genotypes", look="codes", folded=True)
