"""The figures of cell searches: weights over the epochs, signs of a collapse, methods compared."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fade_ray.cells.cell_trials import Trial
from fade_ray.cells.watch import Drawn
from fade_ray.report import style
from fade_ray.report.genotype_drawing import edge_name, printed
from fade_ray.report.style import INK, LINES, MUTED, SERIES, WIDTH, Picture, count_axis, new_figure
from fade_ray.report.words import OPERATION, count, listed, percent, short
from spaces.cell import CellSpace

Array = npt.NDArray[np.float64]
Box = tuple[float, float, float, float]
"""Left, bottom, width, height in inches."""

MARGIN, ROW, SPACE, LINE = 1.06, 0.135, 0.14, 0.3
"""Inches: for names of operations, an operation, between panels, for the name of an edge."""
COMPACT_ROW = 0.075


MOST = 3
"""Doublings or halvings of the uniform weight that colours tell apart."""


class Course(NamedTuple):
    """`weights` [T, E, O] of a kind of cell over `epochs` [T]; new stages begin before `stages`."""

    cell: CellSpace
    epochs: list[int]
    weights: Array
    chosen: npt.NDArray[np.bool_]
    stages: list[int]

    @property
    def relative(self) -> Array:
        """[T, E, O]: log2 of each weight over the mean of its edge, what it is where all weigh
        alike; from -MOST to MOST, 0 where nothing is allowed. Allowed is what weighs at any time:
        the cell may be the genotype that was found.
        """
        mask = (self.weights > 0).any(axis=0)
        mean = self.weights.sum(axis=-1, where=mask) / np.maximum(mask.sum(axis=-1), 1)
        share = self.weights / np.where(mean > 0, mean, 1.0)[..., None]
        return np.where(mask, np.log2(np.clip(share, 2.0**-MOST, 2.0**MOST)), 0.0)


def courses(trial: Trial) -> dict[str, Course]:
    """The weights that were told, of known shapes, by kind of cell."""
    known = {epoch: metrics.get("weights") for epoch, metrics in sorted(trial.epochs.items())}
    weights = {epoch: by_kind for epoch, by_kind in known.items() if by_kind}
    kinds = dict.fromkeys(kind for by_kind in weights.values() for kind in by_kind)
    drawn = {kind: _course(trial, kind, weights) for kind in kinds}
    return {kind: course for kind, course in drawn.items() if course is not None}


def _course(trial: Trial, kind: str, weights: Mapping[int, Mapping[str, Any]]) -> Course | None:
    """Of the first of the known cells whose shape the weights have."""
    arrays = {e: np.array(by_kind.get(kind), dtype=float) for e, by_kind in weights.items()}
    for cell in trial.cells(kind):
        fits = {e: np.nan_to_num(a) for e, a in arrays.items() if a.shape == cell.mask.shape}
        if fits:
            stages = [list(fits).index(epoch) for epoch in trial.stages if epoch in fits]
            chosen = cell.mask & cell.is_discrete
            return Course(cell, list(fits), np.stack(list(fits.values())), chosen, stages)
    return None


def weight_maps(trial: Trial) -> list[Picture]:
    """Heat maps of the weights: a panel per edge of each kind of cell, or one per kind of many."""
    by_kind = courses(trial)
    reach = max((float(np.abs(course.relative).max()) for course in by_kind.values()), default=0)
    high = max(reach, 0.1)
    if len(by_kind) > 2:
        return [_kinds_map(trial, by_kind, high)]
    return [_edges_map(trial, kind, course, high) for kind, course in by_kind.items()]


def _edges_map(trial: Trial, kind: str, course: Course, high: float) -> Picture:
    """A row of panels per node, a panel per edge, a line per operation, a column per epoch."""
    cell = course.cell
    targets = sorted({target for _, target in cell.edges})
    sources = sorted({source for source, _ in cell.edges})
    tall, wide = ROW * len(cell.ops), (WIDTH - MARGIN - 0.25) / max(3, len(sources)) - SPACE
    height = len(targets) * (tall + LINE) + 0.35
    figure, axis = _canvas(height)
    for number, (source, target) in enumerate(cell.edges):
        left = MARGIN + sources.index(source) * (wide + SPACE)
        top = height - targets.index(target) * (tall + LINE) - LINE
        name = printed(edge_name(cell, (source, target)))
        axis.text(left, top + 0.05, name, fontsize=8.5, fontweight="bold", va="bottom")
        _panel(axis, (left, top - tall, wide, tall), course, [number], high)
        if source == min(s for s, t in cell.edges if t == target):
            for line, op in enumerate(cell.ops):
                _beside(axis, left - 0.05, top - (line + 0.5) * ROW, short(op, OPERATION), 7.5)
        if target == targets[-1]:
            _epoch_labels(axis, left, top - tall, wide, course.epochs)
    _colour_bar(axis, WIDTH - 2.35, height - LINE - 0.1, high)
    records = count(len(course.epochs), "record")
    alt = f"Weights of the {kind} cell over {records}. {_heaviest(course)}"
    caption = (
        f"{trial.name}, {kind} cell: weight of each operation on each edge over the epochs, from "
        f"left to right{_from_zero(course)}, beside the mean of its edge: blue above, orange "
        f"below. The rows of panels are the nodes.{_marks(course)}"
    )
    name, title = f"weights-{trial.plan.id}-{kind}", f"Architecture weights, {kind}"
    return Picture(name, title, figure, alt, caption)


def _kinds_map(trial: Trial, by_kind: Mapping[str, Course], high: float) -> Picture:
    """A panel per kind of cell: its edges from above, on each a line per operation."""
    columns, (first, *_) = 4, by_kind.values()
    lines = len(first.cell.edges) * len(first.cell.ops)
    tall, wide = COMPACT_ROW * lines, (WIDTH - 0.25) / columns - SPACE - 0.5
    rows = -(-len(by_kind) // columns)
    height = rows * (tall + LINE) + 0.6
    figure, axis = _canvas(height)
    for place, (kind, course) in enumerate(by_kind.items()):
        left = 0.55 + place % columns * (wide + SPACE + 0.5)
        top = height - place // columns * (tall + LINE) - LINE - 0.25
        axis.text(left, top + 0.04, kind, fontsize=8.5, fontweight="bold", va="bottom")
        edges, each = course.cell.edges, COMPACT_ROW * len(course.cell.ops)
        _panel(axis, (left, top - tall, wide, tall), course, list(range(len(edges))), high)
        for number, edge in enumerate(edges):
            name = printed(edge_name(course.cell, edge))
            _beside(axis, left - 0.04, top - (number + 0.5) * each, name, 6)
        if place // columns == rows - 1:
            _epoch_labels(axis, left, top - tall, wide, course.epochs)
    _colour_bar(axis, WIDTH - 2.35, height - 0.12, high)
    caption = (
        f"{trial.name}: weights over the epochs, from left to right{_from_zero(first)}, beside "
        "the mean of their edge: blue above, orange below; on each edge, from above: "
        f"{', '.join(first.cell.ops)}.{_marks(first)}"
    )
    kinds, records = count(len(by_kind), "kind"), count(len(first.epochs), "record")
    alt = f"Weights of {kinds} of cell over {records}."
    return Picture(f"weights-{trial.plan.id}", "Architecture weights", figure, alt, caption)


def _canvas(height: float) -> tuple[Figure, Axes]:
    """A figure that is one axis, measured in inches."""
    figure = new_figure(height)
    figure.set_layout_engine("none")
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set(xlim=(0, WIDTH), ylim=(0, height))
    axis.axis("off")
    return figure, axis


def _beside(axis: Axes, x: float, y: float, text: str, size: float) -> None:
    axis.text(x, y, text, fontsize=size, ha="right", va="center")


def _image(axis: Axes, box: Box, values: Array) -> None:
    """Signed opacities [rows, columns]: blue above uniform, orange below, on any paper."""
    left, bottom, wide, tall = box
    picture = np.empty((*values.shape, 4))
    picture[..., :3] = np.where(values[..., None] < 0, to_rgb(SERIES[1]), to_rgb(SERIES[0]))
    picture[..., 3] = np.abs(values)
    extent = (left, left + wide, bottom, bottom + tall)
    axis.imshow(picture, extent=extent, aspect="auto", interpolation="none", zorder=2)
    axis.set(xlim=(0, WIDTH), autoscale_on=False)
    axis.add_patch(Rectangle((left, bottom), wide, tall, fc="none", ec=MUTED, lw=0.6, zorder=3))


def _panel(axis: Axes, box: Box, course: Course, edges: list[int], high: float) -> None:
    """An image of the weights of `edges`."""
    left, bottom, wide, tall = box
    values = course.relative[:, edges].reshape(len(course.epochs), -1).T  # [edges * ops, T]
    _image(axis, box, values / high)
    for line in range(len(course.cell.ops), len(values), len(course.cell.ops)):
        height = bottom + tall * (1 - line / len(values))
        axis.plot([left, left + wide], [height, height], color=style.GRID, lw=0.5, zorder=2)
    for stage in course.stages:
        x = left + wide * stage / len(course.epochs)
        axis.plot([x, x], [bottom, bottom + tall], color=INK, lw=0.8, ls=LINES[1], zorder=3)
    size = min(4.0, 400 * tall / len(values) / 10)
    for line in np.flatnonzero(course.chosen[edges].ravel()).tolist():
        height = bottom + tall * (1 - (line + 0.5) / len(values))
        axis.plot(left + wide + 0.05, height, marker="<", ms=size, color=SERIES[1], mew=0)


def _epoch_labels(axis: Axes, left: float, bottom: float, wide: float, epochs: list[int]) -> None:
    look: dict[str, Any] = {"fontsize": 7.5, "color": MUTED, "va": "top"}
    axis.text(left, bottom - 0.04, str(epochs[0]), ha="left", **look)
    if len(epochs) > 1:
        axis.text(left + wide, bottom - 0.04, str(epochs[-1]), ha="right", **look)
        axis.text(left + wide / 2, bottom - 0.04, "epoch", ha="center", **look)


def _colour_bar(axis: Axes, left: float, top: float, high: float) -> None:
    """From 2^-high to 2^high times the uniform weight."""
    _image(axis, (left + 0.45, top - 0.1, 1.3, 0.16), np.linspace(-1, 1, 65)[None])
    _beside(axis, left + 0.4, top - 0.02, f"uniform x {2**-high:.2g}", 7.5)
    axis.text(left + 1.8, top - 0.02, f"x {2**high:.2g}", fontsize=7.5, ha="left", va="center")


def _from_zero(course: Course) -> str:
    return ", 0 being before the first step" if course.epochs[0] == 0 else ""


def _marks(course: Course) -> str:
    chosen = " Triangles mark the operations of the genotype." if course.chosen.any() else ""
    return chosen + (" Dashed lines: a new stage or search begins." if course.stages else "")


def _heaviest(course: Course) -> str:
    """In words: the operations that weigh most at the end, by how many edges they do so on."""
    best = course.weights[-1][course.weights[-1].max(axis=1) > 0].argmax(axis=1)
    counts = {op: int((best == number).sum()) for number, op in enumerate(course.cell.ops)}
    ranked = sorted(counts.items(), key=lambda pair: -pair[1])
    heaviest = [f"{op} on {count(edges, 'edge')}" for op, edges in ranked if edges]
    return f"Heaviest at the end: {listed(heaviest)}."


PANELS: tuple[tuple[str, dict[str, str]], ...] = (
    ("Loss", {"loss": "weights", "architecture_loss": "logits"}),
    ("Accuracy in training", {"accuracy": "of the mixture"}),
    ("Perplexity in training", {"perplexity": "of the mixture"}),
    (
        "Share of that epoch's genotype",
        {"parameter_free_share": "free of parameters", "skip_share": "skip-connect"},
    ),
    ("Weights", {"none_weight": "none, mean", "entropy": "entropy, 1 = uniform"}),
    ("Largest eigenvalue, validation Hessian", {"eigenvalue": "eigenvalue"}),
    ("True accuracy of that genotype (%)", {"true_accuracy": "CIFAR-10 test"}),
)
"""The panels of the indicators: title, metrics with their labels."""


def indicators_over_epochs(trial: Trial) -> Picture | None:
    """Losses, accuracy and the signs of a collapse over the epochs; a panel that nothing was told
    of is left out. None before the end of the first epoch.
    """
    shown = [panel for panel in PANELS if any(trial.series(name)[0] for name in panel[1])]
    if not shown or max(trial.epochs, default=0) == 0:
        return None
    figure = new_figure(0.4 + 2.1 * -(-len(shown) // 3))
    changes = []
    axes = style.grid_axes(figure, len(shown), 3)
    most = None if trial.space is None else Drawn.of(trial.space).most
    for axis, (title, names) in zip(axes, shown, strict=True):
        for index, (name, label) in enumerate(names.items()):
            epochs, values = trial.series(name)
            if epochs:
                axis.plot(epochs, values, **style.look(index, ms=2.5, label=label))
                changes.append(f"{label} {values[0]:.3g} to {values[-1]:.3g}")
        for stage in trial.stages:
            axis.axvline(stage - 0.5, color=MUTED, lw=0.8, ls=LINES[1])
        if "share" in title.lower():
            axis.set_ylim(-0.04, 1.04)
            if most is not None:
                axis.axhline(most, color=MUTED, lw=1.0, ls=LINES[2])
        axis.set_title(title)
        axis.legend(fontsize=8, loc="best")
        count_axis(axis, "epoch")
    drawn = (
        ""
        if most is None
        else (
            "; 95 % of genotypes drawn at random from the space lie at or below the dotted line, "
            f"{percent(most, 0)} free of parameters"
        )
    )
    caption = (
        f"{trial.name}. Shares are of the genotype that the weights of that epoch would give"
        f"{drawn}."
        f"{' Dashed: a new stage or search begins.' if trial.stages else ''}"
    )
    alt = f"Over {count(max(trial.epochs), 'epoch')}, first to last: {listed(changes)}."
    return Picture(f"indicators-{trial.plan.id}", "Indicators", figure, alt, caption)


SHARES = {"skip_share": "skip-connects", "parameter_free_share": "operations free of parameters"}


def methods_over_seeds(trials: Sequence[Trial]) -> Picture | None:
    """`SHARES` of each space over the epochs: mean and range over the seeds of each method."""
    groups: dict[str, dict[str, list[Trial]]] = {}
    for trial in trials:
        if len(trial.series("skip_share")[0]) > 1:
            groups.setdefault(trial.plan.space, {}).setdefault(trial.plan.recipe, []).append(trial)
    if not groups:
        return None
    figure = new_figure(0.5 + 2.7 * len(groups))
    axes = figure.subplots(len(groups), 2, squeeze=False, sharey=True)
    methods = list(dict.fromkeys(method for group in groups.values() for method in group))
    ends = []
    for row, (space, group) in zip(axes, groups.items(), strict=True):
        for axis, (name, label) in zip(row, SHARES.items(), strict=True):
            for method, same in group.items():
                epochs, values = _common(same, name)
                style.mean_and_range(axis, epochs, values, methods.index(method), label=method)
                end = percent(float(values[:, -1].mean()), 0)
                if name == "skip_share":
                    ends.append(f"{method} on {space} {end} ({count(len(same), 'seed')})")
            if (whole := next(iter(group.values()))[0].space) is not None:
                mean = Drawn.of(whole, skip=name == "skip_share").mean
                axis.axhline(mean, color=MUTED, lw=1.0, ls=LINES[2])
            axis.set(ylim=(-0.04, 1.04), title=f"{space}: {label}")
            count_axis(axis, "epoch")
        row[0].set_ylabel("share of the genotype")
    shown = (axis.get_legend_handles_labels() for axis in axes.ravel())
    handles = {label: line for pairs in shown for line, label in zip(*pairs, strict=True)}
    figure.legend(list(handles.values()), list(handles), loc="outside upper left", ncols=5)
    caption = (
        "Of the genotype that the weights of each epoch would give: lines are means over the "
        "seeds, bands reach from the lowest to the highest of three and more, thin lines are two "
        "seeds, dotted is the mean of "
        f"genotypes drawn at random from the space. {_seed_words(groups)}"
    )
    alt = f"Share of skip-connects at the end, mean over seeds: {listed(ends)}."
    return Picture("methods", "Methods over seeds", figure, alt, caption)


def _common(trials: Sequence[Trial], name: str) -> tuple[list[int], Array]:
    """The epochs [T] that all trials told, and their values [S, T]."""
    by_epoch = [dict(zip(*trial.series(name), strict=True)) for trial in trials]
    epochs = sorted(set.intersection(*(set(told) for told in by_epoch)))
    return epochs, np.array([[told[epoch] for epoch in epochs] for told in by_epoch])


def _seed_words(groups: Mapping[str, Mapping[str, Sequence[Trial]]]) -> str:
    sizes = sorted({len(same) for group in groups.values() for same in group.values()})
    if sizes == [1]:
        return "One seed each: nothing is known of the spread."
    several = " to ".join(str(size) for size in dict.fromkeys((sizes[0], sizes[-1])))
    return f"{several} seeds each."
