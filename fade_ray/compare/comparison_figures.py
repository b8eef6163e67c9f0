"""The figures of a comparison of searchers, from its traces and what `Comparison.of` makes of them;
None where there is nothing to show yet.

A searcher has one colour, line and marker in all of them. Accuracies are of the report: the test
part, or of a table what no searcher sees.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from fade_ray.analysis.paired_tests import PairedTest
from fade_ray.analysis.resampling import t_interval
from fade_ray.compare.anytime import anytime, top_reports
from fade_ray.compare.comparison import Band, Comparison, SeedResult
from fade_ray.compare.trace import Trace
from fade_ray.report.style import INK, LINES, MARKERS, MUTED, PAPER, Picture, new_figure, series
from fade_ray.report.words import count, listed, percent, probability, si
from fade_ray.search.search_figures import accuracy_limits

Array = npt.NDArray[np.float64]
LINES_UP_TO = 12
"""Seeds that are joined by a line; more would be a thicket."""
POINTS_UP_TO = 200
"""Values of a searcher that are drawn as points beside their box."""
BEYOND = 1.015
"""The curves are drawn on a little beyond the budget, so that what was found at its very end can be
seen.
"""
LONGEST = 22
"""Characters of a searcher's name in a figure."""
MEASURES = {"final": "accuracy at the end of the budget", "area": "area under the anytime curve"}


def compared(traces: Sequence[Trace]) -> Comparison:
    """The comparison of `traces` with "random" as its baseline, or with the first searcher where
    there is none.
    """
    names = [trace.searcher for trace in traces]
    return Comparison.of(traces, "random" if "random" in names else names[0])


def pictures(traces: Sequence[Trace], comparison: Comparison) -> Iterator[Picture]:
    """All figures that have something to show."""
    candidates = (
        anytime_curves(traces, comparison),
        best_evaluations(traces, comparison),
        seeds(comparison),
        effects(comparison),
    )
    yield from (picture for picture in candidates if picture is not None)


def anytime_curves(traces: Sequence[Trace], comparison: Comparison) -> Picture | None:
    """Mean reported accuracy of the best validated architecture against the budget, a 95 % band
    over the seeds; partial traces as thin lines.
    """
    names = [band.searcher for band in comparison.bands]
    figure = new_figure(4.6 + 0.22 * ((len(names) - 1) // 4))
    axis = figure.subplots()
    heights: list[float] = []
    wanted: list[float] = []
    for index, band in enumerate(comparison.bands):
        if np.isfinite(band.mean).any():
            heights += _band(axis, band, index, len(names))
            wanted += [end for end in (*band.low, *band.high) if math.isfinite(end)]
    for trace in traces:
        if not trace.complete:
            heights += _partial(axis, trace, names.index(trace.searcher))
    if not heights:
        return None
    scale, unit = budget_axis(comparison)
    axis.set(
        xlim=(0, BEYOND * comparison.budget), ylim=accuracy_limits(heights, [*heights, *wanted])
    )
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: si(value / scale)))
    axis.set_xlabel(f"budget spent ({unit})")
    axis.set_ylabel("reported accuracy (%)\nof the best validated so far")
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper left", ncols=4 if max(map(len, labels)) <= 27 else 3
    )
    told = [
        f"{s.searcher} {percent(s.mean)} ({count(s.seeds, 'seed')})"
        for s in comparison.summaries
        if s.seeds
    ]
    alt = "Mean accuracy at the end of the budget: " + (
        f"{listed(told)}." if told else "no search has ended."
    )
    return Picture(
        "anytime",
        "Best architecture so far against the budget",
        figure,
        alt,
        _anytime_caption(comparison),
    )


def _band(axis: Axes, band: Band, index: int, searchers: int) -> list[float]:
    """Draw mean and interval of a searcher; the means."""
    grid = np.append(band.grid, BEYOND * band.grid[-1])
    mean, low, high = (np.append(one, one[-1]) for one in (band.mean, band.low, band.high))
    low, high = np.clip(low, 0, 1), np.clip(high, 0, 1)
    axis.fill_between(
        grid,
        100 * low,
        100 * high,
        step="post",
        color=series(index),
        alpha=0.7 / max(5, searchers),
        lw=0,
    )
    # markers of different searchers stand at different budgets
    marks: dict[str, Any] = {
        "marker": MARKERS[index % 8],
        "ms": 5,
        "markevery": (20 * index // searchers, 20),
    }
    label = f"{short(band.searcher)} ({count(band.seeds, 'seed')})"
    axis.plot(grid, 100 * mean, drawstyle="steps-post", label=label, **_line(index), **marks)
    return [value for value in band.mean if math.isfinite(value)]


def _partial(axis: Axes, trace: Trace, index: int) -> list[float]:
    """Draw a search that has not come to its end, as far as it came; its curve."""
    ends = list(trace.costs)
    values = anytime(trace, ends).reports
    known = axis.get_legend_handles_labels()[1]
    label = f"{short(trace.searcher)} (partial)"
    told = label in known or any(other.startswith(f"{short(trace.searcher)} (") for other in known)
    if ends:
        thin = {**_line(index), "lw": 1.0, "alpha": 0.8, "marker": MARKERS[index % 8], "ms": 3}
        axis.plot(ends, 100 * values, drawstyle="steps-post", label=None if told else label, **thin)
    return values.tolist() if ends else []


def _anytime_caption(comparison: Comparison) -> str:
    sizes = [summary.seeds for summary in comparison.summaries]
    several = "Lines: mean over the complete searches of each searcher; bands: 95 % interval of the mean (Student's t)."
    if max(sizes) == 0:
        several = "No search has come to the end of its budget."
    elif max(sizes) == 1:
        several = "One seed each: nothing is known of the spread."
    thin = (
        " Thin lines are partial searches." if any(s.partial for s in comparison.summaries) else ""
    )
    return (
        "The architecture that was validated best so far, at the accuracy it is reported with: on images, or in columns of a table, that no "
        f"searcher sees. {several} A line starts where every seed has evaluated something; hyper-architectures are paid from the same budget.{thin}"
    )


def budget_axis(comparison: Comparison) -> tuple[float, str]:
    """What a tick is divided by, and the unit it then has."""
    if not comparison.unit.startswith("seconds"):
        return 1.0, comparison.unit
    rest = comparison.unit.removeprefix("seconds")
    longer = ((3600.0, "hours"), (60.0, "minutes"))
    scale, unit = next(
        (pair for pair in longer if comparison.budget > 2 * pair[0]), (1.0, "seconds")
    )
    return scale, unit + rest


def best_evaluations(traces: Sequence[Trace], comparison: Comparison) -> Picture | None:
    """Reports of the best-validated evaluations per searcher: of all its seeds together (FaDE Fig.
    8), and of each seed.
    """
    names, k = [summary.searcher for summary in comparison.summaries], comparison.k
    together = [list(summary.top) for summary in comparison.summaries]
    each = [
        [
            report
            for t in traces
            if t.complete and t.searcher == name
            for _, report in top_reports(t, k)
        ]
        for name in names
    ]
    if not any(together):
        return None
    figure = new_figure(1.0 + 0.42 * len(names))
    axes = figure.subplots(1, 2, sharey=True)
    titles = (f"the {k} best of all seeds together", f"the {k} best of each seed")
    for axis, groups, title in zip(axes, (together, each), titles, strict=True):
        for index, values in enumerate(groups):
            _box(axis, index, values)
        axis.set_title(title)
        axis.set_xlabel("reported accuracy (%)")
        axis.xaxis.set_major_locator(MaxNLocator(nbins=5))
    _searcher_axis(axes[0], names)
    few = sorted({len(values) for values in together if 0 < len(values) < k})
    caption = (
        "Evaluations of best validated accuracy, at the accuracy they are reported with. Boxes: quartiles and median; whiskers: all values"
        + (
            "; points: each evaluation."
            if max(map(len, each)) <= POINTS_UP_TO
            else ". Points are left out where there are too many."
        )
        + (f" Some searchers made fewer than {k} evaluations in all." if few else "")
    )
    told = [
        f"{name} {percent(float(np.median(values)))}"
        for name, values in zip(names, together, strict=True)
        if values
    ]
    alt = f"Median of the {k} best: {listed(told)}."
    return Picture("best", f"The {k} best architectures of each searcher", figure, alt, caption)


def _box(axis: Axes, index: int, values: Sequence[float]) -> None:
    if not values:
        return
    data = 100 * np.asarray(values)
    plain = {"color": series(index), "lw": 1.4}
    axis.boxplot(
        data,
        positions=[index],
        orientation="horizontal",
        widths=0.62,
        whis=(0, 100),
        showfliers=False,
        boxprops=plain,
        whiskerprops=plain,
        capprops=plain,
        medianprops={"color": INK, "lw": 1.8},
        manage_ticks=False,
    )
    if len(data) <= POINTS_UP_TO:
        heights = index + 0.22 * _scattered(len(data))
        axis.plot(
            data,
            heights,
            MARKERS[index % 8],
            color=series(index),
            ms=4,
            mec=PAPER,
            mew=0.3,
            alpha=0.8,
        )


def _scattered(n: int) -> Array:
    """[n] in (-1, 1): the golden-ratio sequence, so that points of equal value lie apart and a
    figure is the same every time.
    """
    return np.asarray(2 * ((np.arange(1, n + 1) * 0.6180339887498949) % 1) - 1)


def seeds(comparison: Comparison) -> Picture | None:
    """Both measures of every seed and their means with intervals; few seeds are joined by lines,
    since they are pairs.
    """
    names = [summary.searcher for summary in comparison.summaries]
    complete = [result for result in comparison.results if result.complete]
    if not complete:
        return None
    many = max(summary.seeds for summary in comparison.summaries)
    joined = many <= LINES_UP_TO
    figure = new_figure(1.0 + 0.46 * len(names))
    axes = figure.subplots(1, 2, sharey=True)
    for axis, (measure, text) in zip(axes, MEASURES.items(), strict=True):
        if joined:
            _join(axis, complete, names, measure)
        for index, name in enumerate(names):
            _strip(
                axis,
                index,
                [100 * getattr(r, measure) for r in complete if r.searcher == name],
                joined,
            )
        axis.set_title(text)
        axis.set_xlabel(
            "reported accuracy (%)" if measure == "final" else "mean over the budget (%)"
        )
        axis.xaxis.set_major_locator(MaxNLocator(nbins=5))
    _searcher_axis(axes[0], names)
    lines = " Lines join the values of one seed." if joined else ""
    caption = (
        f"Coloured: each seed; black: mean with its 95 % interval (Student's t).{lines} The area is the mean height of the anytime curve over the "
        f"budget; before the first evaluation it lies at {percent(comparison.floor)}."
    )
    told = [f"{s.searcher} {percent(s.area)}" for s in comparison.summaries if s.seeds]
    alt = f"Mean area under the anytime curve: {listed(told)}."
    return Picture("seeds", "Every seed", figure, alt, caption)


def _strip(axis: Axes, index: int, values: Sequence[float], exact: bool) -> None:
    """The values of one searcher around the height `index`, the mean and its interval above them."""
    if not values:
        return
    heights = index + (np.zeros(len(values)) if exact else 0.26 * _scattered(len(values)))
    axis.plot(
        values,
        heights,
        MARKERS[index % 8],
        color=series(index),
        ms=5,
        mec=PAPER,
        mew=0.5,
        alpha=0.85,
    )
    low, high = t_interval(values)
    if math.isfinite(low):
        axis.plot(
            [max(low, 0.0), min(high, 100.0)], [index - 0.36] * 2, color=INK, lw=1.6, zorder=3
        )
    axis.plot(float(np.mean(values)), index - 0.36, "|", color=INK, ms=9, mew=2, zorder=4)


def _join(axis: Axes, results: Sequence[SeedResult], names: Sequence[str], measure: str) -> None:
    for seed in sorted({result.seed for result in results}):
        found = {r.searcher: 100 * getattr(r, measure) for r in results if r.seed == seed}
        heights = [index for index, name in enumerate(names) if name in found]
        axis.plot(
            [found[names[index]] for index in heights],
            heights,
            color=MUTED,
            lw=0.8,
            alpha=0.55,
            zorder=1,
        )


def effects(comparison: Comparison) -> Picture | None:
    """Mean difference from the baseline with its 95 % interval, per searcher and measure (a forest
    plot).
    """
    shown = {
        measure: [test for test in comparison.tests if test.measure == measure]
        for measure in MEASURES
    }
    tests = [test for group in shown.values() for test in group if math.isfinite(test.difference)]
    if not tests:
        return None
    rows = max(len(group) for group in shown.values())
    figure = new_figure(1.3 + 0.7 * rows)
    axes = figure.subplots(2, 1, sharex=True)
    several = len(comparison.baselines) > 1
    for axis, (measure, group) in zip(axes, shown.items(), strict=True):
        for height, test in enumerate(group):
            _effect(
                axis, height, test, [s.searcher for s in comparison.summaries].index(test.searcher)
            )
        axis.axvline(0, color=MUTED, lw=1.2, ls=LINES[1], zorder=1)
        names = [short(t.searcher) + (f" − {short(t.baseline)}" if several else "") for t in group]
        axis.set(yticks=range(len(group)), yticklabels=names, ylim=(len(group) - 0.4, -0.6))
        axis.set_title(MEASURES[measure])
        axis.grid(axis="y", visible=False)
    axes[1].set_xlabel(f"difference from {_baseline(comparison)} (percentage points)")
    family = max(test.family for test in tests)
    caption = (
        f"Right of the dashed line: better than {_baseline(comparison)} on the same seeds. "
        "Bars: 95 % interval of the mean difference (Student's t). "
        f"p: two-sided signed-rank test, corrected by Holm over {count(family, 'test')} of the same measure. "
        "Filled markers: a difference is shown (p at most 0.05, and the interval leaves 0 out)."
    )
    told = [
        f"{t.searcher} {100 * t.difference:+.2f} points, p {probability(t.corrected)}"
        for t in shown["final"]
    ]
    return Picture(
        "effects", f"Difference from {_baseline(comparison)}", figure, f"{listed(told)}.", caption
    )


def _baseline(comparison: Comparison) -> str:
    return short(comparison.baselines[0]) if len(comparison.baselines) == 1 else "the baseline"


def _effect(axis: Axes, height: int, test: PairedTest, index: int) -> None:
    place: dict[str, Any] = {
        "xycoords": ("axes fraction", "data"),
        "xytext": (5, 0),
        "textcoords": "offset points",
    }
    axis.annotate(
        _said(test), (1.0, height), va="center", fontsize=8.5, annotation_clip=False, **place
    )
    if math.isfinite(test.low):
        axis.plot([100 * test.low, 100 * test.high], [height, height], color=series(index), lw=2)
    face = series(index) if test.shown else PAPER
    if math.isfinite(test.difference):
        axis.plot(
            100 * test.difference,
            height,
            MARKERS[index % 8],
            color=series(index),
            mfc=face,
            ms=8,
            mew=1.8,
        )


def _said(test: PairedTest) -> str:
    if not test.seeds:
        return "no pairs"
    return f"better in {percent(test.superiority, 0)} of {count(len(test.seeds), 'pair')}, p {probability(test.corrected)}"


def short(name: str) -> str:
    """A name that fits beside a figure."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 9]}…{name[-8:]}"


def _searcher_axis(axis: Axes, names: Sequence[str]) -> None:
    """Searchers from above in the order in which they were named, on the axis and all that share
    it.
    """
    axis.set(
        yticks=range(len(names)),
        yticklabels=[short(name) for name in names],
        ylim=(len(names) - 0.4, -0.6),
    )


def _line(index: int) -> dict[str, Any]:
    return {
        "color": series(index),
        "ls": LINES[index % len(LINES)],
        "lw": 1.9,
        "zorder": 3 - index / 50,
    }
