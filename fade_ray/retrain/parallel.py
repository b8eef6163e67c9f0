"""Data parallel retraining over the processes of `torch.distributed`, however they were started."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from fade_ray.nn.sync_norm import Reduction, synchronised
from fade_ray.records.json_form import from_json
from fade_ray.retraining.retrain_config import RetrainConfig
from fade_ray.retraining.retraining import Retraining, open_examples, retrain
from fade_ray.training import place
from fade_ray.training.sums import Workers
from fade_ray.trials.job import Event


def process_workers() -> Workers:
    """This process among those of the default process group."""
    return Workers(torch.distributed.get_rank(), torch.distributed.get_world_size(), _total)


def _total(tensor: Tensor) -> None:
    torch.distributed.all_reduce(tensor)


def data_parallel(workers: Workers, device: torch.device) -> Callable[[nn.Module], nn.Module]:
    """A step on the workers' shares of a batch is that of one worker on the whole."""

    def wrap(network: nn.Module) -> nn.Module:
        return DistributedDataParallel(
            synchronised(network, Reduction(workers.rank, workers.size, workers.total)),
            device_ids=None if device.type == "cpu" else [device],
            broadcast_buffers=False,  # equal already: their statistics are those of all workers
            static_graph=True,  # and parameters that a genotype leaves out are never waited for
        )

    return wrap


def share(settings: Any, folder: Path, device: str) -> Iterator[Event]:
    """What one of several workers does of a retraining; `settings`: its configuration as JSON."""
    config = from_json(RetrainConfig, settings)
    workers, placement = process_workers(), place(device, config.train.precision)
    wrap = data_parallel(workers, placement.device)
    examples, job = open_examples(config), Retraining.asked(config)
    return retrain(job, examples, folder, placement, workers=workers, wrap=wrap)
