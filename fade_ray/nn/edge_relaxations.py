"""From the logits of a cell's edges and operations to the weights it is mixed with. The rows of
FaDE's cells: `relaxations`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from fade_ray.nn.draw import EdgeWeights
from fade_ray.nn.relaxations import architecture_weights, gumbel_softmax
from spaces.cell import CellSpace

Used = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Relaxation:
    """How operations compete on an edge.

    `weights(logits [E, O], mask [E, O], temperature, generator)` gives the weights [E, O], masked
    ones exactly 0, and which to run (None: all allowed). `expected` is the same without noise.
    `start(mask, std, generator)`: initial logits.
    """

    weights: Callable[[Tensor, Tensor, float, torch.Generator], tuple[Tensor, Used | None]]
    expected: Callable[[Tensor, Tensor], Tensor]
    start: Callable[[Tensor, float, torch.Generator], Tensor]


def normal_start(mask: Tensor, std: float, generator: torch.Generator) -> Tensor:
    """std * N(0, 1), std 1e-3 in DARTS (algorithms B.1)."""
    return std * torch.randn(mask.shape, generator=generator)


def uniform_sigmoid_start(mask: Tensor, std: float, generator: torch.Generator) -> Tensor:
    """-ln(n - 1), so that sigmoid = 1 / n for the n operations allowed on an edge, `none` counted
    (single-level, appendix C).

    The paper says "softmax(alpha) = .125" for -ln 7; sigmoid is meant. An edge without a choice
    starts at sigmoid = 1/2.
    """
    choices = mask.sum(dim=1, keepdim=True).clamp_min(2)
    return (-(choices - 1.0).log()).expand(mask.shape).clone()


def softmax(
    logits: Tensor, mask: Tensor, temperature: float, generator: torch.Generator
) -> tuple[Tensor, None]:
    """DARTS: softmax over the operations of an edge."""
    return architecture_weights(logits, mask), None


def sigmoid(
    logits: Tensor, mask: Tensor, temperature: float, generator: torch.Generator
) -> tuple[Tensor, None]:
    """Single-level DARTS: every operation for itself, not normalised (algorithms E.1)."""
    return expected_sigmoid(logits, mask), None


def expected_sigmoid(logits: Tensor, mask: Tensor) -> Tensor:
    """sigmoid(logits), 0 where masked."""
    return logits.sigmoid().masked_fill(~mask, 0.0)


def concrete(
    logits: Tensor, mask: Tensor, temperature: float, generator: torch.Generator
) -> tuple[Tensor, None]:
    """softmax((alpha + g) / tau): every operation is run, with noisy weights (the concrete
    relaxation).
    """
    return gumbel_softmax(logits, mask, temperature, generator).soft, None


def sampled(
    logits: Tensor, mask: Tensor, temperature: float, generator: torch.Generator
) -> tuple[Tensor, Used]:
    """The hard weights of that draw (FaDE eq. 3), of which only the drawn operation is run (GDAS's
    forward pass).

    GDAS adds the zero weights of the others as bare scalars, whose gradient says nothing about
    those operations; here they get what the softmax passes on from the drawn one.
    """
    sample = gumbel_softmax(logits, mask, temperature, generator)
    return sample.hard, tuple((index,) for index in sample.path)


RELAXATIONS: dict[str, Relaxation] = {
    "softmax": Relaxation(softmax, architecture_weights, normal_start),
    "sigmoid": Relaxation(sigmoid, expected_sigmoid, uniform_sigmoid_start),
    "gumbel-softmax": Relaxation(concrete, architecture_weights, normal_start),
    "gumbel-softmax-sampled": Relaxation(sampled, architecture_weights, normal_start),
}


def edge_pairs(cell: CellSpace) -> tuple[tuple[int, int], ...]:
    """All unordered pairs of edges into one node: 1, 3, 6 and 10 in a DARTS cell (Amended-DARTS eq.
    16).
    """
    incoming = (
        [e for e in cell.incoming(node) if any(cell.allowed[e])]
        for node in range(cell.inputs, cell.nodes)
    )
    return tuple(pair for edges in incoming for pair in combinations(edges, 2))


@dataclass(frozen=True)
class EdgeRelaxation:
    """How the edges into a node compete: `count(cell)` logits, and the factor [E] of each edge from
    them.
    """

    count: Callable[[CellSpace], int]
    factors: Callable[[Tensor, CellSpace], Tensor | None]


def edge_softmax(logits: Tensor, cell: CellSpace) -> Tensor:
    """softmax over the edges into each node (edge normalisation of PC-DARTS); `logits` [E]."""
    return _grouped_softmax(logits, [target for _, target in cell.edges])


def pair_factors(logits: Tensor, cell: CellSpace) -> Tensor:
    """q [E]: for each edge the sum of the softmaxed weights of the pairs that hold it; `logits` [P]
    as `edge_pairs` (eq. 16).

    y = sum_pairs p (y_i + y_j) = sum_i q_i y_i, so the q of the edges into one node add up to 2. A
    node with a single edge keeps it whole.
    """
    pairs = torch.tensor(edge_pairs(cell), dtype=torch.long, device=logits.device).reshape(-1, 2)
    weights = _grouped_softmax(logits, [cell.edges[first][1] for first, _ in edge_pairs(cell)])
    factors = logits.new_zeros(len(cell.edges))
    for side in (0, 1):
        factors = factors.index_add(0, pairs[:, side], weights)
    alone = torch.ones_like(factors).index_fill(0, pairs.flatten(), 0.0)
    return factors + alone


def _grouped_softmax(logits: Tensor, groups: Sequence[int]) -> Tensor:
    group = torch.tensor(groups, device=logits.device)
    same = group[:, None] == group[None, :]  # [E, E]
    return (
        logits - logits.expand(len(groups), -1).masked_fill(~same, -torch.inf).logsumexp(dim=1)
    ).exp()


EDGE_RELAXATIONS: dict[str, EdgeRelaxation] = {
    "none": EdgeRelaxation(lambda cell: 0, lambda logits, cell: None),
    "softmax": EdgeRelaxation(lambda cell: len(cell.edges), edge_softmax),
    "pairs": EdgeRelaxation(lambda cell: len(edge_pairs(cell)), pair_factors),
}


def edge_weights(
    relaxation: Relaxation,
    edge_relaxation: EdgeRelaxation,
    logits: Tensor,
    edge_logits: Tensor,
    mask: Tensor,
    cell: CellSpace,
    temperature: float,
    generator: torch.Generator,
) -> EdgeWeights:
    """The weights of one kind of cell, differentiable in both logits. An edge that allows nothing
    has weight 0 and runs nothing.
    """
    # softmax over nothing would be 0 / 0, also in the gradient
    dead = ~mask.any(dim=1, keepdim=True)
    operations, used = relaxation.weights(logits, mask | dead, temperature, generator)
    if used is not None:
        used = tuple(() if gone else run for run, (gone,) in zip(used, dead.tolist(), strict=True))
    return EdgeWeights(
        operations.masked_fill(dead, 0.0), edge_relaxation.factors(edge_logits, cell), used
    )
