"""Methods beside each other, as a report, a terminal and files show them."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from rich.console import Console

from fade_ray.cells.cells_config import CellPlan
from fade_ray.cells.method_scores import Scored, scored
from fade_ray.cells.method_table import MEASURE, Family, MethodTable, Row
from fade_ray.compare.comparison_figures import strip
from fade_ray.compare.comparison_page import table_of_tests
from fade_ray.records.history import TrialHistory
from fade_ray.records.journal import plain
from fade_ray.records.json_form import as_json
from fade_ray.report import style
from fade_ray.report.page import Block, Column, Drawing, Numbers, Table, Verdict, Words, figured
from fade_ray.report.tables import write_tables
from fade_ray.report.words import DASH, Measure, count, duration, interval, listed, number, si
from fade_ray.run.folder import write_json
from fade_ray.run.text_table import text_table
from fade_ray.training.latency import about_latency


def method_table(history: TrialHistory[Any]) -> tuple[list[Scored], MethodTable | None]:
    """What a record says by now; None where no genotype is trained."""
    plans = [plan for plan in history.proposals.values() if isinstance(plan, CellPlan)]
    searches = dict.fromkeys((plan.recipe, plan.space, plan.seed) for plan in plans)
    scores = scored(history)
    return scores, MethodTable.of(scores, list(searches))


COSTS: dict[str, Callable[[Row], str]] = {
    "parameters": lambda row: _known(si, row.parameters),
    "multiply-adds": lambda row: _known(si, row.multiply_adds),
    "latency (ms)": lambda row: number(row.latency_ms),
    "search time": lambda row: _known(duration, row.search_seconds),
    "images": lambda row: _known(si, row.search_images),
}
"""Columns by their heads."""


def _known(show: Callable[[float], str], value: float) -> str:
    return show(value) if math.isfinite(value) else DASH


def spread(row: Row, score: Measure) -> str:
    """ "97.46 ± 0.08"."""
    if not row.searches:
        return DASH
    deviation = f" ± {number(score.spread(row.std))}" if row.searches > 1 else ""
    missing = f" ({row.missing} missing)" if row.missing else ""
    return f"{number(score.scale * row.mean)}{deviation}{missing}"


def reached(table: MethodTable, setting: str, score: Measure) -> tuple[Column, ...]:
    """Of a line per method: what it reached on every space, and its mean rank over them."""

    def on(space: str) -> Callable[[str], str]:
        return lambda method: spread(table.row(setting, (space,), method), score)

    return (
        Column("method", str),
        *(Numbers(score.axis(space), on(space)) for space in table.spaces),
        Numbers("mean rank", lambda method: number(table.ranks[setting][method])),
    )


def cost(table: MethodTable, setting: str) -> tuple[Column, ...]:
    """Of a line per method: what it costs on average over the spaces (of latencies the median)."""

    def of(show: Callable[[Row], str]) -> Callable[[str], str]:
        return lambda method: show(table.row(setting, table.spaces, method))

    return tuple(Numbers(head, of(show)) for head, show in COSTS.items())


def notes(scores: Sequence[Scored], table: MethodTable, score: Measure, device: str) -> str:
    """What the numbers are, in words."""
    again = {(s.space, s.trained, s.setting) for s in scores if s.trained != s.trial}
    equal = f" {count(len(again), 'genotype')} found by several searches were trained once."
    repeats = count(max(len(each.accuracies) for each in scores), "retraining")
    return (
        "Settings are called by their recipe, cells x channels and epochs. "
        f"Test {score.name} {score.trained} of the retraining: mean ± standard deviation over the "
        f"seeds of the search, of the mean of {repeats} of its genotype.{equal if again else ''} "
        "Mean rank: 1 is best, over the searches that all methods have. Parameters and "
        f"multiply-adds (conv+fc, per {score.example}) of the retrained network, without auxiliary "
        f"head. {about_latency(device, score.example)} "
        "Search time: seconds of the device in training, per search, as the images are; a drawn "
        "genotype costs none."
    )


def blocks(
    scores: Sequence[Scored], table: MethodTable, score: Measure, device: str
) -> Iterator[Block]:
    """Of the page: the verdict, and for each setting its table, details, figure and tests."""
    first, *rest = table.verdict(table.spaces)
    yield Verdict(first, rest)
    for setting in table.settings:
        heads = (*reached(table, setting, score), *cost(table, setting))
        yield Table.of(f"Methods, retrained: {setting}", heads, table.methods, label=setting)
        yield accuracies(scores, table, setting, score)
        yield details(table, setting, score)
        yield from (
            _tests(each, score, table) for each in table.families if each.setting == setting
        )
    for space in table.spaces if len(table.spaces) > 1 else ():
        yield from map(Words, table.verdict((space,)))
    yield Words(notes(scores, table, score, device))


def _tests(family: Family, score: Measure, table: MethodTable) -> Table:
    """Folded unless it is what the verdict begins with."""
    title = f"Tests against {family.baseline or 'each other'}, {listed(family.spaces)}: "
    texts = {MEASURE: f"{score.name} on {listed(family.spaces)}"}
    tests = table_of_tests(family.tests, texts, score, "method", title + family.setting)
    return replace(tests, folded=not family.baseline or family.spaces != table.spaces)


def details(table: MethodTable, setting: str, score: Measure) -> Table:
    """A line per space and method."""
    x = score.scale
    rows = [r for r in table.rows if r.setting == setting and len(r.spaces) == 1]
    heads = (
        Column("space", lambda row: row.spaces[0]),
        Column("method", lambda row: row.method),
        Numbers("searches", lambda row: str(row.searches)),
        Numbers("missing", lambda row: str(row.missing)),
        Numbers(score.axis("mean"), lambda row: number(x * row.mean)),
        Numbers("std", lambda row: number(score.spread(row.std))),
        Numbers("95 % interval", lambda row: interval(x * row.low, x * row.high)),
        Numbers("std of retrainings", lambda row: number(score.spread(row.retraining_std))),
        *(Numbers(head, show) for head, show in COSTS.items()),
    )
    title = f"Methods by space: {setting}"
    return Table.of(title, heads, rows, label=title.lower(), folded=True)


def accuracies(scores: Sequence[Scored], table: MethodTable, setting: str, score: Measure) -> Block:
    """Each search a dot, the mean with its interval above them; a panel per space."""
    measure = score.name[0].upper() + score.name[1:]
    name, title = f"accuracies-{setting}", f"{measure} of what was found: {setting}"

    @figured(name, title, "No genotype is trained yet.")
    def drawn() -> Drawing:
        methods, spaces = table.methods, table.spaces
        figure = style.new_figure(1.0 + 0.46 * len(methods) * -(-len(spaces) // 2))
        axes = style.grid_axes(figure, len(spaces), min(2, len(spaces)), sharey=True)
        for axis, space in zip(axes, spaces, strict=True):
            for index, method in enumerate(methods):
                mine = (setting, space, method)
                values = [s.accuracy for s in scores if (s.setting, s.space, s.method) == mine]
                if values:
                    strip(axis, index, np.asarray(values), True, score)
            axis.set(title=space, xlabel=score.axis("test {} after retraining"))
            style.name_rows(axis, methods)
        means = [
            f"{row.method} on {listed(row.spaces)} {score.text(row.mean, 2)}"
            for row in table.rows
            if row.setting == setting and len(row.spaces) == 1 and row.searches
        ]
        caption = (
            f"Retrained in the setting {setting}. Coloured: each search, the mean of its "
            "retrainings; black: the mean over the searches with its 95 % interval (Student's t)."
        )
        return figure, f"Mean test {score.name}: {listed(means)}.", caption

    return drawn()


def print_methods(table: MethodTable, score: Measure, console: Console) -> None:
    """What was reached, what it cost, and what was shown on all spaces together."""
    for setting in table.settings:
        console.print(f"retrained: {setting}", soft_wrap=True)
        first, *accuracy = reached(table, setting, score)
        for heads in ((first, *accuracy), (first, *cost(table, setting))):
            lines = [[column.of(method) for column in heads] for method in table.methods]
            console.print(text_table([c.head for c in heads], lines, left=("method",)))
    for sentence in table.verdict(table.spaces):
        console.print(sentence, soft_wrap=True)


def write_methods(
    scores: Sequence[Scored], table: MethodTable, score: Measure, folder: Path
) -> None:
    """methods.json; tables/methods, searches and method_tests as Parquet."""
    sentences = [sentence for family in table.families for sentence in family.sentences(score)]
    verdict = [*table.verdict(table.spaces)]
    told = {"verdict": verdict, "sentences": sentences}
    write_json(folder / "methods.json", plain(as_json(table)) | told)
    tests = [
        {"setting": f.setting, "spaces": list(f.spaces)}
        | {name: value for name, value in vars(test).items() if name not in ("seeds", "measure")}
        | {"pairs": len(test.seeds), "finding": test.finding}
        for f in table.families
        for test in f.tests
    ]
    rows = {
        "methods": [vars(row) for row in table.rows],
        "retrained": [vars(each) | {"accuracy": each.accuracy} for each in scores],
        "method_tests": tests,
    }
    tables = {
        name: pa.Table.from_pylist([plain(row) for row in lines])
        for name, lines in rows.items()
        if lines
    }
    write_tables(tables, folder / "tables")
