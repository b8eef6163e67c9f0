"""The figures of a rank study: what trained hyper-architectures predict, and what training alone
says; None where there is nothing to show yet.

Figure numbers in the docstrings are those of the FaDE paper.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch
from scipy.stats import rankdata

from fade_ray.analysis.rank_measures import spearman
from fade_ray.compare.comparison_figures import short
from fade_ray.ranks.rank_course_figures import (
    MOST_RESAMPLED,
    at_equal_computation,
    means,
    over_epochs,
    psis,
    rho_text,
    truth_words,
)
from fade_ray.ranks.rank_courses import Course, EqualComputation, by_setting
from fade_ray.ranks.rank_records import Alone, RankRun
from fade_ray.report.style import (
    INK,
    LINES,
    MARKERS,
    MUTED,
    PAPER,
    Picture,
    depth_colour,
    grid_axes,
    new_figure,
    series,
)
from fade_ray.report.words import count, listed

Array = npt.NDArray[np.float64]
DENSE = 100
"""Architectures in a cell of the density that make it opaque."""
ROWS_ACROSS = 8


def drawn_from(
    runs: Sequence[RankRun],
    alone: Sequence[Alone],
    found: Mapping[str, Sequence[Course]],
    equal: EqualComputation | None,
    truth: str,
) -> Iterator[Picture]:
    """All figures, where the correlations over the training, and at equal computation, are known;
    `truth`: a key of TRUTHS.
    """
    candidates = (
        marginals(runs),
        agreement(runs, alone, truth),
        over_epochs(found, alone, truth),
        at_equal_computation(equal, alone, truth, list(by_setting(runs))),
    )
    yield from (picture for picture in candidates if picture is not None)


def marginals(runs: Sequence[RankRun]) -> Picture | None:
    """Weights of the candidates of each row after the last epoch: mean, deviation and every seed,
    per setting (Fig. 4).
    """
    groups = by_setting(runs)
    if not groups:
        return None
    depth = len(next(iter(groups.values()))[0].epochs[-1].weights)
    columns = min(depth, ROWS_ACROSS)
    lines = -(-depth // columns)
    figure = new_figure(0.3 + 1.55 * lines * len(groups))
    grid = figure.subplots(lines * len(groups), columns, squeeze=False, sharey=True)
    for number, (setting, group) in enumerate(groups.items()):
        for row in range(lines * columns):
            axis = grid[number * lines + row // columns, row % columns]
            if row >= depth:
                axis.remove()
                continue
            _marginal(
                axis,
                np.asarray([run.epochs[-1].weights[row] for run in group]),
                depth_colour(row, depth),
            )
            if number == 0 or lines > 1:
                axis.set_title(f"row {row + 1}")
            if number == len(groups) - 1 or lines > 1:
                axis.set_xlabel("candidate")
        grid[number * lines, 0].set_ylabel("\n".join([*wrap(short(setting), 14), "weight"]))
    many = max(len(group) for group in groups.values())
    spread = (
        "; bars: standard deviation over the seeds; small dots: each seed"
        if many > 1
        else " of one seed"
    )
    caption = (
        f"Weight of each candidate of a row after the last epoch: mean{spread}. Dashed: all candidates equal. Light: shallow rows, dark: deep; "
        "psi of an architecture is the product of its candidates' weights."
    )
    told = [f"{setting} {_heaviest(group)}" for setting, group in groups.items()]
    return Picture(
        "marginals",
        "Predicted marginal distributions",
        figure,
        f"Largest mean weights: {listed(told)}.",
        caption,
    )


def _marginal(axis: Axes, weights: Array, colour: str) -> None:
    """Weights [seed, candidate] of one row."""
    seeds, width = weights.shape
    x = np.arange(1, width + 1)
    axis.axhline(1 / width, color=MUTED, lw=1.0, ls=LINES[1], zorder=1)
    axis.bar(x, weights.mean(axis=0), width=0.7, color=colour, alpha=0.35, lw=0)
    axis.plot(x, weights.mean(axis=0), "_", color=colour, ms=13, mew=2.2)
    if seeds > 1:
        axis.errorbar(
            x,
            weights.mean(axis=0),
            weights.std(axis=0, ddof=1),
            fmt="none",
            ecolor=INK,
            elinewidth=1.2,
        )
        offsets = np.linspace(-0.22, 0.22, seeds)
        for seed in range(seeds):
            axis.plot(x + offsets[seed], weights[seed], "o", color=colour, ms=3, mec=PAPER, mew=0.3)
    axis.set(
        xlim=(0.4, width + 0.6), ylim=(0, 1.0), xticks=x if width <= 10 else x[:: -(-width // 8)]
    )
    axis.grid(axis="x", visible=False)


def _heaviest(group: Sequence[RankRun]) -> str:
    rows = [
        np.mean([run.epochs[-1].weights[row] for run in group], axis=0)
        for row in range(len(group[0].epochs[-1].weights))
    ]
    return ", ".join(
        f"row {number}: candidate {row.argmax() + 1} ({row.max():.2f})"
        for number, row in enumerate(rows, 1)
    )


def agreement(runs: Sequence[RankRun], alone: Sequence[Alone], truth: str) -> Picture | None:
    """Predicted rank, of the mean log psi over seeds, against accuracy when trained alone, per
    setting (Fig. 5).
    """
    groups = by_setting(runs)
    if not groups or len(alone) < 3:
        return None
    true, n = means(alone), len(alone)
    figure = new_figure(0.5 + 3.1 * -(-len(groups) // 3))
    axes = grid_axes(figure, len(groups), min(3, len(groups)), sharex=True, sharey=True)
    told = []
    for index, (axis, (setting, group)) in enumerate(zip(axes, groups.items(), strict=True)):
        each = psis(group, alone)
        places = rankdata(-each.mean(axis=0))
        if n > MOST_RESAMPLED:
            _density(axis, places, 100 * true)
        else:
            _dots(axis, rankdata(-each, axis=1), places, alone, index)
        axis.set_title(short(setting))
        axis.set(xlim=(n + 0.03 * n, 1 - 0.03 * n))
        if index + 3 >= len(groups):
            axis.set_xlabel(f"predicted place among {n:,} (1 = best)")
        if index % min(3, len(groups)) == 0:
            axis.set_ylabel("accuracy, trained alone (%)")
        told.append(f"{setting} {rho_text(float(spearman(each.mean(axis=0), true)))}")
    if n > MOST_RESAMPLED:
        figure.legend(
            handles=_density_legend(),
            loc="outside upper left",
            ncols=4,
            title="architectures in a cell",
        )
    said = f"Spearman's correlation of the prediction that all seeds make together: {listed(told)}."
    rising = "Were the ranks right, the points would rise to the right."
    caption = f"{said} {_agreement_marks(alone, groups)} {rising} {truth_words(truth)}"
    return Picture(
        "agreement", "Predicted rank against accuracy when trained alone", figure, said, caption
    )


def _agreement_marks(alone: Sequence[Alone], groups: Mapping[str, Sequence[RankRun]]) -> str:
    repeats, seeds = (
        max(len(one.accuracies) for one in alone),
        max(len(group) for group in groups.values()),
    )
    if len(alone) > MOST_RESAMPLED:
        return f"All {len(alone):,} architectures of the table; the darker a cell, the more of them are in it."
    upright = (
        f"upright lines: range of {count(repeats, 'repeat')}"
        if repeats > 1
        else "each trained once"
    )
    level = (
        f"; level lines: range of the places that the {count(seeds, 'seed')} give on their own"
        if seeds > 1
        else ""
    )
    return f"Points: mean accuracy; {upright}{level}."


def _dots(axis: Axes, each: Array, places: Array, alone: Sequence[Alone], index: int) -> None:
    """Places of each seed [seed, n] and of all together [n]."""
    true = 100 * means(alone)
    thin: dict[str, Any] = {"color": series(index), "lw": 0.9, "alpha": 0.55}
    axis.hlines(true, each.min(axis=0), each.max(axis=0), **thin)
    ends = 100 * np.asarray([[min(one.accuracies), max(one.accuracies)] for one in alone])
    axis.vlines(places, ends[:, 0], ends[:, 1], **thin)
    axis.plot(places, true, MARKERS[index % 8], color=series(index), ms=6, mec=PAPER, mew=0.5)


def _density(axis: Axes, x: Array, y: Array) -> None:
    """Hexagons, the more opaque, the more points they hold: readable on any paper."""
    cells = axis.hexbin(x, y, gridsize=(36, 22), mincnt=1, linewidths=0.2)
    held = np.asarray(cells.get_array())
    cells.set_array(None)
    cells.set_facecolor([_opaque(float(number)) for number in held])
    cells.set_edgecolor("none")


def _opaque(number: float) -> tuple[float, float, float, float]:
    return (*to_rgb(series(0)), min(1.0, 0.12 + 0.88 * math.log1p(number) / math.log1p(DENSE)))


def _density_legend() -> list[Patch]:
    return [
        Patch(facecolor=_opaque(number), label=text)
        for number, text in ((1, "1"), (10, "10"), (DENSE, f"{DENSE} or more"))
    ]
