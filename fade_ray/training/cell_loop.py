"""Training of a network of cells: a search network with its logits, or a genotype alone. One loop
for both.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fade_ray.data import Batches
from fade_ray.nn import CellNetwork, Draw, DropPath, EdgeWeights
from fade_ray.training.average import Average
from fade_ray.training.cell_architecture import CellArchitecture
from fade_ray.training.cell_train_config import CellTrainConfig
from fade_ray.training.device import Placement
from fade_ray.training.failures import TrainingFailed
from fade_ray.training.updates import UPDATES, Gradients, Unroll

Batch = tuple[Tensor, Tensor]


def _alone(values: Tensor) -> None:
    """The sum over one worker."""


@dataclass(frozen=True)
class Workers:
    """This process among those that train one network: each takes its slice of every batch. `total`
    adds a tensor up over all, in place.
    """

    rank: int = 0
    size: int = 1
    total: Callable[[Tensor], None] = _alone

    def slice(self, batch_size: int) -> slice:
        """Which images of a batch are this worker's; all workers' slices have the same length."""
        share = batch_size // self.size
        return slice(self.rank * share, (self.rank + 1) * share)


class Sums:
    """Loss and correct answers over an epoch, kept on the device until they are read."""

    def __init__(self, device: torch.device, workers: Workers = Workers()) -> None:
        self.values = torch.zeros(3, device=device)  # loss, correct answers, images
        self.workers = workers

    def add(self, loss: Tensor, scores: Tensor, labels: Tensor) -> None:
        """The mean `loss` of a batch and its `scores` [N, classes]."""
        with torch.no_grad():
            correct = (scores.argmax(dim=1) == labels).sum()
            self.values[:2] += torch.stack([loss.detach().float() * len(labels), correct.float()])
            self.values[2] += len(labels)

    def read(self) -> tuple[float, float]:
        """Mean loss and accuracy over all workers, once; NaN where there was no image."""
        self.workers.total(self.values)
        loss, correct, images = self.values.tolist()
        return (loss / images, correct / images) if images else (math.nan, math.nan)


class CellProblem:
    """The loss of a batch as a function of network weights and logits: the `Problem` of the
    updates.
    """

    def __init__(self, training: "CellTraining") -> None:
        self.training = training
        self.weights: Sequence[Tensor] = [
            p for p in training.network.parameters() if p.requires_grad
        ]
        self.logits: Sequence[Tensor] = (
            [] if training.architecture is None else training.architecture.leaves
        )
        drawn = [training.generators["drop_path"]]
        self.generators: Sequence[torch.Generator] = (
            drawn if training.architecture is None else [*drawn, training.architecture.generator]
        )
        self.seen: dict[int, tuple[Tensor, Tensor]] = {}
        self.passed = 0  # images in forward passes

    def loss(self, batch: Batch) -> Tensor:
        """Mean cross-entropy, with the auxiliary head's where there is one; `on(batch)` gives the
        last loss and scores of a batch.
        """
        images, labels = batch
        config, architecture = self.training.config, self.training.architecture
        with self.training.placement.precision():
            weights = None if architecture is None else architecture.weights()
            draw = Draw(edges=weights, drop_path=self.training.drop_path())
            scores, auxiliary = self.training.module(images, draw)
            loss = F.cross_entropy(scores, labels, label_smoothing=config.label_smoothing)
            if auxiliary is not None:
                other = F.cross_entropy(auxiliary, labels, label_smoothing=config.label_smoothing)
                loss = loss + config.auxiliary_weight * other
        self.passed += len(labels)
        self.seen[id(labels)] = (loss.detach(), scores.detach())
        return loss

    def on(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Loss and scores [N, classes] of the last pass over `batch`; forgets all batches."""
        found = self.seen[id(batch[1])]
        self.seen.clear()
        return found


class CellTraining:
    """Trains `network` on `batches` by SGD, epoch by epoch; with `architecture` its logits too, on
    `valid` where the update is bilevel.

    Each step: first the logits, by the architecture's update, then the weights on the same training
    batch; the joint update takes both gradients from one backward pass. All randomness comes from
    generators seeded by `seed` and kept in the state: a training restored after an epoch goes on
    with the same bits on the CPU. `wrap`: what is called instead of the network (data parallel),
    `workers`: this process among those that share every batch; `batches` then gives its share alone
    (`SharedBatches`), and `batch_size` is that of the whole batch.
    """

    def __init__(
        self,
        network: CellNetwork,
        batches: Batches,
        config: CellTrainConfig,
        placement: Placement,
        seed: int,
        architecture: CellArchitecture | None = None,
        valid: Batches | None = None,
        *,
        wrap: Callable[[nn.Module], nn.Module] = lambda network: network,
        workers: Workers = Workers(),
    ) -> None:
        self.network, self.batches, self.config, self.placement = (
            network,
            batches,
            config,
            placement,
        )
        self.architecture, self.valid, self.workers = architecture, valid, workers
        names = ("weights", "valid", "drop_path")
        self.generators = {
            n: torch.Generator().manual_seed(seed * len(names) + i) for i, n in enumerate(names)
        }
        network.to(placement.device, memory_format=placement.memory_format)  # type: ignore[call-overload]
        self.module = wrap(network)
        self.epoch = 0
        self.problem = CellProblem(self)
        self.optimizer = torch.optim.SGD(
            self.problem.weights,
            lr=config.learning_rate,
            momentum=config.momentum,
            nesterov=config.nesterov,
            weight_decay=config.weight_decay,
            fused=placement.device.type in ("cpu", "cuda"),
        )
        # zeros are what it starts from; torch's fused step cannot mix weights with and without a
        # buffer (sampled operations)
        if config.momentum:
            for weight in self.problem.weights:
                self.optimizer.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
        self.average = Average(network, config.ema) if config.ema else None

    @property
    def finished(self) -> bool:
        return self.epoch >= self.config.epochs

    def drop_path(self) -> DropPath | None:
        """The masks of one forward pass in the current epoch."""
        rate = self.config.dropped(self.epoch)
        if not rate:
            return None
        whole = self.workers.slice(self.batches.batch_size) if self.workers.size > 1 else None
        return DropPath(rate, self.generators["drop_path"], whole)

    def run_epoch(self) -> dict[str, Any]:
        """Train one epoch and return its metrics: loss, accuracy, learning_rate, seconds, images,
        images_per_second, multiply_adds, peak_memory_mib; with logits also architecture_loss.

        multiply_adds counts every forward pass of the updates three times, for its backward passes,
        with all allowed operations: an upper bound.

        Raises TrainingFailed when a loss is not finite.
        """
        start = time.perf_counter()
        rate = self.config.rate(self.epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if self.architecture is not None:
            self.architecture.set_time(self.epoch, self.config.epochs, rate)
        self.network.train()
        sums, architecture_loss = (
            Sums(self.placement.device, self.workers),
            torch.zeros((), device=self.placement.device),
        )
        steps = images = self.problem.passed = 0
        for train, valid in self._steps():
            found = self._architecture_step(train, valid)
            if found is not None:
                architecture_loss += found.loss
                images += len(train[1]) if valid is None else len(valid[1])
            if found is None or found.weights is None:
                self.problem.loss(train).backward()  # type: ignore[no-untyped-call]
                images += len(train[1])
            # joint; or a forward difference, whose last pass over the training images was a small
            # step aside
            else:
                for weight, gradient in zip(self.problem.weights, found.weights, strict=True):
                    weight.grad = gradient
            sums.add(*self.problem.on(train), train[1])
            self._weight_step()
            steps += 1
        images *= self.workers.size
        metrics = self._read(sums, architecture_loss, steps)
        seconds = time.perf_counter() - start  # after the reading, which waited for the device
        self.epoch += 1
        return metrics | {
            "learning_rate": rate,
            "seconds": seconds,
            "images": images,
            "images_per_second": images / seconds,
            "multiply_adds": 3
            * self.problem.passed
            * self.workers.size
            * self.network.multiply_adds(),
            "peak_memory_mib": self.placement.peak_memory(),
        }

    def _steps(self) -> Iterator[tuple[Batch, Batch | None]]:
        ours = self.batches.epoch(self.generators["weights"])
        if self.valid is None or not self._moves():
            return ((batch, None) for batch in ours)
        return zip(ours, self.valid.cycle(self.generators["valid"]), strict=False)

    def _moves(self) -> bool:
        return self.architecture is not None and self.architecture.moves(
            self.epoch, self.config.epochs
        )

    def _architecture_step(self, train: Batch, valid: Batch | None) -> Gradients | None:
        architecture = self.architecture
        if architecture is None or not self._moves():
            return None
        update = UPDATES[architecture.config.update]
        found = update(self.problem, train, valid, self.unroll(), architecture.config.update_config)
        architecture.step(found.architecture)
        return found

    def unroll(self) -> Unroll:
        """One step of this optimiser as the second-order update needs it (algorithms B.2)."""
        state = self.optimizer.state
        return Unroll(
            self.optimizer.param_groups[0]["lr"],
            self.config.momentum,
            self.config.weight_decay,
            [
                state[w]["momentum_buffer"] if self.config.momentum else None
                for w in self.problem.weights
            ],
        )

    def _weight_step(self) -> None:
        if self.config.clip:
            torch.nn.utils.clip_grad_norm_(self.problem.weights, self.config.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update()

    def _read(self, sums: Sums, architecture_loss: Tensor, steps: int) -> dict[str, Any]:
        loss, accuracy = sums.read()
        metrics = {"loss": loss, "accuracy": accuracy}
        if self._moves():
            metrics["architecture_loss"] = float(architecture_loss) / max(1, steps)
        bad = {name: value for name, value in metrics.items() if not math.isfinite(value)}
        if bad:
            name, value = next(iter(bad.items()))
            raise TrainingFailed(
                f"the loss became not finite ({name} {value}) in epoch {self.epoch + 1} of {self.config.epochs} at learning rate "
                f"{self.config.rate(self.epoch):g}; lower it"
            )
        return metrics

    def state_dict(self) -> dict[str, Any]:
        """Everything the next epoch depends on; loads with `weights_only=True`."""
        return {
            "epoch": self.epoch,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "generators": {
                name: generator.get_state() for name, generator in self.generators.items()
            },
            "architecture": None if self.architecture is None else self.architecture.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch = state["epoch"]
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        for name, generator_state in state["generators"].items():
            self.generators[name].set_state(generator_state)
        if self.architecture is not None:
            self.architecture.load_state_dict(state["architecture"])


def evaluate_cells(
    network: CellNetwork,
    batches: Batches,
    placement: Placement,
    weights: Mapping[str, EdgeWeights] | None = None,
    *,
    train_mode: bool = False,
    workers: Workers = Workers(),
) -> tuple[float, float]:
    """Mean loss and accuracy on all of `batches`, in order and without augmentation; the network's
    mode is left as it was.

    `weights`: kind -> EdgeWeights of a search network. `workers`: those that share the images, each
    calling this. Raises TrainingFailed when the loss is not finite.
    """
    mode = network.training
    network.train(train_mode)
    sums = Sums(placement.device, workers)
    with torch.inference_mode(), placement.precision():
        for images, labels in batches.ordered():
            scores = network(images, Draw(edges=weights)).main
            sums.add(F.cross_entropy(scores, labels), scores, labels)
    network.train(mode)
    loss, accuracy = sums.read()
    if not math.isfinite(loss):
        raise TrainingFailed(f"the loss on held-out images became {loss}; lower the learning rate")
    return loss, accuracy
