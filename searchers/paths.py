"""The best architectures of a hyper-architecture, without enumerating all w^d of them."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spaces.errors import require
from spaces.limits import Whole, fits, front

Array = NDArray[np.float64]


def best_paths(
    log_weights: Sequence[Sequence[float]], k: int
) -> list[tuple[tuple[int, ...], float]]:
    """The k choices (one candidate index per row) of largest log psi = sum over rows of the log
    weight (FaDE 2.3, A.7), best first.

    log_weights: d rows, of any lengths >= 1. Returns [(choice [d], log psi)], all of them where
    there are fewer than k; equal log psi in an order that depends on the log weights alone. O(d log
    d) memory and heap steps per path: best-first over the rows sorted by weight. InvalidInput for k
    < 0 or an empty row.
    """
    require(k >= 0, "k >= 0", "Ask for no fewer than 0 paths.", k=k)
    filled = all(len(row) > 0 for row in log_weights)
    require(filled, "len(row) >= 1", "Leave empty rows out.", rows=log_weights)
    # ties: lower index first
    order = [sorted(range(len(row)), key=row.__getitem__, reverse=True) for row in log_weights]

    def entry(ranks: tuple[int, ...]) -> tuple[float, tuple[int, ...]]:
        # fsum rounds once, so that a lower weight in one row can never give a higher sum.
        chosen = zip(log_weights, order, ranks, strict=True)
        return -math.fsum(row[places[rank]] for row, places, rank in chosen), ranks

    heap = [entry((0,) * len(log_weights))]
    best: list[tuple[tuple[int, ...], float]] = []
    while heap and len(best) < k:
        negative, ranks = heapq.heappop(heap)
        best.append((tuple(places[r] for places, r in zip(order, ranks, strict=True)), -negative))
        # A successor lowers one row, none before the last one lowered: each choice is reached in
        # exactly one way, from a better or equal one.
        last = max((i for i, r in enumerate(ranks) if r), default=0)
        for i in range(last, len(ranks)):
            if ranks[i] + 1 < len(order[i]):
                heapq.heappush(heap, entry((*ranks[:i], ranks[i] + 1, *ranks[i + 1 :])))
    return best


PATIENCE = 300
"""Beginnings of paths that are looked at for the next path. Where more come to nearly as much, as
where the values are the costs, the best of them is gone to its end: the order is a rough one then.
"""


class _Begun(NamedTuple):
    """The first rows of a choice; in their order the best comes first."""

    bound: float
    """The most that it can come to, with a minus sign."""
    rest: float = 0.0
    """How much of that is still open."""
    tie: float = 0.0
    chosen: tuple[int, ...] = ()
    value: float = 0.0
    spent: tuple[int, ...] = ()


def paths_within(
    values: Sequence[Array], costs: Sequence[Whole], room: Whole, rng: np.random.Generator
) -> Iterator[tuple[int, ...]]:
    """All choices whose `costs` [d][n_i, c] add up to `room` [c] or less, by falling sums of
    `values` [d][n_i] (within `PATIENCE`); equal ones in an order that is drawn.

    Best first over beginnings of choices, each with the most that it can come to: its value, and
    for the rows behind it the bound of Lagrange, with the multipliers of the linear relaxation.
    """
    depth, prices = len(values), _multipliers(values, costs, room)  # [c]
    rests = [front(costs[row:], len(room)) for row in range(depth + 1)]
    best = [float((v - c @ prices).max()) for v, c in zip(values, costs, strict=True)]

    def longer(begun: _Begun) -> list[_Begun]:
        row = len(begun.chosen)
        spent = np.array(begun.spent) + costs[row]  # [n, c]
        sums = begun.value + values[row]
        most = sums if row + 1 == depth else sums + (room - spent) @ prices + sum(best[row + 1 :])
        return [
            _Begun(
                -round(float(most[place]), 9),
                round(float(most[place] - sums[place]), 9),
                float(rng.random()),
                (*begun.chosen, place),
                float(sums[place]),
                tuple(spent[place].tolist()),
            )
            for place in np.flatnonzero(fits(spent, rests[row + 1], room)).tolist()
        ]

    heap = [_Begun(0.0, spent=(0,) * len(room))]
    given, looked = set[tuple[int, ...]](), 0
    while heap:
        begun = heapq.heappop(heap)
        looked += 1
        if len(begun.chosen) < depth:
            for each in longer(begun):
                heapq.heappush(heap, each)
            while looked > PATIENCE and len(begun.chosen) < depth:
                begun = min(longer(begun))
        if len(begun.chosen) == depth and begun.chosen not in given:
            given.add(begun.chosen)
            looked = 0
            yield begun.chosen


def _multipliers(values: Sequence[Array], costs: Sequence[Whole], room: Whole) -> Array:
    """[c], 0 or more: what the linear relaxation would give for more room; any would do."""
    from scipy.optimize import linprog

    unit = np.maximum(room, 1)
    rows = np.repeat(np.arange(len(values)), [len(row) for row in values])
    each = rows == np.arange(len(values))[:, None]  # [d, sum n_i]
    solved = linprog(
        -np.concatenate(values),
        np.concatenate(costs).T / unit[:, None],
        room / unit,
        each.astype(float),
        np.ones(len(values)),
        method="highs",
    )
    if not solved.success:
        return np.zeros(len(room))
    return np.asarray(np.maximum(-solved.ineqlin.marginals, 0.0) / unit)
