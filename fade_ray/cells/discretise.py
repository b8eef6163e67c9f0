"""From trained architecture weights to another space: what a stage of a search ends with."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fade_ray.nn.relaxations import edge_pairs
from spaces.cell import NONE, CellSpace

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Learned:
    """What was learned about one kind of cell, without noise.

    `weights` [E, O] of the operations, masked ones 0; `factors` [E] of the edges, None for 1;
    `edge_logits`: what the factors come from.
    """

    weights: Array
    factors: Array | None
    edge_logits: Array


Discretiser = Callable[[Learned, CellSpace, CellSpace], CellSpace]
"""(learned, the space that was searched, the whole space) -> the next one. Most narrow what was
searched; one that lets operations of the whole space in again is possible.
"""


def best_op(learned: Learned, searched: CellSpace, whole: CellSpace) -> CellSpace:
    """The operation of largest weight on every edge, ties to the first."""
    return searched.narrowed(_best(learned.weights, searched))


def top_edges(learned: Learned, searched: CellSpace, whole: CellSpace) -> CellSpace:
    """DARTS: each node keeps the `keep` edges whose best operation, `none` apart, weighs most, with
    that operation (algorithms B.3).

    With edge factors an edge is scored by its factor times that weight (PC-DARTS). Ties go to the
    edge from the lower node.
    """
    chosen = _best(learned.weights, searched)
    score = np.where(chosen, learned.weights, -np.inf).max(axis=1)
    if learned.factors is not None:
        score = score * learned.factors
    for node in range(searched.inputs, searched.nodes):
        edges = [edge for edge in searched.incoming(node) if chosen[edge].any()]
        ranked = sorted(edges, key=lambda edge: (-score[edge], edge))
        chosen[ranked[len(ranked) if searched.keep is None else searched.keep :]] = False
    return searched.narrowed(chosen)


def best_edge_pairs(learned: Learned, searched: CellSpace, whole: CellSpace) -> CellSpace:
    """Each node keeps the edges of its heaviest pair (Amended-DARTS eq. 16; algorithms D.4)."""
    kept = np.ones(len(searched.edges), dtype=bool)
    pairs = edge_pairs(searched)
    for node in range(searched.inputs, searched.nodes):
        into = [number for number, (edge, _) in enumerate(pairs) if searched.edges[edge][1] == node]
        if into:  # a single edge has no rival
            kept[list(searched.incoming(node))] = False
            kept[list(pairs[max(into, key=lambda number: learned.edge_logits[number])])] = True
    return searched.narrowed(np.repeat(kept[:, None], len(searched.ops), axis=1))


def _choosable(space: CellSpace) -> Mask:
    """[E, O]: `none` is a choice only where no edge is dropped (algorithms E.6)."""
    mask = space.mask
    if space.keep is not None and NONE in space.ops:
        mask[:, space.ops.index(NONE)] = False
    return mask


def _best(weights: Array, space: CellSpace) -> Mask:
    allowed = _choosable(space)
    chosen = np.zeros_like(allowed)
    chosen[np.arange(len(chosen)), np.where(allowed, weights, -np.inf).argmax(axis=1)] = True
    return chosen & allowed


DISCRETISERS: dict[str, Discretiser] = {
    "best-op": best_op,
    "top-edges": top_edges,
    "best-edge-pairs": best_edge_pairs,
}
