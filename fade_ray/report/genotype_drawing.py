"""Cells with their operations, drawn from left to right: inputs, operations in boxes, the nodes
that add them up, output.

Layers of nodes and of operations take turns. Each operation stands right before the node it feeds.
"""

from dataclasses import replace
from functools import lru_cache
from itertools import combinations
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.patches import Circle

from fade_ray.report.layered import Item, Layout, Placed, draw_box, draw_course, draw_text, layered
from fade_ray.report.style import INK, MUTED, PAPER, SERIES, WIDTH, Picture, new_figure
from fade_ray.report.words import OPERATION, count, short
from spaces.cell import NONE, CellSpace, Macro

FAMILIES = (
    ("sep_conv", SERIES[0]),
    ("nor_conv", SERIES[0]),
    ("conv_", SERIES[0]),
    ("dil_conv", SERIES[6]),
    ("max_pool", SERIES[2]),
    ("avg_pool", SERIES[2]),
    ("skip_connect", SERIES[1]),
    ("identity", SERIES[1]),
    ("tanh", SERIES[0]),
    ("sigmoid", SERIES[6]),
    ("relu", SERIES[2]),
    (NONE, MUTED),
)
"""What the name of an operation begins with, and its colour."""

OP_WIDTH, END_WIDTH, RADIUS, HEIGHT = 0.98, 0.56, 0.15, 0.22
"""Inches: width of operations, of inputs and output, radius of a node, height of boxes."""
GAPS = (0.38, 0.3)
"""Inches between the centres of two things in one layer, of nodes and of operations."""
BEFORE, BEHIND = 0.36, 0.24
"""Inches from a layer of nodes to the next of operations, and from those to their nodes."""
LINE = 1.2
OUTPUT = "output"


class Node(NamedTuple):
    """A node of a cell."""

    number: int


class Op(NamedTuple):
    """An operation on an edge."""

    edge: str


def node_name(cell: CellSpace, node: int) -> str:
    """The field's names: nodes from 0, after c_{k-2} and c_{k-1} in a cell with two inputs."""
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
    sums = []
    for node in range(cell.inputs, cell.nodes):
        into = ((source, op) for source, target, op in cell.genes if target == node)
        terms = [f"{op}({node_name(cell, source)})" for source, op in into]
        sums.append(f"{node_name(cell, node)} = {' + '.join(terms) or '0'}")
    return "; ".join(sums)


def draw_genotype(macro: Macro, title: str, caption: str = "", name: str = "cells") -> Picture:
    """A panel per kind, side by side where they fit. InvalidInput where a choice is left."""
    drawings = {kind: arrange(cell) for kind, cell in macro.cells.items()}
    lines: list[list[str]] = [[]]
    for kind, drawing in drawings.items():
        if lines[-1] and sum(drawings[k].width for k in lines[-1]) + drawing.width > WIDTH:
            lines.append([])
        lines[-1].append(kind)
    heights = [max(drawings[kind].height for kind in line) + 0.55 for line in lines]
    figure = new_figure(sum(heights))
    figure.set_layout_engine("none")
    top, parts = 1.0, []
    for line, height in zip(lines, heights, strict=True):
        share, left = height / sum(heights), 0.0
        shrink = min(1.0, WIDTH / sum(drawings[kind].width for kind in line))
        for kind in line:
            width = max(drawings[kind].width, WIDTH / len(line) * (len(line) > 1))
            width = min(width, WIDTH - left, drawings[kind].width + 1.0)
            axis = figure.add_axes((left / WIDTH, top - share, width / WIDTH, share))
            parts.append((left / WIDTH, 1 - top, width / WIDTH, share))
            limits = {"xlim": (0, width / shrink), "ylim": (0.5 - height / shrink, 0.5)}
            axis.set(aspect="equal", anchor="NW", **limits)
            axis.axis("off")
            times = sum(place.kind == kind for place in macro.layout)
            words = f"{kind} ({count(times, 'time')} in {macro.depth} cells)"
            words = words if times and macro.depth > 1 else kind
            axis.text(0.06, 0.28, words, va="center", fontsize=10, fontweight="bold")
            _draw(axis, macro.cells[kind], drawings[kind].placed)
            left += width
        top -= share
    words = " ".join(f"{kind}: {describe_genotype(cell)}." for kind, cell in macro.cells.items())
    return Picture(name, title, figure, f"The cells as graphs. {words}", caption, tuple(parts))


class Drawing(NamedTuple):
    """Where everything of a cell stands, y up, and the inches it takes."""

    placed: Placed
    width: float
    height: float


@lru_cache(maxsize=256)
def arrange(cell: CellSpace) -> Drawing:
    """Nodes in the even layers, operations in the odd ones."""
    depth = dict.fromkeys(range(cell.inputs), 0)
    for node in range(cell.inputs, cell.nodes):
        sources = (source for source, target, _ in cell.genes if target == node)
        depth[node] = 1 + max((depth[source] for source in sources), default=0)
    layer_of: dict[Item, int] = {Node(node): 2 * depth[node] for node in range(cell.nodes)}
    edges: list[tuple[Item, Item]] = []
    for name, (source, target, _) in cell.named_genes.items():
        op = Op(name)
        layer_of[op] = 2 * depth[target] - 1
        edges += [(Node(source), op), (op, Node(target))]
    if len(cell.outputs) > 1:
        layer_of[OUTPUT] = 2 * max(depth.values()) + 1
        edges += [(Node(node), OUTPUT) for node in cell.outputs]
    nodes = sorted((node for node in layer_of if isinstance(node, Node)), key=layer_of.__getitem__)
    layout = layered(layer_of, edges, nodes, lambda _, layer: GAPS[layer % 2])
    beside = [(a, b) for a, b in combinations(sorted(nodes), 2) if layer_of[a] == layer_of[b]]
    descending = [layout.across[a] - layout.across[b] for a, b in beside]
    if sum(step > 0 for step in descending) < sum(step < 0 for step in descending):
        mirrored = {item: -across for item, across in layout.across.items()}
        layout = replace(layout, across=mirrored)  # the first nodes stand above
    return _placed(layout)


def _placed(layout: Layout) -> Drawing:
    x, places, half = 0.06, {}, {}
    top, bottom = max(layout.across.values()), min(layout.across.values())
    for number, layer in enumerate(layout.layers):
        width = layer_width(layout, number)
        for item in layer:
            places[item] = (x + width / 2, layout.across[item] - top - HEIGHT / 2)
            inner = isinstance(item, Node) and 0 < number < len(layout.layers) - 1
            half[item] = RADIUS if inner else width / 2
        x += width + (BEHIND if number % 2 else BEFORE)
    width = x - (BEFORE if len(layout.layers) % 2 else BEHIND) + 0.2
    return Drawing(Placed(layout, places, half), width, top - bottom + HEIGHT + 0.06)


def layer_width(layout: Layout, number: int) -> float:
    """Inches."""
    if any(isinstance(item, Op) for item in layout.layers[number]):
        return OP_WIDTH
    return END_WIDTH if number in (0, len(layout.layers) - 1) else 2 * RADIUS


def _draw(axis: Axes, cell: CellSpace, placed: Placed) -> None:
    ops: dict[Any, str] = {Op(name): gene.op for name, gene in cell.named_genes.items()}
    for line in placed.layout.lines:
        muted = NONE in {ops.get(line[0]), ops.get(line[-1])}
        # into an operation there is only one way
        course = placed.course(line, 0.02 if line[-1] not in ops else -0.02)
        draw_course(axis, course, upright=False, muted=muted, width=LINE, head=line[-1] not in ops)
    for item, place in placed.places.items():
        if item in ops:
            none = ops[item] == NONE
            look = {"ink": MUTED, "dashes": "--"} if none else {}
            size = (OP_WIDTH, HEIGHT)
            name = short(ops[item], OPERATION)
            draw_box(axis, place, size, name, op_colour(ops[item]), 0.035, **look)
        elif isinstance(item, Node):
            _draw_node(axis, cell, item.number, place)
        elif item == OUTPUT:
            draw_box(axis, place, (END_WIDTH, HEIGHT), OUTPUT, MUTED, HEIGHT / 2)


def _draw_node(axis: Axes, cell: CellSpace, node: int, place: tuple[float, float]) -> None:
    name, last = node_name(cell, node), cell.outputs == (node,)
    if node >= cell.inputs and not last:
        axis.add_patch(Circle(place, RADIUS, fc=PAPER, ec=INK, lw=LINE, zorder=3))
        draw_text(axis, place, name, 8.5)
        return
    word = name if cell.inputs > 1 else f"{'output' if last else 'input'} {name}"
    draw_box(axis, place, (END_WIDTH, HEIGHT), printed(word), MUTED, HEIGHT / 2)


def printed(name: str) -> str:
    """c_{k-2} as it is printed without mathematics: cₖ₋₂."""
    return name.replace("c_{k-2}", "cₖ₋₂").replace("c_{k-1}", "cₖ₋₁")
