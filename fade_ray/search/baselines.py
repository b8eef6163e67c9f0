"""What a found architecture is held against: networks that took no search, trained by the same
recipe on the same images.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from math import prod
from typing import Any

import numpy as np
import torch

from fade_ray.nn import ChainNetwork, Network, NetworkConfig, parameters
from fade_ray.nn.resnet import resnet18
from spaces import Dag, HyperArchitecture
from spaces.feature_space import Space
from spaces.generator import generate, uniform_points

Alone = Callable[..., Network]
FOUND = "found"
"""The name of the found architecture beside the baselines."""


def found_itself(
    space: Space, found: HyperArchitecture, rng: np.random.Generator
) -> HyperArchitecture:
    """What is scaled to the found architecture has to know it."""
    return found


def drawn(space: Space, found: HyperArchitecture, rng: np.random.Generator) -> HyperArchitecture:
    """As random search draws: a cell from the box around a uniform point, in each row."""
    return generate(space, uniform_points(space, found.depth, rng)[:, None], rng)


@dataclass(frozen=True)
class Baseline:
    """`build(alone, hyper, config, *, side, channels, classes, generator)` makes the network that
    is trained, of what `cells(space, found, rng)` gives; `alone(hyper, ...)` is that of an
    architecture of the space. Add your own to `BASELINES`.
    """

    text: str
    build: Callable[..., Network]
    cells: Callable[[Space, HyperArchitecture, np.random.Generator], HyperArchitecture] = (
        found_itself
    )


def chain_of(hyper: HyperArchitecture, config: NetworkConfig, **sizes: Any) -> ChainNetwork:
    """A single architecture, which has nothing to share."""
    return ChainNetwork(hyper, replace(config, share=False), **sizes)


def of_the_space(
    alone: Alone, hyper: HyperArchitecture, config: NetworkConfig, **sizes: Any
) -> Network:
    """The architecture itself."""
    return alone(hyper, **sizes)


def plain_chain(
    alone: Alone, hyper: HyperArchitecture, config: NetworkConfig, **sizes: Any
) -> Network:
    """Two convolutions in each row and nothing beside them, as wide as to have the parameters."""
    straight = HyperArchitecture(((Dag(1),),) * hyper.depth)
    config = replace(config, depth=hyper.depth)
    layouts = config.layout(sizes["side"], sizes["channels"])
    step = prod(layout.stride for layout in layouts[1:])

    def of(width: int, **how: Any) -> Network:
        return chain_of(straight, replace(config, final_channels=step * width), **how)

    return scaled(of, parameters, partial(alone, hyper), sizes)


def small_resnet(
    alone: Alone, hyper: HyperArchitecture, config: NetworkConfig, **sizes: Any
) -> Network:
    """ResNet-18, as wide as to have the multiply-adds."""
    return scaled(resnet18, Network.multiply_adds, partial(alone, hyper), sizes)


def scaled(
    of: Callable[..., Network],
    size: Callable[[Network], int],
    found: Callable[..., Network],
    sizes: dict[str, Any],
) -> Network:
    """`of(width)` with the width >= 1 whose size, which grows with it, is nearest to that of
    `found()`.
    """
    apart = sizes | {"generator": torch.Generator()}  # what is only measured draws from no other

    @cache
    def measured(width: int) -> int:
        return size(of(width, **apart))

    target, high = size(found(**apart)), 1
    while measured(high) < target:
        high *= 2
    above = bisect_left(range(high), target, lo=1, key=measured)
    width = min(max(1, above - 1), above, key=lambda width: abs(measured(width) - target))
    return of(width, **sizes)


BASELINES: dict[str, Baseline] = {
    "plain-chain": Baseline("a plain chain of as many parameters", plain_chain),
    "random": Baseline("random architectures of the space", of_the_space, drawn),
    "resnet-18": Baseline("ResNet-18 with as many multiply-adds", small_resnet),
}
"""By the names of `--baselines`."""
