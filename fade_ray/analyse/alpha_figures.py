"""The figures of a study of alpha, from its points alone."""

from collections.abc import Iterator, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from fade_ray.analyse.alpha_points import Point
from fade_ray.analyse.alpha_summary import NOTE, PREDICTORS, Case, Finding, amount, cases
from fade_ray.analysis.agreement import MEASURES
from fade_ray.report import style
from fade_ray.report.style import INK, MARKERS, MUTED, Picture
from fade_ray.report.words import count, listed, number

COLUMNS = 3


def pictures(points: Sequence[Point], found: Sequence[Finding]) -> Iterator[Picture]:
    """A scatter and a comparison for every space and truth."""
    own = cases(points)
    for place in dict.fromkeys((case.space, case.truth) for case in own):
        here = {case: group for case, group in own.items() if case[:2] == place}
        yield scatter(here, [each for each in found if each.case in here])
        yield correlations([each for each in found if each.case in here])


def scatter(groups: dict[Case, list[Point]], found: Sequence[Finding]) -> Picture:
    """Accuracy against weight, a panel per method; of several edges less the edge's mean."""
    columns = min(COLUMNS, len(groups))
    figure = style.new_figure(0.9 + 3.0 * -(-len(groups) // columns))
    axes = style.grid_axes(figure, len(groups), columns, sharey=True)
    every = [point for group in groups.values() for point in group]
    ops, edges = list(dict.fromkeys(p.op for p in every)), len({p.edge for p in every})
    told = []
    for axis, (case, group) in zip(axes, groups.items(), strict=True):
        _points(axis, group, ops, centred=edges > 1)
        r = next(each for each in found if each.case == case).agreement
        axis.set_title(f"{case.method}: r {number(r.value, signed=True)}")
        axis.set_xlabel("architecture weight")
        axis.xaxis.set_major_locator(MaxNLocator(5))
        told.append(f"{number(r.value, signed=True)} for {case.method}")
    what = "less the edge's mean (points)" if edges > 1 else "(%)"
    if edges > 1:  # an edge that is cut may cost most of the accuracy
        axes[0].set_yscale("symlog", linthresh=1)
        axes[0].yaxis.set_major_formatter(ScalarFormatter())
    for axis in axes[::columns]:
        axis.set_ylabel(f"accuracy {what}")
    handles = {line.get_label(): line for axis in axes for line in axis.get_lines()}
    known = {op: handles[op] for op in ops if op in handles}
    figure.legend(list(known.values()), list(known), loc="outside upper left", ncols=4)
    first = next(iter(groups))
    logarithmic = "The axis is logarithmic beyond one point. " if edges > 1 else ""
    caption = (
        f"On {first.space}, accuracy: {first.truth}. Each point is one operation on one edge of "
        f"what a search found; filled: the one that was found. {logarithmic}"
        f"{count(edges, 'edge')}, {count(len({p.seed for p in every}), 'seed')}."
    )
    alt = f"Pearson's correlation within edges: {listed(told)}."
    name = f"alpha-{first.space}-{first.truth}"
    return Picture(name, "Weight and accuracy of operations", figure, alt, caption)


def _points(axis: Axes, group: Sequence[Point], ops: Sequence[str], centred: bool) -> None:
    means: dict[tuple[int, str], list[float]] = {}
    for point in group:
        means.setdefault((point.seed, point.edge), []).append(point.accuracy)
    for place, op in enumerate(ops):
        colour, marker = style.series(place), MARKERS[place % len(MARKERS)]
        for chosen in (False, True):
            own = [point for point in group if point.op == op and point.chosen == chosen]
            base = [means[point.seed, point.edge] for point in own]
            lower = [sum(b) / len(b) if centred else 0.0 for b in base]
            x = [point.weight for point in own]
            y = [100 * (p.accuracy - b) for p, b in zip(own, lower, strict=True)]
            fill = colour if chosen else "none"
            look: dict[str, Any] = {"ls": "", "ms": 5, "mew": 1.1, "label": op, "mfc": fill}
            axis.plot(x, y, color=colour, marker=marker, **look)


def correlations(found: Sequence[Finding]) -> Picture:
    """Every correlation with its interval, that of each search, and what chance reaches: a panel
    per measure.
    """
    rows = list(dict.fromkeys((each.case.method, each.what) for each in found))
    figure = style.new_figure(0.9 + 0.34 * len(rows))
    axes = style.grid_axes(figure, len(MEASURES), len(MEASURES), sharey=True)
    for each in found:
        axis = axes[list(MEASURES).index(each.measure)]
        _interval(axis, rows.index((each.case.method, each.what)), each)
    for axis, measure in zip(axes, MEASURES, strict=True):
        axis.axvline(0, color=MUTED, lw=1.0, zorder=1)
        axis.set(xlim=(-1.05, 1.05), xticks=(-1, -0.5, 0, 0.5, 1), title=measure.capitalize())
        axis.set_xlabel("correlation with accuracy")
    heads = [method for method, _ in rows]
    names = [
        what if row and heads[row - 1] == method else f"{method}: {what}"
        for row, (method, what) in enumerate(rows)
    ]
    style.name_rows(axes[0], names)
    first = found[0].case
    caption = (
        f"On {first.space}, accuracy: {first.truth}; {amount(found[0])}. Dots with 95 % intervals; "
        f"strokes: single searches; shaded: what chance reaches. {NOTE}"
    )
    told = [
        f"{e.case.method}, {e.what}, {e.measure} {number(e.agreement.value, signed=True)}"
        for e in found
    ]
    name = f"alpha-correlations-{first.space}-{first.truth}"
    title = "How well weights and sizes order operations"
    return Picture(name, title, figure, f"{listed(told)}.", caption)


def _interval(axis: Axes, row: int, finding: Finding) -> None:
    found, colour = finding.agreement, style.series(list(PREDICTORS).index(finding.predictor))
    style.shade(axis, [-found.chance, found.chance], row - 0.3, row + 0.3, MUTED)
    axis.plot(found.interval, [row, row], color=colour, lw=1.6)
    axis.plot(found.value, row, "o", color=colour, ms=6)
    axis.plot(list(found.units.values()), [row] * len(found.units), "|", color=INK, ms=7, mew=1)
    style.beside(axis, row, number(found.value, signed=True))
