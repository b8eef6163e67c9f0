"""The figures of a rank study: what hyper-architectures predict, and what training alone says.

Figure numbers are those of the FaDE paper.
"""

import math
from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch
from scipy.stats import rankdata

from fade_ray.analysis.rank_measures import spearman
from fade_ray.ranks.rank_correlation import choices_of, final_psis, means_of
from fade_ray.ranks.rank_course_figures import rho_text, truth_words
from fade_ray.ranks.rank_records import Alone, RankRun, by_setting
from fade_ray.ranks.rank_summary import MOST_RESAMPLED, RankFindings
from fade_ray.report import style
from fade_ray.report.page import Drawing, figured
from fade_ray.report.style import INK, LINES, MARKERS, MUTED, PAPER, new_figure, series
from fade_ray.report.words import ACCURACY, Measure, count, listed, short

Array = npt.NDArray[np.float64]
DENSE = 100
"""Architectures in a cell of the density that make it opaque."""
ROWS_ACROSS = 8


@figured("marginals", "Predicted marginal distributions", "No hyper-architecture has finished yet.")
def marginals(runs: Sequence[RankRun]) -> Drawing | None:
    """Weights after the last epoch: mean, deviation, every seed, per row and setting (Fig. 4)."""
    groups = by_setting(runs)
    if not groups:
        return None
    depth = len(next(iter(groups.values()))[0].weights)
    columns = min(depth, ROWS_ACROSS)
    lines = -(-depth // columns)
    figure = new_figure(0.3 + 1.55 * lines * len(groups))
    grid = figure.subplots(lines * len(groups), columns, squeeze=False, sharey=True)
    for unused in grid.reshape(len(groups), -1)[:, depth:].ravel():
        unused.remove()
    for number, (setting, group) in enumerate(groups.items()):
        for row in range(depth):
            axis = grid[number * lines + row // columns, row % columns]
            weights = np.asarray([run.weights[row] for run in group])
            _marginal(axis, weights, style.depth_colour(row, depth))
            if number == 0 or lines > 1:
                axis.set_title(f"row {row + 1}")
            if number == len(groups) - 1 or lines > 1:
                axis.set_xlabel("candidate")
        grid[number * lines, 0].set_ylabel("\n".join([*wrap(short(setting), 14), "weight"]))
    spread = " of one seed"
    if max(len(group) for group in groups.values()) > 1:
        spread = "; bars: standard deviation over the seeds; small dots: each seed"
    caption = (
        f"Weight of each candidate of a row after the last epoch: mean{spread}. Dashed: all "
        "candidates equal. Light: shallow rows, dark: deep; psi of an architecture is the product "
        "of its candidates' weights."
    )
    heaviest = [f"{setting} {_heaviest(group)}" for setting, group in groups.items()]
    return figure, f"Largest mean weights: {listed(heaviest)}.", caption


def _marginal(axis: Axes, weights: Array, colour: str) -> None:
    """Weights [seed, candidate] of one row."""
    seeds, width = weights.shape
    x, mean = np.arange(1, width + 1), weights.mean(axis=0)
    axis.axhline(1 / width, color=MUTED, lw=1.0, ls=LINES[1], zorder=1)
    axis.bar(x, mean, width=0.7, color=colour, alpha=0.35, lw=0)
    axis.plot(x, mean, "_", color=colour, ms=13, mew=2.2)
    if seeds > 1:
        deviation = weights.std(axis=0, ddof=1)
        axis.errorbar(x, mean, deviation, fmt="none", ecolor=INK, elinewidth=1.2)
        for offset, values in zip(np.linspace(-0.22, 0.22, seeds), weights, strict=True):
            axis.plot(x + offset, values, "o", color=colour, ms=3, mec=PAPER, mew=0.3)
    ticks = x if width <= 10 else x[:: -(-width // 8)]
    axis.set(xlim=(0.4, width + 0.6), ylim=(0, 1.0), xticks=ticks)
    axis.grid(axis="x", visible=False)


def _heaviest(group: Sequence[RankRun]) -> str:
    rows = [np.mean(row, axis=0) for row in zip(*(run.weights for run in group), strict=True)]
    return ", ".join(
        f"row {number}: candidate {row.argmax() + 1} ({row.max():.2f})"
        for number, row in enumerate(rows, 1)
    )


@figured(
    "agreement",
    "Predicted rank against {score.name} when trained alone",
    "It takes a trained hyper-architecture and three architectures trained alone to compare them.",
)
def agreement(findings: RankFindings, score: Measure = ACCURACY) -> Drawing | None:
    """Rank by the mean log psi over seeds against the score trained alone, per setting (Fig. 5)."""
    groups, alone = by_setting(findings.runs), findings.whole
    if not groups or len(alone) < 3:
        return None
    true, n, choices = means_of(alone), len(alone), choices_of(alone)
    dense = n > MOST_RESAMPLED
    figure = new_figure(0.5 + 3.1 * -(-len(groups) // 3))
    labels = (f"predicted place among {n:,} (1 = best)", score.axis("{}, trained alone"))
    axes = style.grid_axes(
        figure, len(groups), min(3, len(groups)), *labels, sharex=True, sharey=True
    )
    correlations = []
    for index, (axis, (setting, group)) in enumerate(zip(axes, groups.items(), strict=True)):
        each = final_psis(group, choices)
        places = rankdata(-each.mean(axis=0))
        if dense:
            _density(axis, places, score.scale * true)
        else:
            _dots(axis, rankdata(-each, axis=1), places, alone, index, score)
        axis.set(title=short(setting), xlim=(n + 0.03 * n, 1 - 0.03 * n))
        rho = float(spearman(each.mean(axis=0), true))
        correlations.append(f"{setting} {rho_text(rho)}")
    if dense:
        marks = [Patch(facecolor=_opaque(held), label=text) for held, text in SHADES.items()]
        title = "architectures in a cell"
        figure.legend(handles=marks, loc="outside upper left", ncols=4, title=title)
    prediction = "Spearman's correlation of the prediction that all seeds make together"
    alt = f"{prediction}: {listed(correlations)}."
    rising = "Were the ranks right, the points would rise to the right."
    caption = f"{alt} {_agreement_marks(alone, groups, score)} {rising} {truth_words(findings)}"
    return figure, alt, caption


def _agreement_marks(
    alone: Sequence[Alone], groups: Mapping[str, Sequence[RankRun]], score: Measure
) -> str:
    if len(alone) > MOST_RESAMPLED:
        many = f"All {len(alone):,} architectures of the table"
        return f"{many}; the darker a cell, the more of them are in it."
    repeats = max(len(one.accuracies) for one in alone)
    seeds = count(max(len(group) for group in groups.values()), "seed")
    upright = f"upright lines: range of {count(repeats, 'repeat')}"
    upright = upright if repeats > 1 else "each trained once"
    level = f"; level lines: range of the places that the {seeds} give on their own"
    return f"Points: mean {score.name}; {upright}{'' if seeds == '1 seed' else level}."


def _dots(
    axis: Axes, each: Array, places: Array, alone: Sequence[Alone], index: int, score: Measure
) -> None:
    """Places of each seed [seed, n] and of all together [n]."""
    true = score.scale * means_of(alone)
    thin: dict[str, Any] = {"color": series(index), "lw": 0.9, "alpha": 0.55}
    axis.hlines(true, each.min(axis=0), each.max(axis=0), **thin)
    ends = np.asarray([[min(one.accuracies), max(one.accuracies)] for one in alone])
    axis.vlines(places, *(score.scale * ends.T), **thin)
    axis.plot(places, true, MARKERS[index % 8], color=series(index), ms=6, mec=PAPER, mew=0.5)


def _density(axis: Axes, x: Array, y: Array) -> None:
    """Hexagons, the more opaque, the more points they hold: readable on any paper."""
    cells = axis.hexbin(x, y, gridsize=(36, 22), mincnt=1, linewidths=0.2)
    held = np.asarray(cells.get_array())
    cells.set_array(None)
    cells.set_facecolor([_opaque(float(number)) for number in held])
    cells.set_edgecolor("none")


SHADES = {1: "1", 10: "10", DENSE: f"{DENSE} or more"}


def _opaque(held: float) -> tuple[float, float, float, float]:
    return (*to_rgb(series(0)), min(1.0, 0.12 + 0.88 * math.log1p(held) / math.log1p(DENSE)))
