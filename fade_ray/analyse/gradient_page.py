"""`report.html` of a gradient study: what its sections say."""

from collections.abc import Iterator, Sequence

from fade_ray.analyse.gradient_figures import pictures
from fade_ray.analyse.gradient_summary import CAVEAT, Measured, findings
from fade_ray.report.page import Column, Section, Table, figure
from fade_ray.report.words import count

COLUMNS = (Column("what", lambda row: row[0]), Column("mean over seeds", lambda row: row[1]))


def sections(study: Sequence[Measured]) -> Iterator[Section]:
    """Of the whole searches of a study."""
    for group in study:
        seeds, text = count(len(group.seeds), "seed"), group.setting.text
        rows = list(findings(group).items())
        yield Section(text, [Table(seeds, COLUMNS, rows, note=CAVEAT, label=text)])
    yield Section("Figures", [figure(picture) for picture in pictures(study)])
