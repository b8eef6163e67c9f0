"""From trained architecture weights to another space: what a stage of a search ends with."""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fade_ray.nn.relaxations import edge_pairs
from spaces.cell import NONE, SKIP, CellSpace
from spaces.groups import Groups

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Learned:
    """What was learned about one kind of cell, without noise.

    `weights` [E, O] of the operations, masked ones 0; `factors` [E] of the edges, None for 1;
    `edge_logits`: what the factors come from; `logits` [E, O]: what the weights come from.
    """

    weights: Array
    factors: Array | None
    edge_logits: Array
    logits: Array | None = None


@dataclass(frozen=True)
class Whole:
    """What a stage may draw on beside what it searched.

    `cell`: the whole space; `groups` of its operations, `representatives` one of each (StacNAS);
    `raw_edges`: edges are scored by logits, which a shift per edge changes, not by weights.
    `reduces`: whether this kind of cell does.
    """

    cell: CellSpace
    reduces: bool = False
    groups: Groups = ()
    representatives: tuple[str, ...] = ()
    raw_edges: bool = False

    def with_ops(self, chosen: Iterable[Iterable[str]]) -> CellSpace:
        """The whole space with the `chosen` operations of each edge, and `none`, alone."""
        ops = self.cell.ops
        kept = [[op == NONE or op in edge for op in ops] for edge in map(set, chosen)]
        return self.cell.narrowed(np.array(kept, dtype=bool).reshape(self.cell.mask.shape))

    @property
    def one_each(self) -> CellSpace:
        """The representatives on every edge, and `none`."""
        return self.with_ops([self.representatives] * len(self.cell.edges))


Discretiser = Callable[[Learned, CellSpace, Whole], CellSpace]
"""(learned, the space that was searched, the whole one) -> the next one. Most narrow what was
searched; one that lets operations of the whole space in again is possible.
"""


def best_op(learned: Learned, searched: CellSpace, whole: Whole) -> CellSpace:
    """The operation of largest weight on every edge, ties to the first."""
    return searched.narrowed(_best(learned.weights, searched))


def top_edges(learned: Learned, searched: CellSpace, whole: Whole) -> CellSpace:
    """DARTS: each node keeps the `keep` edges whose best operation, `none` apart, weighs most, with
    that operation (algorithms B.3).

    With edge factors an edge is scored by its factor times that weight (PC-DARTS). Ties go to the
    edge from the lower node.
    """
    chosen = _best(learned.weights, searched)
    raw = learned.logits if whole.raw_edges else None
    score = np.where(chosen, learned.weights if raw is None else raw, -np.inf).max(axis=1)
    if learned.factors is not None:
        score = score * learned.factors
    for node in range(searched.inputs, searched.nodes):
        edges = [edge for edge in searched.incoming(node) if chosen[edge].any()]
        ranked = sorted(edges, key=lambda edge: (-score[edge], edge))
        chosen[ranked[len(ranked) if searched.keep is None else searched.keep :]] = False
    return searched.narrowed(chosen)


def best_edge_pairs(learned: Learned, searched: CellSpace, whole: Whole) -> CellSpace:
    """Each node keeps the edges of its heaviest pair (Amended-DARTS eq. 16; algorithms D.4)."""
    kept = np.ones(len(searched.edges), dtype=bool)
    pairs = edge_pairs(searched)
    for node in range(searched.inputs, searched.nodes):
        into = [number for number, (edge, _) in enumerate(pairs) if searched.edges[edge][1] == node]
        if into:  # a single edge has no rival
            kept[list(searched.incoming(node))] = False
            kept[list(pairs[max(into, key=lambda number: learned.edge_logits[number])])] = True
    return searched.narrowed(np.repeat(kept[:, None], len(searched.ops), axis=1))


def representatives(learned: Learned, searched: CellSpace, whole: Whole) -> CellSpace:
    """One operation of each group on every edge, and `none` (StacNAS, before stage 1)."""
    return whole.one_each


def activate_groups(learned: Learned, searched: CellSpace, whole: Whole) -> CellSpace:
    """All operations of the group whose searched operation weighs most, `none` apart, and `none`:
    StacNAS, stage 1 to stage 2 (algorithms C.4; [skip, none] where its code repeats the skip).
    """
    groups = {op: group for group in whole.groups for op in group}
    best = _best(learned.weights, searched, apart=True)
    return whole.with_ops(
        itertools.chain.from_iterable(
            groups[op] for op, chosen in zip(searched.ops, row, strict=True) if chosen
        )
        for row in best
    )


def top_edges_or_none(learned: Learned, searched: CellSpace, whole: Whole) -> CellSpace:
    """As `top_edges`, with `none` beside each operation: a stage that follows learns its scale
    (StacNAS 2019, algorithm 1, stage 3).
    """
    kept = top_edges(learned, searched, whole)
    return whole.with_ops(
        [op for op, allowed in zip(kept.ops, row, strict=True) if allowed] for row in kept.allowed
    ).narrowed(kept.mask.any(axis=1, keepdims=True) & whole.cell.mask)


def keep_ops(count: int) -> Discretiser:
    """Every edge keeps its `count` heaviest operations, ties to the first (P-DARTS)."""

    def keep(learned: Learned, searched: CellSpace, whole: Whole) -> CellSpace:
        order = np.argsort(np.where(searched.mask, -learned.weights, np.inf), 1, kind="stable")
        mask = np.zeros_like(searched.mask)
        np.put_along_axis(mask, order[:, :count], True, axis=1)
        return searched.narrowed(mask)

    return keep


def top_edges_two_skips(learned: Learned, searched: CellSpace, whole: Whole) -> CellSpace:
    """As `top_edges`; in cells that do not reduce two skip-connects at most: as long as there are
    more, the lightest one's weight counts as 0 (P-DARTS, section 3.3, and its code).
    """
    weights = learned.weights.copy()
    for _ in searched.edges:
        genotype = top_edges(replace(learned, weights=weights), searched, whole)
        skips = [e for e, edge in enumerate(searched.edges) if (*edge, SKIP) in genotype.genes]
        if whole.reduces or len(skips) <= 2:
            break
        skip = searched.ops.index(SKIP)
        weights[min(skips, key=lambda edge: weights[edge, skip]), skip] = 0.0
    return genotype


def drop_edges(learned: Learned, searched: CellSpace, whole: Whole) -> CellSpace:
    """The best operation of each edge; an edge whose `none` outweighs it is dropped. The paper does
    not say what then happens to a node without edges: here it keeps the best of them.
    """
    chosen = _best(learned.weights, searched, apart=True)
    score = np.where(chosen, learned.weights, -np.inf).max(axis=1)
    none = learned.weights[:, searched.ops.index(NONE)] if NONE in searched.ops else 0 * score
    kept = score > none
    for node in range(searched.inputs, searched.nodes):
        kept[max(searched.incoming(node), key=lambda edge: (score[edge], -edge))] = True
    return searched.narrowed(chosen & kept[:, None])


def _choosable(space: CellSpace) -> Mask:
    """[E, O]: `none` is a choice only where no edge is dropped (algorithms E.6)."""
    mask = space.mask
    if space.keep is not None and NONE in space.ops:
        mask[:, space.ops.index(NONE)] = False
    return mask


def _best(weights: Array, space: CellSpace, *, apart: bool = False) -> Mask:
    """The heaviest operation of each edge; `apart`: `none` is no choice anywhere."""
    allowed = _choosable(replace(space, keep=1) if apart else space)
    chosen = np.zeros_like(allowed)
    chosen[np.arange(len(chosen)), np.where(allowed, weights, -np.inf).argmax(axis=1)] = True
    return chosen & allowed


DISCRETISERS: dict[str, Discretiser] = {
    "best-op": best_op,
    "top-edges": top_edges,
    "best-edge-pairs": best_edge_pairs,
    "representatives": representatives,
    "activate-groups": activate_groups,
    "top-edges-or-none": top_edges_or_none,
    "drop-edges": drop_edges,
    "best-5-ops": keep_ops(5),
    "best-3-ops": keep_ops(3),
    "top-edges-two-skips": top_edges_two_skips,
}
