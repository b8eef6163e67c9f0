"""A genotype trained from scratch: the plain function behind `fade-ray retrain`, the same for one
worker and for several, without Ray.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import nn

from fade_ray.export import check_texts
from fade_ray.nn.cell_network import CellNetwork
from fade_ray.retrain.retrain_config import RetrainConfig
from fade_ray.retrain.retrain_images import Images
from fade_ray.training import Placement, Training, evaluate
from fade_ray.training.states import state_bytes
from fade_ray.training.step_memory import step_memory
from fade_ray.training.sums import ALONE, Workers
from fade_ray.trials.job import Event, write_output
from spaces.cell import Macro
from spaces.errors import InvalidInput, require

CHECKPOINT = "checkpoint.pt"
BEST_NOTE = "the epoch is selected on the test part, so this accuracy is optimistic; report that of the last epoch"


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
        check_texts(self.macro)

    @staticmethod
    def of(genotype: Macro, config: RetrainConfig) -> Retraining:
        """`genotype` at the depth that `config` says. Raises InvalidInput for a depth that its
        cells cannot have.
        """
        cells = config.network.cells
        require(
            genotype.stack.shared or cells == genotype.depth,
            "unshared cells stay at the depth they were found at",
            f"Use --cells {genotype.depth}.",
            cells=cells,
        )
        return Retraining(genotype.at_depth(config.network.cells), config)


def build_network(job: Retraining, images: Images) -> CellNetwork:
    """The untrained network. Raises InvalidInput where cells, stem and images do not go together."""
    generator = torch.Generator().manual_seed(_seeds(job)[0])
    return CellNetwork(
        job.macro,
        job.config.network_config(job.macro),
        side=images.side,
        channels=images.channels,
        classes=len(images.classes),
        generator=generator,
    )


def _seeds(job: Retraining) -> list[int]:
    return [int(s) for s in np.random.SeedSequence(job.config.seed).generate_state(2) >> 1]


def retrain(
    job: Retraining,
    images: Images,
    folder: Path,
    placement: Placement,
    *,
    workers: Workers = ALONE,
    wrap: Callable[[nn.Module], nn.Module] = lambda network: network,
) -> Iterator[Event]:
    """Train `job`, yielding {"epoch", "metrics"} for epoch 0 (the memory of one step) and every
    epoch, and at last {"result"}.

    After each epoch everything the next one depends on is written to `folder`, atomically; one that
    starts again tells the finished epochs again and goes on: the same bits on a CPU with as many
    threads. Of several workers each calls this with its own `workers`; the first one alone writes.
    `folder/weights` gets the weights of the last and of the best epoch, and their moving average,
    each with its accuracy.

    Raises InvalidInput where a step does not fit into memory, TrainingFailed when a loss is not
    finite, Unwritable when `folder` is.
    """
    config, leads = job.config, workers.rank == 0
    checkpoint = folder / CHECKPOINT
    told: list[Event] = []
    if not checkpoint.exists():
        told.append(
            {
                "epoch": 0,
                "metrics": {"step_memory_mib": _step_memory(job, images, placement, workers)},
            }
        )
    training = Training(
        build_network(job, images),
        images.train(placement, workers, config.train.batch_size),
        config.train,
        config.epochs,
        placement,
        3 * _seeds(job)[1],
        wrap=wrap,
        workers=workers,
    )
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True, map_location="cpu")
        training.load_state_dict(saved["training"])
        told = saved["told"]
    test = images.test(placement, workers, config.train.batch_size)
    yield from told
    while not training.finished:
        metrics = training.run_epoch()
        metrics |= _measured(training, test)
        best = max((event["metrics"]["test_accuracy"] for event in told[1:]), default=-1.0)
        told.append({"epoch": training.epoch, "metrics": metrics})
        if leads:
            if metrics["test_accuracy"] > best:
                _keep(training, folder, "best", training.epoch, metrics["test_accuracy"])
            write_output(checkpoint, state_bytes({"training": training.state_dict(), "told": told}))
        yield told[-1]
    if leads:
        _keep_last(training, folder, told)
        yield {"result": _result(job, images, training, told)}


def _measured(training: Training, test: Any) -> dict[str, float]:
    """Loss and accuracy on the test part, of the weights and of their average."""

    def means(part: str) -> dict[str, float]:
        objective, workers = training.config.objective, training.workers
        told = evaluate(training.network, test, objective, training.placement, workers=workers)
        return {f"{part}_{name}": value for name, value in told.items()}

    measured, averaged = means("test"), training.averaged()
    if averaged is not None:
        with averaged:
            measured |= means("average_test")
    return measured


def _step_memory(job: Retraining, images: Images, placement: Placement, workers: Workers) -> float:
    """MiB of one step of one worker, tried on a network of its own: none of the real one's
    statistics move, no worker waits for another.
    """
    share = job.config.train.batch_size // workers.size
    alone = Training(
        build_network(job, images),
        images.train(placement, Workers(), share),
        job.config.train,
        job.config.epochs,
        placement,
        0,
    )
    try:
        return step_memory(alone)
    except InvalidInput as error:
        if workers.size == 1:
            raise
        raise InvalidInput(
            f"{error} These are images of one of {workers.size} workers: multiply by {workers.size}."
        ) from error


def weights_path(folder: Path, name: str) -> Path:
    """Where the weights called `name` (last, best, average) are kept."""
    return folder / "weights" / f"{name}.safetensors"


def _keep(training: Training, folder: Path, name: str, epoch: int, accuracy: float) -> None:
    """Write the network's weights with the test accuracy they have."""
    # cloned: safetensors refuses channels-last strides
    weights = {
        key: value.detach().cpu().contiguous()
        for key, value in training.network.state_dict().items()
    }
    write_output(
        weights_path(folder, name),
        save(weights, {"epoch": str(epoch), "test_accuracy": repr(accuracy)}),
    )


def _keep_last(training: Training, folder: Path, told: list[Event]) -> None:
    metrics = told[-1]["metrics"]
    _keep(training, folder, "last", training.epoch, metrics["test_accuracy"])
    averaged = training.averaged()
    if averaged is not None:
        with averaged:
            _keep(training, folder, "average", training.epoch, metrics["average_test_accuracy"])


def _result(
    job: Retraining, images: Images, training: Training, told: list[Event]
) -> dict[str, Any]:
    """What result.json says."""
    network, config, epochs = training.network, job.config, [event["metrics"] for event in told[1:]]
    auxiliary = (
        0 if network.auxiliary is None else sum(p.numel() for p in network.auxiliary.parameters())
    )
    parameters = sum(p.numel() for p in network.parameters())
    # the first of equals
    best = max(range(len(epochs)), key=lambda epoch: epochs[epoch]["test_accuracy"])
    return {
        "genotype": job.macro.notation,
        "recipe": config.recipe,
        "epochs": len(epochs),
        "test_accuracy_last": epochs[-1]["test_accuracy"],
        "test_accuracy_best": epochs[best]["test_accuracy"],
        "best_epoch": best + 1,
        "best_note": BEST_NOTE,
        "average_test_accuracy_last": epochs[-1].get("average_test_accuracy"),
        "average_test_accuracy_best": max(
            (m["average_test_accuracy"] for m in epochs if "average_test_accuracy" in m),
            default=None,
        ),
        "test_images": images.counts[1],
        "exported": config.export,
        "parameters": parameters - auxiliary,
        "parameters_with_auxiliary": parameters,
        "multiply_adds": network.multiply_adds(),
        "multiply_adds_2bn_relu": network.multiply_adds((), "conv+fc+2bn+relu"),
        "shape": {
            "side": images.side,
            "channels": images.channels,
            "num_classes": len(images.classes),
        },
        "data": images.description,
        "seed": config.seed,
        "cost": {
            key: sum(m[key] for m in epochs) for key in ("images", "multiply_adds", "seconds")
        },
        "peak_memory_mib": max(m["peak_memory_mib"] for m in epochs),
        "device": training.placement.device.type,
    }
