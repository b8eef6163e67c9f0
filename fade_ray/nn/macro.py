"""The network of NAS-Bench-Macro: a stem, eight rows of blocks in three stages, a head (Su et al.
2021).

With 32 base channels its weights and multiply-adds are those of the published table for all 6,561
architectures. What counts cannot tell is the activation: ReLU6 here, as in MobileNetV2, whose
blocks these are.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fade_ray.nn.cell_kernels import depthwise
from fade_ray.nn.chain import Chain, ChainRow, Costs, linear
from fade_ray.nn.graph_cell import Norm
from fade_ray.nn.layout import SMALLEST_SIDE
from fade_ray.nn.mixed import Mixed
from fade_ray.nn.operations import halved
from spaces import HyperArchitecture
from spaces.errors import InvalidInput, require
from spaces.nasbench_macro import BLOCKS, DEPTH, STAGES, Block

STAGE_CHANNELS = (2, 4, 8)
"""Channels of each stage, in base channels, which are those of the stem."""
HEAD_CHANNELS = 40
"""Channels before the classifier, in base channels."""


@dataclass(frozen=True)
class Place:
    """Where a block stands: it maps [batch, channels_in, side, side] to [batch, channels, ceil(side
    / stride), ceil(side / stride)].
    """

    channels_in: int
    channels: int
    side: int
    stride: int

    @property
    def keeps(self) -> bool:
        """Whether input and output have the same shape."""
        return self.stride == 1 and self.channels_in == self.channels


def places(side: int, base_channels: int) -> list[Place]:
    """The eight rows, shallow to deep; `side` in pixels. The first of each stage halves the map and
    changes the channels.
    """
    found: list[Place] = []
    before = base_channels
    for layers, factor in zip(STAGES, STAGE_CHANNELS, strict=True):
        for layer in range(layers):
            stride = 2 if layer == 0 else 1
            found.append(Place(before, factor * base_channels, side, stride))
            before, side = factor * base_channels, halved(side, stride)
    return found


class Counted(nn.Module):
    """A module that knows its multiply-adds."""

    @abstractmethod
    def multiply_adds(self, side: int) -> int:
        """Of one input of side x side."""


class ConvNorm(Counted):
    """Convolution without bias that keeps the side up to its stride, BatchNorm, and ReLU6 if
    `activate`; `depthwise`: one channel each.
    """

    def __init__(
        self,
        channels_in: int,
        channels: int,
        kernel: int,
        generator: torch.Generator,
        *,
        stride: int = 1,
        depthwise: bool = False,
        activate: bool = True,
    ) -> None:
        super().__init__()
        groups = channels if depthwise else 1
        self.conv = nn.Conv2d(
            channels_in, channels, kernel, stride, kernel // 2, groups=groups, bias=False
        )
        gain = "relu" if activate else "linear"
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity=gain, generator=generator)  # type: ignore[arg-type]
        self.norm = Norm(channels)
        self.depthwise, self.activate = depthwise, activate

    def forward(self, x: Tensor) -> Tensor:
        y = depthwise(x, self.conv.weight, self.conv.stride[0]) if self.depthwise else self.conv(x)
        y = self.norm(y)
        return F.relu6(y, inplace=True) if self.activate else cast(Tensor, y)

    def multiply_adds(self, side: int) -> int:
        return self.conv.weight.numel() * halved(side, self.conv.stride[0]) ** 2


class Same(Counted):
    """The identity."""

    def forward(self, x: Tensor) -> Tensor:
        return x

    def multiply_adds(self, side: int) -> int:
        return 0


class MBConv(Counted):
    """Inverted residual block: 1x1 convolution to `expansion` times the channels, depthwise
    convolution, 1x1 convolution without activation.
    """

    def __init__(
        self, place: Place, generator: torch.Generator, *, expansion: int, kernel: int
    ) -> None:
        super().__init__()
        inner = expansion * place.channels_in
        self.expand = ConvNorm(place.channels_in, inner, 1, generator)
        self.middle = ConvNorm(inner, inner, kernel, generator, stride=place.stride, depthwise=True)
        self.project = ConvNorm(inner, place.channels, 1, generator, activate=False)
        self.place = place

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.middle(self.expand(x)))
        return x + y if self.place.keeps else y

    def multiply_adds(self, side: int) -> int:
        after = self.project.multiply_adds(halved(side, self.place.stride))
        return self.expand.multiply_adds(side) + self.middle.multiply_adds(side) + after


def identity(place: Place, generator: torch.Generator) -> Counted:
    """The identity, or where that cannot be, in the first layer of a stage, a 1x1 convolution with
    BatchNorm.
    """
    if place.keeps:
        return Same()
    return ConvNorm(
        place.channels_in, place.channels, 1, generator, stride=place.stride, activate=False
    )


BUILDERS: dict[Block, Callable[[Place, torch.Generator], Counted]] = dict(
    zip(
        BLOCKS,
        (identity, partial(MBConv, expansion=3, kernel=3), partial(MBConv, expansion=6, kernel=5)),
        strict=True,
    )
)


class MixedBlocks(Mixed):
    """Blocks as candidates, each under its number, so that equal blocks of two hyper-architectures
    have equal names of weights.
    """

    cells: nn.ModuleDict

    def __init__(
        self, candidates: Sequence[Block], place: Place, generator: torch.Generator
    ) -> None:
        super().__init__(len(candidates))
        self.candidates = tuple(candidates)
        built = {str(block.number): BUILDERS[block](place, generator) for block in self.candidates}
        self.cells = nn.ModuleDict(built)
        self.multiply_adds = [block.multiply_adds(place.side) for block in built.values()]

    def candidate(self, x: Tensor, index: int) -> Tensor:
        output: Tensor = self.cells[str(self.candidates[index].number)](x)
        return output


class MacroNetwork(Chain):
    """A chain of eight rows of blocks. `base_channels`: those of the stem, 32 in the benchmark; all
    others grow with it.

    Raises InvalidInput for another depth than 8, cells that are no blocks, and images that are too
    small.
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
    ) -> None:
        rule = f"side >= {SMALLEST_SIDE}"
        require(side >= SMALLEST_SIDE, rule, "Resize the images with `--image-side 32`.", side=side)
        require(
            base_channels >= 1,
            "base_channels >= 1",
            "Try 8, or the benchmark's 32.",
            base_channels=base_channels,
        )
        candidates, where = _blocks(hyper), places(side, base_channels)
        stem = ConvNorm(channels, base_channels, 3, generator)
        mixed = [
            MixedBlocks(row, place, generator) for row, place in zip(candidates, where, strict=True)
        ]
        entries = [stem, *(Same() for _ in mixed[1:])]
        rows = [ChainRow(entry, row) for entry, row in zip(entries, mixed, strict=True)]
        last = halved(where[-1].side, where[-1].stride)
        head = ConvNorm(where[-1].channels, HEAD_CHANNELS * base_channels, 1, generator)
        classifier = linear(HEAD_CHANNELS * base_channels, classes, generator)
        costs = Costs(
            [entry.multiply_adds(side) for entry in entries],
            [row.multiply_adds for row in mixed],
            head.multiply_adds(last) + classifier.weight.numel(),
        )
        super().__init__(hyper, rows, classifier, (channels, side, side), costs)
        self.head = head

    def classify(self, x: Tensor) -> Tensor:
        scores: Tensor = self.classifier(self.head(x).mean((2, 3)))
        return scores

    def inherit(self, weights: Mapping[str, Tensor]) -> None:
        """Start from the `state_dict` of an earlier hyper-architecture; blocks that it does not
        hold in the same row stay as they are.
        """
        self.load_state_dict(weights, strict=False)


def _blocks(hyper: HyperArchitecture) -> list[list[Block]]:
    """The distinct candidates of each row. InvalidInput where they are not blocks, or the rows not
    eight.
    """
    require(
        hyper.depth == DEPTH,
        f"{DEPTH} rows",
        "NAS-Bench-Macro has as many layers.",
        rows=hyper.depth,
    )
    rows = [[cell for cell in row if isinstance(cell, Block)] for row in hyper.distinct()]
    if [len(row) for row in rows] != [len(row) for row in hyper.distinct()]:
        raise InvalidInput(
            f"The cells of this chain must be blocks of NAS-Bench-Macro, but got {hyper.code()!r}."
        )
    return rows
