"""The logits of cells: which operation on which edge, trained beside the network weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from fade_ray.nn.draw import EdgeWeights
from fade_ray.nn.edge_relaxations import EDGE_RELAXATIONS, RELAXATIONS, edge_weights
from fade_ray.training.updates import UPDATES, UpdateConfig
from spaces.cell import Macro
from spaces.errors import require

RelaxationName = Literal["softmax", "sigmoid", "gumbel-softmax", "gumbel-softmax-sampled"]
EdgeRelaxationName = Literal["none", "softmax", "pairs"]
UpdateName = Literal["joint", "first-order", "second-order", "amended"]


@dataclass(frozen=True)
class CellArchitectureConfig:
    """How the choice of operations is relaxed and trained; a recipe is one of these and a list of
    stages.
    """

    relaxation: RelaxationName = "softmax"
    """Weights of the operations on an edge."""
    edges: EdgeRelaxationName = "none"
    """Weights of the edges into a node: none, softmax over the edges (PC-DARTS), or over pairs of
    them (Amended-DARTS eq. 16).
    """
    update: UpdateName = "first-order"
    """Gradient of the logits: joint (single-level), or bilevel in three forms."""
    logit_std: float = 1e-3
    """Standard deviation of the initial logits; sigmoid starts at -ln(n - 1) instead."""
    optimizer: Literal["adam", "sgd"] = "adam"
    """sgd: plain, with the network's learning rate (single-level, section 4.1)."""
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
    """Whether the unrolled step of the second-order update holds SGD's momentum, as the code of
    DARTS does.
    """
    difference: Literal["central", "forward"] = "central"
    """Finite differences of the second-order and amended updates: central as in the papers, or
    forward: fewer passes, less exact.
    """

    def __post_init__(self) -> None:
        for name, table in (
            ("relaxation", RELAXATIONS),
            ("edges", EDGE_RELAXATIONS),
            ("update", UPDATES),
        ):
            value = getattr(self, name)
            require(value in table, f"{name} is one of {', '.join(table)}", "", **{name: value})
        require(
            self.learning_rate > 0,
            "learning_rate > 0",
            "Use 3e-4.",
            learning_rate=self.learning_rate,
        )
        for name in ("logit_std", "weight_decay"):
            value = getattr(self, name)
            require(value >= 0, f"{name} >= 0", "Use 0 to turn it off.", **{name: value})
        require(
            0 <= self.warm_up < 1,
            "0 <= warm_up < 1",
            "Else no logit is ever trained.",
            warm_up=self.warm_up,
        )
        low = min(self.temperature, self.final_temperature)
        require(low > 0, "temperature > 0", "Use 0.1 or more.", temperature=low)

    @property
    def update_config(self) -> UpdateConfig:
        return UpdateConfig(
            eta=self.eta, unroll_momentum=self.unroll_momentum, difference=self.difference
        )


class CellArchitecture:
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
    ) -> None:
        self.macro, self.config, self.generator = macro, config, generator
        self.relaxation, self.edge_relaxation = (
            RELAXATIONS[config.relaxation],
            EDGE_RELAXATIONS[config.edges],
        )
        self.masks = {
            kind: torch.from_numpy(cell.mask).to(device) for kind, cell in macro.cells.items()
        }
        self.logits: dict[str, Tensor] = {}
        self.edge_logits: dict[str, Tensor] = {}
        for kind, cell in macro.cells.items():
            mask = torch.from_numpy(cell.mask)
            start = self.relaxation.start(mask, config.logit_std, generator)
            self.logits[kind] = torch.where(mask, start, torch.zeros(())).to(device)
            count = self.edge_relaxation.count(cell)
            self.edge_logits[kind] = (
                config.logit_std * torch.randn(count, generator=generator)
            ).to(device)
        self.optimizer = self._optimizer()
        self.temperature = config.temperature

    def _optimizer(self) -> torch.optim.Optimizer:
        config = self.config
        if config.optimizer == "sgd":
            return torch.optim.SGD(
                self.leaves, lr=config.learning_rate, weight_decay=config.weight_decay
            )
        return torch.optim.Adam(
            self.leaves,
            lr=config.learning_rate,
            betas=(config.beta1, config.beta2),
            weight_decay=config.weight_decay,
        )

    @property
    def leaves(self) -> list[Tensor]:
        """All logits that are trained: of the operations by kind, then of the edges."""
        return [
            *self.logits.values(),
            *(edges for edges in self.edge_logits.values() if edges.numel()),
        ]

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
        found = {}
        for kind, cell in self.macro.cells.items():
            mask = self.masks[kind]
            dead = ~mask.any(dim=1, keepdim=True)
            operations = self.relaxation.expected(self.logits[kind], mask | dead).masked_fill(
                dead, 0.0
            )
            found[kind] = EdgeWeights(
                operations, self.edge_relaxation.factors(self.edge_logits[kind], cell)
            )
        return found

    def set_time(self, epoch: int, epochs: int, learning_rate: float) -> None:
        """Temperature and, for SGD, the learning rate of `epoch`, counted from 0; `learning_rate`
        is that of the network weights.
        """
        first, last = self.config.temperature, self.config.final_temperature
        self.temperature = first + (last - first) * min(1.0, epoch / max(1, epochs - 1))
        if self.config.optimizer == "sgd":
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate

    def moves(self, epoch: int, epochs: int) -> bool:
        """Whether the logits are trained in `epoch`, counted from 0."""
        return epoch >= round(self.config.warm_up * epochs)

    def step(self, gradients: tuple[Tensor, ...]) -> None:
        """One step of the optimiser. Logits of what the space does not allow stay 0: their gradient
        is 0.
        """
        for leaf, gradient in zip(self.leaves, gradients, strict=True):
            leaf.grad = gradient
        self.optimizer.step()

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
