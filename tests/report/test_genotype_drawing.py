"""Cells with operations: everything is drawn once, nothing lies on anything else, whatever the
genotype.
"""

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fade_ray.report.genotype_drawing import (
    HEIGHT,
    RADIUS,
    Node,
    Op,
    arrange,
    describe_genotype,
    draw_genotype,
    edge_name,
    layer_width,
    node_name,
)
from fade_ray.report.style import WIDTH, house_style, save
from spaces import nasbench201
from spaces.cell import CellSpace, Macro
from spaces.darts import DARTS_OPS, darts_cell, published
from spaces.errors import InvalidInput
from spaces.genotype import GENOTYPES

BENCHMARK = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_1x1~2|"
)


@st.composite
def genotypes(draw: st.DrawFn) -> CellSpace:
    """Cells of DARTS, of NAS-Bench-201, and some with nodes that nothing feeds and few outputs."""
    if draw(st.booleans()):
        return nasbench201.from_numbers(
            tuple(draw(st.lists(st.integers(0, 4), min_size=6, max_size=6)))
        )
    genes = []
    for node in range(2, 6):
        sources = draw(st.lists(st.sampled_from(range(node)), max_size=2, unique=True))
        genes += [(source, node, draw(st.sampled_from(DARTS_OPS[1:]))) for source in sources]
    outputs = draw(st.sampled_from([(2, 3, 4, 5), (4, 5), (5,)]))
    return CellSpace.create(2, 6, DARTS_OPS, outputs=outputs, keep=2).genotype(genes)


@settings(max_examples=20, deadline=None)
@given(genotypes())
def test_nothing_lies_on_anything_else(cell: CellSpace) -> None:
    placed, width, height = arrange(cell)
    layers, places = placed.layout.layers, placed.places
    heights = {item: place[1] for item, place in places.items()}
    for number, layer in enumerate(layers):
        assert all(places[item][0] == places[layer[0]][0] for item in layer)
        gaps = np.diff(sorted(heights[item] for item in layer))
        assert (gaps > (2 * RADIUS if number % 2 == 0 else HEIGHT)).all(), (
            "room between the boxes and nodes of a layer"
        )
    filled = [
        (layer[0], layer_width(placed.layout, n) / 2) for n, layer in enumerate(layers) if layer
    ]
    sides = [places[item][0] + side * half for item, half in filled for side in (-1, 1)]
    assert sides == sorted(sides), "room between the layers"
    assert sides[-1] <= width <= WIDTH
    assert max(heights.values()) <= 0
    assert -min(heights.values()) <= height


@settings(max_examples=20, deadline=None)
@given(genotypes())
def test_every_line_passes_every_layer_on_its_way(cell: CellSpace) -> None:
    layout = arrange(cell).placed.layout
    layer_of = layout.layer_of
    for line in layout.lines:
        start = layer_of[line[0]]
        assert [layer_of[item] for item in line] == list(range(start, start + len(line)))
    into = {(line[0], line[-1]) for line in layout.lines}
    expected = set()
    for name, (source, target, _) in cell.named_genes.items():
        op = Op(name)
        expected |= {(Node(source), op), (op, Node(target))}
    if len(cell.outputs) > 1:
        expected |= {(Node(node), "output") for node in cell.outputs}
    assert into == expected
    assert {item for item in layer_of if isinstance(item, Node)} == {
        Node(node) for node in range(cell.nodes)
    }


STACKED = [name for name, macro in GENOTYPES.items() if macro.stack.shared]


def test_a_recurrent_cell_is_drawn_with_its_activations(tmp_path: Path) -> None:
    with house_style():
        picture = draw_genotype(GENOTYPES["RNN_DARTS_V2"], "cell")
        svg = save(picture, tmp_path)
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    assert [texts.count(op) for op in ("tanh", "relu", "sigmoid", "identity")] == [2, 3, 2, 1]
    assert [text for text in texts if text.startswith("recurrent")] == ["recurrent"]
    assert "recurrent: 1 = sigmoid(0); 2 = relu(1); " in picture.alt


@pytest.mark.parametrize("name", STACKED)
def test_the_picture_shows_every_operation(name: str, tmp_path: Path) -> None:
    macro = GENOTYPES[name]
    with house_style():
        picture = draw_genotype(macro, name)
        svg = save(picture, tmp_path)
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    for op in DARTS_OPS:
        genes = [gene for cell in macro.cells.values() for gene in cell.genes if gene.op == op]
        assert texts.count(op) == len(genes)
    assert texts.count("output") == texts.count("cₖ₋₂") == texts.count("cₖ₋₁") == 2
    nodes = [macro.cells[kind].nodes for kind in ("normal", "reduce")]
    assert all(texts.count(str(node)) == 2 for node in range(min(nodes) - 2))
    assert "normal: 0 = " in picture.alt
    assert [text for text in texts if text.startswith("normal")] == [
        "normal (18 times in 20 cells)"
    ]


def test_words() -> None:
    cell = GENOTYPES["DARTS_V1"].cells["normal"]
    assert [node_name(cell, node) for node in range(6)] == [
        "c_{k-2}",
        "c_{k-1}",
        "0",
        "1",
        "2",
        "3",
    ]
    assert edge_name(cell, (1, 2)) == "c_{k-1}→0"
    assert describe_genotype(cell).endswith("3 = sep_conv_3x3(c_{k-2}) + skip_connect(0)")
    benchmark = nasbench201.decode(BENCHMARK)
    assert describe_genotype(benchmark).startswith(
        "1 = nor_conv_3x3(0); 2 = nor_conv_3x3(0) + none(1); 3 = "
    )


def test_a_cell_of_nasbench201_ends_in_its_last_node(tmp_path: Path) -> None:
    with house_style():
        svg = save(
            draw_genotype(nasbench201.macro(cell=nasbench201.decode(BENCHMARK)), "cell"), tmp_path
        )
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    assert {"input 0", "output 3", "none", "1", "2"} <= set(texts)
    assert "output" not in texts


def test_many_kinds_stand_side_by_side_within_the_page() -> None:
    macro = published("amended-s2-fixed").macro.at_depth(4)
    genes = [(source, node, "skip_connect") for node in range(2, 6) for source in (0, node - 1)]
    short = [(source, node, "sep_conv_3x3") for node in range(2, 6) for source in (0, 1)]
    flat = darts_cell(("skip_connect", "sep_conv_3x3")).genotype(short)
    cells = {kind: cell.genotype(genes) for kind, cell in macro.cells.items()} | {
        "cell0": flat,
        "cell1": flat,
    }
    with house_style():
        figure = draw_genotype(Macro(cells, "unshared", 4), "cells").figure
    boxes = [axis.get_position() for axis in figure.axes]
    assert len(boxes) == len(cells)
    assert boxes[0].y0 == boxes[1].y0, "two flat cells share a line"
    assert boxes[2].y0 < boxes[1].y0
    assert all(0 <= box.x0 < box.x1 <= 1 + 1e-9 for box in boxes)
    assert all(a.y0 >= b.y1 - 1e-9 or a.x1 <= b.x0 + 1e-9 for a, b in pairwise(boxes))


def test_only_genotypes_are_drawn() -> None:
    with pytest.raises(InvalidInput, match="Discretise"):
        draw_genotype(published("s5").macro, "too many")


def test_a_long_name_of_ones_own_fits_its_box() -> None:
    space = CellSpace.create(2, 3, ("skip_connect", "bottleneck-expansion4"), keep=2)
    genes = [(0, 2, "skip_connect"), (1, 2, "bottleneck-expansion4")]
    cell = space.genotype(genes)
    macro = Macro({"normal": cell, "reduce": cell}, "darts", 3)
    words = {
        text.get_text() for axis in draw_genotype(macro, "x").figure.axes for text in axis.texts
    }
    assert {"skip_connect", "bottl…pansion4"} <= words
