"""Cells as graphs of convolutions, drawn downwards: INPUT, vertices in layers, OUTPUT."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Circle
from matplotlib.path import Path

from fade_ray.report.layered import (
    Item,
    Pass,
    Placed,
    draw_course,
    draw_rounded,
    draw_text,
    layered,
)
from fade_ray.report.style import DEPTH, MUTED, PAPER, WIDTH, Picture, new_figure
from fade_ray.report.words import count
from spaces.dag import Dag

INPUT, OUTPUT = "INPUT", "OUTPUT"

RADIUS = 0.12
"""Inches, as all below."""
BOX = (0.66, 0.2)
"""Width and height of INPUT and OUTPUT."""
HALF: dict[type, float] = {Pass: 0.0, str: BOX[1] / 2, int: RADIUS}
LAYER = 0.62
ROOM, LANE = 0.62, 0.2
"""What a vertex, and a line that passes a layer, takes of its layer."""
STEADY = 3.0
"""How straight lines between neighbouring layers are kept."""
ABOVE, BELOW = 0.45, 0.68
"""For the title of a cell, and for its size and code."""


def draw_cells(cells: Sequence[Dag], title: str, caption: str = "") -> Picture:
    """One panel per cell, from the first row to the last, with its size below."""
    drawings = [arrange(cell) for cell in cells]
    columns = min(len(cells), 4)
    reach = max(abs(across) for placed in drawings for _, across in placed.places.values())
    wide = max(WIDTH / columns, 2 * (reach + 0.2))
    scale = WIDTH / columns / wide
    starts = range(0, len(cells), columns)
    deepest = [max(map(_bottom, drawings[start : start + columns])) for start in starts]
    tall = [deep + ABOVE + BELOW for deep in deepest]
    figure = new_figure(sum(tall) * scale)
    figure.set_layout_engine("none")
    top, parts = 1.0, []
    for start, height in zip(starts, tall, strict=True):
        share = height / sum(tall)
        for column, row in enumerate(range(start, min(start + columns, len(cells)))):
            axis = figure.add_axes((column / columns, top - share, 1 / columns, share))
            parts.append((column / columns, 1 - top, 1 / columns, share))
            axis.set(xlim=(-wide / 2, wide / 2), ylim=(ABOVE - height, ABOVE), aspect="equal")
            axis.axis("off")
            _draw(axis, cells[row], drawings[row], row)
        top -= share
    described = "; ".join(f"row {row} {describe(cell)}" for row, cell in enumerate(cells, start=1))
    alt = f"The cells as graphs from INPUT to OUTPUT: {described}."
    return Picture("cells", title, figure, alt, caption, tuple(parts))


def draw_names(names: Sequence[str], title: str, caption: str = "") -> Picture:
    """Cells that are known by their names alone: a box for each row, from the first to the last."""
    figure = new_figure(LAYER * len(names))
    axis = figure.subplots()
    axis.set(xlim=(-WIDTH / 2, WIDTH / 2), ylim=(-LAYER * (len(names) - 0.5), LAYER / 2))
    axis.axis("off")
    size = (0.3 + 0.09 * max(map(len, names)), LAYER / 2)
    for row, name in enumerate(names):
        place = (0.0, -LAYER * row)
        draw_rounded(axis, place, size, 0.06, fc=PAPER, ec=DEPTH[5], lw=1.2)
        draw_text(axis, place, name, 9.5)
        draw_text(axis, (-size[0] / 2 - 0.4, place[1]), f"Row {row + 1}", 9, MUTED)
        if row:
            ends = ((LAYER * row - LAYER + size[1] / 2, 0.0), (LAYER * row - size[1] / 2, 0.0))
            draw_course(axis, Path(ends), upright=True, muted=False, width=1.3)
    described = "; ".join(f"row {row} {name}" for row, name in enumerate(names, start=1))
    return Picture(
        "cells", title, figure, f"The candidates from input to output: {described}.", caption
    )


def describe(cell: Dag) -> str:
    """A cell in words: its size and its edges."""
    edges = ", ".join(f"{u}→{v}" for u, v in cell.edges) or "none"
    return f"has {_size(cell)}, edges {edges}"


def _size(cell: Dag) -> str:
    return f"{count(cell.n, 'vertex', 'vertices')}, {count(cell.operations, 'operation')}"


@lru_cache(maxsize=256)
def arrange(cell: Dag) -> Placed:
    """INPUT at along = 0, its layers LAYER apart; across, the middle is 0."""
    graph = cell.embodiment()
    layer_of = _layers(graph)
    edges, room = list(graph.edges), {Pass: LANE, str: ROOM, int: ROOM}
    layout = layered(layer_of, edges, list(layer_of), lambda item, _: room[type(item)], STEADY)
    across = layout.across
    middle = (max(across.values()) + min(across.values())) / 2
    places = {item: (LAYER * k, across[item] - middle) for item, k in layout.layer_of.items()}
    half = {item: HALF[type(item)] for item in places}
    vertices = frozenset(item for item in places if isinstance(item, int))
    return Placed(layout, places, half, vertices, dict.fromkeys((INPUT, OUTPUT), 0.4 * BOX[0]))


def _layers(graph: Any) -> dict[Item, int]:
    """Layers of the nodes: as far from the longest path's start as from its end.

    The middle between the earliest and the latest layer grows by at least one along each edge,
    since both ends do.
    """
    order = [INPUT, *sorted(node for node in graph if isinstance(node, int)), OUTPUT]
    earliest: dict[Item, int] = {}
    for node in order:
        earliest[node] = max((earliest[u] + 1 for u in graph.predecessors(node)), default=0)
    latest: dict[Item, int] = {}
    for node in reversed(order):
        after = (latest[v] - 1 for v in graph.successors(node))
        latest[node] = min(after, default=earliest[OUTPUT])
    return {node: (earliest[node] + latest[node]) // 2 for node in order}


def _bottom(placed: Placed) -> float:
    return placed.places[OUTPUT][0]


def _draw(axis: Axes, cell: Dag, placed: Placed, row: int) -> None:
    for line in placed.layout.lines:
        course, identity = placed.course(line, 0.02), line[0] == INPUT
        draw_course(axis, course, upright=True, muted=identity, width=1.3)
    for item, (along, across) in placed.places.items():
        place = (across, -along)
        if isinstance(item, str):
            draw_rounded(axis, place, BOX, BOX[1] / 2, fc=PAPER, ec=MUTED, lw=1.0)
            draw_text(axis, place, item, 7.5, MUTED)
        elif isinstance(item, int):
            axis.add_patch(Circle(place, RADIUS, fc=DEPTH[5], ec=PAPER, lw=1.0, zorder=3))
            draw_text(axis, place, str(item), 9, PAPER)
    middle: dict[str, Any] = {"ha": "center", "va": "center"}
    axis.text(0, 0.29, f"Row {row + 1}", fontsize=10, fontweight="bold", **middle)
    below = -_bottom(placed)
    axis.text(0, below - 0.3, _size(cell), fontsize=9.5, **middle)
    axis.text(0, below - 0.52, cell.code, fontsize=8.5, color=MUTED, **middle)
