"""Cells drawn as graphs, INPUT above and OUTPUT below.

Vertices stand in layers. Each edge takes the curve, of a few, that keeps clear of the other
vertices and edges: an edge that skips a layer bends around what stands there.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice, permutations, product
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, PathPatch
from matplotlib.path import Path

from fade_ray.report.style import DEPTH, INK, MUTED, PAPER, WIDTH, Picture, new_figure
from fade_ray.report.words import count
from spaces.dag import Dag

Array = npt.NDArray[np.float64]
Node = Any
"""A vertex number, "INPUT" or "OUTPUT"."""

RADIUS = 0.2
BOX = (0.5, 0.17)
"""Half the width and half the height of INPUT and OUTPUT."""
CLEAR = 0.12
"""What an edge keeps between itself and a vertex or another edge; the unit of all lengths is the
layers' distance.
"""
UNIT = 0.6
"""Inches of one layer."""
BENDS = (0.0, 0.3, -0.3, 0.6, -0.6, 0.9, -0.9, 1.3, -1.3, 1.8, -1.8, 2.4, -2.4)
SAMPLES = 16
FINE = 120
"""Points of a curve while its course is sought, and as it is drawn."""


def draw_cells(cells: Sequence[Dag], title: str, caption: str = "") -> Picture:
    """One panel per cell, from the first row to the last, with its vertices and operations counted
    below.
    """
    layouts = [layout(cell) for cell in cells]
    columns = min(len(cells), 4)
    reach = (
        max(float(np.abs(curve[:, 0]).max()) for _, curves in layouts for curve in curves.values())
        + 0.3
    )
    half = max(WIDTH / columns / UNIT / 2, reach)
    scale = WIDTH / columns / (2 * half)
    lines = range(0, len(cells), columns)
    heights = [
        max(_bottom(places) for places, _ in layouts[start : start + columns]) + 2.1
        for start in lines
    ]
    figure = new_figure(sum(heights) * scale)
    figure.set_layout_engine("none")
    top = 1.0
    for start, height in zip(lines, heights, strict=True):
        share = height / sum(heights)
        for column, row in enumerate(range(start, min(start + columns, len(cells)))):
            axis = figure.add_axes((column / columns, top - share, 1 / columns, share))
            axis.set(xlim=(-half, half), ylim=(-height + 0.75, 0.75), aspect="equal")
            axis.axis("off")
            _draw(axis, cells[row], layouts[row], row)
        top -= share
    described = "; ".join(f"row {row} {describe(cell)}" for row, cell in enumerate(cells, start=1))
    return Picture(
        "cells", title, figure, f"The cells as graphs from INPUT to OUTPUT: {described}.", caption
    )


def describe(cell: Dag) -> str:
    """A cell in words: its size and its edges."""
    edges = ", ".join(f"{u}→{v}" for u, v in cell.edges) or "none"
    return f"has {count(cell.n, 'vertex', 'vertices')}, {count(cell.operations, 'operation')}, edges {edges}"


def _draw(
    axis: Axes, cell: Dag, drawn: tuple[dict[Node, Array], dict[tuple[Node, Node], Array]], row: int
) -> None:
    places, curves = drawn
    for (u, v), curve in curves.items():
        identity = u == "INPUT"
        colour, dashes = (MUTED, (0, (3, 2))) if identity else (INK, "-")
        points = _trimmed(curve, u, v)
        axis.add_patch(
            PathPatch(Path(points[:-8]), fc="none", ec=colour, ls=dashes, lw=1.3, joinstyle="round")
        )
        head = "-|>,head_length=0.5,head_width=0.22"
        axis.add_patch(
            FancyArrowPatch(
                path=Path(points[-9:]), arrowstyle=head, mutation_scale=9, lw=1.0, color=colour
            )
        )
    for node, (x, y) in places.items():
        if isinstance(node, str):
            w, h = BOX
            style = f"round,pad=0,rounding_size={h}"
            axis.add_patch(
                FancyBboxPatch(
                    (x - w, y - h), 2 * w, 2 * h, style, fc=PAPER, ec=MUTED, lw=1.0, zorder=3
                )
            )
            axis.text(
                x, y, node, ha="center", va="center_baseline", fontsize=7.5, color=MUTED, zorder=4
            )
        else:
            axis.add_patch(Circle((x, y), RADIUS, fc=DEPTH[5], ec=PAPER, lw=1.0, zorder=3))
            axis.text(
                x,
                y,
                str(node),
                ha="center",
                va="center_baseline",
                fontsize=9,
                color=PAPER,
                zorder=4,
            )
    axis.text(0, 0.48, f"Row {row + 1}", ha="center", va="center", fontsize=10, fontweight="bold")
    below = -_bottom(places)
    size = f"{count(cell.n, 'vertex', 'vertices')}, {count(cell.operations, 'operation')}"
    axis.text(0, below - 0.5, size, ha="center", va="center", fontsize=9.5)
    axis.text(0, below - 0.86, cell.code, ha="center", va="center", fontsize=8.5, color=MUTED)


def _bottom(places: dict[Node, Array]) -> float:
    return float(-places["OUTPUT"][1])


@lru_cache(maxsize=256)
def layout(cell: Dag) -> tuple[dict[Node, Array], dict[tuple[Node, Node], Array]]:
    """Where the vertices of a cell stand, node -> [2], and how its edges run between them, (u, v)
    -> [FINE, 2].

    INPUT is at (0, 0), each layer one unit below the one before.
    """
    graph = cell.embodiment()
    layers = _layers(graph)
    edges = list(graph.edges)
    best = min(_arrangements(layers), key=lambda places: _straight_cost(places, edges))
    return best, _routes(best, edges)


def _layers(graph: Any) -> list[list[Node]]:
    """Nodes by layer: as far from the longest path's start as from its end, INPUT first and OUTPUT
    last.

    The middle between the earliest and the latest layer grows by at least one along each edge,
    since both ends do.
    """
    order = ["INPUT", *sorted(node for node in graph if isinstance(node, int)), "OUTPUT"]
    earliest: dict[Node, int] = {}
    for node in order:
        earliest[node] = max((earliest[u] + 1 for u in graph.predecessors(node)), default=0)
    latest: dict[Node, int] = {}
    for node in reversed(order):
        latest[node] = min(
            (latest[v] - 1 for v in graph.successors(node)), default=earliest["OUTPUT"]
        )
    layers: list[list[Node]] = [[] for _ in range(earliest["OUTPUT"] + 1)]
    for node in order:
        layers[(earliest[node] + latest[node]) // 2].append(node)
    return layers


def _arrangements(layers: list[list[Node]], limit: int = 400) -> Iterator[dict[Node, Array]]:
    """Places for all nodes, for every order of the vertices within their layers, the canonical
    order first.
    """
    for orders in islice(product(*(permutations(layer) for layer in layers)), limit):
        places = {}
        for depth, order in enumerate(orders):
            for position, node in enumerate(order):
                places[node] = np.array([position - (len(order) - 1) / 2, -float(depth)])
        yield places


def _straight_cost(places: dict[Node, Array], edges: list[tuple[Node, Node]]) -> float:
    """Crossings and length of the edges as straight lines, and vertices they run through."""
    starts, ends = (np.stack([places[edge[side]] for edge in edges]) for side in (0, 1))
    crossings = float(_cross(starts[:, None], ends[:, None], starts, ends).sum() / 2)
    lines = starts[:, None] + np.linspace(0, 1, SAMPLES)[:, None] * (ends - starts)[:, None]
    blocked = sum(
        _blocked(lines[i : i + 1], places, u, v)[0]
        for i, (u, v) in enumerate(edges)
        if _spans(places, u, v)
    )
    return (
        crossings + 1.5 * float(blocked) + float(np.linalg.norm(ends - starts, axis=1).sum()) / 10
    )


def _spans(places: dict[Node, Array], u: Node, v: Node) -> bool:
    """Whether an edge skips a layer, so that vertices can stand in its way."""
    return bool(places[u][1] - places[v][1] > 1.5)


def _bend(start: Array, end: Array, bend: float, samples: int = SAMPLES) -> Array:
    """[samples, 2]: a cubic curve that leaves the straight line by up to 3/4 of `bend` to the
    right.
    """
    t = np.linspace(0, 1, samples)[:, None]
    way = end - start
    side = np.array([bend, 0.0])
    first, second = start + way * 0.25 + side, start + way * 0.75 + side
    curve = (
        (1 - t) ** 3 * start
        + 3 * t * (1 - t) ** 2 * first
        + 3 * t**2 * (1 - t) * second
        + t**3 * end
    )
    return np.asarray(curve)


def _blocked(curves: Array, places: dict[Node, Array], u: Node, v: Node) -> Array:
    """For each curve [C, SAMPLES, 2] from u to v, how deep it goes into the clear space of other
    nodes; 0 is free.
    """
    depth = np.zeros(len(curves))
    for node, place in places.items():
        if node in (u, v):
            continue
        w, h = (BOX[0], BOX[1]) if isinstance(node, str) else (RADIUS, RADIUS)
        offset = np.abs(curves - place) / (np.array([w, h]) + CLEAR)
        depth += np.maximum(0.0, 1.0 - np.linalg.norm(offset, axis=-1)).max(axis=-1)
    return depth


def _cross(a: Array, b: Array, c: Array, d: Array) -> npt.NDArray[np.bool_]:
    """Whether the segments a-b and c-d cross inside; arrays [..., 2] that broadcast."""

    def side(p: Array, q: Array, r: Array) -> Array:
        cross = (q[..., 0] - p[..., 0]) * (r[..., 1] - p[..., 1]) - (q[..., 1] - p[..., 1]) * (
            r[..., 0] - p[..., 0]
        )
        return np.where(np.abs(cross) < 1e-9, 0.0, cross)

    return np.asarray((side(a, b, c) * side(a, b, d) < 0) & (side(c, d, a) * side(c, d, b) < 0))


def _routes(
    places: dict[Node, Array], edges: list[tuple[Node, Node]]
) -> dict[tuple[Node, Node], Array]:
    """The curve of each edge, found by giving each in turn its best one among the others until none
    changes.
    """
    bends = [np.array(BENDS if _spans(places, u, v) else BENDS[:5]) for u, v in edges]
    curves = [
        np.stack([_bend(places[u], places[v], bend) for bend in bends[i]])
        for i, (u, v) in enumerate(edges)
    ]
    alone = [
        20 * _blocked(curves[i], places, u, v) + 0.5 * np.abs(bends[i])
        for i, (u, v) in enumerate(edges)
    ]
    pairs: list[list[Array]] = [
        [np.zeros((len(mine), len(other))) for other in bends] for mine in bends
    ]
    for i, first in enumerate(edges):
        for j, second in enumerate(edges[:i]):
            shared = np.array([places[node] for node in set(first) & set(second)]).reshape(-1, 2)
            pairs[i][j] = _disturbance(curves[i], curves[j], shared)
            pairs[j][i] = pairs[i][j].T
    starts = [
        [side * (-1) ** i * np.sign(bends[i]) for i in range(len(edges))] for side in (1, -1, 0)
    ]
    _, choice = min(
        (_settle(alone, pairs, start) for start in starts), key=lambda result: result[0]
    )
    return {
        edge: _bend(places[edge[0]], places[edge[1]], bends[i][choice[i]], FINE)
        for i, edge in enumerate(edges)
    }


def _settle(
    alone: list[Array], pairs: list[list[Array]], start: list[Array]
) -> tuple[float, list[int]]:
    """Bends [E] at which no edge gains by changing its own, and their cost.

    Args:
        alone: for each edge [C], the cost of each of its bends by itself.
        pairs: for each two edges [C, C], what their bends cost each other.
        start: for each edge [C], which of its bends to prefer at first.
    """
    choice = [
        int(np.argmin(cost - 1e-3 * preferred))
        for cost, preferred in zip(alone, start, strict=True)
    ]
    for _ in range(10):
        before = list(choice)
        for i, cost in enumerate(alone):
            choice[i] = int(np.argmin(cost + sum(pairs[i][j][:, k] for j, k in enumerate(choice))))
        if choice == before:
            break
    between = sum(pairs[i][j][k, choice[j]] for i, k in enumerate(choice) for j in range(i))
    return float(sum(cost[k] for cost, k in zip(alone, choice, strict=True)) + between), choice


def _disturbance(mine: Array, others: Array, shared: Array) -> Array:
    """[C, C]: what two edges, each with its curves [C, SAMPLES, 2], cost each other by crossing or
    running too close.

    Edges meet at their `shared` nodes [N, 2]: what lies near one does not count.
    """
    a, b = mine[:, None, :-1, None], mine[:, None, 1:, None]
    crossing = _cross(a, b, others[None, :, None, :-1], others[None, :, None, 1:]).any(axis=(2, 3))
    gaps = np.square(mine[:, None, :, None] - others[None, :, None]).sum(axis=-1).min(axis=3)
    apart = np.ones(mine.shape[:2], dtype=bool)
    for place in shared:
        apart &= np.linalg.norm(mine - place, axis=-1) > 1.9 * RADIUS
    return np.asarray(crossing + 4.0 * ((gaps < CLEAR**2) & apart[:, None]).mean(axis=2))


def _trimmed(curve: Array, u: Node, v: Node) -> Array:
    """The part of a curve between the borders of its two nodes."""
    return np.asarray(
        curve[~(_inside(curve - curve[0], u, 0.0) | _inside(curve - curve[-1], v, 0.03))]
    )


def _inside(offset: Array, node: Node, margin: float) -> npt.NDArray[np.bool_]:
    if isinstance(node, str):
        return np.asarray((np.abs(offset) < np.array(BOX) + margin).all(axis=1))
    return np.asarray(np.linalg.norm(offset, axis=1) < RADIUS + margin)
