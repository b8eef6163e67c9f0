"""The figures of a gradient study, from its records alone; numbers are single-level DARTS's."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from fade_ray.analyse.gradient_config import UPDATE_TEXT
from fade_ray.analyse.gradient_summary import BATCH_TEXT, CAVEAT, Array, Measured, numbers
from fade_ray.cells.watch import parameter_free
from fade_ray.report import style
from fade_ray.report.style import LINES, MUTED, Picture
from fade_ray.report.words import count, listed
from spaces.nasbench201 import EDGES, OPS

INTO_LAST = tuple(number for number, (_, target) in enumerate(EDGES) if target == 3)
"""The edges 3<-0, 3<-1, 3<-2."""


@dataclass(frozen=True)
class Comparison:
    """What both searches are compared by: the second batch of each, value or cosine, its words."""

    kind: str
    title: str
    batches: dict[str, str]
    index: int
    label: str
    words: str


CORRELATION = Comparison(
    "correlation",
    "Gradient correlation",
    {"first-order": "held-out", "joint": "same"},
    0,
    "gradient correlation",
    f"Sum over all pairs of images of two batches, over their number (eq. 13), {{}}. {CAVEAT}",
)
"""As in Fig. 2: bilevel with held-out batches, single-level with each batch itself."""
COSINE = Comparison(
    "cosine",
    "Cosine of the gradients of different batches",
    {"first-order": "held-out", "joint": "other"},
    1,
    "cosine",
    "Cosine between the gradients of two different batches, {}: one of the weights' images and, in "
    "the bilevel search, a held-out one; in the single-level search another one of the same "
    "images. These are the batches that follow each other in the searches.",
)
"""The fair comparison: of two different batches in both searches, free of the gradients' scale."""


def pictures(study: Sequence[Measured]) -> Iterator[Picture]:
    """All figures of a study; nothing where no search is whole yet."""
    for group in study:
        yield architecture_weights(group)
        yield operation_gradients(group)
    together: dict[tuple[float, str], list[Measured]] = {}
    for group in study:
        together.setdefault((group.setting.learning_rate, group.setting.relaxation), []).append(
            group
        )
    for several in together.values():
        yield by_cell(several, CORRELATION)
        yield by_cell(several, COSINE)


def architecture_weights(group: Measured) -> Picture:
    """Weight of each operation on each edge over the epochs (Fig. 1)."""
    figure = style.new_figure(5.4)
    axes = figure.subplots(2, 3, sharex=True, sharey=True).ravel()
    for number, (axis, (source, target)) in enumerate(zip(axes, EDGES, strict=True)):
        _operations(axis, group.weights[:, :, number], start=0)
        axis.set_title(f"edge {target}\u2190{source}")
        style.count_axis(axis, "epoch" if number >= 3 else "")
    for axis in axes[::3]:
        axis.set_ylabel("architecture weight")
    style.legend_above(figure, axes[0], len(OPS), handlelength=3.5)
    means = {name: float(values.mean()) for name, values in numbers(group).items()}
    epochs = count(group.weights.shape[1] - 1, "epoch")
    caption = (
        f"{_capital(group)}: weight of each operation over {epochs}, {_band(group)}. Dashed: "
        "operations without parameters. The axis is cut to what the weights reach."
    )
    alt = (
        f"At the end the learnable operations hold {means['learnable_weight']:.1%} of the weights "
        f"of an edge, {2 / len(OPS):.0%} at the start, and {means['parameter_free_share']:.0%} of "
        "the genotype is free of parameters."
    )
    title = "Architecture weights over the epochs"
    return Picture(f"weights-{group.setting.name}", title, figure, alt, caption)


def operation_gradients(group: Measured) -> Picture:
    """dL/dp of each operation into the last node, in first, middle and last cell (Figs. 3-9)."""
    rows = len(group.places)
    figure = style.new_figure(0.8 + 2.2 * rows)
    axes = figure.subplots(rows, 3, sharex=True, sharey="row", squeeze=False)
    for row, place in enumerate(group.places):
        for axis, edge in zip(axes[row], INTO_LAST, strict=True):
            _operations(axis, group.gradients[:, :, row, edge], start=1)
            axis.axhline(0, color=MUTED, lw=1.0, zorder=1)
            axis.set_title(f"cell {place}, edge 3\u2190{EDGES[edge][0]}")
            style.count_axis(axis, "epoch" if row == rows - 1 else "")
        axes[row, 0].set_ylabel("dL/dp")
    style.legend_above(figure, axes[0, 0], len(OPS), handlelength=3.5)
    known = numbers(group)
    early, late = (float(known[name].mean()) for name in ("gap_early", "gap_late"))
    caption = (
        f"{_capital(group)}: mean gradient of the loss with respect to each operation's weight "
        f"over the steps of an epoch, {_band(group)}. Descent favours the operation whose line is "
        "lowest. Dashed: operations without parameters; that of `none` is 0."
    )
    alt = (
        f"Over all edges, learnable operations minus skip-connect and pool: {early:+.2g} in the "
        f"first third of the epochs, {late:+.2g} in the last; above 0 descent favours those "
        "without parameters."
    )
    title = f"Gradients of the operations' weights: {UPDATE_TEXT[group.setting.update]}"
    return Picture(f"gradients-{group.setting.name}", title, figure, alt, caption)


def by_cell(study: Sequence[Measured], shown: Comparison) -> Picture:
    """One panel per cell, a line per node and search; colour by node, solid for bilevel."""
    first = study[0]
    figure = style.new_figure(3.6)
    axes = figure.subplots(1, len(first.places), sharey=shown.index == 1, squeeze=False)[0]
    means = []
    for group in study:
        update = group.setting.update
        situation, words = shown.batches[update], UPDATE_TEXT[update]
        batch = BATCH_TEXT[situation]
        for column, axis in enumerate(axes):
            values = group.correlations[situation][:, :, column, :, shown.index]  # [S, T + 1, N]
            for node in range(values.shape[2]):
                label = f"node {node + 1}, {words}: {batch}"
                _line(axis, values[:, :, node], 0, node, update == "joint", label)
        mean = numbers(group)[f"{shown.kind}_{situation}"].mean()
        means.append(f"{mean:.2g} in the {words} search ({batch})")
    for axis, place in zip(axes, first.places, strict=True):
        axis.axhline(0, color=MUTED, lw=1.0, zorder=1)
        axis.set_title(f"cell {place}")
        style.count_axis(axis, "epoch")
    axes[0].set_ylabel(shown.label)
    style.legend_above(figure, axes[0], len(study), handlelength=3.5)
    rate, relaxation = repr(first.setting.learning_rate), first.setting.relaxation
    alt = f"Mean over epochs, cells and nodes: {listed(means)}."
    caption = f"{relaxation}, learning rate {rate}. {shown.words.format(_band(first))}"
    return Picture(f"{shown.kind}-{relaxation}-{rate}", shown.title, figure, alt, caption)


def _operations(axis: Axes, values: Array, start: int) -> None:
    """A line for each operation; `values` [S, T, O]."""
    for k, op in enumerate(OPS):
        _line(axis, values[:, :, k], start, k, parameter_free(op), op)


def _line(axis: Axes, values: Array, start: int, k: int, dashed: bool, label: str) -> None:
    """Mean and range over seeds; `values` [S, T], epochs counted from `start`."""
    epochs = np.arange(start, start + values.shape[1])
    look = {"ls": LINES[dashed], "lw": 1.6, "label": label}
    style.mean_and_range(axis, epochs, values, k, **look)


def _band(group: Measured) -> str:
    seeds = len(group.seeds)
    return f"mean and range of {seeds} seeds" if seeds > 1 else "one seed"


def _capital(group: Measured) -> str:
    return group.setting.text[0].upper() + group.setting.text[1:]
