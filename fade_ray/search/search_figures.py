"""The figures of a search, each from the records alone.

Figure numbers in the docstrings are those of the FaDE paper.
"""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from fade_ray.analysis.regression import Regression, regress
from fade_ray.report import style
from fade_ray.report.graph_drawing import draw_cells, draw_names
from fade_ray.report.page import Drawing, figured
from fade_ray.report.style import MARKERS, count_axis, legend_above, new_figure, series
from fade_ray.report.words import (
    ACCURACY,
    Measure,
    count,
    duration,
    feature_text,
    listed,
    probability,
    si,
)
from fade_ray.search.search_history import History, SearchRun
from spaces import Candidate, Dag

Array = npt.NDArray[np.float64]

KIND_TEXT = {
    "ranks": "hyper-architectures",
    "evaluation": "evaluations",
    "repeat": "evaluations again",
    "retraining": "retraining",
    "baseline": "baselines",
}


@figured(
    "cells",
    "Cells from the shallowest row to the deepest",
    "No architecture was evaluated with success yet, so there is nothing to draw.",
)
def found_cells(run: SearchRun) -> Drawing | None:
    """Of the architecture that was found, or of the best one evaluated so far."""
    codes, best = (run.result.get("architecture") or {}).get("cells"), run.history.best
    if codes:
        cells = [Candidate.from_code(str(code)) for code in codes]
    elif best is not None:
        cells = [row[0] for row in run.history.proposals[best.id].hyper.rows]
    else:
        return None
    shown = "found architecture" if run.result else "best architecture evaluated so far"
    graphs = [cell for cell in cells if isinstance(cell, Dag)]
    if len(graphs) < len(cells):
        caption = f"The candidate that the {shown} has in each row."
        picture = draw_names([cell.code for cell in cells], "", caption)
        return picture.figure, picture.alt, caption
    caption = (
        f"One cell of the {shown} per row. Each solid arrow is one operation, a convolution; "
        "dashed arrows from INPUT are identities. A vertex adds up what arrives. Below each cell "
        "its size and the code of its graph."
    )
    picture = draw_cells(graphs, "", caption)
    return picture.figure, picture.alt, caption, picture.parts


@figured(
    "anchors",
    "Anchor trajectories",
    "No anchors were recorded: this searcher has none, or it has not started.",
)
def anchor_trajectories(history: History, features: Sequence[str]) -> Drawing | None:
    """Each anchor coordinate over the iterations, a panel per row and one for all rows (Fig. 6)."""
    iterations, anchors = anchor_array(history)
    if anchors.size == 0:
        return None
    _, walks, depth, dimension = anchors.shape
    unnamed = (f"feature {k + 1}" for k in range(len(features), dimension))
    names = [feature_text(name) for name in (*features, *unnamed)]
    figure = new_figure(0.5 + 1.2 * depth + 1.9)
    *rows, last = figure.subplots(depth + 1, 1, sharex=True, height_ratios=[1.0] * depth + [1.5])
    for row, axis in enumerate(rows):
        for k, walk in np.ndindex(dimension, walks):
            strength = 0.9 if walks == 1 else 0.55
            _trajectory(axis, iterations, anchors[:, walk, row, k], k, strength)
        end = {0: " (shallowest)", depth - 1: " (deepest)"}.get(row, "") * (depth > 1)
        axis.set_title(f"Row {row + 1}{end}")
    together = anchors.reshape(len(iterations), -1, dimension)
    for k in range(dimension):
        mean, spread = together[:, :, k].mean(axis=1), together[:, :, k].std(axis=1)
        low, high = np.maximum(mean - spread, 0), np.minimum(mean + spread, 1)
        style.shade(last, iterations, low, high, series(k))
        _trajectory(last, iterations, mean, k, 1.0, names[k])
    over = " over rows and walks" if walks > 1 else ""
    last.set_title(f"All rows: mean and one standard deviation{over}")
    for axis in (*rows, last):
        axis.set(ylim=(-0.06, 1.06), yticks=(0, 0.5, 1), xmargin=0.015)
    count_axis(last, "iteration")
    figure.supylabel("anchor coordinate", fontsize=10)
    legend_above(figure, last, dimension)
    ends = [
        f"{name} from {start:.2f} to {end:.2f}"
        for name, start, end in zip(names, *together.mean(axis=1)[[0, -1]], strict=True)
    ]
    caption = (
        f"Anchors of {count(depth, 'row')} and {count(walks, 'walk')} over "
        f"{count(int(iterations[-1]), 'iteration')}; iteration 0 is the random start. "
        "0 and 1 are the smallest and the largest value in the catalogue of graphs."
    )
    alt = f"Mean coordinates of the anchors went {listed(ends)}."
    return figure, alt, caption


def anchor_array(history: History) -> tuple[npt.NDArray[np.int64], Array]:
    """Iterations [T] and anchors [T, walk, depth, feature]; empty where the searcher has none."""
    known = {iteration: rows for iteration, rows in sorted(history.anchors.items()) if rows}
    return np.array(list(known), dtype=np.int64), np.array(list(known.values()), dtype=float)


def _trajectory(
    axis: Axes, x: npt.NDArray[np.int64], y: Array, k: int, alpha: float, label: str = ""
) -> None:
    (line,) = axis.plot(x, y, color=series(k), alpha=alpha, lw=1.5, label=label, clip_on=False)
    line.set(marker=MARKERS[k % len(MARKERS)], markersize=4, markevery=max(1, len(x) // 20))


@figured("accuracy", "Evaluation {score.name} over the search", "No evaluation has finished yet.")
def scores_over_iterations(history: History, score: Measure = ACCURACY) -> Drawing | None:
    """The evaluated architectures over the iterations, with their regression on them (Fig. 7)."""
    evaluations = history.evaluations
    if not evaluations:
        return None
    x, y = [float(e.iteration) for e in evaluations], [e.score for e in evaluations]
    searched = [e for e in evaluations if not e.again]
    walks = sorted({e.walk for e in searched})
    figure = new_figure(3.8)
    axis = figure.subplots()
    means = architecture_means(history)
    regression = regress(*zip(*means, strict=True))
    wanted = list(y)
    if regression is not None:
        grid = np.linspace(min(x), max(x), 200)
        line, half = regression.line(grid), regression.band(grid)
        low, high = line - half, line + half
        band = (score.scale * low, score.scale * high)
        style.shade(axis, grid, *band, series(0), label="95 % confidence band")
        axis.plot(grid, score.scale * line, color=series(0), lw=2.2, label="linear regression")
        wanted += [float(low.min()), float(high.max())]
    for walk in walks:
        points = [(e.iteration, score.scale * e.score) for e in searched if e.walk == walk]
        label = f"walk {walk + 1}" if len(walks) > 1 else "evaluated architecture"
        dots: Any = {"color": series(1 + walk), "ms": 6, "mec": style.PAPER, "mew": 0.6}
        marker = MARKERS[walk % len(MARKERS)]
        axis.plot(*zip(*points, strict=True), marker, label=label, alpha=0.85, **dots)
    again = [(e.iteration, score.scale * e.score) for e in evaluations if e.again]
    if again:
        ring: Any = {"ms": 7, "mfc": "none", "mec": style.INK, "mew": 1.2}
        axis.plot(*zip(*again, strict=True), "o", label="evaluated again", **ring)
    axis.set_ylim(*score_limits(y, wanted, score))
    axis.yaxis.set_major_locator(MaxNLocator(nbins=6))
    count_axis(axis, "iteration")
    axis.set_ylabel(score.axis("{} on the architecture split"))
    legend_above(figure, axis)
    caption = regression_text(regression, len(means), len(evaluations), score)
    ends = f"between {score.text(min(y))} and {score.text(max(y))}"
    alt = f"{count(len(y), 'evaluation')} {ends}. {caption}"
    return figure, alt, caption


def score_limits(
    scores: Sequence[float], wanted: Sequence[float], score: Measure = ACCURACY
) -> tuple[float, float]:
    """Limits of an axis: all points, and what is `wanted` beyond them up to 3/4 of their range.

    No further than what the measure allows.
    """
    low, high = min(scores), max(scores)
    reach, margin = max(0.75 * (high - low), 0.01), max(0.06 * (high - low), 0.005)
    bottom, top = max(min(wanted), low - reach) - margin, min(max(wanted), high + reach) + margin
    bottom, top = max(bottom, score.low - 0.005), min(top, score.high + 0.005)
    return score.scale * bottom, score.scale * top


def architecture_means(history: History) -> list[tuple[float, float]]:
    """(iteration, score) of each architecture, means over its trainings, by its first.

    Trainings of one architecture share it: counted one by one they would make a trend of what a few
    architectures say. When it was evaluated again says nothing of when it was found.
    """
    found = sorted(history.pooled, key=lambda each: each.first.index)
    return [
        (fmean(p.iteration for p, _ in each.trainings if p.kind == "evaluation"), each.score)
        for each in found
    ]


def regression_text(
    regression: Regression | None, architectures: int, evaluations: int, score: Measure = ACCURACY
) -> str:
    """What the regression over `architectures` says, no more than their number allows."""
    among = count(architectures, "architecture")
    if evaluations > architectures:
        among += f" in {count(evaluations, 'evaluation')}"
    if architectures < 3:
        return f"{among}: too few for a regression (it takes 3), so nothing is said of a trend."
    if regression is None:
        return f"All of {among} belong to one iteration: nothing can be said of a trend."
    steps = f" percentage {score.steps}" if score.steps else ""
    slope = f"Linear regression: {score.scale * regression.slope:+.3f}{steps} per iteration"
    if regression.r is None or regression.p is None:
        return f"{slope}; the scores of {among} are all equal, so their correlation is undefined."
    verdict = "a trend at the 5 % level" if regression.p < 0.05 else "no trend at the 5 % level"
    repeated = " (trainings of one architecture are one point, their mean)"
    return (
        f"{slope}, with its 95 % confidence band; Pearson r\u00a0=\u00a0{regression.r:.2f} "
        f"(p\u00a0{probability(regression.p)}, n\u00a0=\u00a0{architectures}): {verdict}. One run, "
        "and its architectures are taken as independent"
        f"{repeated if evaluations > architectures else ''}."
    )


@figured("cost", "Cumulative cost by kind of trial", "No trial has finished yet.")
def cumulative_cost(history: History) -> Drawing | None:
    """Training images and seconds spent so far, by kind of trial."""
    finished = [(history.proposals[id].kind, history.metrics[id]) for id in history.outcomes]
    images, seconds = (
        {
            kind: np.cumsum([0.0, *((m.get(what) or 0) * (k == kind) for k, m in finished)])
            for kind in KIND_TEXT
        }
        for what in ("images", "seconds")
    )
    in_all = [sum(float(part[-1]) for part in parts.values()) for parts in (images, seconds)]
    if not any(in_all):
        return None
    units = ((7200, 3600, "h"), (120, 60, "min"), (-1, 1, "s"))
    unit, text = next((unit, text) for least, unit, text in units if in_all[1] > least)
    figure = new_figure(3.4)
    left, right = figure.subplots(1, 2)
    for axis, parts, scale in ((left, images, 1), (right, seconds, unit)):
        base = np.zeros(len(finished) + 1)
        for index, (kind, label) in enumerate(KIND_TEXT.items()):
            if parts[kind][-1] > 0:
                top, steps = base + parts[kind] / scale, range(len(base))
                style.shade(axis, steps, base, top, series(index), alpha=0.5, label=label)
                axis.plot(steps, top, color=series(index), lw=1.6, zorder=3 - index / 10)
                base = top
        axis.set(xlim=(0, len(finished)), ylim=(0, None))
        count_axis(axis, "finished trials")
    left.set_ylabel("training images, cumulative")
    left.yaxis.set_major_formatter(FuncFormatter(lambda value, _: si(value)))
    right.set_ylabel(f"training time ({text}), cumulative")
    legend_above(figure, left if in_all[0] else right, 3)
    shares = [
        f"{name} {si(float(images[kind][-1]))} images in {duration(float(seconds[kind][-1]))}"
        for kind, name in KIND_TEXT.items()
        if images[kind][-1] or seconds[kind][-1]
    ]
    spent = f"{si(in_all[0])} training images in {duration(in_all[1])} of training"
    alt = f"In all {spent}: {listed(shares)}."
    return figure, alt, f"{alt} Trials in the order in which they finished."
