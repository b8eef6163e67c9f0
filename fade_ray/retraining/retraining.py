"""A genotype trained from scratch: the plain function behind `fade-ray retrain`, the same for one
worker and for several, without Ray.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fade_ray.export import check_texts
from fade_ray.nn import AnyNetwork, parameters
from fade_ray.nn.network import lasting
from fade_ray.retraining.retrain_config import RetrainConfig
from fade_ray.retraining.retrain_examples import Examples
from fade_ray.retraining.retrain_images import Images
from fade_ray.retraining.retrain_recipes import RETRAIN_RECIPES
from fade_ray.retraining.retrain_texts import Texts
from fade_ray.training import Placement, Training, evaluate
from fade_ray.training.step_memory import step_memory
from fade_ray.training.sums import ALONE, Workers
from fade_ray.trials.job import Event, write_output
from fade_ray.trials.trainee import Ending, Metrics, Trainee, lifecycle, weights_bytes
from searchers import Outcome
from spaces.cell import Macro
from spaces.errors import InvalidInput, require

CHECKPOINT = "checkpoint.pt"
BEST_NOTE = (
    "the epoch is selected on the test part, so this accuracy is optimistic; report that of the "
    "last epoch"
)


@dataclass(frozen=True)
class Retraining:
    """What a retraining directory holds: a genotype at its full depth, and how it is trained.
    Raises InvalidInput for a space with a choice, and for operations that cannot be exported.
    """

    macro: Macro
    config: RetrainConfig

    def __post_init__(self) -> None:
        require(
            self.macro.is_discrete,
            "a genotype has one operation per edge",
            "This is a search space: search it with `fade-ray cells`, then name its run directory.",
            choices=self.macro.size,
        )
        _check_task(self.macro, self.config)
        check_texts(self.macro)

    @staticmethod
    def asked(config: RetrainConfig) -> Retraining:
        """That of the genotype in `config`. Raises InvalidInput where there is none."""
        if config.genotype is None:
            raise InvalidInput("A retraining needs a genotype, but got none. Give `genotype`.")
        return Retraining.of(config.genotype, config)

    @staticmethod
    def of(genotype: Macro, config: RetrainConfig) -> Retraining:
        """`genotype` at the depth of `config`. InvalidInput for one that its cells cannot have."""
        _check_task(genotype, config)
        cells = config.network.cells
        require(
            genotype.stack.shared or cells == genotype.depth,
            "unshared cells stay at the depth they were found at",
            f"Use --cells {genotype.depth}.",
            cells=cells,
        )
        return Retraining(genotype.at_depth(config.network.cells), config)


def _check_task(macro: Macro, config: RetrainConfig) -> None:
    task, objective = macro.stack.task, config.train.objective
    known = [n for n, each in RETRAIN_RECIPES.items() if each.train.objective.task == task]
    rule, remedy = f"a recipe for {task}", f"Its cells are for {task}: use {', '.join(known)}."
    own = {"recipe": config.recipe, "objective": objective.name}
    require(objective.task == task, rule, remedy, **own)
    config.train.check_classes()


EXAMPLES: dict[str, type[Images] | type[Texts]] = {"images": Images, "text": Texts}
"""By the task of the objective."""


def open_examples(config: RetrainConfig) -> Examples:
    """The data of a retraining. Raises InvalidInput for what cannot be used."""
    return EXAMPLES[config.train.objective.task].opened(config)


def examples_of(data: Any, config: RetrainConfig) -> Examples:
    """The same of data that are in memory: see `Examples.of`."""
    return EXAMPLES[config.train.objective.task].of(data, config)


def build_network(job: Retraining, examples: Examples) -> AnyNetwork:
    """Untrained. Raises InvalidInput where cells, stem and data do not go together."""
    generator = torch.Generator().manual_seed(_seeds(job)[0])
    return examples.network(job.macro, job.config, generator)


def _seeds(job: Retraining) -> list[int]:
    return [int(s) for s in np.random.SeedSequence(job.config.seed).generate_state(2) >> 1]


Wrap = Callable[[nn.Module], nn.Module]


def begun(
    network: AnyNetwork,
    job: Retraining,
    examples: Examples,
    placement: Placement,
    workers: Workers = ALONE,
    wrap: Wrap = lambda network: network,
) -> Training:
    """The training of `job`, at epoch 0."""
    train = job.config.train
    batches = examples.train(placement, workers, train.batch_size)
    epochs, seed = job.config.epochs, 3 * _seeds(job)[1]
    return Training(network, batches, train, epochs, placement, seed, wrap=wrap, workers=workers)


def retrain(
    job: Retraining,
    examples: Examples,
    folder: Path,
    placement: Placement,
    *,
    workers: Workers = ALONE,
    wrap: Wrap = lambda network: network,
) -> Iterator[Event]:
    """The events of `job`: see `fade_ray.trials.trainee.lifecycle`; epoch 0 tells the memory of one
    step, the metrics of the last event are what result.json says.

    Of several workers each calls this with its own `workers`; the first one alone writes. Raises
    InvalidInput where a step does not fit into memory, TrainingFailed when a loss is not finite,
    Unwritable when `folder` is.
    """
    trial = TRIALS[job.config.train.objective.task]
    return lifecycle(
        lambda: trial(job, examples, folder, placement, workers, wrap),
        folder / CHECKPOINT,
        threads=job.config.workers.cpus_per_worker or (1 if workers.size > 1 else None),
        leads=workers.rank == 0,
        steps=job.config.workers.checkpoint_steps,
    )


class RetrainTrial(Trainee):
    """A genotype in training. `folder/weights` gets the weights of the last and of the best epoch,
    and their average, each with its accuracy.
    """

    def __init__(
        self,
        job: Retraining,
        images: Images,
        folder: Path,
        placement: Placement,
        workers: Workers,
        wrap: Wrap,
    ) -> None:
        self.job, self.images, self.folder = job, images, folder
        self.placement, self.workers, self.best = placement, workers, -math.inf
        self.network = build_network(job, images)
        self.training = begun(self.network, job, images, placement, workers, wrap)
        self.test = images.test(placement, workers, job.config.train.batch_size)

    def first_metrics(self) -> Metrics:
        """MiB of one step of one worker, tried on a network of its own: none of the real one's
        statistics move, no worker waits for another.
        """
        job, size = self.job, self.workers.size
        config, network = job.config, build_network(job, self.images)
        batches = self.images.train(self.placement, ALONE, config.train.batch_size // size)
        alone = Training(network, batches, config.train, config.epochs, self.placement, 0)
        try:
            return {"step_memory_mib": step_memory(alone)}
        except InvalidInput as error:
            if size == 1:
                raise
            raise InvalidInput(
                f"{error} These are images of one of {size} workers: multiply by {size}."
            ) from error

    def run_epoch(self) -> Metrics:
        """With loss and accuracy on the test part, of the weights and of their average."""
        metrics = self.training.run_epoch()
        means = self._measured()
        metrics |= {f"test_{name}": value for name, value in means.items()}
        averaged = self.training.averaged()
        if averaged is not None:
            with averaged:
                metrics |= {f"average_test_{n}": value for n, value in self._measured().items()}
        score = self.job.config.train.objective.score(means)
        if score > self.best:
            self.best = score
            self._keep("best", score)
        return metrics

    def _measured(self) -> dict[str, float]:
        objective = self.job.config.train.objective
        return evaluate(self.network, self.test, objective, self.placement, workers=self.workers)

    def _keep(self, name: str, score: float) -> None:
        """Write the network's weights with the test score that they have."""
        if self.workers.rank == 0:
            about = {"epoch": str(self.training.epoch), "test_accuracy": repr(score)}
            write_output(weights_path(self.folder, name), weights_bytes(self.network, about))

    def ending(self, epochs: Sequence[Mapping[str, Any]]) -> Ending:
        scores = {part: self._scores(part, epochs) for part in ("test", "average_test")}
        self._keep("last", scores["test"][-1])
        averaged = self.training.averaged()
        if averaged is not None:
            with averaged:
                self._keep("average", scores["average_test"][-1])
        return Ending(Outcome(), self._result(scores, epochs))

    def _scores(self, part: str, epochs: Sequence[Mapping[str, Any]]) -> list[float]:
        """After each epoch; [] where no average is kept."""
        objective = self.job.config.train.objective
        names = ("loss", *objective.higher_is_better)
        return [
            objective.score({name: metrics[f"{part}_{name}"] for name in names})
            for metrics in epochs
            if f"{part}_loss" in metrics
        ]

    def _result(
        self, scores: Mapping[str, list[float]], epochs: Sequence[Mapping[str, Any]]
    ) -> Metrics:
        """What result.json says."""
        network, config, images = self.network, self.job.config, self.images
        test, average = scores["test"], scores["average_test"]
        spent = {
            name: sum(m[name] for m in epochs) for name in ("images", "multiply_adds", "seconds")
        }
        return {
            "genotype": self.job.macro.notation,
            "recipe": config.recipe,
            "epochs": len(epochs),
            "test_accuracy_last": test[-1],
            "test_accuracy_best": max(test),
            "best_epoch": test.index(max(test)) + 1,  # the first of equals
            "best_note": BEST_NOTE,
            "average_test_accuracy_last": average[-1] if average else None,
            "average_test_accuracy_best": max(average, default=None),
            "test_images": images.counts[1],
            "exported": config.export,
            "parameters": lasting(network),
            "parameters_with_auxiliary": parameters(network),
            "multiply_adds": network.multiply_adds(),
            "multiply_adds_2bn_relu": network.multiply_adds((), "conv+fc+2bn+relu"),
            "shape": {
                "side": images.side,
                "channels": images.channels,
                "num_classes": len(images.classes),
            },
            "data": images.description,
            "seed": config.seed,
            "cost": spent,
        }

    def state_dict(self) -> dict[str, Any]:
        return self.training.state_dict() | {"best": self.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.training.load_state_dict(state)
        self.best = state["best"]


TRIALS: dict[str, Callable[..., Trainee]] = {"images": RetrainTrial}
"""By the task of the objective: job, examples, folder, placement, workers, wrap -> trial."""


def weights_path(folder: Path, name: str) -> Path:
    """Where the weights called `name` (last, best, average) are kept."""
    return folder / "weights" / f"{name}.safetensors"
