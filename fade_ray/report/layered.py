"""A layout of graphs in layers, for cells of every kind: nodes, and lines through all on their way.

A line that has to pass a layer gets a place of its own there, so that lines meet between the layers
only. Coordinates are (along, across) in inches: along from the first layer on, across within one.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise, permutations
from math import atan2, cos, factorial, pi, sin
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, PathPatch
from matplotlib.path import Path

from fade_ray.report.style import INK, MUTED, PAPER, spread

Item = Hashable
"""A node of the graph, or a `Pass`."""
Layers = Sequence[Sequence[Item]]
Links = Sequence[tuple[Item, Item]]
"""Pairs of items in layers that follow each other."""
Across = Mapping[Item, float]
Point = tuple[float, float]

STARTS = 24
"""Orders of the nodes that the layout is tried from."""
HEAD: dict[str, Any] = {
    "arrowstyle": "-|>,head_length=0.5,head_width=0.22",
    "mutation_scale": 8,
    "shrinkA": 0,
    "shrinkB": 0,
}
STEEP = pi / 3
"""The most that a line leans where it meets a round node."""


class Pass(NamedTuple):
    """The place of the line from `first` to `last` in a layer between theirs."""

    first: Item
    last: Item
    layer: int


@dataclass(frozen=True)
class Layout:
    """What stands in each layer, the lines as the items they run through, and the places across."""

    layers: list[list[Item]]
    lines: list[list[Item]]
    across: dict[Item, float]

    @property
    def layer_of(self) -> dict[Item, int]:
        return {item: number for number, layer in enumerate(self.layers) for item in layer}


def layered(
    layer_of: Mapping[Item, int],
    edges: Iterable[tuple[Item, Item]],
    first: Sequence[Item],
    room: Callable[[Item, int], float],
    steady: float = 1.0,
) -> Layout:
    """The layout with the fewest crossings and the straightest lines, of some starts.

    Args:
        layer_of: of each node; edges run from a layer to a later one.
        first: the nodes whose orders are tried; the others follow them.
        room: of an item in a layer; neighbours stand the mean of theirs apart.
        steady: how much a line between neighbouring layers pulls its nodes, 1 being as much as one
            that goes on.
    """
    layers: list[list[Item]] = [[] for _ in range(max(layer_of.values()) + 1)]
    for node, number in layer_of.items():
        layers[number].append(node)
    lines = []
    for a, b in edges:
        passed = [Pass(a, b, number) for number in range(layer_of[a] + 1, layer_of[b])]
        for item in passed:
            layers[item.layer].append(item)
        lines.append([a, *passed, b])
    links = [pair for line in lines for pair in pairwise(line)]
    rooms = [[room(item, number) for item in layer] for number, layer in enumerate(layers)]
    step = max(1, factorial(len(first)) // STARTS)
    best: tuple[float, dict[Item, float]] | None = None
    for order in islice(permutations(range(len(first))), 0, STARTS * step, step):
        start = {node: room(node, 0) * rank for node, rank in zip(first, order, strict=True)}
        across = _settled(layers, links, rooms, start, steady)
        cost = _cost(layers, links, across)
        if best is None or cost < best[0] - 1e-9:
            best = cost, across
    assert best is not None, "a graph has nodes"
    return Layout(layers, lines, best[1])


def _settled(
    layers: Layers, links: Links, rooms: Sequence[Sequence[float]], start: Across, steady: float
) -> dict[Item, float]:
    """Each item moves to the mean of its neighbours, as near as the others of its layer allow,
    until they rest; layers of items that have a `start` stay there at first.
    """
    neighbours: dict[Item, list[Item]] = {item: [] for layer in layers for item in layer}
    for a, b in links:
        neighbours[a].append(b)
        neighbours[b].append(a)
    across = {item: start.get(item, 0.0) for item in neighbours}
    numbers = range(len(layers))
    for sweep in range(16):
        for number in numbers if sweep % 2 == 0 else numbers[::-1]:
            layer = layers[number]
            wanted = [across[item] for item in layer]
            if sweep > 0 or start.keys().isdisjoint(layer):
                wanted = [_pulled(item, neighbours[item], across, steady) for item in layer]
            places = spread(wanted, rooms[number], -99.0, 99.0)
            across.update(zip(layer, places, strict=True))
    return across


def _pulled(item: Item, neighbours: Sequence[Item], across: Across, steady: float) -> float:
    """The mean of the neighbours; long lines pull harder along themselves, to run straight."""
    if not neighbours:
        return across[item]
    strength = {0: steady, 1: 1.0, 2: 6.0}
    passes = isinstance(item, Pass)
    pulls = [strength[passes + isinstance(other, Pass)] for other in neighbours]
    total = sum(pull * across[other] for pull, other in zip(pulls, neighbours, strict=True))
    return total / sum(pulls)


def _cost(layers: Layers, links: Links, across: Across) -> float:
    """Crossings, and how far the lines go sideways."""
    layer_of = {item: number for number, layer in enumerate(layers) for item in layer}
    crossings = 0
    for i, (a, b) in enumerate(links):
        for c, d in links[:i]:
            if layer_of[a] == layer_of[c]:
                crossings += (across[a] - across[c]) * (across[b] - across[d]) < -1e-9
    return 2.0 * crossings + sum(abs(across[a] - across[b]) for a, b in links)


@dataclass(frozen=True)
class Placed:
    """A layout whose items have their places: item -> (along, across), and half of their length
    along, 0 for a point.

    Lines meet `discs` all around, and boxes with `ports` up to so far from their middle.
    """

    layout: Layout
    places: Mapping[Item, Point]
    half: Mapping[Item, float]
    discs: frozenset[Item] = frozenset()
    ports: Mapping[Item, float] = field(default_factory=dict)

    def course(self, line: Sequence[Item], gap: float) -> Path:
        """Level through every layer it passes, an S between two, `gap` before its last item."""
        stops = [self._stop(line, k, 1) for k in range(len(line) - 1)]
        ends = [self._stop(line, k, -1, gap * (k == len(line) - 1)) for k in range(1, len(line))]
        points, codes = [stops[0][0]], [int(Path.MOVETO)]
        for (start, out), (end, back) in zip(stops, ends, strict=True):
            if points[-1] != start:
                points.append(start)
                codes.append(int(Path.LINETO))
            reach = (end[0] - start[0]) / 2
            control = (start[0] + reach * out[0], start[1] + reach * out[1])
            points += [control, (end[0] - reach * back[0], end[1] - reach * back[1]), end]
            codes += [int(Path.CURVE4)] * 3
        return Path(points, codes)

    def _stop(self, line: Sequence[Item], k: int, side: int, gap: float = 0) -> tuple[Point, Point]:
        """Where a line meets the border of its item k, before or behind it, and its direction."""
        at = line[k]
        (along, across), half = self.places[at], self.half[at] + gap
        if half == 0:  # a point on its way
            (x, y), (far, there) = self.places[line[k - 1]], self.places[line[k + 1]]
            lean = atan2(there - y, far - x)
            return (along, across), (cos(lean), sin(lean))
        far, there = self.places[line[k + side]]
        lean = 0.0
        if at in self.discs or at in self.ports:
            lean = atan2((there - across) * side, abs(far - along)) * 0.9
            lean = max(-STEEP, min(STEEP, lean))
        if at in self.ports:
            reach = self.ports[at]
            port = max(-reach, min(reach, (there - across) / 4))
            return (along + side * half, across + port), (cos(lean), sin(lean))
        meet = (along + side * half * cos(lean), across + side * half * sin(lean))
        return meet, (cos(lean), sin(lean))


def draw_course(
    axis: Axes, course: Path, upright: bool, muted: bool, width: float, head: bool = True
) -> None:
    """A line, with a `head` at its end; `upright`: along is down the page."""
    vertices: list[list[float]] = np.asarray(course.vertices).tolist()
    points = [(y, -x) if upright else (x, y) for x, y in vertices]
    colour, dashes = (MUTED, (0, (3, 2))) if muted else (INK, "-")
    (a, b), (c, d) = points[-2], points[-1]
    size = max(((c - a) ** 2 + (d - b) ** 2) ** 0.5, 1e-9)
    back = ((c - a) / size, (d - b) / size)
    less = 0.05 * head
    path = Path([*points[:-1], (c - less * back[0], d - less * back[1])], course.codes)
    axis.add_patch(PathPatch(path, fc="none", ec=colour, ls=dashes, lw=width))
    if head:
        tail = (c - 0.1 * back[0], d - 0.1 * back[1])
        axis.add_patch(FancyArrowPatch(tail, (c, d), lw=width, color=colour, **HEAD))


def draw_box(
    axis: Axes, place: Point, size: Point, text: str, colour: str, rounding: float, **more: str
) -> None:
    """A rounded box of `size` with a text in it; `ink`: of the text, `dashes`: of the border."""
    box, dashes = (axis, place, size, rounding), more.get("dashes", "-")
    draw_rounded(*box, fc=PAPER, ec="none")
    draw_rounded(*box, fc=colour, ec="none", alpha=0.13)
    draw_rounded(*box, fc="none", ec=colour, ls=dashes, lw=1.0)
    draw_text(axis, place, text, 8, more.get("ink", INK))


def draw_rounded(axis: Axes, place: Point, size: Point, rounding: float, **look: Any) -> None:
    (x, y), (wide, tall), style = place, size, f"round,pad=0,rounding_size={rounding}"
    corner = (x - wide / 2, y - tall / 2)
    axis.add_patch(FancyBboxPatch(corner, wide, tall, style, zorder=3, **look))


def draw_text(axis: Axes, place: Point, text: str, size: float, colour: str = INK) -> None:
    x, y = place
    middle: dict[str, Any] = {"ha": "center", "va": "center_baseline", "zorder": 4}
    axis.text(x, y, text, fontsize=size, color=colour, **middle)
