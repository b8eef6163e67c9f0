"""Data parallel training over the processes of `torch.distributed`, however they were started."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from fade_ray.nn.sync_norm import Reduction, synchronised
from fade_ray.training.sums import Workers


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
