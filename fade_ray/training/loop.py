"""The one training: network weights, and logits beside them where something is searched for."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from itertools import islice
from typing import Any

import torch
from torch import nn

from fade_ray.data import AnyBatches
from fade_ray.nn import AnyNetwork, Draw, DropPath, still
from fade_ray.nn.noise import seeded
from fade_ray.nn.norms import by_batch
from fade_ray.training.architecture import Architecture, Step
from fade_ray.training.average import Average, swapped
from fade_ray.training.device import Placement
from fade_ray.training.failures import TrainingFailed
from fade_ray.training.network_problem import NetworkProblem
from fade_ray.training.objectives import Batch, Objective
from fade_ray.training.sums import ALONE, Sums, Workers
from fade_ray.training.train_config import TrainConfig
from fade_ray.training.updates import Unroll

STREAMS = ("weights", "architecture", "drop_path")
"""What is drawn from generators of the training's own, in the order of their seeds."""
DRAWN = ("weights", "architecture")
"""Those of the batches."""


class OpenEpoch:
    """An epoch in progress: how its generators stood when its batches were drawn (`drawn`), the
    `steps` that are done, and what they add up to.
    """

    def __init__(self, drawn: Mapping[str, torch.Tensor], sums: Sums) -> None:
        self.drawn, self.sums, self.steps = drawn, sums, 0
        self.learned: Sums | None = None
        self.start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """That it took, before it was stopped too."""
        return time.perf_counter() - self.start

    def state_dict(self) -> dict[str, Any]:
        learned = self.learned
        return {
            "drawn": dict(self.drawn),
            "steps": self.steps,
            "seconds": self.seconds,
            "sums": self.sums.state_dict(),
            "learned": None if learned is None else learned.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        self.drawn, self.steps = state["drawn"], state["steps"]
        self.start = time.perf_counter() - state["seconds"]
        self.sums.load_state_dict(state["sums"])
        if state["learned"] is not None:
            self.learned = Sums((), device)
            self.learned.load_state_dict(state["learned"])


class Training:
    """Trains `network` on `batches`, epoch by epoch; with `architecture` its logits too.

    Each step: first the logits, on held-out images where the architecture has some, then the
    weights, on one part of the batch for each of the architecture's draws; an architecture that has
    the gradients of the weights already saves their pass. What no draw ran has no gradient and is
    not stepped: where a dense form would let the optimiser's momentum and decay move it, it rests.

    All randomness comes from generators kept in the state, those of STREAMS seeded by `seed` and
    the numbers behind it: a training restored after an epoch goes on with the same bits on the CPU.
    `wrap`: what is called instead of the network (data parallel). `workers`: this process among
    those that share every batch; `batches` then gives its share alone, and `batch_size` is that of
    the whole.
    """

    def __init__(
        self,
        network: AnyNetwork,
        batches: AnyBatches,
        config: TrainConfig,
        epochs: int,
        placement: Placement,
        seed: int,
        architecture: Architecture | None = None,
        *,
        wrap: Callable[[nn.Module], nn.Module] = lambda network: network,
        workers: Workers = ALONE,
    ) -> None:
        config.check_task(network.task)
        self.network, self.batches, self.config, self.epochs = network, batches, config, epochs
        self.placement, self.architecture, self.workers = placement, architecture, workers
        self.epoch, self.seed = 0, seed
        self.generators = {
            name: torch.Generator().manual_seed(seed + index) for index, name in enumerate(STREAMS)
        }
        network.to(placement.device, memory_format=placement.memory_format)  # type: ignore[call-overload]
        self.problem = NetworkProblem(
            network,
            wrap(network),
            config.objective,
            placement,
            architecture,
            self.generators["drop_path"],
            self.drop_path,
        )
        self.optimizer = config.optimiser.build(self.problem.weights)
        self.average = Average(network, config.ema) if config.ema else None
        self.open: OpenEpoch | None = None
        self.left: Mapping[str, Any] | None = None  # of an epoch that was stopped within
        self.every = 0  # steps between two calls of `save` within an epoch; 0: none
        self.save: Callable[[], None] = lambda: None
        if config.compile:
            network.compile_candidates()

    @property
    def finished(self) -> bool:
        return self.epoch >= self.epochs

    @property
    def learning_rate(self) -> float:
        """Of the weights, in the current epoch."""
        return self.config.optimiser.rate(self.epoch, self.epochs)

    def drop_path(self) -> DropPath | None:
        """The masks of one forward pass in the current epoch."""
        rate = self.config.dropped(self.epoch, self.epochs)
        if not rate:
            return None
        whole = self.workers.slice(self.batches.batch_size) if self.workers.size > 1 else None
        return DropPath(rate, self.generators["drop_path"], whole)

    def run_epoch(self) -> dict[str, Any]:
        """Train one epoch and return its metrics: loss and the objective's measures on the training
        batches, learning_rate, seconds, images, images_per_second, multiply_adds, peak_memory_mib;
        of an architecture what its `metrics` says, and the means of its steps (architecture_loss).

        multiply_adds counts every forward pass three times, for its backward passes, but for those
        of estimators, which say what they took. Raises TrainingFailed when a loss is not finite.
        """
        # what modules of a user's own draw; a generator for each epoch has no state to keep
        with seeded(self.seed + (self.epoch + 1) * 2**40, self.placement.device):
            try:
                return self._run_epoch()
            finally:
                self.open = None

    def _run_epoch(self) -> dict[str, Any]:
        self._begin()
        names = self.config.objective.higher_is_better
        self.open = now = OpenEpoch(
            {name: self.generators[name].get_state() for name in DRAWN},
            Sums(names, self.placement.device, self.workers),
        )
        steps = self._steps() if self.left is None else self._left(now, self.left)
        for train, held_out in steps:
            self.problem.begin(train, held_out)
            self._set_rate(self.learning_rate * self.config.objective.pace(train))
            step = self._architecture_step(train, held_out)
            if step is not None:
                now.learned = now.learned or Sums(step.measures, self.placement.device)
                now.learned.add(step.loss, step.measures, step.count)
            if step is None or step.weights is None:
                self.weight_gradients(train)
            # joint; or a forward difference, whose last pass over the training images was a small
            # step aside
            else:
                for weight, gradient in zip(self.problem.weights, step.weights, strict=True):
                    weight.grad = gradient
            self._add_passes(now.sums, train)
            self.weight_step()
            now.steps += 1
            if self.every and now.steps % self.every == 0:
                self.save()
        metrics = self._read(now.sums, now.learned)
        seconds = now.seconds  # after the reading, which waited for the device
        self.epoch += 1
        images = self.problem.images * self.workers.size
        return metrics | {
            "seconds": seconds,
            "images": images,
            "images_per_second": images / seconds,
            "multiply_adds": self.problem.multiply_adds * self.workers.size,
            "peak_memory_mib": self.placement.peak_memory(),
        }

    def _left(
        self, now: OpenEpoch, left: Mapping[str, Any]
    ) -> Iterator[tuple[Batch, Batch | None]]:
        """The steps that are left of an epoch that was stopped behind one of them: its batches are
        drawn again, and those that were stepped on let by.
        """
        self.left = None
        for name, state in left["drawn"].items():
            self.generators[name].set_state(state)
        steps = self._steps()
        for _ in range(left["steps"]):
            next(steps)
        now.load_state_dict(left, self.placement.device)
        problem = self.problem
        problem.images, problem.multiply_adds = left["images"], left["multiply_adds"]
        problem.train.next_state, problem.held_out.next_state = (
            None if state is None else state.to(self.placement.device) for state in left["states"]
        )
        torch.set_rng_state(left["random"])
        return steps

    def weight_gradients(self, batch: Batch) -> None:
        """The gradients of the weights, of the parts of `batch` averaged over its examples.

        BatchNorm takes the statistics of each part.
        """
        for part in self.problem.parts(batch):
            part.loss.backward()  # type: ignore[no-untyped-call]
        self.problem.images += self.config.objective.count(batch)

    def weight_step(self) -> None:
        """One step of the weights along their gradients, which are gone afterwards."""
        self.config.optimiser.clipped(self.problem.weights)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update()

    def averaged(self) -> AbstractContextManager[None] | None:
        """The network with the average of its weights within; None where none is kept."""
        if self.average is not None:
            return swapped(self.average.tensors, self.average.values)
        weights = self.problem.weights
        values = self.config.optimiser.averages(self.optimizer, weights)
        return swapped(weights, values) if values else None

    def snapshot(self) -> dict[str, Any]:
        """The weights as they are, and how they are stepped: see `go_back`."""
        state = self.state_dict()
        return deepcopy({name: state[name] for name in ("network", "optimizer", "average")})

    def go_back(self, snapshot: Mapping[str, Any]) -> None:
        """To the weights of a `snapshot`, and how they were stepped; what is drawn goes on."""
        self.network.load_state_dict(snapshot["network"])
        self._set_optimizer(snapshot)

    def _set_optimizer(self, state: Mapping[str, Any]) -> None:
        weights = self.problem.weights
        self.optimizer = self.config.optimiser.restored(weights, deepcopy(state["optimizer"]))
        if self.average is not None:
            self.average.load_state_dict(state["average"])

    def judged(self, losses: Sequence[float]) -> None:
        """Held-out `losses` after each epoch so far, by which the optimiser may change."""
        self.optimizer = self.config.optimiser.after(self.optimizer, self.problem.weights, losses)

    def _begin(self) -> None:
        if self.architecture is not None:
            self.architecture.begin(self.epoch, self.epochs, self.learning_rate)
        self.problem.restart()
        self.network.train()

    def _set_rate(self, learning_rate: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate

    def _moving(self) -> Architecture | None:
        """The architecture, where its logits are trained in this epoch."""
        moving = self.architecture is not None and self.architecture.moves(self.epoch, self.epochs)
        return self.architecture if moving else None

    def _steps(self) -> Iterator[tuple[Batch, Batch | None]]:
        architecture, generator = self._moving(), self.generators["weights"]
        if architecture is None or architecture.batches is None:
            return ((batch, None) for batch in self.batches.epoch(generator))
        count, held_out = architecture.steps(len(self.batches)), architecture.batches
        longer = count > len(self.batches)
        train = self.batches.cycle(generator) if longer else self.batches.epoch(generator)
        # an epoch of a text, cut at random, is not as long as it is on average
        taken = train if count == len(self.batches) else islice(train, count)
        return zip(taken, held_out.cycle(self.generators["architecture"]), strict=False)

    def _architecture_step(self, train: Batch, held_out: Batch | None) -> Step | None:
        architecture = self._moving()
        if architecture is None:
            return None
        step = architecture.estimate(self.problem, train, held_out, self.unroll)
        architecture.move(step)
        self.problem.images += step.images
        self.problem.multiply_adds += step.multiply_adds
        return step

    def unroll(self) -> Unroll:
        """The next step of the weights as a second-order update looks ahead to it."""
        return self.config.optimiser.unroll(self.optimizer, self.problem.weights)

    def _add_passes(self, sums: Sums, batch: Batch) -> None:
        objective, passes = self.config.objective, self.problem.train.passes
        each = [objective.measured(part.scores, part.batch) for part in passes]
        loss = torch.stack([part.loss for part in passes]).sum()
        measures = {name: torch.stack([m[name] for m in each]).sum(0) for name in each[0]}
        sums.add(loss, measures, objective.count(batch))

    def _read(self, sums: Sums, learned: Sums | None) -> dict[str, Any]:
        told = self.config.objective.told
        means = told(sums.read())
        if learned is not None:
            held_out = told(learned.read()) if len(learned.names) > 1 else learned.read()
            means |= {f"architecture_{name}": value for name, value in held_out.items()}
        for name, value in means.items():
            if not math.isfinite(value):
                raise TrainingFailed(
                    f"the {name.replace('_', ' ')} became {value} in epoch {self.epoch + 1} of "
                    f"{self.epochs} at learning rate {self.learning_rate:g}; lower it, or turn a "
                    "norm on"
                )
        known = {} if self.architecture is None else self.architecture.metrics()
        return means | known | {"learning_rate": self.learning_rate}

    def state_dict(self) -> dict[str, Any]:
        """Everything the next epoch depends on, or within one what is left of it; loads with
        `weights_only=True`.
        """
        problem, now = self.problem, self.open
        left = (
            None
            if now is None
            else now.state_dict()
            | {
                "images": problem.images,
                "multiply_adds": problem.multiply_adds,
                "states": (problem.train.next_state, problem.held_out.next_state),
                "random": torch.get_rng_state(),
            }
        )
        return {
            "epoch": self.epoch,
            "left": left,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "generators": {name: made.get_state() for name, made in self.generators.items()},
            "architecture": None if self.architecture is None else self.architecture.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch, self.left = state["epoch"], state.get("left")
        self.network.load_state_dict(state["network"])
        self._set_optimizer(state)
        for name, generator_state in state["generators"].items():
            self.generators[name].set_state(generator_state)
        if self.architecture is not None:
            self.architecture.load_state_dict(state["architecture"])


def scored(objective: Objective, means: Mapping[str, float]) -> float:
    """What is to be maximised. Raises TrainingFailed where it is no number."""
    score = float(objective.score(means))
    if not math.isfinite(score):
        told = ", ".join(f"{name} {value:g}" for name, value in means.items())
        raise TrainingFailed(f"the score of the objective became {score}, of {told}")
    return score


def evaluate(
    network: AnyNetwork,
    batches: AnyBatches,
    objective: Objective,
    placement: Placement,
    draw: Draw = Draw(),  # noqa: B008, frozen
    *,
    batch_statistics: bool = False,
    workers: Workers = ALONE,
) -> dict[str, float]:
    """Mean loss and measures on all of `batches`, in order and without augmentation; the network's
    mode and buffers are left as they were.

    `batch_statistics` normalises by the statistics of each batch: a row's running ones mix all its
    candidates. `workers`: those that share the images, each calling this. Raises TrainingFailed
    when one of them is not finite.
    """
    mode, state = network.training, None
    network.eval()
    if batch_statistics:
        by_batch(network)
    sums = Sums(objective.higher_is_better, placement.device, workers)
    kept = still(network) if batch_statistics else nullcontext()
    with kept, torch.inference_mode(), placement.precision():
        for batch in batches.ordered():
            state = objective.first_state(batch) if state is None else state
            scores, state = objective.forward(network, batch, draw, state)
            loss = objective.loss(scores, batch, training=False)
            sums.add(loss, objective.measured(scores, batch), objective.count(batch))
    network.train(mode)
    means = objective.told(sums.read())
    for name, value in means.items():
        if not math.isfinite(value):
            raise TrainingFailed(
                f"the {name.replace('_', ' ')} on held-out images became {value}; lower the "
                "learning rate, or turn a norm on"
            )
    return means
