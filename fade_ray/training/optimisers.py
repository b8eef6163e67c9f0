"""How network weights are stepped: the rule, its learning rate over the epochs, clipping."""

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import torch
from torch import Tensor

from fade_ray.training.updates import Unroll
from spaces.choices import Choice
from spaces.errors import require, require_known


@dataclass(frozen=True)
class Optimiser(Choice):
    """What all optimisers have in common; a member builds its own in `build`."""

    learning_rate: float = 1e-3
    """Learning rate at the start."""
    final_learning_rate: float = 0.0
    """Where the cosine and linear schedules end."""
    schedule: str = "constant"
    """Learning rate per epoch: constant, cosine, linear, exponential (0.97 per epoch), one-cycle
    (up to three times itself, then down to 0), or linear-slow-end: linear, with the last five
    epochs smaller still (P-DARTS).
    """
    warm_up_epochs: int = 0
    """Epochs in which the learning rate rises linearly from a share of itself."""
    weight_decay: float = 1e-4
    """L2 penalty per step."""
    clip: float = 10.0
    """Bound of the gradients; 0 turns it off."""
    clip_by: Literal["value", "norm"] = "value"
    """What `clip` bounds: each entry, to [-clip, clip], or the norm of all gradients together."""

    def __post_init__(self) -> None:
        rate, final = self.learning_rate, self.final_learning_rate
        require(rate > 0, "learning_rate > 0", "Try 1e-3.", learning_rate=rate)
        rule, values = "0 <= final_learning_rate <= learning_rate", {"learning_rate": rate}
        require(0 <= final <= rate, rule, "Lower it.", final_learning_rate=final, **values)
        require_known("A schedule", self.schedule, SCHEDULES)
        require_known("`clip_by`", self.clip_by, CLIPS)
        for name in ("weight_decay", "clip", "warm_up_epochs"):
            value = getattr(self, name)
            require(value >= 0, f"{name} >= 0", "Use 0 to turn it off.", **{name: value})

    def rate(self, epoch: int, epochs: int) -> float:
        """The learning rate of `epoch`, counted from 0, of `epochs`."""
        if epoch < self.warm_up_epochs:
            return self.learning_rate * (epoch + 1) / self.warm_up_epochs
        return SCHEDULES[self.schedule](self, epoch, epochs)

    def slower(self, factor: float) -> Self:
        """The same at learning rates divided by `factor`."""
        rates = self.learning_rate / factor, self.final_learning_rate / factor
        return replace(self, learning_rate=rates[0], final_learning_rate=rates[1])

    def clipped(self, weights: Sequence[Tensor]) -> None:
        """Clip the gradients of `weights` in place."""
        if self.clip:
            CLIPS[self.clip_by](weights, self.clip)

    @abstractmethod
    def build(self, weights: Sequence[Tensor]) -> torch.optim.Optimizer:
        """The optimiser of `weights`, at its start."""

    def unroll(self, optimizer: torch.optim.Optimizer, weights: Sequence[Tensor]) -> Unroll:
        """The step that the second-order update looks ahead to: here a plain one."""
        return Unroll(optimizer.param_groups[0]["lr"], 0.0, self.weight_decay)

    def averages(self, optimizer: torch.optim.Optimizer, weights: Sequence[Tensor]) -> list[Tensor]:
        """The average that the optimiser itself keeps of each weight, [] for none."""
        return []

    def after(
        self,
        optimizer: torch.optim.Optimizer,
        weights: Sequence[Tensor],
        losses: Sequence[float],
    ) -> torch.optim.Optimizer:
        """What goes on after an epoch, by the held-out `losses` of all epochs so far."""
        return optimizer

    def restored(self, weights: Sequence[Tensor], state: dict[str, Any]) -> torch.optim.Optimizer:
        """The optimiser of `weights` whose state this is."""
        made = self.build(weights)
        made.load_state_dict(state)
        return made


@dataclass(frozen=True)
class Adam(Optimiser, name="adam"):
    """Adam, its weight decay as an L2 penalty."""

    beta1: float = 0.9
    beta2: float = 0.999
    """FaDE prints 0.1 and 1e-3, the complements of the defaults, which its code uses."""
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.beta1 < 1, "0 <= beta1 < 1", "Try 0.9.", beta1=self.beta1)
        require(0 <= self.beta2 < 1, "0 <= beta2 < 1", "Try 0.999.", beta2=self.beta2)
        require(self.epsilon > 0, "epsilon > 0", "Try 1e-8.", epsilon=self.epsilon)

    def build(self, weights: Sequence[Tensor]) -> torch.optim.Optimizer:
        return torch.optim.Adam(
            weights,
            lr=self.learning_rate,
            betas=(self.beta1, self.beta2),
            eps=self.epsilon,
            weight_decay=self.weight_decay,
            fused=_fuses(weights),
        )


@dataclass(frozen=True)
class SGD(Optimiser, name="sgd"):
    """Stochastic gradient descent with momentum; the defaults are those of DARTS's searches."""

    learning_rate: float = 0.025
    final_learning_rate: float = 0.001
    schedule: str = "cosine"
    weight_decay: float = 3e-4
    clip: float = 5.0
    clip_by: Literal["value", "norm"] = "norm"
    momentum: float = 0.9
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        momentum, remedy = self.momentum, "Use 0.9."
        require(0 <= momentum < 1, "0 <= momentum < 1", remedy, momentum=momentum)
        rule = "momentum > 0 with nesterov"
        require(not self.nesterov or momentum > 0, rule, remedy, momentum=momentum)

    def build(self, weights: Sequence[Tensor]) -> torch.optim.Optimizer:
        made = torch.optim.SGD(
            weights,
            lr=self.learning_rate,
            momentum=self.momentum,
            nesterov=self.nesterov,
            weight_decay=self.weight_decay,
            fused=_fuses(weights),
        )
        # zeros are what it starts from; torch's fused step cannot mix weights with and without a
        # buffer (sampled operations)
        for weight in weights if self.momentum else ():
            made.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
        return made

    def unroll(self, optimizer: torch.optim.Optimizer, weights: Sequence[Tensor]) -> Unroll:
        """This very step (algorithms B.2)."""
        buffers = [optimizer.state[weight].get("momentum_buffer") for weight in weights]
        rate = optimizer.param_groups[0]["lr"]
        return Unroll(rate, self.momentum, self.weight_decay, buffers)


@dataclass(frozen=True)
class ASGD(Optimiser, name="asgd"):
    """Averaged stochastic gradient descent: plain steps, and the mean of the weights over them
    (language models; AWD-LSTM). The defaults are those of DARTS on PTB.
    """

    learning_rate: float = 20.0
    weight_decay: float = 5e-7
    clip: float = 0.25
    clip_by: Literal["value", "norm"] = "norm"
    average_from: int = 0
    """Steps before the mean begins."""

    def build(self, weights: Sequence[Tensor]) -> torch.optim.Optimizer:
        return torch.optim.ASGD(
            weights,
            lr=self.learning_rate,
            lambd=0.0,
            t0=self.average_from,
            weight_decay=self.weight_decay,
            # else it reads its counters from the device in every step
            capturable=all(weight.device.type == "cuda" for weight in weights),
        )

    def averages(self, optimizer: torch.optim.Optimizer, weights: Sequence[Tensor]) -> list[Tensor]:
        return [optimizer.state[weight].get("ax", weight) for weight in weights]


@dataclass(frozen=True)
class SGDThenASGD(ASGD, name="sgd-then-asgd"):
    """Plain steps, and from the epoch on whose held-out loss is above the best of all but the last
    ones, their mean too (the non-monotone trigger of AWD-LSTM, as in DARTS on PTB).
    """

    patience: int = 5
    """How many last epochs are left out; a search and other trainings without a held-out loss after
    each epoch never switch.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.patience >= 0, "patience >= 0", "Use 5.", patience=self.patience)

    def build(self, weights: Sequence[Tensor]) -> torch.optim.Optimizer:
        decay = self.weight_decay
        return torch.optim.SGD(weights, self.learning_rate, weight_decay=decay)

    def after(
        self,
        optimizer: torch.optim.Optimizer,
        weights: Sequence[Tensor],
        losses: Sequence[float],
    ) -> torch.optim.Optimizer:
        """Algorithms B.5; as in DARTS's code the last ones are those before the present one."""
        earlier = losses[: -1 - self.patience]
        due = bool(earlier) and losses[-1] > min(earlier)
        return super().build(weights) if due and not _averages(optimizer) else optimizer

    def averages(self, optimizer: torch.optim.Optimizer, weights: Sequence[Tensor]) -> list[Tensor]:
        return super().averages(optimizer, weights) if _averages(optimizer) else []

    def restored(self, weights: Sequence[Tensor], state: dict[str, Any]) -> torch.optim.Optimizer:
        averaging = "t0" in state["param_groups"][0]
        made = super().build(weights) if averaging else self.build(weights)
        made.load_state_dict(state)
        return made


def _averages(optimizer: torch.optim.Optimizer) -> bool:
    return isinstance(optimizer, torch.optim.ASGD)


def _fuses(weights: Sequence[Tensor]) -> bool:
    return all(weight.device.type in ("cpu", "cuda") for weight in weights)


def _cosine(config: Optimiser, epoch: int, epochs: int) -> float:
    low, high = config.final_learning_rate, config.learning_rate
    return low + (high - low) / 2 * (1 + math.cos(math.pi * epoch / epochs))  # algorithms B.2


def _linear(config: Optimiser, epoch: int, epochs: int) -> float:
    low, high = config.final_learning_rate, config.learning_rate
    return low + (high - low) * (1 - epoch / epochs)


def _linear_slow_end(config: Optimiser, epoch: int, epochs: int) -> float:
    """P-DARTS for ImageNet: linear to 0 at E - 5 but for five last epochs of smaller steps."""
    if epochs <= 5:
        return _linear(config, epoch, epochs)
    if epochs - epoch > 5:
        return config.learning_rate * (epochs - 5 - epoch) / (epochs - 5)
    return config.learning_rate * (epochs - epoch) / ((epochs - 5) * 5)


def _one_cycle(config: Optimiser, epoch: int, epochs: int) -> float:
    """Smith 2018: up to PEAK learning rates, then down by a cosine; at the middle of each epoch."""
    done, highest = (epoch + 0.5) / epochs, PEAK * config.learning_rate
    if done < RISE:
        return highest * (START + (1 - START) * done / RISE)
    return highest / 2 * (1 + math.cos(math.pi * (done - RISE) / (1 - RISE)))


PEAK, RISE, START = 3.0, 0.3, 0.04
"""The highest rate of one-cycle in learning rates, where it is in the epochs, where it begins."""

SCHEDULES: dict[str, Callable[[Optimiser, int, int], float]] = {
    "constant": lambda config, epoch, epochs: config.learning_rate,
    "cosine": _cosine,
    "one-cycle": _one_cycle,
    "linear": _linear,
    "linear-slow-end": _linear_slow_end,
    "exponential": lambda config, epoch, epochs: config.learning_rate * 0.97**epoch,
}
"""(optimiser, epoch from 0, epochs) -> learning rate."""

CLIPS: dict[str, Callable[[Sequence[Tensor], float], object]] = {
    "value": torch.nn.utils.clip_grad_value_,
    "norm": torch.nn.utils.clip_grad_norm_,
}
