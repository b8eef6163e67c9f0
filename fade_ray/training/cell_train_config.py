"""How a network of cells is trained; the same object may serve the search and the retraining
(hyper-parameter consistency).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from spaces.errors import require

ScheduleName = Literal["cosine", "linear", "linear-slow-end", "exponential", "constant"]


@dataclass(frozen=True)
class CellTrainConfig:
    """Training of the network weights of cells by SGD."""

    epochs: int = 50
    """Passes over the training images."""
    batch_size: int = 64
    """Images per batch; over all workers where there are several."""
    learning_rate: float = 0.025
    """SGD's learning rate at the start."""
    final_learning_rate: float = 0.001
    """Where the cosine and linear schedules end."""
    schedule: ScheduleName = "cosine"
    """Learning rate per epoch; exponential: 0.97 per epoch; linear-slow-end: linear, with the last
    five epochs smaller still (P-DARTS).
    """
    warm_up_epochs: int = 0
    """Epochs in which the learning rate rises linearly from a share of itself."""
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 3e-4
    """L2 penalty per step."""
    clip: float = 5.0
    """Largest norm of the whole weight gradient; 0 turns it off."""
    label_smoothing: float = 0.0
    drop_path: float = 0.0
    """Probability, at the last epoch, of dropping the output of an operation for one image; it
    rises linearly from 0.
    """
    auxiliary_weight: float = 0.0
    """Weight of the auxiliary head's loss; above 0 the network has one."""
    cutout: int = 0
    """A square of this side, in pixels, is blanked in each training image."""
    ema: float = 0.0
    """Decay per step of an exponential moving average of the weights, evaluated beside them; 0
    keeps none.
    """
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Mixed precision: auto is bfloat16 on CUDA devices that have it, float32 elsewhere."""

    def __post_init__(self) -> None:
        require(self.epochs >= 0, "epochs >= 0", "Use 50.", epochs=self.epochs)
        require(self.batch_size >= 1, "batch_size >= 1", "Use 64.", batch_size=self.batch_size)
        require(
            self.learning_rate > 0,
            "learning_rate > 0",
            "Use 0.025.",
            learning_rate=self.learning_rate,
        )
        require(
            0 <= self.final_learning_rate <= self.learning_rate,
            "0 <= final_learning_rate <= learning_rate",
            "Lower it.",
            final_learning_rate=self.final_learning_rate,
            learning_rate=self.learning_rate,
        )
        for name in ("momentum", "label_smoothing", "drop_path", "ema"):
            value = getattr(self, name)
            require(0 <= value < 1, f"0 <= {name} < 1", "Use 0 to turn it off.", **{name: value})
        for name in ("weight_decay", "clip", "auxiliary_weight", "cutout", "warm_up_epochs"):
            value = getattr(self, name)
            require(value >= 0, f"{name} >= 0", "Use 0 to turn it off.", **{name: value})
        require(
            not self.nesterov or self.momentum > 0,
            "momentum > 0 with nesterov",
            "Use 0.9.",
            momentum=self.momentum,
        )

    def rate(self, epoch: int) -> float:
        """The learning rate of `epoch`, counted from 0."""
        if epoch < self.warm_up_epochs:
            return self.learning_rate * (epoch + 1) / self.warm_up_epochs
        return SCHEDULES[self.schedule](self, epoch)

    def dropped(self, epoch: int) -> float:
        """The drop-path rate of `epoch`, counted from 0: p * e / E (algorithms B.4)."""
        return self.drop_path * epoch / max(1, self.epochs)


def _cosine(config: CellTrainConfig, epoch: int) -> float:
    low, high = config.final_learning_rate, config.learning_rate
    # algorithms B.2
    return low + (high - low) / 2 * (1 + math.cos(math.pi * epoch / config.epochs))


def _linear(config: CellTrainConfig, epoch: int) -> float:
    low, high = config.final_learning_rate, config.learning_rate
    return low + (high - low) * (1 - epoch / config.epochs)


def _linear_slow_end(config: CellTrainConfig, epoch: int) -> float:
    """P-DARTS for ImageNet: linear to 0 at E - 5 but for the last five epochs, which share what is
    left in small steps.
    """
    if config.epochs <= 5:
        return _linear(config, epoch)
    if config.epochs - epoch > 5:
        return config.learning_rate * (config.epochs - 5 - epoch) / (config.epochs - 5)
    return config.learning_rate * (config.epochs - epoch) / ((config.epochs - 5) * 5)


SCHEDULES: dict[str, Callable[[CellTrainConfig, int], float]] = {
    "cosine": _cosine,
    "linear": _linear,
    "linear-slow-end": _linear_slow_end,
    "exponential": lambda config, epoch: config.learning_rate * 0.97**epoch,
    "constant": lambda config, epoch: config.learning_rate,
}
