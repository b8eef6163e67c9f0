"""Edges of cells: the logits of which operation stands on which edge, and their training."""

import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from fade_ray.data import AnyBatches
from fade_ray.nn.draw import Draw, EdgeWeights, SkipDropout
from fade_ray.nn.relaxations import EDGE_RELAXATIONS, RELAXATIONS, edge_weights
from fade_ray.training.architecture import Step
from fade_ray.training.network_problem import NetworkProblem
from fade_ray.training.objectives import Batch
from fade_ray.training.updates import (
    UPDATES,
    Unroll,
    UpdateConfig,
)
from spaces.cell import Macro
from spaces.errors import require, require_known


@dataclass(frozen=True)
class CellArchitectureConfig:
    """How the choice of operations is relaxed and trained."""

    relaxation: str = "softmax"
    """Weights of the operations on an edge."""
    edges: str = "none"
    """Of the edges into a node: none, softmax (PC-DARTS), or pairs (Amended-DARTS eq. 16)."""
    update: str = "first-order"
    """Gradient of the logits: joint (single-level), or bilevel in three forms."""
    same_images: bool = False
    """Whether a bilevel update takes its other batch from the images of the weights (single-level,
    Table 1).
    """
    logit_std: float = 1e-3
    """Standard deviation of the initial logits; sigmoid starts at -ln(n - 1) instead."""
    optimizer: str = "adam"
    """adam, or sgd: plain, with the network's learning rate (single-level, section 4.1)."""
    learning_rate: float = 3e-4
    """Adam's, constant."""
    beta1: float = 0.5
    beta2: float = 0.999
    weight_decay: float = 1e-3
    """Pulls the logits to 0; of no use with sigmoid, where it would pull every weight to one half.
    """
    warm_up: float = 0.0
    """Share of the epochs in which the network weights train alone."""
    temperature: float = 1.0
    """Of Gumbel-softmax, at the first epoch."""
    final_temperature: float = 1.0
    """At the last epoch, reached linearly."""
    eta: float = 0.1
    """Amending coefficient of the amended update."""
    unroll_momentum: bool = True
    """Whether the unrolled step of the second order holds SGD's momentum, as DARTS's code."""
    unroll_clip: float = 0.0
    """Bound of the norm of the unrolled step's gradients, and of v (DARTS on PTB: 0.25); 0: none.
    """
    cap_clip: bool = True
    """Off, as in DARTS's code: the implicit term is amplified where that norm is below the bound.
    """
    difference: Literal["central", "forward"] = "central"
    """Of gradients, in float32: central, as in the papers, or forward: fewer passes, less exact."""
    skip_dropout: float = 0.0
    """Behind skip-connects; it falls as long as the network weights train alone, and again from
    there (P-DARTS).
    """

    def __post_init__(self) -> None:
        require_known("A relaxation", self.relaxation, RELAXATIONS)
        require_known("A relaxation of edges", self.edges, EDGE_RELAXATIONS)
        require_known("An update", self.update, UPDATES)
        require_known("An optimiser of logits", self.optimizer, LOGIT_OPTIMISERS)
        rate = self.learning_rate
        require(rate > 0, "learning_rate > 0", "Use 3e-4.", learning_rate=rate)
        for name in ("logit_std", "weight_decay", "unroll_clip"):
            value = getattr(self, name)
            require(value >= 0, f"{name} >= 0", "Use 0 to turn it off.", **{name: value})
        remedy = "Else no logit is ever trained."
        require(0 <= self.warm_up < 1, "0 <= warm_up < 1", remedy, warm_up=self.warm_up)
        rate, remedy = self.skip_dropout, "Use 0 for none."
        require(0 <= rate < 1, "0 <= skip_dropout < 1", remedy, skip_dropout=rate)
        low = min(self.temperature, self.final_temperature)
        require(low > 0, "temperature > 0", "Use 0.1 or more.", temperature=low)

    @property
    def held_out(self) -> bool:
        """Whether the logits learn from images of their own."""
        return self.other_batches and not self.same_images

    @property
    def other_batches(self) -> bool:
        """Whether the logits learn from other batches than the weights."""
        return UPDATES[self.update].held_out

    def still_epochs(self, epochs: int) -> int:
        """Epochs in which the network weights train alone."""
        return round(self.warm_up * epochs)

    def dropped(self, epoch: int, epochs: int) -> float:
        """Dropout behind skip-connects in an epoch, counted from 0: linear to 0 at first, then a
        factor of exp(-0.2) per epoch (P-DARTS's code, from memory).
        """
        still = self.still_epochs(epochs)
        if epoch < still:
            return self.skip_dropout * (epochs - epoch - 1) / epochs
        return self.skip_dropout * math.exp(-0.2 * (epoch - still))

    @property
    def update_config(self) -> UpdateConfig:
        return UpdateConfig(
            eta=self.eta,
            unroll_momentum=self.unroll_momentum,
            clip=self.unroll_clip,
            cap=self.cap_clip,
            difference=self.difference,
        )


class LogitOptimiser(NamedTuple):
    """`build`: from configuration and logits; `follows`: the learning rate of the weights."""

    build: Callable[[CellArchitectureConfig, list[Tensor]], torch.optim.Optimizer]
    follows: bool


LOGIT_OPTIMISERS = {
    "adam": LogitOptimiser(
        lambda config, leaves: torch.optim.Adam(
            leaves,
            lr=config.learning_rate,
            betas=(config.beta1, config.beta2),
            weight_decay=config.weight_decay,
        ),
        follows=False,
    ),
    "sgd": LogitOptimiser(
        lambda config, leaves: torch.optim.SGD(
            leaves, lr=config.learning_rate, weight_decay=config.weight_decay
        ),
        follows=True,
    ),
}


class EdgeArchitecture:
    """The logits of every kind of cell in `macro`, their optimiser, and the weights made of them.

    `logits`: kind -> [E, O], `edge_logits`: kind -> [E], [pairs] or [0]; float32 on the device.
    `generator` (CPU) draws the start and, in training, the Gumbel noise.
    """

    def __init__(
        self,
        macro: Macro,
        config: CellArchitectureConfig,
        generator: torch.Generator,
        device: torch.device,
        batches: AnyBatches | None = None,
    ) -> None:
        self.macro, self.config, self.generator = macro, config, generator
        self.batches = batches
        self.relaxation = RELAXATIONS[config.relaxation]
        self.edge_relaxation = EDGE_RELAXATIONS[config.edges]
        self.masks: dict[str, Tensor] = {}
        self.logits: dict[str, Tensor] = {}
        self.edge_logits: dict[str, Tensor] = {}
        for kind, cell in macro.cells.items():
            mask = torch.from_numpy(cell.mask)
            start = self.relaxation.start(mask, config.logit_std, generator)
            edges = torch.randn(self.edge_relaxation.count(cell), generator=generator)
            self.masks[kind] = mask.to(device)
            self.logits[kind] = torch.where(mask, start, torch.zeros(())).to(device)
            self.edge_logits[kind] = (config.logit_std * edges).to(device)
        self.optimizer = LOGIT_OPTIMISERS[config.optimizer].build(config, self.leaves)
        self.temperature, self.dropped = config.temperature, 0.0

    @property
    def leaves(self) -> list[Tensor]:
        """All logits that are trained: of the operations by kind, then of the edges."""
        return [*self.logits.values(), *(e for e in self.edge_logits.values() if e.numel())]

    def weights(self) -> dict[str, EdgeWeights]:
        """One draw of the weights of every kind, differentiable in the logits."""
        return {
            kind: edge_weights(
                self.relaxation,
                self.edge_relaxation,
                self.logits[kind],
                self.edge_logits[kind],
                self.masks[kind],
                cell,
                self.temperature,
                self.generator,
            )
            for kind, cell in self.macro.cells.items()
        }

    @torch.no_grad()
    def expected(self) -> dict[str, EdgeWeights]:
        """The weights without noise, every allowed operation run."""
        weights = {}
        for kind, cell in self.macro.cells.items():
            mask, logits = self.masks[kind], self.logits[kind]
            dead = ~mask.any(dim=1, keepdim=True)
            operations = self.relaxation.expected(logits, mask | dead).masked_fill(dead, 0.0)
            factors = self.edge_relaxation.factors(self.edge_logits[kind], cell)
            weights[kind] = EdgeWeights(operations, factors)
        return weights

    def begin(self, epoch: int, epochs: int, learning_rate: float) -> None:
        """Temperature, dropout and, where it follows that of the weights, the learning rate."""
        self.dropped = self.config.dropped(epoch, epochs)
        first, last = self.config.temperature, self.config.final_temperature
        self.temperature = first + (last - first) * min(1.0, epoch / max(1, epochs - 1))
        if LOGIT_OPTIMISERS[self.config.optimizer].follows:
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate

    def moves(self, epoch: int, epochs: int) -> bool:
        return epoch >= self.config.still_epochs(epochs)

    def steps(self, batches: int) -> int:
        """The weights' images set the epoch (DARTS's code)."""
        return batches

    def draws(self) -> list[Draw]:
        """One draw of the weights of every kind, differentiable in the logits."""
        dropout = SkipDropout(self.dropped, self.generator) if self.dropped else None
        return [Draw(edges=self.weights(), skip_dropout=dropout)]

    def estimate(
        self,
        problem: NetworkProblem,
        train: Batch,
        held_out: Batch | None,
        unroll: Callable[[], Unroll],
    ) -> Step:
        """By the configuration's update, in float32 where it takes differences. A step counts once
        in the mean loss, whatever it saw.
        """
        config, update = self.config, UPDATES[self.config.update]
        with problem.exact() if update.by_differences else nullcontext():
            made = update(problem, train, held_out, unroll(), config.update_config)
        images = problem.objective.count(train if held_out is None else held_out)
        return Step(made.architecture, made.loss, 1, images, weights=made.weights)

    def move(self, step: Step) -> None:
        """Logits of what the space does not allow stay 0: their gradient is 0."""
        for leaf, gradient in zip(self.leaves, step.logits, strict=True):
            leaf.grad = gradient
        self.optimizer.step()

    def metrics(self) -> dict[str, Any]:
        """Nothing: what is watched is said by the search (`fade_ray.cells.watch`)."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        return {
            "logits": self.logits,
            "edge_logits": self.edge_logits,
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        with torch.no_grad():
            for mine, saved in (
                (self.logits, state["logits"]),
                (self.edge_logits, state["edge_logits"]),
            ):
                for kind, tensor in mine.items():
                    tensor.copy_(saved[kind])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
