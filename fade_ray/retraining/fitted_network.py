"""A network of cells as wide as its limits allow (Amended-DARTS, 4.3)."""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import torch

from fade_ray.nn import CellNetwork
from fade_ray.nn.network import lasting
from fade_ray.retraining.retrain_config import RetrainConfig
from spaces.cell import Macro
from spaces.errors import require

FITS: dict[str, Callable[[CellNetwork], int]] = {
    "fit_params": lasting,
    "fit_macs": CellNetwork.multiply_adds,
}
"""What is limited, by the options."""


def fitted_network(
    macro: Macro, config: RetrainConfig, *, generator: torch.Generator, **sizes: Any
) -> CellNetwork:
    """That of `config`, with the largest even number of channels that keeps to its `fits`. Raises
    InvalidInput where the narrowest does not.
    """
    built, most = config.network_config(macro), config.network.fits
    if not most:
        return CellNetwork(macro, built, **sizes, generator=generator)

    @cache
    def exceeds(half: int) -> bool:
        # what is only measured draws from no other
        how = replace(built, channels=2 * half)
        network = CellNetwork(macro, how, **sizes, generator=torch.Generator())
        return any(FITS[name](network) > limit for name, limit in most.items())

    rule, remedy = "a network of 2 channels keeps to it", "Raise it, or use fewer --cells."
    require(not exceeds(1), rule, remedy, **most)
    high = 2
    while not exceeds(high):
        high *= 2
    widest = bisect_left(range(high), True, lo=1, key=exceeds) - 1
    return CellNetwork(macro, replace(built, channels=2 * widest), **sizes, generator=generator)
