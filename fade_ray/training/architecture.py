"""The architecture side of a bilevel training: logits, their optimiser, their gradient and what is
drawn from them.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from fade_ray.data import Batches
from fade_ray.nn import Chain, architecture_weights, initial_logits
from fade_ray.nn.relaxations import draw_path
from fade_ray.training.estimators import DRAWS, ESTIMATORS, Batch, Estimate
from fade_ray.training.failures import TrainingFailed
from fade_ray.training.penalties import PENALTIES, scaled
from fade_ray.training.train_config import ArchitectureConfig


class Architecture:
    """Logits alpha' [d, w] of a hyper-architecture under training, kept on the host: they decide
    which module runs next.

    `w` is the largest number of distinct candidates of a row; `mask` [d, w] marks the places that
    hold one.
    """

    def __init__(
        self,
        network: Chain,
        batches: Batches,
        config: ArchitectureConfig,
        epochs: int,
        generator: torch.Generator,
    ) -> None:
        counts = torch.tensor([len(row) for row in network.hyper.distinct()])
        self.mask = torch.arange(int(counts.max()))[None, :] < counts[:, None]
        self.config, self.epochs, self.generator, self.batches = config, epochs, generator, batches
        self.logits = initial_logits(self.mask, config.logit_std, generator)
        self.start = self.logits.clone()
        self.optimizer = torch.optim.Adam(
            [self.logits],
            lr=config.architecture_learning_rate,
            weight_decay=config.architecture_weight_decay,
        )

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

    def draw_paths(self) -> list[list[int]]:
        """The `weight_paths` paths of one weight step."""
        probabilities = DRAWS[self.config.draw](self.logits, self.mask)
        return [draw_path(probabilities, self.generator) for _ in range(self.config.weight_paths)]

    def moves(self, epoch: int) -> bool:
        """Whether the logits are trained in `epoch` (from 0): not during the warm-up."""
        return epoch >= self.config.warm_up

    def step(self, network: Chain, batch: Batch, epoch: int) -> Estimate:
        """One update of the logits on one architecture batch (FaDE eq. 4)."""
        t = min(1.0, epoch / max(1, self.epochs - 1))
        penalty = scaled(PENALTIES[self.config.penalty], self.config.penalty_scale, t)
        estimator = ESTIMATORS[self.config.estimator]
        estimate = estimator(
            network, batch, self.logits, self.mask, penalty, self.config, self.generator
        )
        if not estimate.grad.isfinite().all():
            raise TrainingFailed(
                f"the loss of the architecture step became {float(estimate.loss)} in epoch {epoch + 1} of {self.epochs}; "
                "lower the learning rate of the weights, or turn a norm on"
            )
        self.logits.grad = estimate.grad
        self.optimizer.step()
        self.logits.masked_fill_(~self.mask, 0.0)
        return estimate

    def stream(self, generator: torch.Generator) -> Iterator[Batch]:
        """Architecture batches without end: the smaller split is cycled (FaDE's code)."""
        return self.batches.cycle(generator)

    def state_dict(self) -> dict[str, Any]:
        return {"logits": self.logits, "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.logits.copy_(state["logits"])
        self.optimizer.load_state_dict(state["optimizer"])
