"""The figures of cell searches: architecture weights over the epochs, the signs of a collapse,
methods compared over seeds.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from fade_ray.cells.cell_facts import Trial
from fade_ray.report.genotype_drawing import edge_name, printed
from fade_ray.report.style import (
    GRID,
    INK,
    LINES,
    MARKERS,
    MUTED,
    SERIES,
    WIDTH,
    Picture,
    count_axis,
    grid_axes,
    new_figure,
    series,
)
from fade_ray.report.words import count, listed, percent
from spaces.cell import CellSpace

Array = npt.NDArray[np.float64]

MARGIN, ROW, SPACE, LINE = 1.06, 0.135, 0.14, 0.3
"""Inches: room for the names of operations, height of one operation, gap between panels, room for
the name of an edge.
"""
COMPACT_ROW = 0.075
ENOUGH = 0.3
"""Share of parameter-free operations above which single-level DARTS searches again (its section
3.3).
"""


class Course(NamedTuple):
    """The weights of one kind of cell over the epochs [T]: `weights` [T, E, O]; `stages`: columns
    before which a new stage begins.
    """

    cell: CellSpace
    epochs: list[int]
    weights: Array
    chosen: npt.NDArray[np.bool_]
    stages: list[int]


def courses(trial: Trial) -> dict[str, Course]:
    """The weights that were told, by kind of cell; {} where there are none, or none of a known
    shape.
    """
    found: dict[str, Course] = {}
    told = {
        epoch: metrics["weights"]
        for epoch, metrics in sorted(trial.epochs.items())
        if metrics.get("weights")
    }
    kinds = list(next(iter(told.values()), {}))
    for kind, cell in ((name, known) for name in kinds for known in trial.cells(name)):
        arrays = {
            epoch: np.array(weights.get(kind), dtype=float) for epoch, weights in told.items()
        }
        known = {
            epoch: np.nan_to_num(array)
            for epoch, array in arrays.items()
            if array.shape == cell.mask.shape
        }
        if known and kind not in found:
            chosen = cell.mask & cell.is_discrete
            stages = [list(known).index(epoch) for epoch in trial.stages if epoch in known]
            found[kind] = Course(cell, list(known), np.stack(list(known.values())), chosen, stages)
    return found


def weight_maps(trial: Trial) -> list[Picture]:
    """Heat maps of the architecture weights: one panel per edge for each kind of cell, or one per
    kind where there are many kinds.
    """
    found = courses(trial)
    if not found:
        return []
    high = max(float(course.weights.max()) for course in found.values()) or 1.0
    if len(found) > 2:
        return [_kinds_map(trial, found, high)]
    return [_edges_map(trial, kind, course, high) for kind, course in found.items()]


def _edges_map(trial: Trial, kind: str, course: Course, high: float) -> Picture:
    """A row of panels per node, a panel per edge into it by source, a line per operation, a column
    per epoch.
    """
    cell = course.cell
    targets = sorted({target for _, target in cell.edges})
    sources = sorted({source for source, _ in cell.edges})
    tall, wide = ROW * len(cell.ops), (WIDTH - MARGIN - 0.25) / max(3, len(sources)) - SPACE
    height = len(targets) * (tall + LINE) + 0.35
    figure = new_figure(height)
    figure.set_layout_engine("none")
    axis = _canvas(figure.add_axes((0, 0, 1, 1)), height)
    for number, (source, target) in enumerate(cell.edges):
        left = MARGIN + sources.index(source) * (wide + SPACE)
        top = height - targets.index(target) * (tall + LINE) - LINE
        name = printed(edge_name(cell, (source, target)))
        axis.text(left, top + 0.05, name, fontsize=8.5, fontweight="bold", va="bottom")
        _panel(axis, (left, top - tall, wide, tall), course, [number], high)
        if source == min(s for s, t in cell.edges if t == target):
            for line, op in enumerate(cell.ops):
                axis.text(
                    left - 0.05, top - (line + 0.5) * ROW, op, fontsize=7.5, ha="right", va="center"
                )
        if target == targets[-1]:
            _epoch_labels(axis, left, top - tall, wide, course.epochs)
    _colour_bar(axis, WIDTH - 2.35, height - LINE - 0.1, high)
    alt = f"Weights of the {kind} cell over {count(len(course.epochs), 'record')}. {_heaviest(course)}"
    caption = (
        f"{trial.name}, {kind} cell: weight of each operation on each edge over the epochs, from left to right{_from_zero(course)}; the rows "
        f"of panels are the nodes.{_marks(course)}"
    )
    return Picture(
        f"weights-{trial.plan.id}-{kind}", f"Architecture weights, {kind}", figure, alt, caption
    )


def _kinds_map(trial: Trial, found: Mapping[str, Course], high: float) -> Picture:
    """A panel per kind of cell: its edges from above, on each a line per operation."""
    columns, (first, *_) = 4, found.values()
    lines = len(first.cell.edges) * len(first.cell.ops)
    tall, wide = COMPACT_ROW * lines, (WIDTH - 0.25) / columns - SPACE - 0.5
    rows = -(-len(found) // columns)
    height = rows * (tall + LINE) + 0.6
    figure = new_figure(height)
    figure.set_layout_engine("none")
    axis = _canvas(figure.add_axes((0, 0, 1, 1)), height)
    for place, (kind, course) in enumerate(found.items()):
        left = 0.55 + place % columns * (wide + SPACE + 0.5)
        top = height - place // columns * (tall + LINE) - LINE - 0.25
        axis.text(left, top + 0.04, kind, fontsize=8.5, fontweight="bold", va="bottom")
        _panel(
            axis, (left, top - tall, wide, tall), course, list(range(len(course.cell.edges))), high
        )
        each = COMPACT_ROW * len(course.cell.ops)
        for number, edge in enumerate(course.cell.edges):
            name = printed(edge_name(course.cell, edge))
            axis.text(
                left - 0.04, top - (number + 0.5) * each, name, fontsize=6, ha="right", va="center"
            )
        if place // columns == rows - 1:
            _epoch_labels(axis, left, top - tall, wide, course.epochs)
    _colour_bar(axis, WIDTH - 2.35, height - 0.12, high)
    caption = (
        f"{trial.name}: weights over the epochs, from left to right{_from_zero(first)}; on each edge, from above: "
        f"{', '.join(first.cell.ops)}.{_marks(first)}"
    )
    alt = (
        f"Weights of {count(len(found), 'kind')} of cell over {count(len(first.epochs), 'record')}."
    )
    return Picture(f"weights-{trial.plan.id}", "Architecture weights", figure, alt, caption)


def _canvas(axis: Axes, height: float) -> Axes:
    """An axis measured in inches."""
    axis.set(xlim=(0, WIDTH), ylim=(0, height))
    axis.axis("off")
    return axis


def _panel(
    axis: Axes,
    box: tuple[float, float, float, float],
    course: Course,
    edges: list[int],
    high: float,
) -> None:
    """An image of the weights of `edges`, [left, bottom, width, height] in inches: the darker, the
    heavier, on any paper.
    """
    left, bottom, wide, tall = box
    values = course.weights[:, edges].reshape(len(course.epochs), -1).T  # [edges * ops, T]
    picture = np.empty((*values.shape, 4))
    picture[..., :3], picture[..., 3] = to_rgb(SERIES[0]), np.clip(values / high, 0, 1)
    axis.imshow(
        picture,
        extent=(left, left + wide, bottom, bottom + tall),
        aspect="auto",
        interpolation="none",
        zorder=2,
    )
    axis.set(xlim=(0, WIDTH), autoscale_on=False)
    axis.add_patch(Rectangle((left, bottom), wide, tall, fc="none", ec=MUTED, lw=0.6, zorder=3))
    for line in range(len(course.cell.ops), len(values), len(course.cell.ops)):
        height = bottom + tall * (1 - line / len(values))
        axis.plot([left, left + wide], [height, height], color=GRID, lw=0.5, zorder=2)
    for stage in course.stages:
        x = left + wide * stage / len(course.epochs)
        axis.plot([x, x], [bottom, bottom + tall], color=INK, lw=0.8, ls=LINES[1], zorder=3)
    for line in np.flatnonzero(course.chosen[edges].ravel()).tolist():
        height = bottom + tall * (1 - (line + 0.5) / len(values))
        axis.plot(
            left + wide + 0.05,
            height,
            marker="<",
            ms=min(4.0, 400 * tall / len(values) / 10),
            color=SERIES[1],
            mew=0,
        )


def _epoch_labels(
    axis: Axes, left: float, bottom: float, wide: float, epochs: Sequence[int]
) -> None:
    style: dict[str, Any] = {"fontsize": 7.5, "color": MUTED, "va": "top"}
    axis.text(left, bottom - 0.04, str(epochs[0]), ha="left", **style)
    if len(epochs) > 1:
        axis.text(left + wide, bottom - 0.04, str(epochs[-1]), ha="right", **style)
        axis.text(left + wide / 2, bottom - 0.04, "epoch", ha="center", **style)


def _colour_bar(axis: Axes, left: float, top: float, high: float) -> None:
    steps = np.empty((1, 64, 4))
    steps[..., :3], steps[..., 3] = to_rgb(SERIES[0]), np.linspace(0, 1, 64)
    axis.imshow(
        steps,
        extent=(left + 0.45, left + 1.75, top - 0.1, top + 0.06),
        aspect="auto",
        interpolation="none",
    )
    axis.add_patch(Rectangle((left + 0.45, top - 0.1), 1.3, 0.16, fc="none", ec=MUTED, lw=0.6))
    axis.set(xlim=(0, WIDTH), autoscale_on=False)
    axis.text(left + 0.4, top - 0.02, "weight 0", fontsize=7.5, ha="right", va="center")
    axis.text(left + 1.8, top - 0.02, f"{high:.2f}", fontsize=7.5, ha="left", va="center")


def _from_zero(course: Course) -> str:
    return ", 0 being before the first step" if course.epochs[0] == 0 else ""


def _marks(course: Course) -> str:
    chosen = " Triangles mark the operations of the genotype." if course.chosen.any() else ""
    return chosen + (" Dashed lines: a new stage or search begins." if course.stages else "")


def _heaviest(course: Course) -> str:
    """In words: the operations that weigh most at the end, by how many edges they do so on."""
    best = course.weights[-1][course.weights[-1].max(axis=1) > 0].argmax(axis=1)
    counts = {op: int((best == number).sum()) for number, op in enumerate(course.cell.ops)}
    ranked = sorted(
        ((edges, op) for op, edges in counts.items() if edges), key=lambda pair: -pair[0]
    )
    return (
        "Heaviest at the end: "
        + listed([f"{op} on {count(edges, 'edge')}" for edges, op in ranked])
        + "."
    )


PANELS: tuple[tuple[str, dict[str, str], float | None], ...] = (
    ("Loss", {"loss": "weights", "architecture_loss": "logits"}, None),
    ("Accuracy in training", {"accuracy": "of the mixture"}, None),
    (
        "Share of that epoch's genotype",
        {"parameter_free_share": "free of parameters", "skip_share": "skip-connect"},
        ENOUGH,
    ),
    ("Weights", {"none_weight": "none, mean", "entropy": "entropy, 1 = uniform"}, None),
    ("Largest eigenvalue, validation Hessian", {"eigenvalue": "eigenvalue"}, None),
    ("True accuracy of that genotype (%)", {"true_accuracy": "CIFAR-10 test"}, None),
)
"""The panels of the indicators: title, metrics with their labels, a line to be compared with."""


def indicators_over_epochs(trial: Trial) -> Picture | None:
    """Losses, accuracy and the signs of a collapse over the epochs; a panel that nothing was told
    for is left out.
    """
    shown = [
        (title, names, line)
        for title, names, line in PANELS
        if any(len(trial.series(n)[0]) > 0 for n in names)
    ]
    if not shown or max(trial.epochs, default=0) == 0:
        return None
    figure = new_figure(0.4 + 2.1 * -(-len(shown) // 3))
    told = []
    for axis, (title, names, line) in zip(grid_axes(figure, len(shown), 3), shown, strict=True):
        for index, (name, label) in enumerate(names.items()):
            epochs, values = trial.series(name)
            if epochs:
                axis.plot(
                    epochs,
                    values,
                    color=series(index),
                    ls=LINES[index],
                    marker=MARKERS[index],
                    ms=2.5,
                    label=label,
                )
                told.append(f"{label} {values[0]:.3g} to {values[-1]:.3g}")
        for stage in trial.stages:
            axis.axvline(stage - 0.5, color=MUTED, lw=0.8, ls=LINES[1])
        if line is not None:
            axis.axhline(line, color=MUTED, lw=1.0, ls=LINES[2])
        if "share" in title.lower():
            axis.set_ylim(-0.04, 1.04)
        axis.set_title(title)
        axis.legend(fontsize=8, loc="best")
        count_axis(axis, "epoch")
    caption = (
        f"{trial.name}. Shares are of the genotype that the weights of that epoch would give; above the dotted line, 0.3, single-level DARTS "
        "searches again." + (" Dashed: a new stage or search begins." if trial.stages else "")
    )
    alt = f"Over {count(max(trial.epochs), 'epoch')}, first to last: {listed(told)}."
    return Picture(f"indicators-{trial.plan.id}", "Indicators", figure, alt, caption)


SHARES = {"skip_share": "skip-connects", "parameter_free_share": "operations free of parameters"}


def methods_over_seeds(trials: Sequence[Trial]) -> Picture | None:
    """Per space, the share of skip-connects and of parameter-free operations over the epochs: mean
    and range over the seeds of each method.
    """
    groups: dict[str, dict[str, list[Trial]]] = {}
    for trial in trials:
        if len(trial.series("skip_share")[0]) > 1:
            groups.setdefault(trial.plan.space, {}).setdefault(trial.plan.recipe, []).append(trial)
    if not groups:
        return None
    figure = new_figure(0.5 + 2.7 * len(groups))
    axes = figure.subplots(len(groups), 2, squeeze=False, sharey=True)
    methods = list(dict.fromkeys(method for group in groups.values() for method in group))
    told = []
    for row, (space, group) in zip(axes, groups.items(), strict=True):
        for axis, (name, label) in zip(row, SHARES.items(), strict=True):
            for method, same in group.items():
                index = methods.index(method)
                end = _band(axis, [trial.series(name) for trial in same], index, method)
                if name == "skip_share":
                    told.append(
                        f"{method} on {space} {percent(end, 0)} ({count(len(same), 'seed')})"
                    )
            axis.set(ylim=(-0.04, 1.04), title=f"{space}: {label}")
            count_axis(axis, "epoch")
        row[0].set_ylabel("share of the genotype")
    handles: dict[str, Any] = {}
    for axis in axes.ravel():
        handles |= {
            label: handle for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
        }
    figure.legend(list(handles.values()), list(handles), loc="outside upper left", ncols=5)
    caption = (
        "Of the genotype that the weights of each epoch would give: lines are means over the seeds, bands reach from the lowest to the highest "
        f"of them. {_seed_words(groups)}"
    )
    alt = f"Share of skip-connects at the end, mean over seeds: {listed(told)}."
    return Picture("methods", "Methods over seeds", figure, alt, caption)


def _band(
    axis: Axes, courses: Sequence[tuple[list[int], list[float]]], index: int, label: str
) -> float:
    """Draw mean and range over the courses at every epoch that all of them told; the last mean."""
    by_epoch = [dict(zip(epochs, values, strict=True)) for epochs, values in courses]
    epochs = sorted(set.intersection(*(set(one) for one in by_epoch)))
    values = np.array([[one[epoch] for epoch in epochs] for one in by_epoch])
    if len(by_epoch) > 1:
        axis.fill_between(
            epochs, values.min(axis=0), values.max(axis=0), color=series(index), alpha=0.15, lw=0
        )
    every = max(1, len(epochs) // 10)
    axis.plot(
        epochs,
        values.mean(axis=0),
        color=series(index),
        ls=LINES[index % len(LINES)],
        marker=MARKERS[index % len(MARKERS)],
        ms=4,
        markevery=every,
        label=label,
    )
    return float(values[:, -1].mean())


def _seed_words(groups: Mapping[str, Mapping[str, Sequence[Trial]]]) -> str:
    sizes = sorted({len(same) for group in groups.values() for same in group.values()})
    if sizes == [1]:
        return "One seed each: nothing is known of the spread."
    return (
        f"{sizes[0]} seeds each." if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]} seeds each."
    )
