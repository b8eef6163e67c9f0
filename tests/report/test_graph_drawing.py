"""Cells as graphs: the promises of the layout, and what is drawn."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from fade_ray.report.graph_drawing import BOX, RADIUS, describe, draw_cells, layout
from fade_ray.report.style import house_style
from spaces.dag import Dag, catalogue, complete_dag

SMALL = catalogue(1, 5)
CELLS = [*SMALL[:12], *SMALL[12::23], SMALL[-1], complete_dag(6), Dag(6), Dag.from_code("6.76b3")]


def gap(curve: np.ndarray, node: Any, place: np.ndarray) -> float:
    """Between a curve and the border of a node."""
    if isinstance(node, str):
        return float(
            np.linalg.norm(np.maximum(np.abs(curve - place) - np.array(BOX), 0), axis=1).min()
        )
    return float(np.linalg.norm(curve - place, axis=1).min() - RADIUS)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.code)
def test_layout(cell: Dag) -> None:
    places, curves = layout(cell)
    graph = cell.embodiment()
    assert set(places) == set(graph.nodes)
    assert set(curves) == set(graph.edges)
    assert min(np.linalg.norm(places[u] - places[v]) for u, v in combinations(places, 2)) >= 1, (
        "nodes do not overlap"
    )
    for (u, v), curve in curves.items():
        assert curve[0] == pytest.approx(places[u])
        assert curve[-1] == pytest.approx(places[v])
        assert (np.diff(curve[:, 1]) < 0).all(), "edges run downwards"
        others = [gap(curve, node, place) for node, place in places.items() if node not in (u, v)]
        assert min(others, default=1.0) > 0.05, "no edge passes through or touches another node"
    for first, second in combinations(curves, 2):
        near = np.linalg.norm(curves[first][:, None] - curves[second], axis=-1).min(axis=1) < 0.03
        for node in set(first) & set(second):
            near &= np.linalg.norm(curves[first] - places[node], axis=1) > 0.5
        assert near.mean() < 0.2, "edges may cross, but none is drawn on top of another"
    assert places["INPUT"] == pytest.approx([0, 0])
    assert min(place[1] for place in places.values()) == places["OUTPUT"][1]


def test_isomorphic_graphs_look_the_same() -> None:
    one, other = Dag(4, ((0, 1), (0, 2), (2, 3))), Dag(4, ((3, 0), (3, 2), (0, 1)))
    assert layout(one) is layout(other)


def test_a_panel_per_cell_with_its_size_below() -> None:
    cells = [Dag(3), complete_dag(5), Dag(1), Dag(4, ((0, 1),)), Dag(2, ((0, 1),))]
    with house_style():
        picture = draw_cells(cells, "Cells")
    texts = [[text.get_text() for text in axis.texts] for axis in picture.figure.axes]
    assert len(texts) == 5
    for row, (cell, said) in enumerate(zip(cells, texts, strict=True), start=1):
        assert {"INPUT", "OUTPUT", f"Row {row}", cell.code} < set(said)
        assert {str(vertex) for vertex in range(cell.n)} < set(said)
    assert "3 vertices, 3 operations" in texts[0]
    assert "1 vertex, 1 operation" in texts[2]
    assert "2 vertices, 2 operations" in texts[4]
    assert all(describe(cell) in picture.alt for cell in cells)


def test_nothing_is_drawn_outside_its_panel() -> None:
    with house_style():
        picture = draw_cells([complete_dag(6), Dag(6), Dag(1)], "Cells")
    for axis in picture.figure.axes:
        for patch in axis.patches:
            extent = patch.get_extents()
            assert axis.bbox.x0 <= extent.x0
            assert extent.x1 <= axis.bbox.x1
            assert axis.bbox.y0 <= extent.y0
            assert extent.y1 <= axis.bbox.y1
