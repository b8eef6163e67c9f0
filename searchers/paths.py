"""The best architectures of a hyper-architecture, without enumerating all w^d of them."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence

from spaces.errors import require


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
