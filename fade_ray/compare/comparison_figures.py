"""The figures of a comparison of searchers.

A searcher has one colour, line and marker in all of them. Scores are of the report: the test part,
or of a table what no searcher sees.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from fade_ray.analysis.paired_tests import PairedTest
from fade_ray.analysis.resampling import t_interval
from fade_ray.compare.comparison import Band, Comparison, SeedResult
from fade_ray.compare.trace import Trace, anytime, top_reports
from fade_ray.report import style
from fade_ray.report.page import Drawing, figured
from fade_ray.report.style import INK, MARKERS, PAPER, look, name_rows, new_figure, series
from fade_ray.report.words import ACCURACY, Measure, count, listed, percent, probability, short, si
from fade_ray.search.search_figures import score_limits

Array = npt.NDArray[np.float64]
LINES_UP_TO = 12
"""Seeds that are joined by a line; more would be a thicket."""
POINTS_UP_TO = 200
"""Values of a searcher that are drawn as points beside their box."""
BEYOND = 1.015
"""The curves are drawn on a little beyond the budget: what was found at its very end is seen."""
MEASURES = {"final": "{} at the end of the budget", "area": "area under the anytime curve"}


@figured(
    "anytime",
    "Best architecture so far against the budget",
    "No search has evaluated an architecture yet.",
)
def anytime_curves(
    traces: Sequence[Trace], comparison: Comparison, score: Measure = ACCURACY
) -> Drawing | None:
    """Mean report of the best validated against the budget, a 95 % band; partial traces thin."""
    names = [band.searcher for band in comparison.bands]
    figure = new_figure(4.6 + 0.22 * ((len(names) - 1) // 4))
    axis = figure.subplots()
    heights: list[float] = []
    ends: list[float] = []  # of the intervals
    for index, band in enumerate(comparison.bands):
        if np.isfinite(band.mean).any():
            _band(axis, band, index, len(names), score)
            late = slice(len(band.grid) // 4, None)  # what is found first would squeeze the rest
            heights += filter(math.isfinite, band.mean[late])
            if band.seeds > 2:
                ends += filter(math.isfinite, (*band.low[late], *band.high[late]))
    for trace in traces:
        if not trace.complete and trace.costs:
            values = _partial(axis, trace, names.index(trace.searcher), score)
            later = [v for v, c in zip(values, trace.costs, strict=True) if 4 * c > trace.budget]
            heights += later or values[-1:]
    if not heights:
        return None
    scale, unit = budget_axis(comparison)
    limits = score_limits(heights, [*heights, *ends], score)
    axis.set(xlim=(0, BEYOND * comparison.budget), ylim=limits)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: si(value / scale)))
    axis.set_xlabel(f"budget spent ({unit})")
    axis.set_ylabel(f"{score.axis('reported {}')}\nof the best validated so far")
    longest = max(map(len, axis.get_legend_handles_labels()[1]))
    style.legend_above(figure, axis, 4 if longest <= 27 else 3)
    whole = [summary for summary in comparison.summaries if summary.seeds]
    means = [f"{s.searcher} {score.text(s.mean)} ({count(s.seeds, 'seed')})" for s in whole]
    means_text = f"{listed(means)}." if means else "no search has ended."
    alt = f"Mean {score.name} at the end of the budget: {means_text}"
    return figure, alt, _anytime_caption(comparison, score)


def _band(axis: Axes, band: Band, index: int, searchers: int, score: Measure) -> None:
    """Mean and interval of a searcher."""
    grid = np.append(band.grid, BEYOND * band.grid[-1])
    curves = (np.append(curve, curve[-1]) for curve in (band.mean, band.low, band.high))
    mean, low, high = (score.scale * np.clip(curve, score.low, score.high) for curve in curves)
    if band.seeds > 2:
        alpha = 0.7 / max(5, searchers)
        style.shade(axis, grid, low, high, series(index), step="post", alpha=alpha)
    # markers of different searchers stand at different budgets
    looks = look(index, ms=5, markevery=(20 * index // searchers, 20), lw=1.9, zorder=_above(index))
    label = f"{short(band.searcher)} ({count(band.seeds, 'seed')})"
    axis.plot(grid, mean, drawstyle="steps-post", label=label, **looks)


def _partial(axis: Axes, trace: Trace, index: int, score: Measure) -> list[float]:
    """Draw a search that has not come to its end, as far as it came; its curve."""
    values = anytime(trace, trace.costs).reports
    known = axis.get_legend_handles_labels()[1]
    named = any(label.startswith(f"{short(trace.searcher)} (") for label in known)
    label = None if named else f"{short(trace.searcher)} (partial)"
    thin = look(index, lw=1.0, alpha=0.8, ms=3, zorder=_above(index))
    axis.plot(trace.costs, score.scale * values, drawstyle="steps-post", label=label, **thin)
    return [float(value) for value in values]


def _above(index: int) -> float:
    return 3 - index / 50


def _anytime_caption(comparison: Comparison, score: Measure) -> str:
    sizes = [summary.seeds for summary in comparison.summaries]
    several = (
        "Lines: mean over the complete searches of each searcher; "
        "bands: 95 % interval of the mean (Student's t), of three seeds or more. The axis shows "
        "all of the last three quarters of the budget."
    )
    if max(sizes) == 0:
        several = "No search has come to the end of its budget."
    elif max(sizes) == 1:
        several = "One seed each: nothing is known of the spread."
    partial = any(summary.partial for summary in comparison.summaries)
    return (
        f"The architecture that was validated best so far, at the {score.name} it is reported "
        f"with: on images, or in columns of a table, that no searcher sees. {several} "
        "A line starts where every seed has evaluated something; hyper-architectures are paid from "
        f"the same budget.{' Thin lines are partial searches.' if partial else ''}"
    )


def budget_axis(comparison: Comparison) -> tuple[float, str]:
    """What a tick is divided by, and the unit it then has."""
    if not comparison.unit.startswith("seconds"):
        return 1.0, comparison.unit
    rest = comparison.unit.removeprefix("seconds")
    units = ((3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))
    known = (pair for pair in units if comparison.budget > 2 * pair[0])
    scale, unit = next(known, units[-1])
    return scale, unit + rest


@figured(
    "best",
    "The best architectures of each searcher",
    "No search has come to the end of its budget with an evaluation yet.",
)
def best_evaluations(
    traces: Sequence[Trace], comparison: Comparison, score: Measure = ACCURACY
) -> Drawing | None:
    """Reports of the best-validated of all seeds together (FaDE Fig. 8), and of each seed."""
    names, k = [summary.searcher for summary in comparison.summaries], comparison.k
    together = [list(summary.top) for summary in comparison.summaries]
    tops = [(t.searcher, r) for t in traces if t.complete for _, r in top_reports([t], k)]
    each = [[report for searcher, report in tops if searcher == name] for name in names]
    if not any(together):
        return None
    titles = (f"the {k} best of all seeds together", f"the {k} best of each seed")
    figure, axes = _pair(names, 0.42, titles, (score.axis("reported {}"),) * 2)
    for axis, groups in zip(axes, (together, each), strict=True):
        for index, values in enumerate(groups):
            if values:
                _box(axis, index, score.scale * np.asarray(values))
    points = "; points: each architecture."
    if max(map(len, each)) > POINTS_UP_TO:
        points = ". Points are left out where there are too many."
    few = any(0 < len(values) < k for values in together)
    rest = f" Some searchers evaluated fewer than {k} in all." if few else ""
    caption = (
        f"Architectures of best validated {score.name}, at the {score.name} they are reported "
        "with, means over all evaluations of each. "
        f"Boxes: quartiles and median; whiskers: all values{points}{rest}"
    )
    shown = [(name, values) for name, values in zip(names, together, strict=True) if values]
    medians = [f"{name} {score.text(float(np.median(values)))}" for name, values in shown]
    return figure, f"Median of the {k} best: {listed(medians)}.", caption


def _pair(
    names: Sequence[str], height: float, titles: Sequence[str], labels: Sequence[str]
) -> tuple[Figure, Sequence[Axes]]:
    """Two panels side by side with a row of this height for each name."""
    figure = new_figure(1.0 + height * len(names))
    axes = figure.subplots(1, 2, sharey=True)
    for axis, title, label in zip(axes, titles, labels, strict=True):
        axis.set(title=title, xlabel=label)
        axis.xaxis.set_major_locator(MaxNLocator(nbins=5))
    name_rows(axes[0], [short(name) for name in names])
    return figure, axes


def _box(axis: Axes, index: int, data: Array) -> None:
    line = {"color": series(index), "lw": 1.4}
    lines: dict[str, Any] = dict.fromkeys(("boxprops", "whiskerprops", "capprops"), line)
    looks = lines | {"medianprops": {"color": INK, "lw": 1.8}, "widths": 0.62}
    where: dict[str, Any] = {"positions": [index], "orientation": "horizontal"}
    axis.boxplot(data, whis=(0, 100), showfliers=False, manage_ticks=False, **where, **looks)
    if len(data) <= POINTS_UP_TO:
        _points(axis, index, data, index + 0.22 * _scattered(len(data)), ms=4, mew=0.3, alpha=0.8)


def _points(axis: Axes, index: int, x: Array, y: Array, **look: Any) -> None:
    """Of the searcher `index`."""
    axis.plot(x, y, MARKERS[index % 8], color=series(index), mec=PAPER, **look)


def _scattered(n: int) -> Array:
    """[n] in (-1, 1), the golden-ratio sequence: equal values lie apart, the same every time."""
    return np.asarray(2 * ((np.arange(1, n + 1) * 0.6180339887498949) % 1) - 1)


@figured("seeds", "Every seed", "No search has come to the end of its budget yet.")
def seeds(comparison: Comparison, score: Measure = ACCURACY) -> Drawing | None:
    """Every seed and the means with intervals; few seeds are joined by lines: they are pairs."""
    names = [summary.searcher for summary in comparison.summaries]
    complete = [result for result in comparison.results if result.complete]
    if not complete:
        return None
    joined = max(summary.seeds for summary in comparison.summaries) <= LINES_UP_TO
    titles = [text.format(score.name) for text in MEASURES.values()]
    labels = (score.axis("reported {}"), score.axis("mean over the budget"))
    figure, axes = _pair(names, 0.46, titles, labels)
    for axis, measure in zip(axes, MEASURES, strict=True):
        if joined:
            _join(axis, complete, names, measure, score)
        for index, name in enumerate(names):
            values = [getattr(r, measure) for r in complete if r.searcher == name]
            if values:
                strip(axis, index, np.asarray(values), joined, score)
    caption = (
        "Coloured: each seed; black: mean with its 95 % interval (Student's t)."
        f"{' Lines join the values of one seed.' if joined else ''} The area is the mean height of "
        "the anytime curve over the budget; before the first evaluation it lies at "
        f"{score.text(comparison.floor)}."
    )
    areas = [f"{s.searcher} {score.text(s.area)}" for s in comparison.summaries if s.seeds]
    return figure, f"Mean area under the anytime curve: {listed(areas)}.", caption


def strip(axis: Axes, index: int, values: Array, exact: bool, score: Measure) -> None:
    """The values of one of several around the height `index`, mean and interval above them."""
    heights = index + (np.zeros(len(values)) if exact else 0.26 * _scattered(len(values)))
    _points(axis, index, score.scale * values, heights, ms=5, mew=0.5, alpha=0.85)
    ends = score.scale * np.clip(t_interval(values), score.low, score.high)
    if np.isfinite(ends).all():
        axis.plot(ends, [index - 0.36] * 2, color=INK, lw=1.6, zorder=3)
    mean = score.scale * float(np.mean(values))
    axis.plot(mean, index - 0.36, "|", color=INK, ms=9, mew=2, zorder=4)


def _join(
    axis: Axes, results: Sequence[SeedResult], names: Sequence[str], measure: str, score: Measure
) -> None:
    for seed in sorted({result.seed for result in results}):
        known = {r.searcher: score.scale * getattr(r, measure) for r in results if r.seed == seed}
        heights = [index for index, name in enumerate(names) if name in known]
        values = [known[names[index]] for index in heights]
        axis.plot(values, heights, color=style.MUTED, lw=0.8, alpha=0.55, zorder=1)


@figured(
    "effects",
    "Difference from the baseline",
    "There is no pair of complete searches with the same seed yet, or no searcher besides the "
    "baseline.",
)
def effects(comparison: Comparison, score: Measure = ACCURACY) -> Drawing | None:
    """Mean difference from the baseline with its 95 % interval: a forest plot per measure."""
    groups = {m: [test for test in comparison.tests if test.measure == m] for m in MEASURES}
    families = [test.family for test in comparison.tests if math.isfinite(test.difference)]
    if not families:
        return None
    figure = new_figure(1.3 + 0.7 * max(len(group) for group in groups.values()))
    axes = figure.subplots(2, 1, sharex=True)
    several = len(comparison.baselines) > 1
    baseline = "the baseline" if several else short(comparison.baselines[0])
    searchers = [summary.searcher for summary in comparison.summaries]
    for axis, (measure, group) in zip(axes, groups.items(), strict=True):
        for height, test in enumerate(group):
            _effect(axis, height, test, searchers.index(test.searcher), score)
        axis.axvline(0, color=style.MUTED, lw=1.2, ls=style.LINES[1], zorder=1)
        against = (f" − {short(test.baseline)}" if several else "" for test in group)
        name_rows(axis, [short(t.searcher) + rest for t, rest in zip(group, against, strict=True)])
        axis.set_title(MEASURES[measure].format(score.name))
        axis.grid(axis="y", visible=False)
    steps = f"percentage {score.steps}" if score.steps else ""
    axes[1].set_xlabel(score.axis(f"difference from {baseline}", steps))
    caption = (
        f"Right of the dashed line: better than {baseline} on the same seeds. "
        "Bars: 95 % interval of the mean difference (Student's t). p: two-sided signed-rank test, "
        f"corrected by Holm over {count(max(families), 'test')} of the same measure. "
        "Filled markers: a difference is shown (p at most 0.05, and the interval leaves 0 out)."
    )
    differences = [
        f"{t.searcher} {score.difference(t.difference)}, p {probability(t.corrected)}"
        for t in groups["final"]
    ]
    return figure, f"{listed(differences)}.", caption


def _effect(axis: Axes, height: int, test: PairedTest, index: int, score: Measure) -> None:
    pairs, p = count(len(test.seeds), "pair"), probability(test.corrected)
    better = f"better in {percent(test.superiority, 0)} of {pairs}, p {p}"
    style.beside(axis, height, better if test.seeds else "no pairs")
    value, *ends = (score.scale * x for x in (test.difference, test.low, test.high))
    fill = series(index) if test.shown else PAPER
    style.estimate(axis, height, value, ends, index, mew=1.8, mfc=fill)
