"""The figures of a gradient study, each from its records alone. Figure numbers in the docstrings
are those of single-level DARTS.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fade_ray.analyse.gradient_config import UPDATE_TEXT
from fade_ray.analyse.gradient_summary import BATCH_TEXT, CAVEAT, Array, Measured, numbers
from fade_ray.cells.watch import parameter_free
from fade_ray.report.style import LINES, MARKERS, MUTED, Picture, count_axis, new_figure, series
from fade_ray.report.words import count, listed
from spaces.nasbench201 import EDGES, OPS

INTO_LAST = tuple(number for number, (_, target) in enumerate(EDGES) if target == 3)
"""The edges 3<-0, 3<-1, 3<-2."""


def pictures(study: Sequence[Measured]) -> Iterator[Picture]:
    """All figures of a study; nothing where no search is whole yet."""
    for one in study:
        yield architecture_weights(one)
        yield operation_gradients(one)
    together: dict[tuple[float, str], list[Measured]] = {}
    for one in study:
        together.setdefault((one.setting.learning_rate, one.setting.relaxation), []).append(one)
    for several in together.values():
        yield gradient_correlations(several)
        yield gradient_cosines(several)


def architecture_weights(measured: Measured) -> Picture:
    """Weight of each operation on each edge over the epochs (Fig. 1)."""
    figure = new_figure(5.4)
    axes = figure.subplots(2, 3, sharex=True, sharey=True).ravel()
    for number, (axis, (source, target)) in enumerate(zip(axes, EDGES, strict=True)):
        _operations(axis, measured.weights[:, :, number], start=0)
        axis.set_title(f"edge {target}\u2190{source}")
        count_axis(axis, "epoch" if number >= 3 else "")
    for axis in axes[::3]:
        axis.set_ylabel("architecture weight")
    _legend(figure, axes[0])
    free, weight = (
        float(numbers(measured)[name].mean())
        for name in ("parameter_free_share", "learnable_weight")
    )
    epochs = measured.weights.shape[1] - 1
    caption = (
        f"{_capital(measured)}: weight of each operation over {count(epochs, 'epoch')}, {_band(measured)}. Dashed: operations without "
        "parameters. The axis is cut to what the weights reach."
    )
    alt = (
        f"At the end the learnable operations hold {weight:.1%} of the weights of an edge, {2 / len(OPS):.0%} at the start, and {free:.0%} of the "
        "genotype is free of parameters."
    )
    return Picture(
        f"weights-{measured.setting.name}",
        "Architecture weights over the epochs",
        figure,
        alt,
        caption,
    )


def operation_gradients(measured: Measured) -> Picture:
    """dL/dp of each operation on the edges into the last node, in the first, the middle and the
    last cell (Figs. 3 to 9).
    """
    rows = len(measured.places)
    figure = new_figure(0.8 + 2.2 * rows)
    axes = figure.subplots(rows, 3, sharex=True, sharey="row", squeeze=False)
    for row, place in enumerate(measured.places):
        for axis, edge in zip(axes[row], INTO_LAST, strict=True):
            _operations(axis, measured.gradients[:, :, row, edge], start=1)
            axis.axhline(0, color=MUTED, lw=1.0, zorder=1)
            axis.set_title(f"cell {place}, edge 3\u2190{EDGES[edge][0]}")
            count_axis(axis, "epoch" if row == rows - 1 else "")
        axes[row, 0].set_ylabel("dL/dp")
    _legend(figure, axes[0, 0])
    early, late = (float(numbers(measured)[name].mean()) for name in ("gap_early", "gap_late"))
    caption = (
        f"{_capital(measured)}: mean gradient of the loss with respect to each operation's weight over the steps of an epoch, "
        f"{_band(measured)}. Descent favours the operation whose line is lowest. Dashed: operations without parameters; that of `none` is 0."
    )
    alt = (
        f"Over all edges, learnable operations minus skip-connect and pool: {early:+.2g} in the first third of the epochs, {late:+.2g} in the last; "
        "above 0 descent favours those without parameters."
    )
    title = f"Gradients of the operations' weights: {UPDATE_TEXT[measured.setting.update]}"
    return Picture(f"gradients-{measured.setting.name}", title, figure, alt, caption)


def gradient_correlations(study: Sequence[Measured]) -> Picture:
    """Eq. 13 as the paper compares it (Fig. 2): a bilevel search with held-out batches, a
    single-level one with each batch itself.
    """
    shown = {"first-order": "held-out", "joint": "same"}
    figure = _by_cell(study, shown, index=0, label="gradient correlation")
    caption = f"Sum over all pairs of images of two batches, divided by their number (eq. 13), {_band(study[0])}. {CAVEAT}"
    return _picture("correlation", "Gradient correlation", study, shown, figure, caption)


def gradient_cosines(study: Sequence[Measured]) -> Picture:
    """The fair comparison: the cosine of two different batches in both searches, which is free of
    the gradients' scale.
    """
    shown = {"first-order": "held-out", "joint": "other"}
    figure = _by_cell(study, shown, index=1, label="cosine")
    caption = (
        f"Cosine between the gradients of two different batches, {_band(study[0])}: one of the weights' images and, in the bilevel search, a "
        "held-out one; in the single-level search another one of the same images. These are the batches that follow each other in the searches."
    )
    return _picture(
        "cosine", "Cosine of the gradients of different batches", study, shown, figure, caption
    )


def _by_cell(study: Sequence[Measured], shown: dict[str, str], index: int, label: str) -> Figure:
    """One panel per cell, a line per node and search; colour by node, solid for bilevel."""
    figure = new_figure(3.6)
    axes = figure.subplots(1, len(study[0].places), sharey=index == 1, squeeze=False)[0]
    for column, (axis, place) in enumerate(zip(axes, study[0].places, strict=True)):
        axis.axhline(0, color=MUTED, lw=1.0, zorder=1)
        for measured in study:
            update = measured.setting.update
            values = measured.correlations[shown[update]][:, :, column, :, index]  # [S, T + 1, N]
            for node in range(values.shape[2]):
                text = f"node {node + 1}, {UPDATE_TEXT[update]}: {BATCH_TEXT[shown[update]]}"
                _line(axis, values[:, :, node], 0, node, LINES[update == "joint"], text)
        axis.set_title(f"cell {place}")
        count_axis(axis, "epoch")
    axes[0].set_ylabel(label)
    figure.legend(
        *axes[0].get_legend_handles_labels(),
        loc="outside upper left",
        ncols=len(study),
        handlelength=3.5,
    )
    return figure


def _picture(
    kind: str,
    title: str,
    study: Sequence[Measured],
    shown: dict[str, str],
    figure: Figure,
    caption: str,
) -> Picture:
    setting = study[0].setting
    said = [
        f"{numbers(one)[f'{kind}_{shown[one.setting.update]}'].mean():.2g} in the {UPDATE_TEXT[one.setting.update]} search "
        f"({BATCH_TEXT[shown[one.setting.update]]})"
        for one in study
    ]
    alt = f"Mean over epochs, cells and nodes: {listed(said)}."
    name = f"{kind}-{setting.relaxation}-{setting.learning_rate!r}"
    return Picture(
        name,
        title,
        figure,
        alt,
        f"{setting.relaxation}, learning rate {setting.learning_rate!r}. {caption}",
    )


def _operations(axis: Axes, values: Array, start: int) -> None:
    """A line for each operation; `values` [S, T, O]."""
    for k, op in enumerate(OPS):
        _line(axis, values[:, :, k], start, k, LINES[parameter_free(op)], op)


def _line(axis: Axes, values: Array, start: int, k: int, style: object, label: str) -> None:
    """Mean over seeds and, where there are several, the range; `values` [S, T], epochs counted from
    `start`.
    """
    epochs = np.arange(start, start + values.shape[1])
    if len(values) > 1:
        axis.fill_between(
            epochs, values.min(axis=0), values.max(axis=0), color=series(k), alpha=0.12, lw=0
        )
    (line,) = axis.plot(epochs, values.mean(axis=0), color=series(k), ls=style, lw=1.6, label=label)
    line.set(marker=MARKERS[k % len(MARKERS)], markersize=3.5, markevery=max(1, len(epochs) // 8))


def _legend(figure: Figure, axis: Axes) -> None:
    figure.legend(
        *axis.get_legend_handles_labels(),
        loc="outside upper left",
        ncols=len(OPS),
        handlelength=3.5,
    )


def _band(measured: Measured) -> str:
    seeds = len(measured.seeds)
    return f"mean and range of {seeds} seeds" if seeds > 1 else "one seed"


def _capital(measured: Measured) -> str:
    text = measured.setting.text
    return text[0].upper() + text[1:]
