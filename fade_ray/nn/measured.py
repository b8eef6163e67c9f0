"""Modules of a user's own, made and run once: what they cost, and whether they fit."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from fade_ray.nn.costs import Cost, Map
from fade_ray.nn.counting import counted
from fade_ray.nn.network import parameters
from fade_ray.nn.noise import seeded
from spaces.errors import InvalidInput, require, upheld

Factory = Callable[..., nn.Module]
BATCH = 2
"""Images of the one pass: what normalises by a batch needs two."""


@dataclass(frozen=True)
class Asked:
    """A module that is to be made: `what` it is in words, by which factory, of which sizes."""

    what: str
    factory: Factory
    sizes: tuple[int, ...]

    def make(self) -> nn.Module:
        """It draws from torch's global generator. InvalidInput where nothing is made of it."""
        rule, remedy = f"{self.what} must be made by {self.sizes}", "Mend it, or leave it out."
        with upheld(rule, remedy, Exception):
            module = self.factory(*self.sizes)
        if not isinstance(module, nn.Module):
            raise InvalidInput(f"{rule} as a torch.nn.Module, but is {module!r}. Return one.")
        return module


@dataclass(frozen=True)
class Measured:
    """A module at its place. `shape`: what it gives for one image."""

    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    """Of one image, in convolutions and matrix products."""
    depth: int
    """Convolutions and matrix products that stand one behind the other."""

    @property
    def cost(self) -> Cost:
        return Cost(self.multiply_adds)


@lru_cache(maxsize=4096)
def measured(asked: Asked, before: Map) -> Measured:
    """What one pass of two images in training mode tells, on maps as `before`. InvalidInput for a
    module that cannot be made or run, and one that is called otherwise when it is made again.
    """
    with seeded(0):
        module, again = asked.make(), asked.make()
        names, others = (sorted(made.state_dict()) for made in (module, again))
        remedy = "Name them by what they are, not by a counter: weights are kept by their names."
        same = sorted({*names} ^ {*others})
        require(not same, f"{asked.what} has the same parameters each time", remedy, differ=same)
        x = torch.rand(BATCH, before.channels, before.side, before.side)
        rule = f"{asked.what} must take maps {[*x.shape]}"
        with upheld(rule, "Mend its forward, or leave it out.", Exception):
            out, counting = counted(module.train(), x.contiguous(memory_format=torch.channels_last))
    if not isinstance(out, Tensor) or len(out) != BATCH:
        shape = [*out.shape] if isinstance(out, Tensor) else type(out).__name__
        raise InvalidInput(f"{rule} and give a tensor of as many, but gives {shape}.")
    work = counting.multiply_adds // BATCH
    return Measured(tuple(out.shape[1:]), parameters(module), work, counting.deepest)


def fitting(asked: Asked, before: Map, shape: tuple[int, ...]) -> Measured:
    """`measured`. InvalidInput unless it gives that shape."""
    found, maps = measured(asked, before), [BATCH, before.channels, before.side, before.side]
    if found.shape != shape:
        raise InvalidInput(
            f"{asked.what} must map {maps} to {[BATCH, *shape]}, made by {asked.sizes}, but gives "
            f"{[BATCH, *found.shape]}. Mend it, or leave it out."
        )
    return found
