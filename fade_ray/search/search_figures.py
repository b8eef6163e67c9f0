"""The figures of a search, each from the records alone; None where there is nothing to show yet.

Figure numbers in the docstrings are those of the FaDE paper.
"""

from collections.abc import Sequence
from statistics import fmean

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from fade_ray.analysis.regression import Regression, regress
from fade_ray.report.style import MARKERS, PAPER, Picture, count_axis, new_figure, series
from fade_ray.report.words import count, duration, feature_text, listed, percent, probability, si
from fade_ray.search.search_history import History

Array = npt.NDArray[np.float64]

KINDS = ("ranks", "evaluation", "retraining")
KIND_TEXT = {
    "ranks": "hyper-architectures",
    "evaluation": "evaluations",
    "retraining": "retraining",
}


def anchor_trajectories(history: History, features: Sequence[str]) -> Picture | None:
    """Each anchor coordinate over the iterations, a panel per row and one for all rows (Fig. 6)."""
    iterations, anchors = anchor_array(history)
    if anchors.size == 0:
        return None
    _, walks, depth, dimension = anchors.shape
    names = [
        feature_text(name)
        for name in (*features, *(f"feature {k + 1}" for k in range(len(features), dimension)))
    ]
    figure = new_figure(0.5 + 1.2 * depth + 1.9)
    axes = figure.subplots(depth + 1, 1, sharex=True, height_ratios=[1.0] * depth + [1.5])
    for row, axis in enumerate(axes[:-1]):
        for k in range(dimension):
            for walk in range(walks):
                _trajectory(
                    axis, iterations, anchors[:, walk, row, k], k, 0.9 if walks == 1 else 0.55
                )
        axis.set_title(
            f"Row {row + 1}"
            + {0: " (shallowest)", depth - 1: " (deepest)"}.get(row, "") * (depth > 1)
        )
    together = anchors.reshape(len(iterations), -1, dimension)
    for k in range(dimension):
        mean, spread = together[:, :, k].mean(axis=1), together[:, :, k].std(axis=1)
        low, high = np.maximum(mean - spread, 0), np.minimum(mean + spread, 1)
        axes[-1].fill_between(iterations, low, high, color=series(k), alpha=0.15, lw=0)
        _trajectory(axes[-1], iterations, mean, k, 1.0, names[k])
    axes[-1].set_title(
        "All rows: mean and one standard deviation" + (" over rows and walks" if walks > 1 else "")
    )
    for axis in axes:
        axis.set(ylim=(-0.06, 1.06), yticks=(0, 0.5, 1), xmargin=0.015)
    count_axis(axes[-1], "iteration")
    figure.supylabel("anchor coordinate", fontsize=10)
    figure.legend(*axes[-1].get_legend_handles_labels(), loc="outside upper left", ncols=dimension)
    first, last = together.mean(axis=1)[[0, -1]]
    ends = [
        f"{name} from {start:.2f} to {end:.2f}"
        for name, start, end in zip(names, first, last, strict=True)
    ]
    caption = (
        f"Anchors of {count(depth, 'row')} and {count(walks, 'walk')} over {count(int(iterations[-1]), 'iteration')}; "
        "iteration 0 is the random start. 0 and 1 are the smallest and the largest value in the catalogue of graphs."
    )
    alt = f"Mean coordinates of the anchors went {listed(ends)}."
    return Picture("anchors", "Anchor trajectories", figure, alt, caption)


def anchor_array(history: History) -> tuple[npt.NDArray[np.int64], Array]:
    """Iterations [T] and anchors [T, walk, depth, feature]; empty where the searcher has none."""
    known = {
        iteration: anchors for iteration, anchors in sorted(history.anchors.items()) if anchors
    }
    return np.array(list(known), dtype=np.int64), np.array(list(known.values()), dtype=float)


def _trajectory(
    axis: Axes, x: npt.NDArray[np.int64], y: Array, k: int, alpha: float, label: str = ""
) -> None:
    every = max(1, len(x) // 20)
    (line,) = axis.plot(x, y, color=series(k), alpha=alpha, lw=1.5, label=label, clip_on=False)
    line.set(marker=MARKERS[k % len(MARKERS)], markersize=4, markevery=every)


def accuracy_over_iterations(history: History) -> Picture | None:
    """Accuracy of the evaluated architectures over the iterations, with its regression over them
    (Fig. 7).
    """
    evaluations = history.evaluations
    if not evaluations:
        return None
    x, y = [float(e.iteration) for e in evaluations], [e.accuracy for e in evaluations]
    walks = sorted({e.walk for e in evaluations})
    figure = new_figure(3.8)
    axis = figure.subplots()
    means = architecture_means(history)
    regression = regress(*zip(*means, strict=True))
    limits = [min(y), max(y)]
    if regression is not None:
        grid = np.linspace(min(x), max(x), 200)
        line, half = regression.line(grid), regression.band(grid)
        low, high = line - half, line + half
        axis.fill_between(
            grid,
            100 * low,
            100 * high,
            color=series(0),
            alpha=0.15,
            lw=0,
            label="95 % confidence band",
        )
        axis.plot(grid, 100 * line, color=series(0), lw=2.2, label="linear regression")
        limits += [float(low.min()), float(high.max())]
    for walk in walks:
        chosen = [(e.iteration, 100 * e.accuracy) for e in evaluations if e.walk == walk]
        label = f"walk {walk + 1}" if len(walks) > 1 else "evaluated architecture"
        marker, colour = MARKERS[walk % len(MARKERS)], series(1 + walk)
        axis.plot(
            *zip(*chosen, strict=True),
            marker,
            color=colour,
            ms=6,
            mec=PAPER,
            mew=0.6,
            alpha=0.85,
            label=label,
        )
    axis.set_ylim(*accuracy_limits(y, limits))
    axis.yaxis.set_major_locator(MaxNLocator(nbins=6))
    count_axis(axis, "iteration")
    axis.set_ylabel("accuracy on the architecture split (%)")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper left", ncols=6)
    said = regression_text(regression, len(means), len(evaluations))
    alt = f"{count(len(y), 'evaluation')} between {percent(min(y))} and {percent(max(y))}. {said}"
    return Picture("accuracy", "Evaluation accuracy over the search", figure, alt, said)


def accuracy_limits(accuracies: Sequence[float], wanted: Sequence[float]) -> tuple[float, float]:
    """Limits in percent: all points, what is `wanted` beyond them up to 3/4 of their range, and at
    most 0 to 100.
    """
    low, high = min(accuracies), max(accuracies)
    reach = max(0.75 * (high - low), 0.01)
    margin = max(0.06 * (high - low), 0.005)
    bottom, top = max(min(wanted), low - reach) - margin, min(max(wanted), high + reach) + margin
    return 100 * max(bottom, -0.005), 100 * min(top, 1.005)


def architecture_means(history: History) -> list[tuple[float, float]]:
    """(iteration, accuracy) of each architecture, means over its trainings, in the order of their
    first.

    Trainings of one architecture share it: counted one by one they would make a trend of what a few
    architectures say.
    """
    trainings: dict[str, list[tuple[float, float]]] = {}
    for e in history.evaluations:
        trainings.setdefault(history.proposals[e.id].hyper.code(), []).append(
            (float(e.iteration), e.accuracy)
        )
    return [
        (fmean(x for x, _ in points), fmean(y for _, y in points)) for points in trainings.values()
    ]


def regression_text(regression: Regression | None, architectures: int, evaluations: int) -> str:
    """What the regression over `architectures` says, no more than their number allows."""
    among = count(architectures, "architecture")
    if evaluations > architectures:
        among += f" in {count(evaluations, 'evaluation')}"
    if architectures < 3:
        return f"{among}: too few for a regression (it takes 3), so nothing is said of a trend."
    if regression is None:
        return f"All of {among} belong to one iteration: nothing can be said of a trend."
    slope = f"Linear regression: {100 * regression.slope:+.3f} percentage points per iteration"
    if regression.r is None or regression.p is None:
        return (
            f"{slope}; the accuracies of {among} are all equal, so their correlation is undefined."
        )
    verdict = "a trend at the 5 % level" if regression.p < 0.05 else "no trend at the 5 % level"
    repeated = (
        " (trainings of one architecture are one point, their mean)"
        if evaluations > architectures
        else ""
    )
    return (
        f"{slope}, with its 95 % confidence band; Pearson r\u00a0=\u00a0{regression.r:.2f} "
        f"(p\u00a0{probability(regression.p)}, n\u00a0=\u00a0{architectures}): {verdict}. "
        f"One run, and its architectures are taken as independent{repeated}."
    )


def cumulative_cost(history: History) -> Picture | None:
    """Training images and seconds spent so far, by kind of trial."""
    finished = [(history.proposals[id].kind, history.metrics[id]) for id in history.outcomes]
    images = {
        kind: _running([(m.get("images") or 0) * (k == kind) for k, m in finished])
        for kind in KINDS
    }
    seconds = {
        kind: _running([(m.get("seconds") or 0) * (k == kind) for k, m in finished])
        for kind in KINDS
    }
    total_images, total_seconds = (
        sum(float(part[-1]) for part in parts.values()) for parts in (images, seconds)
    )
    if total_images == 0 and total_seconds == 0:
        return None
    unit, text = (
        (3600, "h") if total_seconds > 7200 else (60, "min") if total_seconds > 120 else (1, "s")
    )
    figure = new_figure(3.4)
    left, right = figure.subplots(1, 2)
    for axis, parts, scale in ((left, images, 1), (right, seconds, unit)):
        base = np.zeros(len(finished) + 1)
        for index, kind in enumerate(KINDS):
            if parts[kind][-1] == 0:
                continue
            top, colour = base + parts[kind] / scale, series(index)
            axis.fill_between(
                range(len(top)), base, top, color=colour, alpha=0.5, lw=0, label=KIND_TEXT[kind]
            )
            axis.plot(range(len(top)), top, color=colour, lw=1.6, zorder=3 - index / 10)
            base = top
        axis.set(xlim=(0, len(finished)), ylim=(0, None))
        count_axis(axis, "finished trials")
    left.set_ylabel("training images, cumulative")
    left.yaxis.set_major_formatter(FuncFormatter(lambda value, _: si(value)))
    right.set_ylabel(f"training time ({text}), cumulative")
    handles, labels = (left if total_images else right).get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=3)
    shares = [
        f"{KIND_TEXT[kind]} {si(float(images[kind][-1]))} images in {duration(float(seconds[kind][-1]))}"
        for kind in KINDS
        if images[kind][-1] or seconds[kind][-1]
    ]
    said = f"In all {si(total_images)} training images in {duration(total_seconds)} of training: {listed(shares)}."
    return Picture(
        "cost", "Cost", figure, said, said + " Trials in the order in which they finished."
    )


def _running(values: Sequence[float]) -> Array:
    """[n + 1]: the sum so far, from 0."""
    return np.concatenate([[0.0], np.cumsum(np.asarray(values, float))])
