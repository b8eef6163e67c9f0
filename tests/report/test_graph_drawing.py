"""Cells as graphs: the promises of the layout, and what is drawn."""

from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
from matplotlib.path import Path

from fade_ray.report.graph_drawing import BOX, LAYER, RADIUS, arrange, describe, draw_cells
from fade_ray.report.layered import Pass, Placed
from fade_ray.report.style import house_style
from spaces.dag import Dag, catalogue, complete_dag

SMALL = catalogue(1, 5)
CELLS = [*SMALL[:12], *SMALL[12::23], SMALL[-1], complete_dag(6), Dag(6), Dag.from_code("6.76b3")]
HALF = np.array([BOX[1], BOX[0]]) / 2
"""Of the boxes, along and across."""


def nodes(placed: Placed) -> dict[Any, np.ndarray]:
    places = placed.places.items()
    return {item: np.array(place) for item, place in places if not isinstance(item, Pass)}


def sampled(course: Path) -> np.ndarray:
    """[n, 2]: points of a line, close together."""
    (points,) = course.to_polygons(closed_only=False)
    steps = [np.linspace(a, b, 20, endpoint=False) for a, b in pairwise(points)]
    return np.concatenate([*steps, points[-1:]])


def gap(curve: np.ndarray, node: Any, place: np.ndarray) -> float:
    """Between a curve and the border of a node."""
    if isinstance(node, str):
        return float(np.linalg.norm(np.maximum(np.abs(curve - place) - HALF, 0), axis=1).min())
    return float(np.linalg.norm(curve - place, axis=1).min() - RADIUS)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.code)
def test_layout(cell: Dag) -> None:
    placed = arrange(cell)
    places, lines = nodes(placed), {(line[0], line[-1]): line for line in placed.layout.lines}
    graph = cell.embodiment()
    assert set(places) == set(graph.nodes)
    assert set(lines) == set(graph.edges)
    assert min(np.linalg.norm(places[u] - places[v]) for u, v in combinations(places, 2)) >= (
        0.99 * LAYER
    ), "nodes do not overlap"
    curves = {edge: sampled(placed.course(line, 0.0)) for edge, line in lines.items()}
    for (u, v), curve in curves.items():
        assert gap(curve[:1], u, places[u]) == pytest.approx(0, abs=1e-6), "it begins at its node"
        assert gap(curve[-1:], v, places[v]) == pytest.approx(0, abs=1e-6), "and ends at the other"
        assert (np.diff(curve[:, 0]) > 0).all(), "edges run downwards"
        others = [gap(curve, node, place) for node, place in places.items() if node not in (u, v)]
        assert min(others, default=1.0) > 0.03, "no edge passes through or touches another node"
    for first, second in combinations(curves, 2):
        near = np.linalg.norm(curves[first][:, None] - curves[second], axis=-1).min(axis=1) < 0.02
        for node in set(first) & set(second):
            near &= np.linalg.norm(curves[first] - places[node], axis=1) > 0.35
        assert near.mean() < 0.2, "edges may cross, but none is drawn on top of another"
    assert places["INPUT"][0] == 0
    assert max(place[0] for place in places.values()) == places["OUTPUT"][0]


def test_isomorphic_graphs_look_the_same() -> None:
    one, other = Dag(4, ((0, 1), (0, 2), (2, 3))), Dag(4, ((3, 0), (3, 2), (0, 1)))
    assert arrange(one) is arrange(other)


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
