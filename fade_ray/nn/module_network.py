"""The network of a space of a user's own: a chain of rows of modules."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from fade_ray.nn.chain import NamedChain, NetworkConfig, Row, linear, named_row
from fade_ray.nn.choices import Choices
from fade_ray.nn.costs import Cost, Map
from fade_ray.nn.layout import RowLayout
from fade_ray.nn.measured import measured
from fade_ray.nn.network import DenseHead, Head, Stem, scaled_up
from fade_ray.nn.noise import seeded
from spaces.errors import require
from spaces.hyper import HyperArchitecture


class ModuleHead(Head):
    """A module of the user's own from the last map to scores; those of pixels are scaled up to the
    `side` of the images.
    """

    def __init__(self, module: nn.Module, classes: int, cost: Cost, side: int | None) -> None:
        nn.Module.__init__(self)
        self.module, self.classes, self.cost, self.side = module, classes, cost, side

    def forward(self, x: Tensor) -> Tensor:
        scores = cast(Tensor, self.module(x))
        return scores if self.side is None else scaled_up(scores, self.side)


class ModuleNetwork(NamedChain):
    """A chain of rows of `space`. `names`: of the candidates of each row. InvalidInput for those
    that are not of it.
    """

    def __init__(
        self,
        hyper: HyperArchitecture,
        space: Choices,
        config: NetworkConfig,
        *,
        side: int,
        channels: int,
        classes: int,
        generator: torch.Generator,
        dense: bool = False,
    ) -> None:
        remedy = "The architecture is of another space."
        rows = len(space.rows)
        require(hyper.depth == rows, f"{rows} rows", remedy, rows=hyper.depth)
        image = Map(channels, side)
        layouts = space.layouts(config, image)
        names = [[cell.code.partition(".")[2] for cell in cells] for cells in hyper.distinct()]
        # weights of such modules are drawn from torch's own generator
        with seeded(int(torch.randint(2**62, (), generator=generator))):
            stem = _stem(space, image, layouts[0])
            made = [
                _row(space, number, row, place)
                for number, (row, place) in enumerate(zip(names, layouts, strict=True))
            ]
            head = _head(space, layouts[-1].out, classes, generator, side if dense else None)
        super().__init__(hyper, stem, made, head, image)
        self.config, self.layout, self.space, self.names = config, layouts, space, names

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Under the names that the user gave: no version of ours has had others."""
        return nn.Module.load_state_dict(self, state_dict, strict, assign)


def _stem(space: Choices, image: Map, first: RowLayout) -> Stem:
    if space.stem is None:
        return Stem([], (0, 0), [image], Cost())
    cost = space.measured_stem(image, first.channels_in).cost
    behind = Map(first.channels_in, first.side)
    module = space.asked_stem(image, first.channels_in).make()
    return Stem([module], (1, 1), [image, behind], cost)


def _row(space: Choices, number: int, names: list[str], place: RowLayout) -> Row:
    costs = [space.measured(number, name, place).cost for name in names]
    built = {f"own-{name}": space.asked(number, name, place).make() for name in names}
    return named_row(built, costs, place.out)


def _head(
    space: Choices, last: Map, classes: int, generator: torch.Generator, side: int | None
) -> Head:
    """`side`: of the images, where each pixel has its scores."""
    if space.head is not None:
        asked = space.asked_head(last, classes)
        return ModuleHead(asked.make(), classes, measured(asked, last).cost, side)
    if side is not None:
        return DenseHead(last, classes, side, generator)
    return Head(linear(last.channels, classes, generator))
