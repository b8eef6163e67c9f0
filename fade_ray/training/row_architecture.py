"""Rows of candidates: the logits of a hyper-architecture, their optimiser, their gradient and what
is drawn from them (FaDE 2.1, 2.2).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fade_ray.data import ImageBatches
from fade_ray.nn import Chain, Draw, architecture_weights, entropy, initial_logits
from fade_ray.nn.relaxations import draw_path
from fade_ray.training.architecture import Step
from fade_ray.training.estimators import DRAWS, ESTIMATORS, RowProblem
from fade_ray.training.failures import TrainingFailed
from fade_ray.training.network_problem import NetworkProblem
from fade_ray.training.objectives import Batch
from fade_ray.training.penalties import PENALTIES, scaled
from fade_ray.training.updates import Unroll
from spaces.errors import require, require_known


@dataclass(frozen=True)
class ArchitectureConfig:
    """Training of the architecture logits of a hyper-architecture (FaDE 2.1, 2.2)."""

    estimator: str = "score-function"
    """Architecture gradient: score-function, score-function-split, marginal, permuted,
    straight-through-exact, straight-through-sampled; see `fade_ray.training.estimators`.
    """
    draw: str = "uniform"
    """Candidates of the weight step: uniform, or weighted by their weights (the paper)."""
    paths: int = 6
    """Of the score functions: paths per architecture batch; split, each sees a part of it."""
    weight_paths: int = 1
    """Paths among which each weight batch is split; their gradients are averaged over the images.
    """
    temperature: float = 10.0
    """Gumbel-softmax temperature tau, of the straight-through estimators only."""
    logit_std: float = 0.0
    """Standard deviation of the initial architecture logits."""
    architecture_learning_rate: float = 1e-2
    """Adam's learning rate for the logits, constant."""
    architecture_weight_decay: float = 0.0
    """Pulls the rows towards uniform."""
    warm_up: int = 0
    """Epochs in which the weights train alone before the logits move."""
    penalty: str = "none"
    """Penalty of eq. 4 on the largest weight of each row, from +scale to -scale over the epochs:
    none, max-norm, or max-norm-by-cell: shallow rows first (Fig. 2a).
    """
    penalty_scale: float = 1.0

    def __post_init__(self) -> None:
        require_known("An estimator", self.estimator, ESTIMATORS)
        require_known("A draw", self.draw, DRAWS)
        require_known("A penalty", self.penalty, PENALTIES)
        remedy = "The leave-one-out baseline needs two paths; try 6."
        require(self.paths >= 2, "paths >= 2", remedy, paths=self.paths)
        require(
            self.weight_paths >= 1, "weight_paths >= 1", "Use 1.", weight_paths=self.weight_paths
        )
        for name, usual in (("temperature", "10"), ("architecture_learning_rate", "1e-3")):
            value = getattr(self, name)
            require(value > 0, f"{name} > 0", f"Try {usual}.", **{name: value})
        for name in ("logit_std", "architecture_weight_decay", "warm_up", "penalty_scale"):
            value = getattr(self, name)
            require(value >= 0, f"{name} >= 0", "Try 0.", **{name: value})

    def check_batch(self, batch_size: int) -> None:
        """Raises InvalidInput where a batch has fewer images than paths that share it."""
        split = {"weight_paths": self.weight_paths}
        if ESTIMATORS[self.estimator].splits:
            split["paths"] = self.paths
        for name, parts in split.items():
            rule, remedy = f"{name} <= batch_size", "Each path needs an image: draw fewer paths."
            require(parts <= batch_size, rule, remedy, **{name: parts, "batch_size": batch_size})


class RowArchitecture:
    """Logits alpha' [d, w] of a hyper-architecture under training, kept on the host: they decide
    which module runs next.

    `w` is the largest number of distinct candidates of a row; `mask` [d, w] marks the places that
    hold one.
    """

    leaves: Sequence[Tensor] = ()
    """None: a pass runs along one drawn path, whatever the logits are."""

    def __init__(
        self,
        network: Chain,
        batches: ImageBatches,
        config: ArchitectureConfig,
        generator: torch.Generator,
    ) -> None:
        counts = torch.tensor([len(row) for row in network.hyper.distinct()])
        self.mask = torch.arange(int(counts.max()))[None, :] < counts[:, None]
        self.network, self.batches, self.config = network, batches, config
        self.generator = generator
        self.logits = initial_logits(self.mask, config.logit_std, generator)
        self.start = self.logits.clone()
        self.optimizer = torch.optim.Adam(
            [self.logits],
            lr=config.architecture_learning_rate,
            weight_decay=config.architecture_weight_decay,
        )
        self.epoch = self.epochs = 0

    @property
    def weights(self) -> Tensor:
        """softmax(alpha') [d, w], without noise."""
        return architecture_weights(self.logits, self.mask)

    def rows(self, values: Tensor) -> list[list[float]]:
        """`values` [d, w] as lists that hold the row's distinct candidates alone."""
        return [row[used].tolist() for row, used in zip(values, self.mask, strict=True)]

    def best_path(self) -> list[int]:
        """The candidate of largest weight in each row."""
        return self.weights.argmax(dim=1).tolist()

    def begin(self, epoch: int, epochs: int, learning_rate: float) -> None:
        self.epoch, self.epochs = epoch, epochs

    def moves(self, epoch: int, epochs: int) -> bool:
        return epoch >= self.config.warm_up

    def steps(self, batches: int) -> int:
        """The larger split sets the epoch (FaDE's code)."""
        return max(batches, len(self.batches))

    def draws(self) -> list[Draw]:
        """One hard path for each of the `weight_paths` parts of a batch."""
        probabilities = DRAWS[self.config.draw](self.logits, self.mask)
        paths = range(self.config.weight_paths)
        return [Draw(draw_path(probabilities, self.generator)) for _ in paths]

    def estimate(
        self,
        problem: NetworkProblem,
        train: Batch,
        held_out: Batch | None,
        unroll: Callable[[], Unroll],
    ) -> Step:
        """The gradient of eq. 4 on one architecture batch, by the configuration's estimator."""
        assert held_out is not None
        config, t = self.config, min(1.0, self.epoch / max(1, self.epochs - 1))
        asked = RowProblem(
            self.network,
            problem.objective,
            self.logits,
            self.mask,
            scaled(PENALTIES[config.penalty], config.penalty_scale, t),
            config,
            self.generator,
        )
        with problem.placement.precision():
            estimate = ESTIMATORS[config.estimator].estimate(asked, held_out)
        if not estimate.grad.isfinite().all():
            raise TrainingFailed(
                f"the loss of the architecture step became {float(estimate.loss)} in epoch "
                f"{self.epoch + 1} of {self.epochs}; lower the learning rate of the weights, or "
                "turn a norm on"
            )
        images = problem.objective.count(held_out)
        return Step(
            (estimate.grad,),
            estimate.loss,
            images,
            images,
            estimate.measures,
            estimate.multiply_adds,
        )

    def move(self, step: Step) -> None:
        (self.logits.grad,) = step.logits
        self.optimizer.step()
        self.logits.masked_fill_(~self.mask, 0.0)

    def metrics(self) -> dict[str, Any]:
        """weights [d][distinct], entropy [d]."""
        weights = self.weights
        return {"weights": self.rows(weights), "entropy": entropy(weights).tolist()}

    def state_dict(self) -> dict[str, Any]:
        return {
            "logits": self.logits,
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.logits.copy_(state["logits"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
