"""From logits to weights: of rows of candidates (FaDE 2.1), of a cell's operations and edges."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from fade_ray.nn.draw import EdgeWeights
from spaces.cell import CellSpace

Used = tuple[tuple[int, ...], ...]
"""Per edge the numbers of the operations to run."""


@dataclass(frozen=True)
class GumbelSample:
    """A Gumbel-softmax draw: relaxed weights `soft` [d, w], index of the largest `drawn` [d]."""

    soft: Tensor
    drawn: Tensor

    @property
    def path(self) -> list[int]:
        """The drawn index of each row."""
        return self.drawn.tolist()

    @property
    def hard(self) -> Tensor:
        """z = onehot(argmax y) - stopgrad(y) + y [d, w]: one-hot in value, exactly 0 or 1 in every
        float format, as y - stopgrad(y) is 0; with the gradient of `soft` (FaDE eq. 3).
        """
        onehot = one_hot(self.drawn, self.soft.shape[1]).to(self.soft.dtype)
        return onehot + (self.soft - self.soft.detach())


def initial_logits(mask: Tensor, std: float, generator: torch.Generator) -> Tensor:
    """alpha' [d, w] ~ N(0, std^2), 0 where masked; FaDE 3: N(0; 0.5), read as std."""
    noise = torch.randn(mask.shape, generator=generator, dtype=torch.float32)
    return torch.where(mask, std * noise, torch.zeros(()))


def architecture_weights(logits: Tensor, mask: Tensor) -> Tensor:
    """softmax(alpha') of each row [d, w]; masked candidates: exactly 0, no gradient."""
    return logits.masked_fill(~mask, -torch.inf).softmax(dim=1)


def gumbel_noise(like: Tensor, generator: torch.Generator) -> Tensor:
    """Standard Gumbel draws -log(-log U) for `like`, made in float32 on the host; the exponential
    draw keeps clear of log(0).
    """
    drawn = torch.empty(like.shape, dtype=torch.float32).exponential_(generator=generator)
    return -drawn.log().to(like, non_blocking=True)


def perturbed(logits: Tensor, mask: Tensor, generator: torch.Generator) -> Tensor:
    """alpha' + g with Gumbel noise g; -inf where masked."""
    return logits.masked_fill(~mask, -torch.inf) + gumbel_noise(logits, generator)


def gumbel_softmax(
    logits: Tensor, mask: Tensor, temperature: float, generator: torch.Generator
) -> GumbelSample:
    """y = softmax((alpha' + g) / tau) of each row [d, w] (FaDE eq. 3)."""
    noisy = perturbed(logits, mask, generator)
    return GumbelSample((noisy / temperature).softmax(dim=1), noisy.argmax(dim=1))


def draw_path(weights: Tensor, generator: torch.Generator) -> list[int]:
    """One candidate per row, drawn with the probabilities `weights` [d, w]."""
    return torch.multinomial(weights, 1, generator=generator).squeeze(1).tolist()


def entropy(weights: Tensor) -> Tensor:
    """Entropy of each row [d, w], over that of equal weights: in [0, 1], 0 for one candidate."""
    used = (weights > 0).sum(dim=1)
    value = -(weights * weights.clamp_min(1e-30).log()).sum(dim=1)
    return torch.where(used > 1, value / used.clamp_min(2).log(), torch.zeros(()))


def normal_start(mask: Tensor, std: float, generator: torch.Generator) -> Tensor:
    """std * N(0, 1), std 1e-3 in DARTS (algorithms B.1)."""
    return std * torch.randn(mask.shape, generator=generator)


def uniform_sigmoid_start(mask: Tensor, std: float, generator: torch.Generator) -> Tensor:
    """-ln(n - 1): sigmoid = 1 / n for the n operations of an edge, `none` counted (single-level,
    appendix C, whose "softmax(alpha) = .125" means sigmoid); 1/2 on an edge without a choice.
    """
    choices = mask.sum(dim=1, keepdim=True).clamp_min(2)
    return (-(choices - 1.0).log()).expand(mask.shape).clone()


@dataclass(frozen=True)
class Relaxation:
    """How operations compete on an edge.

    `expected(logits [E, O], mask [E, O])`: their weights without noise, masked ones exactly 0.
    `start(mask, std, generator)`: initial logits. `noisy`: from a draw to the weights [E, O] and
    the operations to run (None: all allowed); without it nothing is drawn.
    """

    expected: Callable[[Tensor, Tensor], Tensor]
    start: Callable[[Tensor, float, torch.Generator], Tensor] = normal_start
    noisy: Callable[[GumbelSample], tuple[Tensor, Used | None]] | None = None

    def weights(
        self, logits: Tensor, mask: Tensor, temperature: float, generator: torch.Generator
    ) -> tuple[Tensor, Used | None]:
        """Weights [E, O] of one pass, and which operations to run (None: all allowed)."""
        if self.noisy is None:
            return self.expected(logits, mask), None
        return self.noisy(gumbel_softmax(logits, mask, temperature, generator))


def sigmoid(logits: Tensor, mask: Tensor) -> Tensor:
    """Single-level DARTS: every operation for itself, not normalised (algorithms E.1)."""
    return logits.sigmoid().masked_fill(~mask, 0.0)


def drawn_alone(sample: GumbelSample) -> tuple[Tensor, Used]:
    """The hard weights (FaDE eq. 3); only the drawn operation is run (GDAS's forward pass).

    GDAS adds the zero weights of the others as bare scalars, whose gradient says nothing about
    those operations; here they get what the softmax passes on from the drawn one.
    """
    return sample.hard, tuple((index,) for index in sample.path)


RELAXATIONS: dict[str, Relaxation] = {
    "softmax": Relaxation(architecture_weights),
    "sigmoid": Relaxation(sigmoid, uniform_sigmoid_start),
    # the concrete relaxation: every operation is run, with noisy weights
    "gumbel-softmax": Relaxation(architecture_weights, noisy=lambda sample: (sample.soft, None)),
    "gumbel-softmax-sampled": Relaxation(architecture_weights, noisy=drawn_alone),
}


def edge_pairs(cell: CellSpace) -> tuple[tuple[int, int], ...]:
    """All unordered pairs of edges into one node (Amended-DARTS eq. 16)."""
    live = [e for e in range(len(cell.edges)) if any(cell.allowed[e])]  # sorted by target
    return tuple((e, f) for e, f in combinations(live, 2) if cell.edges[e][1] == cell.edges[f][1])


@dataclass(frozen=True)
class EdgeRelaxation:
    """How the edges into a node compete: by `count(cell)` logits, from which each has a factor."""

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
    listed = torch.tensor(edge_pairs(cell), dtype=torch.long).reshape(-1, 2)
    pairs = listed.to(logits.device, non_blocking=True)
    weights = _grouped_softmax(logits, [cell.edges[first][1] for first, _ in edge_pairs(cell)])
    factors = logits.new_zeros(len(cell.edges))
    for side in (0, 1):
        factors = factors.index_add(0, pairs[:, side], weights)
    alone = torch.ones_like(factors).index_fill(0, pairs.flatten(), 0.0)
    return factors + alone


def _grouped_softmax(logits: Tensor, groups: Sequence[int]) -> Tensor:
    group = torch.tensor(groups)
    same = (group[:, None] == group[None, :]).to(logits.device, non_blocking=True)  # [E, E]
    whole = logits.expand(len(groups), -1).masked_fill(~same, -torch.inf).logsumexp(dim=1)
    return (logits - whole).exp()


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
    """Of one kind of cell, differentiable; an edge that allows nothing has weight 0."""
    # softmax over nothing would be 0 / 0, also in the gradient
    dead = ~mask.any(dim=1, keepdim=True)
    operations, used = relaxation.weights(logits, mask | dead, temperature, generator)
    if used is not None:
        rows = zip(used, cell.allowed, strict=True)
        used = tuple(run if any(allowed) else () for run, allowed in rows)
    factors = edge_relaxation.factors(edge_logits, cell)
    return EdgeWeights(operations.masked_fill(dead, 0.0), factors, used)
