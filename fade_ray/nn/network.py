"""One network for all: a stem, places with cells, a head, and where asked for an auxiliary head."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fade_ray.nn.costs import CONVENTIONS, Cost, Map
from fade_ray.nn.draw import Draw, Path, Scores
from fade_ray.nn.sums import Source
from spaces.errors import require, require_known


def parameters(*modules: nn.Module) -> int:
    """How many numbers modules train, together."""
    return sum(weights.numel() for module in modules for weights in module.parameters())


class Place(nn.Module):
    """One place of a network: its cell, its candidates, or a block between the cells.

    `forward(values, draw, place)`: from the values of the two places before it, the nearer one
    last, to its own [batch, channels, side, side]; `place` is its number. `cost` is that of what
    always runs, `choices` those of the candidates, of which one runs.
    """

    kind: str
    out: Map
    cost: Cost
    choices: tuple[Cost, ...] = ()
    reduction: int = 1
    """What the side of the map is divided by."""

    def along(self, candidate: int) -> Cost:
        """The cost with one of the candidates, where there are any."""
        return self.cost + self.choices[candidate] if self.choices else self.cost

    def forward(self, values: Sequence[Source], draw: Draw, place: int) -> Tensor:
        raise NotImplementedError


class Stem(nn.Module):
    """A chain of blocks, a ReLU between two of them: `forward(x)` gives the two values before the
    first place.

    `taken`: behind how many blocks each of them is; 0 for the images themselves. `maps`: the sizes
    of the images and behind each block.
    """

    def __init__(
        self, blocks: Sequence[nn.Module], taken: tuple[int, int], maps: Sequence[Map], cost: Cost
    ) -> None:
        super().__init__()
        self.blocks = cast(Sequence[nn.Module], nn.ModuleList(blocks))
        self.taken, self.cost = taken, cost
        self.maps = (maps[taken[0]], maps[taken[1]])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        values = [x]
        for number, block in enumerate(self.blocks):
            values.append(block(F.relu(values[-1]) if number else x))
        return values[self.taken[0]], values[self.taken[1]]


class Head(nn.Module):
    """Scores [batch, classes]: `before` (of `cost`), the mean where `pooled`, a classifier."""

    classifier: nn.Linear | nn.Conv2d

    def __init__(
        self,
        classifier: nn.Linear,
        before: nn.Module | None = None,
        cost: Cost = Cost(),  # noqa: B008, frozen
        *,
        pooled: bool = True,
    ) -> None:
        super().__init__()
        self.before, self.classifier, self.pooled = before, classifier, pooled
        self.classes = classifier.out_features
        self.cost = cost + Cost(classifier.weight.numel())

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.before is None else self.before(x)
        # flattened as [channel, row, column]: to the weights the layout in memory does not matter
        return cast(Tensor, self.classifier(y.mean((2, 3)) if self.pooled else y.flatten(1)))


class DenseHead(Head):
    """Scores of each pixel [batch, classes, side, side]: a 1x1 convolution on the last map, scaled
    up to the side of the images.
    """

    def __init__(self, last: Map, classes: int, side: int, generator: torch.Generator) -> None:
        nn.Module.__init__(self)
        self.classifier = nn.Conv2d(last.channels, classes, 1)
        nn.init.kaiming_normal_(self.classifier.weight, nonlinearity="linear", generator=generator)
        nn.init.zeros_(cast(Tensor, self.classifier.bias))
        self.classes, self.side = classes, side
        self.cost = Cost(self.classifier.weight.numel() * last.side**2)

    def forward(self, x: Tensor) -> Tensor:
        return scaled_up(self.classifier(x), self.side)


def scaled_up(maps: Tensor, side: int) -> Tensor:
    """Maps [batch, channels, ...] of that side, bilinearly; as they are where they have it."""
    if maps.shape[-2:] == (side, side):
        return maps
    return F.interpolate(maps, size=(side, side), mode="bilinear", align_corners=False)


class AnyNetwork(nn.Module):
    """What a training asks of its network, whatever it is given. `task`: images, or text."""

    task: ClassVar[str] = "images"

    @property
    def example(self) -> Tensor:
        """One example, as a batch of `forward`: zeros."""
        raise NotImplementedError

    def compile_candidates(self) -> None:
        """Compile what runs as a whole."""
        raise NotImplementedError

    def cost(self, path: Path = ()) -> Cost:
        """Of one example along `path` in evaluation mode, with all operations of the cells."""
        raise NotImplementedError

    def multiply_adds(self, path: Path = (), convention: str = "conv+fc") -> int:
        """Those of `cost(path)`, by one of the CONVENTIONS."""
        require_known("A convention", convention, CONVENTIONS)
        return CONVENTIONS[convention](self.cost(path))


def lasting(network: AnyNetwork) -> int:
    """The parameters without the auxiliary head, which is of the training alone."""
    head = getattr(network, "auxiliary", None)
    return parameters(network) - parameters(*([] if head is None else [head]))


class Network(AnyNetwork):
    """`forward(x, draw)` maps images [batch, channels, side, side] to `Scores` [batch, classes], or
    with a `DenseHead` of each pixel.

    A search network and one architecture are the same class: what is left to choose is in the
    places, what is chosen in the `Draw`. `image`: its map. `auxiliary`: a second head behind the
    place of that number, which speaks in training mode alone.
    """

    def __init__(
        self,
        stem: Stem,
        places: Sequence[Place],
        head: Head,
        *,
        image: Map,
        auxiliary: tuple[int, nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.input_shape = (image.channels, image.side, image.side)
        self.classes = head.classes
        self.stem, self.places = stem, cast(Sequence[Place], nn.ModuleList(places))
        self.auxiliary_place = None if auxiliary is None else auxiliary[0]
        self.auxiliary = None if auxiliary is None else auxiliary[1]
        self.head = head

    def forward(self, x: Tensor, draw: Draw = Draw()) -> Scores:  # noqa: B008, frozen
        before, last = self.begin(x)
        auxiliary = None
        for index, place in enumerate(self.places):
            y = place((before, last), draw, index)
            if index == self.auxiliary_place and self.auxiliary is not None and self.training:
                auxiliary = self.auxiliary(y)
            before, last = last, Source(y)
        return Scores(self.head(last.value), auxiliary)

    def begin(self, x: Tensor) -> tuple[Source, Source]:
        """The values before the first place. InvalidInput for images of another shape."""
        images, built = tuple(x.shape[1:]), self.input_shape
        rule = "images are [batch, channels, side, side] as the network was built for"
        require(images == built, rule, "Build it for them.", images=images, network=built)
        before, last = self.stem(_channels_last(x))
        return Source(_channels_last(before)), Source(_channels_last(last))

    @property
    def example(self) -> Tensor:
        """A black image."""
        return torch.zeros(1, *self.input_shape)

    def compile_candidates(self) -> None:
        """Here each place."""
        for place in self.places:
            place.compile()

    def cost(self, path: Path = ()) -> Cost:
        """Of one image."""
        total = self.stem.cost + self.head.cost
        for index, place in enumerate(self.places):
            total += place.along(path[index] if path else 0)
        return total

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Also weights that an earlier version wrote."""
        return super().load_state_dict(renamed(state_dict), strict, assign)


EARLIER_NAMES = {
    r"^rows\.0\.entry\.(conv|norm)\.": r"stem.blocks.0.\1.",
    r"^(rows|cells)\.": "places.",
    r"^classifier\.": "head.classifier.",
    r"^norm\.": "head.before.0.",
    r"^head\.(conv|norm)\.": r"head.before.\1.",
    r"\.only\.": ".first.",
}
"""How weights were called before there was one class of networks, and how now."""


def renamed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights under the names that networks have now."""
    names = list(weights)
    for pattern, now in EARLIER_NAMES.items():
        names = [re.sub(pattern, now, name) for name in names]
    return dict(zip(names, weights.values(), strict=True))


def _channels_last(x: Tensor) -> Tensor:
    """x in the layout that all devices but Apple's are fastest in."""
    return x if x.device.type == "mps" else x.contiguous(memory_format=torch.channels_last)
