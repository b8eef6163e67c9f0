"""`report.html` of a gradient study: what its sections say."""

from collections.abc import Iterator, Sequence
from typing import Any

from fade_ray.analyse.gradient_figures import pictures
from fade_ray.analyse.gradient_summary import CAVEAT, Measured, findings
from fade_ray.records.run_files import Run
from fade_ray.report.page import Column, Page, Section, Table, figure
from fade_ray.report.trials import origin, state, warnings
from fade_ray.report.words import count

COLUMNS = (Column("what", lambda row: row[0]), Column("mean over seeds", lambda row: row[1]))


def gradient_page(run: Run[Any, Any], study: Sequence[Measured]) -> Page:
    """The report of a study; `study`: its whole searches."""
    whole = count(sum(len(group.seeds) for group in study), "whole search", "whole searches")
    reached = state(run.history, run.folder, "analyse gradients", f"{whole}.")
    return Page("Gradient study", run.name, reached, _sections(run, study))


def _sections(run: Run[Any, Any], study: Sequence[Measured]) -> Iterator[Section]:
    yield Section("", [warnings(run.history)])
    for group in study:
        seeds, text = count(len(group.seeds), "seed"), group.setting.text
        rows = list(findings(group).items())
        yield Section(text, [Table(seeds, COLUMNS, rows, note=CAVEAT, label=text)])
    drawn = [figure(picture) for picture in pictures(study)]
    yield Section("Figures", drawn)
    yield Section("How it was made", origin(run, "records.jsonl of the study alone"))
