"""What stands before, between and beside the cells: stems, residual blocks, auxiliary heads."""

from __future__ import annotations

import itertools
from typing import NamedTuple, cast

from torch import Tensor, nn
from torch.nn import functional as F

from fade_ray.nn.cell_sums import CellNorm
from fade_ray.nn.operations import Build, ConvNorm, Cost, halved
from spaces.errors import require


class Map(NamedTuple):
    """Channels and side of a feature map."""

    channels: int
    side: int


class StemPlan(NamedTuple):
    """A chain of 3x3 convolutions with BatchNorm, a ReLU between two of them."""

    widths: tuple[float, ...]
    """Output channels of each, in channels of a node of the first cell."""
    stride: int
    taken: tuple[int, int]
    """Whose outputs are the two inputs of the first cell."""


STEMS: dict[str, StemPlan] = {
    "cifar": StemPlan((3,), 1, (0, 0)),
    "imagenet": StemPlan((0.5, 1, 1), 2, (1, 2)),
    "imagenet-search": StemPlan((0.5, 1, 1), 2, (2, 2)),
    "nasbench201": StemPlan((1,), 1, (0, 0)),
}
"""The stems of DARTS for CIFAR and for ImageNet (there c_{k-2} of the first cell is twice as large
as c_{k-1}), the three convolutions with stride 2 before an ImageNet search (single-level DARTS
4.3), and the stem of NAS-Bench-201.
"""


class Stem(nn.Module):
    """`forward(x)` gives the two inputs of the first cell."""

    def __init__(self, build: Build, c_in: int, plan: StemPlan) -> None:
        super().__init__()
        widths = [c_in, *(int(width * build.channels) for width in plan.widths)]
        self.blocks = nn.ModuleList(
            ConvNorm(build, before, width, 3, plan.stride)
            for before, width in itertools.pairwise(widths)
        )
        self.plan, self.widths = plan, widths[1:]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        values: list[Tensor] = []
        for block in self.blocks:
            values.append(block(F.relu(values[-1]) if values else x))
        return values[self.plan.taken[0]], values[self.plan.taken[1]]

    def sides(self, side: int) -> list[int]:
        """Side of the input of each block, and of the last output."""
        found = [side]
        for _ in self.blocks:
            found.append(halved(found[-1], self.plan.stride))
        return found

    def maps(self, side: int) -> tuple[Map, Map]:
        """Sizes of the two outputs."""
        first, second = (Map(self.widths[i], self.sides(side)[i + 1]) for i in self.plan.taken)
        return first, second

    def cost(self, side: int) -> Cost:
        pairs = enumerate(zip(self.blocks, self.sides(side), strict=False))
        costs = [cast(ConvNorm, block).cost(at, relu=number > 0) for number, (block, at) in pairs]
        return sum(costs, Cost())


class ResidualBlock(nn.Module):
    """The block between the stages of NAS-Bench-201: two ReLU-Conv-BN beside an average pooling
    with a 1x1 convolution.
    """

    def __init__(self, build: Build, c_in: int, c_out: int) -> None:
        super().__init__()
        self.first = ConvNorm(build, c_in, c_out, 3, 2)
        self.second = ConvNorm(build, c_out, c_out, 3)
        self.shortcut = build.conv(c_in, c_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(F.relu(self.first(F.relu(x))))
        return cast(Tensor, y + self.shortcut(F.avg_pool2d(x, 2, 2, ceil_mode=True)))

    def cost(self, side: int) -> Cost:
        out = halved(side, 2)
        shortcut = Cost(multiply_adds=self.shortcut.weight.numel() * out**2)
        return self.first.cost(side) + self.second.cost(out) + shortcut


class AuxiliaryHead(nn.Module):
    """The second classifier of DARTS: pooling with `stride` 3 on CIFAR's 8x8 map, 2 on ImageNet's
    7x7. A larger map is averaged at the end.

    Raises InvalidInput for a smaller one.
    """

    def __init__(
        self, build: Build, last: Map, classes: int, stride: int, second_norm: bool
    ) -> None:
        super().__init__()
        require(
            last.side >= 5 + stride,
            f"the map at the auxiliary head has a side of {5 + stride} or more",
            "Use larger images, or no auxiliary head.",
            side=last.side,
        )
        self.stride = stride
        self.conv_1 = build.conv(last.channels, 128, 1)
        self.norm_1 = build.norm(128)
        self.conv_2 = build.conv(128, 768, 2, padding=0)
        self.norm_2: CellNorm | None = build.norm(768) if second_norm else None
        self.classifier = build.linear(768, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.avg_pool2d(F.relu(x), 5, self.stride, count_include_pad=False)
        x = self.conv_2(F.relu(self.norm_1(self.conv_1(x))))
        x = F.relu(x if self.norm_2 is None else self.norm_2(x))
        return cast(Tensor, self.classifier(x.mean((2, 3))))
