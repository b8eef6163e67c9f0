"""The one training of this project: a hyper-architecture with its logits, or an architecture alone
(width one, no logits).
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from fade_ray.data import Batches
from fade_ray.nn import Chain, Draw, Path, entropy, still
from fade_ray.training.architecture import Architecture
from fade_ray.training.device import Placement
from fade_ray.training.estimators import Batch, split_batch
from fade_ray.training.failures import TrainingFailed
from fade_ray.training.train_config import TrainConfig


@dataclass
class _Sums:
    """Sums over an epoch, kept on the device; one synchronisation reads them."""

    loss: Tensor
    correct: Tensor
    images: int = 0

    def add(self, loss: Tensor, correct: Tensor, images: int) -> None:
        self.loss += loss.detach() * images
        self.correct += correct
        self.images += images

    def read(self) -> tuple[float, float]:
        """Mean loss and accuracy."""
        count = max(1, self.images)
        return float(self.loss) / count, float(self.correct) / count


@dataclass
class Training:
    """Trains `network` on the weights split, epoch by epoch; with `architecture`, bilevel and
    first-order (FaDE 2.2).

    Per step one batch of the architecture split updates the logits, then one batch of the weights
    split the network weights, along one drawn candidate per row, or split among several such paths
    (`weight_paths`). Only the drawn candidates have a gradient and are stepped: their gradient is
    that of the dense form, but where the dense form lets Adam's momentum and weight decay move the
    others too, here they rest.

    All randomness comes from generators seeded by `seed` and saved by `state_dict`; a training
    restored after an epoch goes on with the same bits on the CPU.
    """

    network: Chain
    batches: Batches
    config: TrainConfig
    epochs: int
    placement: Placement
    seed: int
    architecture: Architecture | None = None
    epoch: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.generators = {
            name: torch.Generator().manual_seed(self.seed * 4 + index)
            for index, name in enumerate(("weights", "architecture"))
        }
        if self.architecture is not None:
            self.generators["paths"] = self.architecture.generator
        self.network.to(self.placement.device, memory_format=self.placement.memory_format)  # type: ignore[call-overload]
        self.optimizer = torch.optim.Adam(
            self.network.parameters(),
            lr=self.config.learning_rate,
            betas=(self.config.beta1, self.config.beta2),
            eps=self.config.epsilon,
            weight_decay=self.config.weight_decay,
            fused=self.placement.device.type in ("cpu", "cuda"),
        )
        if self.config.compile:
            self.network.compile_candidates()

    @property
    def finished(self) -> bool:
        return self.epoch >= self.epochs

    def run_epoch(self) -> dict[str, Any]:
        """Train one epoch (one pass over the larger split) and return its metrics.

        Keys: loss, accuracy (on the training batches), seconds, images, images_per_second,
        multiply_adds, peak_memory_mib; with logits also architecture_loss, architecture_accuracy,
        weights [d][distinct], entropy [d]. Raises TrainingFailed when the loss is not finite.
        """
        start = time.perf_counter()
        self._set_learning_rate()
        self.network.train()
        weights, architecture = self._sums(), self._sums()
        images = multiply_adds = 0
        for ours, theirs in self._steps():
            if theirs is not None and self.architecture is not None:
                with self.placement.precision():
                    estimate = self.architecture.step(self.network, theirs, self.epoch)
                architecture.add(estimate.loss, estimate.correct, len(theirs[1]))
                images += len(theirs[1])
                multiply_adds += estimate.multiply_adds
            paths = self.architecture.draw_paths() if self.architecture is not None else [()]
            weights.add(*self.weight_step(ours, *paths), len(ours[1]))
            images += len(ours[1])
            for path, (_, labels) in zip(paths, split_batch(ours, len(paths)), strict=True):
                # forward, and backward twice
                multiply_adds += 3 * self.network.multiply_adds(path) * len(labels)
        metrics = self._read(weights, architecture)
        # after the reading above, which waited for the device
        seconds = time.perf_counter() - start
        self.epoch += 1
        return metrics | {
            "seconds": seconds,
            "images": images,
            "images_per_second": images / seconds,
            "multiply_adds": multiply_adds,
            "peak_memory_mib": self.placement.peak_memory(),
        }

    def weight_step(self, batch: Batch, *paths: Path) -> tuple[Tensor, Tensor]:
        """One Adam step of the weights on `paths`, each on its part of the batch, their gradients
        averaged over the images.

        Returns the loss and the number of images classified right, on the device. BatchNorm takes
        the statistics of each part.
        """
        self.optimizer.zero_grad(set_to_none=True)
        losses, correct = [], []
        for path, (images, labels) in zip(paths, split_batch(batch, len(paths)), strict=True):
            with self.placement.precision():
                scores = self.network(images, Draw(path)).main
                loss = F.cross_entropy(scores, labels) * (len(labels) / len(batch[1]))
            loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
            correct.append((scores.detach().argmax(dim=1) == labels).sum())
        if self.config.clip:
            used = [p for p in self.network.parameters() if p.grad is not None]
            torch.nn.utils.clip_grad_value_(used, self.config.clip)
        self.optimizer.step()
        return torch.stack(losses).sum(), torch.stack(correct).sum()

    def _steps(self) -> Iterator[tuple[Batch, Batch | None]]:
        ours = self.batches.epoch(self.generators["weights"])
        if self.architecture is None or not self.architecture.moves(self.epoch):
            return ((batch, None) for batch in ours)
        theirs = self.architecture.stream(self.generators["architecture"])
        # the larger split sets the epoch (FaDE's code)
        if len(self.architecture.batches) > len(self.batches):
            ours = (
                batch
                for batch, _ in zip(
                    self.batches.cycle(self.generators["weights"]),
                    range(len(self.architecture.batches)),
                    strict=False,
                )
            )
        return zip(ours, theirs, strict=False)

    def _sums(self) -> _Sums:
        zero = torch.zeros((), device=self.placement.device)
        return _Sums(zero, zero.clone())

    def _read(self, weights: _Sums, architecture: _Sums) -> dict[str, Any]:
        loss, accuracy = weights.read()
        metrics: dict[str, Any] = {"loss": loss, "accuracy": accuracy}
        if self.architecture is not None:
            current = self.architecture.weights
            metrics["weights"] = self.architecture.rows(current)
            metrics["entropy"] = entropy(current).tolist()
            if architecture.images:
                metrics["architecture_loss"], metrics["architecture_accuracy"] = architecture.read()
        if not math.isfinite(loss):
            raise TrainingFailed(
                f"the loss became {loss} in epoch {self.epoch + 1} of {self.epochs} at learning rate {self.learning_rate:g}; "
                "lower it, or turn a norm on"
            )
        return metrics

    @property
    def learning_rate(self) -> float:
        """Adam's learning rate in the current epoch."""
        if self.config.schedule == "constant":
            return self.config.learning_rate
        return self.config.learning_rate * (1 + math.cos(math.pi * self.epoch / self.epochs)) / 2

    def _set_learning_rate(self) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate

    def state_dict(self) -> dict[str, Any]:
        """Everything the next epoch depends on; loads with `weights_only=True`."""
        return {
            "epoch": self.epoch,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generators": {
                name: generator.get_state() for name, generator in self.generators.items()
            },
            "architecture": None if self.architecture is None else self.architecture.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch = state["epoch"]
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        for name, generator_state in state["generators"].items():
            self.generators[name].set_state(generator_state)
        if self.architecture is not None:
            self.architecture.load_state_dict(state["architecture"])


def evaluate(
    network: Chain,
    batches: Batches,
    placement: Placement,
    path: Path = (),
    *,
    batch_statistics: bool = False,
) -> tuple[float, float]:
    """Mean loss and accuracy on all of `batches`, in order and without augmentation.

    `batch_statistics` normalises by the statistics of each batch: a row's running ones mix all its
    candidates. The network's training mode and buffers are left as they were. Raises TrainingFailed
    when the loss is not finite.
    """
    mode = network.training
    network.train(batch_statistics)
    zero = torch.zeros((), device=placement.device)
    sums = _Sums(zero, zero.clone())
    with still(network), torch.inference_mode(), placement.precision():
        for images, labels in batches.ordered():
            scores = network(images, Draw(path)).main
            sums.add(
                F.cross_entropy(scores, labels), (scores.argmax(dim=1) == labels).sum(), len(labels)
            )
    network.train(mode)
    loss, accuracy = sums.read()
    if not math.isfinite(loss):
        raise TrainingFailed(
            f"the loss on held-out images became {loss}; lower the learning rate, or turn a norm on"
        )
    return loss, accuracy
