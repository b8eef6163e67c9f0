"""`report.html` of a study of alpha: what its sections say."""

from collections.abc import Iterator, Sequence

from fade_ray.analyse.alpha_config import AlphaStudy
from fade_ray.analyse.alpha_figures import pictures
from fade_ray.analyse.alpha_points import Point, dropped
from fade_ray.analyse.alpha_summary import (
    NOTE,
    Finding,
    amount,
    by_edge,
    cases,
    cautions,
    compared,
    ends,
)
from fade_ray.cells.cell_trials import CellHistory
from fade_ray.records.run_files import Run
from fade_ray.report.page import Column, Numbers, Section, Table, Words, figure
from fade_ray.report.words import number

COLUMNS = (
    Column("predictor", lambda each: each.what),
    Column("measure", lambda each: each.measure),
    Numbers("correlation", lambda each: number(each.agreement.value, signed=True)),
    Numbers("95 % interval", lambda each: ends(each.agreement)),
    Numbers("chance", lambda each: number(each.agreement.chance)),
    Numbers("p", lambda each: f"{each.agreement.p:.2g}"),
    Column("of", amount),
)
EDGES = (
    Column("edge", lambda item: item[0]),
    Numbers("Pearson", lambda item: number(item[1].value, signed=True)),
    Numbers("points", lambda item: str(item[1].points)),
    Numbers("searches", lambda item: str(len(item[1].units))),
)


def sections(
    run: Run[AlphaStudy, CellHistory], points: Sequence[Point], found: Sequence[Finding]
) -> Iterator[Section]:
    """Of the points of a study and what they say."""
    told = [Words(text) for text in dropped(run.history, run.config)]
    yield Section("", told)
    for case, own in cases(points).items():
        mine = [each for each in found if each.case == case]
        note = " ".join([*cautions(mine), NOTE]) if mine else NOTE
        missing = "No edge has two operations with an accuracy yet."
        tables = [Table.of("", COLUMNS, mine, note=note, missing=missing, label=case.text)]
        edges = by_edge(own)
        if len(edges) > 1:
            tables.append(Table.of("Edge by edge", EDGES, edges.items(), folded=True))
        yield Section(case.text, tables)
    tests = [Words(text) for text in compared(found)]
    yield Section("Compared", tests or [Words("Two seeds or more are needed to compare.")])
    yield Section("Figures", [figure(picture) for picture in pictures(points, found)])
