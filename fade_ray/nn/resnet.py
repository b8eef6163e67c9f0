"""ResNet-18 (He et al. 2016, table 1) for small images: a 3x3 stem, no pooling behind it."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fade_ray.nn.costs import Cost, Map
from fade_ray.nn.draw import Draw
from fade_ray.nn.layers import Build, ConvNorm
from fade_ray.nn.layout import RowLayout
from fade_ray.nn.network import DenseHead, Head, Network, Place, Stem
from fade_ray.nn.sums import Source

STAGES = ((1, 1), (2, 2), (4, 2), (8, 2))
"""(channels in those of the stem, stride of the first of two blocks)."""


class BasicBlock(Place):
    """Two 3x3 convolutions beside the identity or, where the shape changes, a 1x1 convolution."""

    kind = "basic block"

    def __init__(self, build: Build, layout: RowLayout) -> None:
        super().__init__()
        before, channels, stride = layout.channels_in, layout.channels, layout.stride
        self.out, self.reduction = layout.out, stride
        self.first = build.conv_norm(before, channels, 3, stride)
        self.second = build.conv_norm(channels, channels, 3)
        inner = self.first.cost(layout.side, relu=False) + self.second.cost(self.out.side)
        self.cost = inner + Cost(relus=self.out.entries)
        self.shortcut: nn.Module = nn.Identity()
        if not layout.keeps:
            self.shortcut = build.conv_norm(before, channels, 1, stride)
            self.cost += self.shortcut.cost(layout.side, relu=False)

    def forward(self, values: Sequence[Source], draw: Draw, place: int) -> Tensor:
        x = values[-1].value
        return F.relu(cast(Tensor, self.second(F.relu(self.first(x))) + self.shortcut(x)))


def resnet18(
    width: int,
    *,
    side: int,
    channels: int,
    classes: int,
    generator: torch.Generator,
    dense: bool = False,
) -> Network:
    """With `width` channels in the stem, 64 in the paper."""
    build = Build(width, 1, True, True, False, generator)
    image, before = Map(channels, side), Map(width, side)
    first = ConvNorm(build.conv(channels, width, 3), build.norm(width), F.relu)
    stem = Stem([first], (1, 1), [image, before], first.cost(side, relu=False))
    blocks: list[BasicBlock] = []
    for factor, stride in STAGES:
        for step in (stride, 1):
            layout = RowLayout(before.channels, factor * width, before.side, step)
            blocks.append(BasicBlock(build, layout))
            before = layout.out
    head = (
        DenseHead(before, classes, side, generator)
        if dense
        else Head(build.linear(before.channels, classes))
    )
    return Network(stem, blocks, head, image=image)
