"""A language model around a recurrent cell; search network and genotype are one class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import reduce
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fade_ray.nn.costs import Cost
from fade_ray.nn.draw import Draw, EdgeWeights, Path, Scores, kept
from fade_ray.nn.network import AnyNetwork
from fade_ray.nn.norms import Norm
from spaces.cell import NONE, CellSpace, Macro
from spaces.errors import at_least, require, require_known

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "identity": lambda x: x,
}
"""The operations of recurrent cells. Add your own."""
BOUND = 0.04
"""All weights begin in U(-0.04, 0.04), the decoder's bias at 0 (DARTS's code)."""


@dataclass(frozen=True)
class Dropouts:
    """Rates of dropout in a language model (algorithms B.5). The masks of a pass are the same at
    all its words (variational), but for `word`, which takes whole words out of the vocabulary.
    """

    output_dropout: float = 0.75
    """What the decoder reads."""
    hidden_dropout: float = 0.25
    """The state and the nodes, wherever the cell multiplies them."""
    input_dropout: float = 0.75
    """The words' vectors, where the cell multiplies them."""
    embedding_dropout: float = 0.2
    """The words' vectors, before."""
    word_dropout: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(Dropouts):
            rate, remedy = getattr(self, field.name), "Use 0 for none."
            require(0 <= rate < 1, f"0 <= {field.name} < 1", remedy, rate=rate)


class Masks(NamedTuple):
    """Factors of one pass; None for 1. `word` [words, 1], `hidden` [batch, units], the others
    [batch, 1, units].
    """

    word: Tensor | None = None
    embedding: Tensor | None = None
    input: Tensor | None = None
    hidden: Tensor | None = None
    output: Tensor | None = None

    @classmethod
    def drawn(cls, rates: Dropouts, batch: int, like: Tensor, noise: torch.Generator) -> Masks:
        """For word vectors `like` [words, units]."""
        words, units = like.shape
        shapes = {"word": (words, 1), "hidden": (batch, units)}
        masks = {
            name: kept(shapes.get(name, (batch, 1, units)), rate, noise, like)
            for name in cls._fields
            if (rate := getattr(rates, f"{name}_dropout"))
        }
        return cls(**masks)


def _masked(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else x * mask


class Term(NamedTuple):
    """An operation at a node: on which of the node's sources (None: all), times which factors
    [sources, 1, 1] (None: 1).
    """

    activation: Callable[[Tensor], Tensor]
    rows: list[int] | None
    factors: Tensor | None


class Node(NamedTuple):
    """What a node computes in one pass: `share` [sources, 1, 1] is the sum of the factors."""

    sources: list[int]
    terms: list[Term]
    share: Tensor | None


class RecurrentCell(nn.Module):
    """Maps vectors [batch, time, units] and a state [batch, units] to outputs [batch, time, units],
    of which the last is the next state (DARTS 3.2; algorithms B.5).

    Node 0 is h + sigmoid(c) (tanh(u) - h) with (c, u) = [x, h] W_0. From a node s with operation f
    a later one is s + sigmoid(c) (f(u) - s) with (c, u) = s W_i, one W_i for all its sources; what
    comes by several is weighted and added up. The output is the mean of the output nodes. In search
    node 0 and all sums are normalised by the batch. DARTS's code keeps running statistics there, of
    all nodes in one, for its evaluation; here batch statistics serve that too.
    """

    def __init__(
        self, kind: str, space: CellSpace, units: int, search: bool, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.kind, self.space, self.is_discrete = kind, space, space.is_discrete
        for op in space.ops:
            require_known(f"An operation of cell {kind!r}", op, [NONE, *ACTIVATIONS])
        rule, remedy = "a recurrent cell has inputs == 1", "Use the space `recurrent`."
        require(space.inputs == 1, rule, remedy, inputs=space.inputs)

        def weight(rows: int) -> nn.Parameter:
            made = torch.empty(rows, 2 * units)
            return nn.Parameter(made.uniform_(-BOUND, BOUND, generator=generator))

        self.entry = weight(2 * units)
        self.nodes = nn.ParameterList(weight(units) for _ in range(1, space.nodes))
        statistics = {"affine": False, "track_running_stats": False}
        self.norm = Norm(units, **statistics) if search else None

    def forward(self, x: Tensor, state: Tensor, draw: Draw, masks: Masks) -> Tensor:
        weights = draw.inside(self.kind)
        rule = "a network with choices gets architecture weights"
        remedy = "Give `edges`, or discretise the cells."
        require(weights is not None or self.is_discrete, rule, remedy, cell=self.kind)
        plan = [self._plan(node, weights) for node in range(1, self.space.nodes)]
        from_word, from_state = self.entry.chunk(2)
        entered = _masked(x, masks.input) @ from_word  # of all words in one product
        outputs = []
        for word in entered.unbind(1):
            c, u = (word + _masked(state, masks.hidden) @ from_state).chunk(2, -1)
            values = [self._normed(state + c.sigmoid() * (u.tanh() - state))]
            through = [_masked(values[0], masks.hidden)]
            for node, weight in zip(plan, self.nodes, strict=True):
                values.append(self._normed(_mixed(node, weight, values, through)))
                through.append(_masked(values[-1], masks.hidden))
            state = torch.stack([values[node] for node in self.space.outputs]).mean(0)
            outputs.append(state)
        return torch.stack(outputs, 1)

    def _normed(self, x: Tensor) -> Tensor:
        return x if self.norm is None else self.norm(x)

    def _plan(self, node: int, weights: EdgeWeights | None) -> Node:
        """What runs at a node; edges on which nothing does are left out."""
        running = {edge: self._running(edge, weights) for edge in self.space.incoming(node)}
        edges = [edge for edge, numbers in running.items() if numbers]
        factors = None if weights is None else weights.operations[edges, :, None, None]
        if factors is not None and weights is not None and weights.edges is not None:
            factors = factors * weights.edges[edges, None, None, None]
        terms = []
        for k, op in enumerate(self.space.ops):
            rows = [row for row, edge in enumerate(edges) if k in running[edge]]
            if rows:
                chosen = None if len(rows) == len(edges) else rows
                own = None if factors is None else factors[rows, k]
                terms.append(Term(ACTIVATIONS[op], chosen, own))
        built = [k for k, op in enumerate(self.space.ops) if op != NONE]
        share = None if factors is None else factors[:, built].sum(1)
        return Node([self.space.edges[edge][0] for edge in edges], terms, share)

    def _running(self, edge: int, weights: EdgeWeights | None) -> list[int]:
        """The numbers of the operations that run on an edge."""
        allowed = [k for k, allow in enumerate(self.space.allowed[edge]) if allow]
        if weights is not None and weights.used is not None:
            allowed = [k for k in weights.used[edge] if k in allowed]
        return [k for k in allowed if self.space.ops[k] != NONE]

    @property
    def cost(self) -> Cost:
        """Of one word, with all operations."""
        units = self.entry.shape[1] // 2
        allowed = [self._running(edge, None) for edge in range(len(self.space.edges))]
        relus = sum("relu" in [self.space.ops[k] for k in numbers] for numbers in allowed)
        products = 2 + sum(map(bool, allowed))
        norms = 0 if self.norm is None else self.space.nodes * units
        return Cost(2 * products * units**2, norms, relus * units)


def _mixed(
    node: Node, weight: Tensor, values: Sequence[Tensor], through: Sequence[Tensor]
) -> Tensor:
    """sum_jf p_jf (s_j + sigmoid(c_j) (f(u_j) - s_j)) [batch, units], by source put together as
    p_j s_j + sigmoid(c_j) (sum_f p_jf f(u_j) - p_j s_j).
    """
    if not node.sources:
        return torch.zeros_like(values[0])
    s = torch.stack([values[source] for source in node.sources])
    c, u = (torch.stack([through[source] for source in node.sources]) @ weight).chunk(2, -1)
    terms = []
    for activation, rows, factors in node.terms:
        y = activation(u if rows is None else u[rows])
        y = y if factors is None else y * factors
        if rows is not None:
            y = torch.zeros_like(u).index_copy(0, torch.tensor(rows, device=u.device), y)
        terms.append(y)
    mixed = reduce(torch.add, terms)
    s = s if node.share is None else s * node.share
    return (s + c.sigmoid() * (mixed - s)).sum(0)


class LanguageNetwork(AnyNetwork):
    """`forward(words [batch, time], draw, state [batch, units], rates)` gives `Scores` of the next
    words [batch, time, words] and the next state, detached; it begins with zeros.

    A word's vector and its row of the decoder are the same weights. `vocabulary`: how many words.
    `search`: normalised by the batch. InvalidInput for cells of another stacking.
    """

    task: ClassVar[str] = "text"

    def __init__(
        self,
        macro: Macro,
        *,
        vocabulary: int,
        units: int,
        search: bool = False,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        at_least(1, vocabulary=vocabulary, units=units)
        rule, remedy = "a language model is of recurrent cells", "Use the space `recurrent`."
        require(macro.stack.task == "text", rule, remedy, stacking=macro.stacking)
        (place,) = macro.layout
        self.macro, self.units = macro, units
        vectors = torch.empty(vocabulary, units).uniform_(-BOUND, BOUND, generator=generator)
        self.vectors, self.bias = nn.Parameter(vectors), nn.Parameter(torch.zeros(vocabulary))
        cell = macro.cells[place.kind]
        self.cell = RecurrentCell(place.kind, cell, units, search, generator)

    def forward(
        self,
        words: Tensor,
        draw: Draw = Draw(),  # noqa: B008, frozen
        state: Tensor | None = None,
        rates: Dropouts | None = None,
    ) -> tuple[Scores, Tensor]:
        masks = Masks()
        if self.training and rates is not None and draw.noise is not None:
            masks = Masks.drawn(rates, len(words), self.vectors, draw.noise)
        x = _masked(F.embedding(words, _masked(self.vectors, masks.word)), masks.embedding)
        state = x.new_zeros(len(words), self.units) if state is None else state
        outputs = self.cell(x, state, draw, masks)
        dropped = _masked(outputs, masks.output)
        scores = F.linear(dropped, self.vectors, self.bias)
        return Scores(scores, None, outputs, dropped), outputs[:, -1].detach()

    @property
    def example(self) -> Tensor:
        """One word."""
        return torch.zeros(1, 1, dtype=torch.int64)

    def compile_candidates(self) -> None:
        """The cell."""
        self.cell.compile()

    def cost(self, path: Path = ()) -> Cost:
        """Of one word."""
        return self.cell.cost + Cost(self.vectors.numel())
