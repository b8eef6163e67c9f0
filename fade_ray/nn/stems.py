"""What stands before, between and beside the cells: stems, residual blocks, auxiliary heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from fade_ray.nn.costs import Cost, Map, halved
from fade_ray.nn.draw import Draw
from fade_ray.nn.layers import Build
from fade_ray.nn.network import Place, Stem
from fade_ray.nn.sums import Source
from spaces.errors import require
from spaces.stackings import RESIDUAL


@dataclass(frozen=True)
class StemPlan:
    """A chain of 3x3 convolutions with BatchNorm, a ReLU between two of them."""

    widths: tuple[float, ...]
    """Output channels of each, in channels of a node of the first cell."""
    stride: int
    taken: tuple[int, int]
    """Behind how many of them each of the two inputs of the first cell is."""
    auxiliary_stride: int = 2
    """Of the pooling in the auxiliary head behind such a stem."""
    auxiliary_norm: bool = False
    """Whether that head always has its second BatchNorm."""

    def build(self, build: Build, image: Map) -> Stem:
        """The stem for images of this size."""
        maps, blocks, cost = [image], [], Cost()
        for number, width in enumerate(self.widths):
            before, channels = maps[-1], int(width * build.channels)
            blocks.append(build.conv_norm(before.channels, channels, 3, self.stride))
            cost += blocks[-1].cost(before.side, relu=number > 0)
            maps.append(Map(channels, halved(before.side, self.stride)))
        return Stem(blocks, self.taken, maps, cost)


STEMS: dict[str, StemPlan] = {
    "cifar": StemPlan((3,), 1, (1, 1), auxiliary_stride=3, auxiliary_norm=True),
    "imagenet": StemPlan((0.5, 1, 1), 2, (2, 3)),
    "imagenet-search": StemPlan((0.5, 1, 1), 2, (3, 3)),
    "nasbench201": StemPlan((1,), 1, (1, 1)),
}
"""The stems of DARTS for CIFAR and for ImageNet (there c_{k-2} of the first cell is twice as large
as c_{k-1}), the three convolutions with stride 2 before an ImageNet search (single-level DARTS
4.3), and the stem of NAS-Bench-201.
"""


class ResidualBlock(Place):
    """NAS-Bench-201's block between stages: two ReLU-Conv-BN beside a pooling, 1x1 convolution."""

    kind, reduction = RESIDUAL, 2

    def __init__(self, build: Build, before: Map) -> None:
        super().__init__()
        self.out = Map(build.channels, halved(before.side, 2))
        self.first = build.conv_norm(before.channels, build.channels, 3, 2)
        self.second = build.conv_norm(build.channels, build.channels, 3)
        self.shortcut = build.conv(before.channels, build.channels, 1)
        shortcut = Cost(self.shortcut.weight.numel() * self.out.side**2)
        self.cost = self.first.cost(before.side) + self.second.cost(self.out.side) + shortcut

    def forward(self, values: Sequence[Source], draw: Draw, place: int) -> Tensor:
        x = values[-1].value
        y = self.second(F.relu(self.first(F.relu(x))))
        return cast(Tensor, y + self.shortcut(F.avg_pool2d(x, 2, 2, ceil_mode=True)))


class AuxiliaryHead(nn.Module):
    """The second classifier of DARTS: pooling with `stride` 3 on CIFAR's 8x8 map, 2 on ImageNet's
    7x7. A larger map is averaged at the end; InvalidInput for a smaller one.
    """

    def __init__(
        self, build: Build, last: Map, classes: int, stride: int, second_norm: bool
    ) -> None:
        super().__init__()
        rule = f"the map at the auxiliary head has a side of {5 + stride} or more"
        remedy = "Use larger images, or no auxiliary head."
        require(last.side >= 5 + stride, rule, remedy, side=last.side)
        self.stride = stride
        self.conv_1 = build.conv(last.channels, 128, 1)
        self.norm_1 = build.norm(128)
        self.conv_2 = build.conv(128, 768, 2, padding=0)
        self.norm_2 = build.norm(768) if second_norm else None
        self.classifier = build.linear(768, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.avg_pool2d(F.relu(x), 5, self.stride, count_include_pad=False)
        x = self.conv_2(F.relu(self.norm_1(self.conv_1(x))))
        x = F.relu(x if self.norm_2 is None else self.norm_2(x))
        return cast(Tensor, self.classifier(x.mean((2, 3))))
