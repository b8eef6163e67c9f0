"""The network of NAS-Bench-Macro: eight rows of blocks in three stages (Su et al. 2021).

With 32 base channels its weights and multiply-adds are those of the published table for all 6,561
architectures. What counts cannot tell is the activation: ReLU6 here, as in MobileNetV2, whose
blocks these are.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fade_ray.nn.chain import NamedChain, Row, linear, named_row
from fade_ray.nn.costs import Cost, Map, halved
from fade_ray.nn.layers import ConvNorm
from fade_ray.nn.layout import SMALLEST_SIDE, RowLayout
from fade_ray.nn.network import DenseHead, Head, Stem
from fade_ray.nn.norms import Norm
from spaces import HyperArchitecture
from spaces.errors import require
from spaces.nasbench_macro import DEPTH, STAGES, Block

STAGE_CHANNELS, HEAD_CHANNELS = (2, 4, 8), 40
"""Of each stage and before the classifier, in base channels, which are those of the stem."""


def places(side: int, base_channels: int) -> list[RowLayout]:
    """The eight rows for images of `side` pixels; the first of each stage halves the map."""
    rows: list[RowLayout] = []
    before = Map(base_channels, side)
    for layers, factor in zip(STAGES, STAGE_CHANNELS, strict=True):
        for layer in range(layers):
            stride = 2 if layer == 0 else 1
            rows.append(RowLayout(before.channels, factor * base_channels, before.side, stride))
            before = rows[-1].out
    return rows


def conv_norm(
    c_in: int,
    c_out: int,
    kernel: int,
    generator: torch.Generator,
    *,
    stride: int = 1,
    groups: int = 1,
    activate: bool = True,
) -> ConvNorm:
    """Convolution that keeps the side up to its stride, BatchNorm, and ReLU6 if `activate`."""
    conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)
    gain = "relu" if activate else "linear"
    nn.init.kaiming_normal_(conv.weight, nonlinearity=gain, generator=generator)  # type: ignore[arg-type]
    return ConvNorm(conv, Norm(c_out), partial(F.relu6, inplace=True) if activate else None)


class Same(nn.Module):
    """The identity."""

    def forward(self, x: Tensor) -> Tensor:
        return x

    def cost(self, side: int, relu: bool) -> Cost:
        return Cost()


class MBConv(nn.Module):
    """Inverted residual block: 1x1 to `expansion` times the channels, depthwise, 1x1."""

    def __init__(
        self, place: RowLayout, generator: torch.Generator, *, expansion: int, kernel: int
    ) -> None:
        super().__init__()
        inner, stride = expansion * place.channels_in, place.stride
        self.expand = conv_norm(place.channels_in, inner, 1, generator)
        self.middle = conv_norm(inner, inner, kernel, generator, stride=stride, groups=inner)
        self.project = conv_norm(inner, place.channels, 1, generator, activate=False)
        self.place = place

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.middle(self.expand(x)))
        return x + y if self.place.keeps else y

    def cost(self, side: int, relu: bool) -> Cost:
        """Of one input of side x side."""
        after = self.project.cost(halved(side, self.place.stride), relu)
        return self.expand.cost(side, relu) + self.middle.cost(side, relu) + after


def identity(place: RowLayout, generator: torch.Generator) -> Same | ConvNorm:
    """The identity, or in the first layer of a stage a 1x1 convolution with BatchNorm."""
    if place.keeps:
        return Same()
    sizes = (place.channels_in, place.channels)
    return conv_norm(*sizes, 1, generator, stride=place.stride, activate=False)


BUILDERS: tuple[Callable[[RowLayout, torch.Generator], Same | ConvNorm | MBConv], ...] = (
    identity,
    partial(MBConv, expansion=3, kernel=3),
    partial(MBConv, expansion=6, kernel=5),
)
"""By the number of the block."""


def _row(blocks: Sequence[Block], place: RowLayout, generator: torch.Generator) -> Row:
    built = {str(block.number): BUILDERS[block.number](place, generator) for block in blocks}
    costs = [block.cost(place.side, relu=False) for block in built.values()]
    return named_row(built, costs, place.out)


class MacroNetwork(NamedChain):
    """A chain of eight rows of blocks. `base_channels`: those of the stem, 32 in the benchmark; all
    others grow with it. InvalidInput for another depth, cells that are no blocks, small images.
    """

    def __init__(
        self,
        hyper: HyperArchitecture,
        base_channels: int = 32,
        *,
        side: int,
        channels: int,
        classes: int,
        generator: torch.Generator,
        dense: bool = False,
    ) -> None:
        rule = f"side >= {SMALLEST_SIDE}"
        require(side >= SMALLEST_SIDE, rule, "Resize the images with `--image-side 32`.", side=side)
        remedy = "Try 8, or the benchmark's 32."
        require(base_channels >= 1, "base_channels >= 1", remedy, base_channels=base_channels)
        candidates, where = _blocks(hyper), places(side, base_channels)
        image, behind = Map(channels, side), Map(base_channels, side)
        first = conv_norm(channels, base_channels, 3, generator)
        stem = Stem([first], (1, 1), [image, behind], first.cost(side, relu=False))
        rows = [_row(row, place, generator) for row, place in zip(candidates, where, strict=True)]
        last, features = where[-1].out, HEAD_CHANNELS * base_channels
        if dense:
            head: Head = DenseHead(last, classes, side, generator)
        else:
            before = conv_norm(last.channels, features, 1, generator)
            classifier = linear(features, classes, generator)
            head = Head(classifier, before, before.cost(last.side, relu=False))
        super().__init__(hyper, stem, rows, head, image)


def _blocks(hyper: HyperArchitecture) -> list[list[Block]]:
    """The distinct candidates of the eight rows. InvalidInput where there are others."""
    remedy = "NAS-Bench-Macro has as many layers."
    require(hyper.depth == DEPTH, f"{DEPTH} rows", remedy, rows=hyper.depth)
    rows = [[cell for cell in row if isinstance(cell, Block)] for row in hyper.distinct()]
    fits = [*map(len, rows)] == [*map(len, hyper.distinct())]
    require(fits, "cells are blocks of NAS-Bench-Macro", "Use `Block`.", code=hyper.code())
    return rows
