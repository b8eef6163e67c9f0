"""Cells with their operations, drawn from left to right: inputs, operations in boxes, the nodes
that add them up, output.

Columns of nodes and of operations take turns. Each operation stands right before the node it feeds;
a line that has to pass a column gets a place of its own there, so that lines meet between the
columns only.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice, pairwise, permutations
from math import factorial
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, PathPatch
from matplotlib.path import Path

from fade_ray.report.style import INK, MUTED, PAPER, SERIES, WIDTH, Picture, new_figure, spread
from fade_ray.report.words import count
from spaces.cell import NONE, CellSpace, Macro

FAMILIES = (
    ("sep_conv", SERIES[0]),
    ("nor_conv", SERIES[0]),
    ("dil_conv", SERIES[6]),
    ("max_pool", SERIES[2]),
    ("avg_pool", SERIES[2]),
    ("skip_connect", SERIES[1]),
    (NONE, MUTED),
)
"""What the name of an operation begins with, and its colour."""

OP_WIDTH, END_WIDTH, RADIUS, HEIGHT = 0.98, 0.56, 0.15, 0.22
"""Inches: width of the boxes of operations and of inputs and output, radius of a node, height of
the boxes.
"""
GAPS = (0.38, 0.3)
"""Inches between the centres of two things in one column, of nodes and of operations."""
BEFORE, BEHIND = 0.36, 0.24
"""Inches from a column of nodes to the next of operations, and from one of operations to its nodes.
"""
LINE, HEAD = 1.2, 8

OUTPUT = "output"
Item = tuple[Any, ...]
"""("node", number), ("op", source, target), ("output",) or ("pass", first, last, column): a line
from `first` to `last` in a column.
"""


def node_name(cell: CellSpace, node: int) -> str:
    """The field's names: c_{k-2}, c_{k-1} and nodes from 0 in a cell with two inputs, else all
    nodes from 0.
    """
    if cell.inputs == 1:
        return str(node)
    return f"c_{{k-{cell.inputs - node}}}" if node < cell.inputs else str(node - cell.inputs)


def edge_name(cell: CellSpace, edge: tuple[int, int]) -> str:
    """ "c_{k-1}→0"."""
    return f"{node_name(cell, edge[0])}→{node_name(cell, edge[1])}"


def op_colour(op: str) -> str:
    """The colour of an operation's kind."""
    return next((colour for start, colour in FAMILIES if op.startswith(start)), INK)


def describe_genotype(cell: CellSpace) -> str:
    """A genotype in words: "0 = sep_conv_3x3(c_{k-2}) + skip_connect(c_{k-1}); 1 = ..."."""
    told = []
    for node in range(cell.inputs, cell.nodes):
        terms = [
            f"{op}({node_name(cell, source)})"
            for source, target, op in cell.genes
            if target == node
        ]
        told.append(f"{node_name(cell, node)} = {' + '.join(terms) or '0'}")
    return "; ".join(told)


def draw_genotype(macro: Macro, title: str, caption: str = "", name: str = "cells") -> Picture:
    """One panel per kind of cell; panels stand side by side where they fit. Raises InvalidInput
    where a choice is left.
    """
    drawings = {kind: arrange(cell) for kind, cell in macro.cells.items()}
    lines: list[list[str]] = []
    for kind, drawing in drawings.items():
        room = (
            sum(drawings[other].width for other in lines[-1]) + drawing.width
            if lines
            else WIDTH + 1
        )
        lines = [*lines[:-1], [*lines[-1], kind]] if room <= WIDTH else [*lines, [kind]]
    heights = [max(drawings[kind].height for kind in line) + 0.55 for line in lines]
    figure = new_figure(sum(heights))
    figure.set_layout_engine("none")
    top = 1.0
    for line, height in zip(lines, heights, strict=True):
        share, left = height / sum(heights), 0.0
        shrink = min(1.0, WIDTH / sum(drawings[kind].width for kind in line))
        for kind in line:
            width = max(drawings[kind].width, WIDTH / len(line) * (len(line) > 1))
            width = min(width, WIDTH - left, drawings[kind].width + 1.0)
            axis = figure.add_axes((left / WIDTH, top - share, width / WIDTH, share))
            axis.set(
                xlim=(0, width / shrink),
                ylim=(0.5 - height / shrink, 0.5),
                aspect="equal",
                anchor="NW",
            )
            axis.axis("off")
            axis.text(
                0.06, 0.28, _kind_title(kind, macro), va="center", fontsize=10, fontweight="bold"
            )
            _draw(axis, macro.cells[kind], drawings[kind])
            left += width
        top -= share
    told = " ".join(f"{kind}: {describe_genotype(cell)}." for kind, cell in macro.cells.items())
    return Picture(name, title, figure, f"The cells as graphs. {told}", caption)


def _kind_title(kind: str, macro: Macro) -> str:
    times = sum(place.kind == kind for place in macro.layout)
    return f"{kind} ({count(times, 'time')} in {macro.depth} cells)" if times else kind


@dataclass
class Drawing:
    """Where everything of a cell stands, in inches, y up: item -> (x, y), and its lines as chains
    of items.
    """

    columns: list[list[Item]]
    lines: list[list[Item]]
    places: dict[Item, tuple[float, float]] = field(default_factory=dict)
    width: float = 0.0
    height: float = 0.0


@lru_cache(maxsize=256)
def arrange(cell: CellSpace) -> Drawing:
    """Columns, order within them, and places. The order of the nodes is the one, of many, with the
    fewest crossings.
    """
    columns, lines = _columns(cell)
    links = [pair for line in lines for pair in pairwise(line)]
    best: tuple[float, dict[Item, float]] | None = None
    nodes = [item for column in columns for item in column if item[0] == "node"]
    orders = factorial(len(nodes))
    for start in islice(
        permutations(range(len(nodes))), 0, 24 * max(1, orders // 24), max(1, orders // 24)
    ):
        heights = _settle(
            columns, links, dict(zip(nodes, (float(rank) for rank in start), strict=True))
        )
        cost = _cost(columns, links, heights)
        if best is None or cost < best[0] - 1e-9:
            best = cost, heights
    assert best is not None, "a cell has nodes"
    return _placed(columns, lines, best[1])


def _columns(cell: CellSpace) -> tuple[list[list[Item]], list[list[Item]]]:
    """What stands in each column, nodes in the even ones, and the lines as the items they run
    through.
    """
    genes = cell.genes
    depth = dict.fromkeys(range(cell.inputs), 0)
    for node in range(cell.inputs, cell.nodes):
        depth[node] = 1 + max(
            (depth[source] for source, target, _ in genes if target == node), default=0
        )
    concatenated = len(cell.outputs) > 1
    columns: list[list[Item]] = [[] for _ in range(2 * max(depth.values()) + 1 + concatenated)]
    for node in range(cell.nodes):
        columns[2 * depth[node]].append(("node", node))
    lines = []
    for source, target, _ in genes:
        op, place = ("op", source, target), 2 * depth[target] - 1
        columns[place].append(op)
        lines.append(_line(columns, ("node", source), 2 * depth[source], op, place))
        lines.append([op, ("node", target)])
    if concatenated:
        columns[-1].append((OUTPUT,))
        lines += [
            _line(columns, ("node", node), 2 * depth[node], (OUTPUT,), len(columns) - 1)
            for node in cell.outputs
        ]
    return columns, lines


def _line(columns: list[list[Item]], first: Item, start: int, last: Item, end: int) -> list[Item]:
    """A line from `first` in column `start` to `last` in column `end`, with a place in every column
    between.
    """
    passed: list[Item] = [("pass", first, last, column) for column in range(start + 1, end)]
    for item in passed:
        columns[item[3]].append(item)
    return [first, *passed, last]


def _settle(
    columns: Sequence[Sequence[Item]], links: Iterable[tuple[Item, Item]], start: dict[Item, float]
) -> dict[Item, float]:
    """Heights: each item moves to the mean of its neighbours, as near as the others of its column
    allow, until they rest.
    """
    neighbours: dict[Item, list[Item]] = {item: [] for column in columns for item in column}
    for a, b in links:
        neighbours[a].append(b)
        neighbours[b].append(a)
    heights = {item: GAPS[0] * start.get(item, 0.0) for item in neighbours}
    numbers = range(len(columns))
    for sweep in range(16):
        for number in numbers if sweep % 2 == 0 else numbers[::-1]:
            column = columns[number]
            if sweep == 0 and number % 2 == 0:
                wanted = [heights[item] for item in column]
            else:
                wanted = [_pulled(item, neighbours[item], heights) for item in column]
            for item, height in zip(
                column, spread(wanted, GAPS[number % 2], -99.0, 99.0), strict=True
            ):
                heights[item] = height
    return heights


def _pulled(item: Item, neighbours: Sequence[Item], heights: dict[Item, float]) -> float:
    """The mean height of the neighbours; long lines pull harder along themselves, so that they run
    straight.
    """
    if not neighbours:
        return heights[item]
    total = weight = 0.0
    for other in neighbours:
        pull = 6.0 if item[0] == "pass" == other[0] else 1.0
        total, weight = total + pull * heights[other], weight + pull
    return total / weight


def _cost(
    columns: Sequence[Sequence[Item]],
    links: Sequence[tuple[Item, Item]],
    heights: dict[Item, float],
) -> float:
    """Crossings, and how far the lines go up and down."""
    column_of = {item: number for number, column in enumerate(columns) for item in column}
    crossings = 0
    for i, (a, b) in enumerate(links):
        for c, d in links[:i]:
            if column_of[a] == column_of[c]:
                crossings += (heights[a] - heights[c]) * (heights[b] - heights[d]) < -1e-9
    return 2.0 * crossings + sum(abs(heights[a] - heights[b]) for a, b in links)


def _placed(
    columns: list[list[Item]], lines: list[list[Item]], heights: dict[Item, float]
) -> Drawing:
    drawing, x = Drawing(columns, lines), 0.06
    top, bottom = max(heights.values()), min(heights.values())
    for number, column in enumerate(columns):
        width = column_width(columns, number)
        for item in column:
            drawing.places[item] = (x + width / 2, heights[item] - top - HEIGHT / 2)
        x += width + (BEHIND if number % 2 else BEFORE)
    drawing.width, drawing.height = (
        x - (BEFORE if len(columns) % 2 else BEHIND) + 0.2,
        top - bottom + HEIGHT + 0.06,
    )
    return drawing


def column_width(columns: Sequence[Sequence[Item]], number: int) -> float:
    """Inches."""
    kinds = {item[0] for item in columns[number]}
    ends = number in (0, len(columns) - 1)
    return OP_WIDTH if "op" in kinds else END_WIDTH if ends else 2 * RADIUS


def _draw(axis: Axes, cell: CellSpace, drawing: Drawing) -> None:
    ops = {("op", source, target): op for source, target, op in cell.genes}
    for line in drawing.lines:
        muted = NONE in {ops.get(line[0]), ops.get(line[-1])}
        _draw_line(axis, drawing, line, muted)
    for item, (x, y) in drawing.places.items():
        if item[0] == "op":
            colour = op_colour(ops[item])
            _box(
                axis, x, y, OP_WIDTH, ops[item], colour, 0.035, MUTED if ops[item] == NONE else INK
            )
        elif item[0] == "node":
            last = cell.outputs == (item[1],)
            name = node_name(cell, item[1])
            if item[1] < cell.inputs or last:
                word = name if cell.inputs > 1 else f"{'output' if last else 'input'} {name}"
                _box(axis, x, y, END_WIDTH, printed(word), MUTED, HEIGHT / 2, INK)
            else:
                axis.add_patch(Circle((x, y), RADIUS, fc=PAPER, ec=INK, lw=LINE, zorder=3))
                axis.text(x, y, name, ha="center", va="center_baseline", fontsize=8.5, zorder=4)
        elif item[0] == OUTPUT:
            _box(axis, x, y, END_WIDTH, OUTPUT, MUTED, HEIGHT / 2, INK)


def printed(name: str) -> str:
    """c_{k-2} as it is printed without mathematics: cₖ₋₂."""
    return name.replace("c_{k-2}", "cₖ₋₂").replace("c_{k-1}", "cₖ₋₁")


def _box(
    axis: Axes, x: float, y: float, width: float, text: str, colour: str, rounding: float, ink: str
) -> None:
    corner, style = (x - width / 2, y - HEIGHT / 2), f"round,pad=0,rounding_size={rounding}"
    axis.add_patch(FancyBboxPatch(corner, width, HEIGHT, style, fc=PAPER, ec="none", zorder=3))
    dashes = (0, (3, 2)) if text == NONE else "-"
    axis.add_patch(
        FancyBboxPatch(corner, width, HEIGHT, style, fc=colour, ec="none", alpha=0.13, zorder=3)
    )
    axis.add_patch(
        FancyBboxPatch(
            corner, width, HEIGHT, style, fc="none", ec=colour, ls=dashes, lw=1.0, zorder=3
        )
    )
    axis.text(x, y, text, ha="center", va="center_baseline", fontsize=8, color=ink, zorder=4)


def _draw_line(axis: Axes, drawing: Drawing, line: Sequence[Item], muted: bool) -> None:
    """Level through every column it passes, an S between two columns, an arrowhead at the end."""
    column_of = {item: number for number, column in enumerate(drawing.columns) for item in column}
    half = {item: _half_width(drawing, item, column_of[item]) for item in line}
    (x, y), *rest = (drawing.places[item] for item in line)
    points, codes = [(x + half[line[0]], y)], [int(Path.MOVETO)]
    for item, (right, height) in zip(line[1:], rest, strict=True):
        (a, b), c = points[-1], right - half[item] - (0.02 if item is line[-1] else 0.0)
        middle = (a + c) / 2
        points += [(middle, b), (middle, height), (c, height)]
        codes += [int(Path.CURVE4)] * 3
        if item is not line[-1]:
            points.append((right + half[item], height))
            codes.append(int(Path.LINETO))
    colour, dashes = (MUTED, (0, (3, 2))) if muted else (INK, "-")
    end = points[-1]
    axis.add_patch(
        PathPatch(
            Path([*points[:-1], (end[0] - 0.05, end[1])], codes),
            fc="none",
            ec=colour,
            ls=dashes,
            lw=LINE,
        )
    )
    if line[-1][0] != "op":  # into an operation there is only one way
        head = "-|>,head_length=0.5,head_width=0.22"
        tail = (end[0] - 0.1, end[1])
        axis.add_patch(
            FancyArrowPatch(
                tail,
                end,
                arrowstyle=head,
                mutation_scale=HEAD,
                lw=LINE,
                color=colour,
                shrinkA=0,
                shrinkB=0,
            )
        )
    else:
        axis.plot(
            [end[0] - 0.05, end[0] + 0.02],
            [end[1]] * 2,
            color=colour,
            lw=LINE,
            solid_capstyle="butt",
        )


def _half_width(drawing: Drawing, item: Item, column: int) -> float:
    if item[0] == "node" and 0 < column < len(drawing.columns) - 1:
        return RADIUS
    return column_width(drawing.columns, column) / 2
