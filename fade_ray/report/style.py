"""How all figures look: colours on light and dark pages, common parts, a figure as files."""

import html
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fade_ray.records.atomic import write_atomically

WIDTH = 10.0
"""Inches of every figure: text of 10 of its 720 SVG units is 15 pixels on a page of 1,080."""

INK, MUTED, GRID, PAPER = "#1c2024", "#59636e", "#dfe3e8", "#ffffff"

SERIES = ("#0072b2", "#d55e00", "#00835f", "#a8478a", "#b07800", "#3d97cf", "#6b4fa0", "#7a4a1e")
"""Colours for unordered things, after Okabe and Ito, darkened until each stands out from white.
They are never the only sign: lines carry labels or markers too.
"""

DEPTH = (
    *("#98c3e4", "#80b2da", "#68a0cf", "#528fc4", "#3f7db8"),
    *("#2f6ba8", "#235a96", "#194880", "#113868", "#0a2a52"),
)
"""Colours for rows, light = shallow, dark = deep (FaDE Fig. 4)."""

SERIES_DARK = (
    *("#5cb0ea", "#f58b4a", "#35c79c", "#dd8fc6"),
    *("#eab545", "#9bd3f7", "#b49ae6", "#c99468"),
)
DEPTH_DARK = (
    *("#e3f1fb", "#cbe4f6", "#b2d6f1", "#9ac8eb", "#82b9e4"),
    *("#6caadc", "#589ad2", "#478ac7", "#397aba", "#2d6bac"),
)

LINES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (4, 1.2, 1, 1.2)), (0, (8, 2)), (0, (2, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")

DARK = {
    INK: "#e8eaed",
    MUTED: "#a7b0ba",
    GRID: "#343b43",
    PAPER: "#15181c",
    **dict(zip(SERIES, SERIES_DARK, strict=True)),
    **dict(zip(DEPTH, DEPTH_DARK, strict=True)),
}
"""Each colour of the light page and what stands for it on the dark one."""

STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 10,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "figure.facecolor": PAPER,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.fontsize": 9.5,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.8,
    "savefig.facecolor": PAPER,
    "svg.fonttype": "none",
    "svg.hashsalt": "fade_ray",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": MUTED,
    "xtick.labelsize": 9,
    "ytick.color": MUTED,
    "ytick.labelsize": 9,
}


@dataclass(frozen=True)
class Picture:
    """A figure with its words: `alt` for those who cannot see it, `caption` for all."""

    name: str
    title: str
    figure: Figure
    alt: str
    caption: str
    parts: tuple[tuple[float, float, float, float], ...] = ()
    """Panels that a narrow page shows one below the other: left, top, width and height, as shares
    of the figure.
    """


@contextmanager
def house_style() -> Iterator[None]:
    """Everything drawn or saved inside looks alike, whatever the user's matplotlib settings are."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def new_figure(height: float) -> Figure:
    """An empty figure of the common width and `height` inches."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(w_pad=0.06, h_pad=0.06)  # type: ignore[union-attr, call-arg]
    return figure


def grid_axes(
    figure: Figure, count: int, columns: int, xlabel: str = "", ylabel: str = "", **shared: Any
) -> list[Axes]:
    """`count` axes in rows of `columns`, the outer ones labelled; places left over stay empty."""
    rows = -(-count // columns)
    axes = figure.subplots(rows, columns, squeeze=False, **shared).ravel()
    for unused in axes[count:]:
        unused.remove()
    for position, axis in enumerate(axes[:count]):
        if position + columns >= count:  # nothing stands below
            axis.tick_params(labelbottom=True)
            axis.set_xlabel(xlabel)
        if position % columns == 0:
            axis.set_ylabel(ylabel)
    return list(axes[:count])


def series(index: int) -> str:
    return SERIES[index % len(SERIES)]


def depth_colour(row: int, depth: int) -> str:
    """The colour of a row, from light for the first to dark for the last."""
    if depth == 1:
        return DEPTH[len(DEPTH) // 2]
    return DEPTH[round(row * (len(DEPTH) - 1) / (depth - 1))]


def count_axis(axis: Axes, label: str | None = None) -> None:
    """Ticks at whole numbers only, since `label` is counted."""
    if label is not None:
        axis.set_xlabel(label)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def look(index: int, **more: Any) -> dict[str, Any]:
    """Colour, line and marker of the index-th of several unordered things."""
    line, marker = LINES[index % len(LINES)], MARKERS[index % len(MARKERS)]
    return {"color": series(index), "ls": line, "marker": marker, **more}


def legend_above(figure: Any, axis: Axes, columns: int = 6, **more: Any) -> None:
    """One legend for all axes, of what `axis` shows."""
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=columns, **more)


def shade(axis: Axes, x: Any, low: Any, high: Any, colour: str, **more: Any) -> None:
    """A band between two lines."""
    axis.fill_between(x, low, high, color=colour, lw=0, **{"alpha": 0.15, **more})


def mean_and_range(axis: Axes, x: Any, values: Any, index: int, **more: Any) -> None:
    """The mean of the lines `values` [S, T] and, where S > 2, a band that holds all of them; two
    stand as thin lines.
    """
    if len(values) == 2:
        axis.plot(x, values.T, color=series(index), lw=0.7, alpha=0.6)
    elif len(values) > 2:
        shade(axis, x, values.min(axis=0), values.max(axis=0), series(index))
    line = {"ms": 4, "markevery": max(1, len(x) // 10), **more}
    axis.plot(x, values.mean(axis=0), **look(index, **line))


def estimate(
    axis: Axes, height: float, value: float, ends: Sequence[float], index: int, **more: Any
) -> None:
    """The value and the interval, where there are any, of the index-th of several things."""
    if np.isfinite(ends).all():
        axis.plot(ends, [height, height], color=series(index), lw=2)
    if np.isfinite(value):
        marker = {"color": series(index), "ms": 8, **more}
        axis.plot(value, height, MARKERS[index % len(MARKERS)], **marker)


def name_rows(axis: Axes, names: Sequence[str]) -> None:
    """A row for each name, the first one above."""
    axis.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.4, -0.6))


def beside(axis: Axes, height: float, text: str, size: float = 8.5, colour: str = INK) -> None:
    """Text to the right of an axis."""
    units: Any = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
    look: Any = {"va": "center", "fontsize": size, "color": colour, "annotation_clip": False}
    axis.annotate(text, (1.0, height), xytext=(5, 0), **units, **look)


def labels_at_end(axis: Axes, labels: Sequence[tuple[float, str, str]], size: float = 8.5) -> None:
    """Write (height, text, colour) beside the axis, moved apart where they would overlap."""
    low, high = axis.get_ylim()
    inches = axis.get_window_extent().height / axis.figure.dpi
    gap = (high - low) * size * 1.15 / 72 / max(inches, 0.5)
    heights = spread([height for height, _, _ in labels], gap, low, high)
    for height, (_, text, colour) in zip(heights, labels, strict=True):
        beside(axis, height, text, size, colour)


def spread(
    heights: Sequence[float], room: float | Sequence[float], low: float, high: float
) -> list[float]:
    """Heights moved as little as needed to have `room`, in order, in [low, high] if they fit.

    Neighbours stand the mean of their rooms apart. Less the room before it, each height may not be
    below the one before: a monotone least-squares fit, which pools neighbours out of order at their
    mean; clipping keeps the order.
    """
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    rooms = [room] * len(heights) if isinstance(room, float | int) else room
    gaps = ((rooms[i] + rooms[j]) / 2 for i, j in pairwise(order))
    before = list(accumulate(gaps, initial=0.0))
    pools: list[tuple[float, int]] = []  # (mean, size)
    for i, offset in zip(order, before, strict=False):
        mean, size = heights[i] - offset, 1
        while pools and pools[-1][0] >= mean:
            other, members = pools.pop()
            mean, size = (mean * size + other * members) / (size + members), size + members
        pools.append((mean, size))
    fitted = [max(low, min(mean, high - before[-1])) for mean, size in pools for _ in range(size)]
    placed = list(heights)
    for i, height, offset in zip(order, fitted, before, strict=False):
        placed[i] = height + offset
    return placed


def as_svg(picture: Picture) -> str:
    """The picture as the text of an SVG file, for `inline`."""
    svg = io.BytesIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None, "Title": picture.title}
    picture.figure.savefig(svg, format="svg", metadata=nothing)
    return svg.getvalue().decode()


def save(picture: Picture, folder: Path) -> str:
    """Write the picture as SVG and PNG into `folder`; return the text of the SVG."""
    svg, png = as_svg(picture), io.BytesIO()
    # everything is in its place; laying it out again takes as long as drawing
    picture.figure.set_layout_engine("none")
    picture.figure.savefig(png, format="png", dpi=150)
    write_atomically(folder / f"{picture.name}.svg", svg.encode())
    write_atomically(folder / f"{picture.name}.png", png.getvalue())
    return svg


def inline(svg: str, picture: Picture) -> str:
    """An SVG file of a picture as an element of a page: scaled, in its colours, with its own ids
    and `alt`; its parts behind it.

    Needs the custom properties of `dark_colours` only where the page is dark.
    """
    name, alt, svg = picture.name, picture.alt, svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<title>.*?</title>", "", svg, flags=re.DOTALL)
    head, body = svg.split(">", 1)
    whole = re.search(r'viewBox="0 0 (\S+) (\S+)"', head)
    assert whole is not None, "matplotlib writes a view box"
    size = (float(whole[1]), float(whole[2])) * 2
    boxes = [" ".join(f"{s * u:.1f}" for s, u in zip(p, size, strict=True)) for p in picture.parts]
    parts = "".join(
        f'<svg class="part{" half" * (part[2] < 0.4)}" viewBox="{box}" aria-hidden="true">'
        f'<use href="#{name}-figure_1"/></svg>'
        for part, box in zip(picture.parts, boxes, strict=True)
    )
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r'(xlink:)?href="#', f'href="#{name}-', body)
    body = body.replace("url(#", f"url(#{name}-")
    body = re.sub(r"(\.\d\d)\d{2,}", r"\1", body)  # a hundredth of a point is enough
    themed = {colour: f"var(--f{colour[1:]}, {colour})" for colour in DARK}
    body = re.sub(r"#[0-9a-f]{6}\b", lambda match: themed.get(match[0], match[0]), body)
    body = re.sub(r"font: ([0-9. a-z]*px) [^;\"]*", r"font: \1 var(--figure-font)", body)
    return f'<svg {whole[0]} role="img" aria-label="{html.escape(alt)}">{body}{parts}'


def dark_colours() -> str:
    """The custom properties that turn the colours of inline figures into those of a dark page."""
    return " ".join(f"--f{light[1:]}: {dark};" for light, dark in DARK.items())
