"""The figures of the architecture weights: their densities (FaDE Fig. 4) and their course."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from scipy.special import entr

from fade_ray.analysis.regression import density
from fade_ray.report import style
from fade_ray.report.page import Drawing, figured
from fade_ray.report.style import INK, LINES, MUTED, count_axis, depth_colour, new_figure
from fade_ray.report.words import count
from fade_ray.search.search_history import History

Array = npt.NDArray[np.float64]


def relative_weights(history: History) -> list[list[float]]:
    """Per row, the weights of all finished hyper-architectures, each times its row's candidates.

    1 is a uniform row's weight, however many candidates differ. A duplicate counts once.
    """
    rows: list[list[float]] = []
    for id, outcome in history.outcomes.items():
        if outcome.log_weights is None:
            continue
        hyper = history.proposals[id].hyper
        rows += [[] for _ in range(hyper.depth - len(rows))]
        for row, (logs, places) in enumerate(zip(outcome.log_weights, hyper.places(), strict=True)):
            weights = dict(zip(places, np.exp(logs), strict=True))
            rows[row] += [float(weight) * len(weights) for weight in weights.values()]
    return rows


@figured(
    "ranks",
    "Densities of the architecture weights",
    "No hyper-architecture has finished yet, or this searcher trains none.",
)
def rank_densities(history: History) -> Drawing | None:
    """Density of the weights per row, dark = deep, and each weight as a mark (Fig. 4)."""
    rows = relative_weights(history)
    if not any(rows):
        return None
    depth = len(rows)
    trained = [history.proposals[id] for id, end in history.outcomes.items() if end.log_weights]
    figure = new_figure(3.4 + 0.22 * depth)
    top, strip = figure.subplots(2, 1, sharex=True, height_ratios=[3.0, 0.3 + 0.22 * depth])
    _draw_densities(top, rows, float(max(proposal.hyper.width for proposal in trained)))
    for row, values in enumerate(rows):
        marks = {"color": depth_colour(row, depth), "ms": 9, "mew": 1.3, "alpha": 0.8}
        strip.plot(values, np.full(len(values), row), "|", **marks)
    for axis in (top, strip):
        axis.axvline(1.0, color=INK, lw=1.2, ls=LINES[1], zorder=1)
    place = {"xytext": (4, -2), "textcoords": "offset points", "va": "top"}
    top.annotate("uniform", (1.0, 1.0), xycoords=("data", "axes fraction"), **place)
    style.name_rows(strip, [f"row {row + 1}" for row in range(depth)])
    strip.set_xlabel("architecture weight, as a multiple of the uniform weight")
    strip.grid(axis="y", visible=False)
    spreads = [f"row {row + 1} {np.std(values):.2f}" for row, values in enumerate(rows) if values]
    caption = (
        "Softmaxed architecture parameters after the training of "
        f"{count(len(trained), 'hyper-architecture')}; each mark is one candidate. Light rows are "
        "shallow, dark rows deep. With all weights at the dashed line the ranks would say nothing."
    )
    alt = (
        "Density of the architecture weights per row; standard deviations, uniform weight = 1: "
        f"{', '.join(spreads)}."
    )
    return figure, alt, caption


def _draw_densities(axis: Axes, rows: Sequence[Sequence[float]], high: float) -> None:
    """The rows' densities within [0, high], the relative weight of a candidate that has it all."""
    curves = {row: density(values, 0.0, high) for row, values in enumerate(rows)}
    drawn = {row: curve for row, curve in curves.items() if curve is not None}
    for row, (x, y) in drawn.items():
        colour = depth_colour(row, len(rows))
        style.shade(axis, x, 0, y, colour, alpha=0.12)
        axis.plot(x, y, color=colour, lw=2.2, label=f"row {row + 1}")
    axis.set(ylabel="density", ylim=(0, 1.12 * axis.get_ylim()[1] if drawn else 1))
    if drawn:
        axis.legend(loc="upper right")
    else:
        note = "too few different weights for a density"
        axis.text(0.5, 0.5, note, ha="center", transform=axis.transAxes, color=MUTED)


@figured(
    "weights",
    "Weights while training the last hyper-architecture",
    "No epoch of a hyper-architecture was recorded, or this searcher trains none.",
)
def weights_over_epochs(history: History) -> Drawing | None:
    """Weights and their entropy over the epochs of the last hyper-architecture, per row."""
    if (last := last_weights(history)) is None:
        return None
    id, epochs, rows, codes = last
    depth, columns = len(rows), min(len(rows), 4)
    tall = 2.5 * -(-depth // columns)
    figure = new_figure(tall + 2.1)
    parts: Any = figure.subfigures(2, 1, height_ratios=[tall, 2.1])
    labels = ("epoch", "architecture weight")
    axes = style.grid_axes(parts[0], depth, columns, *labels, sharex=True, sharey=True)
    peak = max(float(weights.max()) for weights in rows)
    for row, (axis, weights) in enumerate(zip(axes, rows, strict=True)):
        axis.axhline(1 / weights.shape[1], color=MUTED, lw=1.0, ls=LINES[1])
        for k, line in enumerate(weights.T):
            dashes = LINES[k // 8 % len(LINES)]
            axis.plot(epochs, line, color=style.series(k), ls=dashes, marker="o", ms=2.5, lw=1.6)
        axis.set(title=f"Row {row + 1}", ylim=(0, min(1.04, 1.1 * peak)))
        count_axis(axis)
    shares = entropy_shares(rows)
    below = parts[1].subplots()
    for row, share in enumerate(shares):
        below.plot(epochs, share, color=depth_colour(row, depth), marker="o", ms=3)
    below.set(ylim=(-0.04, 1.04), ylabel="entropy / log n", title="Entropy of each row")
    count_axis(below, "epoch")
    figure.draw_without_rendering()  # the labels need the final places of the axes
    for axis, weights, names in zip(axes, rows, codes, strict=True):
        ends = [(float(weights[-1, k]), name, style.series(k)) for k, name in enumerate(names)]
        style.labels_at_end(axis, ends, size=8)
    ends = [(float(share[-1]), f"row {row + 1}", INK) for row, share in enumerate(shares)]
    style.labels_at_end(below, ends, size=9)
    caption = (
        f"Trial {id}, the last hyper-architecture trained. Above, the weight of each candidate, "
        "named by the code of its graph; dashed: uniform. Below, the entropy: 1 is a uniform row, "
        "0 one with all weight on one candidate."
    )
    during, at_end = count(len(epochs), "epoch"), ", ".join(f"{t} {s:.2f}" for s, t, _ in ends)
    alt = f"Architecture weights over {during}. Entropy at the end, 1 = uniform: {at_end}."
    return figure, alt, caption


def last_weights(history: History) -> tuple[str, list[int], list[Array], list[list[str]]] | None:
    """Of the last hyper-architecture: id, epochs [T], per row weights [T, candidates] and codes."""
    for id, proposal in reversed(history.proposals.items()):
        known = {
            epoch: metrics["weights"]
            for epoch, metrics in sorted(history.epochs.get(id, {}).items())
            if metrics.get("weights") and None not in chain(*metrics["weights"])
        }
        if proposal.ranks and known:
            codes = [[cell.code for cell in row] for row in proposal.hyper.distinct()]
            rows = [np.array(row, dtype=float) for row in zip(*known.values(), strict=True)]
            return id, list(known), rows, codes
    return None


def entropy_shares(rows: Sequence[Array]) -> list[Array]:
    """Per row [T]: entropy of its weights [T, n] over log n, 0 where n = 1: one has all weight."""
    return [
        np.abs(entr(weights).sum(axis=1)) / np.log(max(weights.shape[1], 2)) for weights in rows
    ]
