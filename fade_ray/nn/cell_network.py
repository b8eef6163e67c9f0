"""Networks of cells: search networks, whose edges are mixtures, and networks of genotypes, in one
class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fade_ray.nn.cell_drop_path import DropPath
from fade_ray.nn.cell_mixture import Cell
from fade_ray.nn.cell_sums import Source
from fade_ray.nn.edge_weights import EdgeWeights
from fade_ray.nn.operations import OPERATIONS, Build, ConvNorm, Cost, FactorizedReduce, halved
from fade_ray.nn.stems import STEMS, AuxiliaryHead, Map, ResidualBlock, Stem
from spaces.cell import NONE, Macro
from spaces.errors import InvalidInput, require
from spaces.stackings import RESIDUAL

__all__ = ["CONVENTIONS", "CellNetwork", "CellNetworkConfig", "DropPath"]

CONVENTIONS: dict[str, Callable[[Cost], int]] = {
    "conv+fc": lambda cost: cost.multiply_adds,
    "conv+fc+2bn+relu": lambda cost: cost.multiply_adds + 2 * cost.norms + cost.relus,
}
"""What counts as a multiply-add: convolutions and linear maps alone (DARTS), or 2 for each entry
that leaves a BatchNorm and 1 for each that leaves a ReLU besides (P-DARTS, PC-DARTS).
"""


@dataclass(frozen=True)
class CellNetworkConfig:
    """What a network looks like, whatever its cells are."""

    channels: int = 16
    """Channels of a node in the first cells; doubled at each reduction."""
    stem: Literal["cifar", "imagenet", "imagenet-search", "nasbench201"] = "cifar"
    """What stands before the first cell; the ImageNet stems divide the side by 8."""
    affine: bool = True
    """Scale and shift in the BatchNorms of the cells."""
    running_statistics: bool = True
    """Off: BatchNorm always normalises by the batch, and has no buffers."""
    pool_norm: bool = False
    """BatchNorm after pooling operations."""
    auxiliary: bool = False
    """The second classifier, after cell 2 * depth // 3."""
    auxiliary_norm: bool = True
    """The second BatchNorm of the auxiliary head. The ImageNet head of DARTS has none (P-DARTS has
    it).
    """
    partial: int = 1
    """1 / partial of the channels go through the operations of an edge, the others past them
    (PC-DARTS: 4).
    """

    def __post_init__(self) -> None:
        require(
            self.stem in STEMS,
            f"stem is one of {', '.join(STEMS)}",
            "Name one of them.",
            stem=self.stem,
        )
        require(
            self.partial >= 1
            and self.channels % self.partial == 0
            and self.channels // self.partial >= 2,
            "channels is a multiple of partial, and channels / partial >= 2",
            "Use 16 or 36 channels with partial 1, 16 with 4.",
            channels=self.channels,
            partial=self.partial,
        )

    def for_search(self) -> Self:
        """The same with the BatchNorm of search networks: no scale and shift in cells, batch
        statistics, after pools too (DARTS).

        NAS-Bench-201 has no BatchNorm after its pooling.
        """
        return replace(
            self, affine=False, running_statistics=False, pool_norm=self.stem != "nasbench201"
        )


class CellNetwork(nn.Module):
    """`macro`'s cells as a network from images [batch, channels, side, side] to class scores
    [batch, classes].

    All weights are drawn from `generator`, with torch's default distributions. Raises InvalidInput
    for operations that are not known, for a stem that does not belong to the stacking, and for an
    auxiliary head on too small a map.
    """

    def __init__(
        self,
        macro: Macro,
        config: CellNetworkConfig,
        *,
        side: int,
        channels: int = 3,
        classes: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        _check(macro, config, side, channels, classes)
        self.macro, self.config, self.classes = macro, config, classes
        self.input_shape = (channels, side, side)
        self._discrete = macro.is_discrete
        fixed = Build(
            config.channels, 1, True, config.running_statistics, config.pool_norm, generator
        )
        self.stem = Stem(fixed, channels, STEMS[config.stem])
        before, last = self.stem.maps(side)
        self.maps: list[Map] = []  # of the outputs of the cells
        self._cost = self.stem.cost(side)
        self.cells = nn.ModuleList()
        self.auxiliary: AuxiliaryHead | None = None
        self._auxiliary_after = 2 * macro.depth // 3 if config.auxiliary else None
        width = config.channels
        for index, place in enumerate(macro.layout):
            width *= 2 if place.reduction else 1
            made, cost = self._cell(
                place.kind, width, place.reduction, before, last, replace(fixed, channels=width)
            )
            self.cells.append(made)
            self._cost += cost
            out = len(macro.cells[place.kind].outputs) * width if place.kind != RESIDUAL else width
            before, last = last, Map(out, halved(last.side, 2 if place.reduction else 1))
            self.maps.append(last)
            if index == self._auxiliary_after:
                stride = 3 if config.stem == "cifar" else 2
                second_norm = config.stem == "cifar" or config.auxiliary_norm
                self.auxiliary = AuxiliaryHead(fixed, last, classes, stride, second_norm)
        self.norm = fixed.norm(last.channels) if config.stem == "nasbench201" else None
        self.classifier = fixed.linear(last.channels, classes)
        area = last.side**2 * last.channels
        self._cost += Cost(
            self.classifier.weight.numel(), *((0, 0) if self.norm is None else (area, area))
        )

    def forward(
        self,
        x: Tensor,
        weights: Mapping[str, EdgeWeights] | None = None,
        drop_path: DropPath | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Class scores [batch, classes], and those of the auxiliary head in training mode (None
        without it).

        `weights`: those of each kind of cell; None where nothing is left to choose, all operations
        then count once. `drop_path` rests in evaluation mode.
        """
        self._check_input(x, weights)
        auxiliary, drop_path = None, drop_path if self.training else None
        before, last = (Source(_channels_last(y)) for y in self.stem(_channels_last(x)))
        for index, (place, cell) in enumerate(zip(self.macro.layout, self.cells, strict=True)):
            if place.kind == RESIDUAL:
                y = cell(last.value)
            else:
                inputs = (before, last)[-self.macro.cells[place.kind].inputs :]
                y = cell(inputs, None if weights is None else weights[place.kind], drop_path)
            if index == self._auxiliary_after and self.auxiliary is not None and self.training:
                auxiliary = self.auxiliary(y)
            before, last = last, Source(y)
        y = last.value if self.norm is None else F.relu(self.norm(last.value))
        return self.classifier(y.mean((2, 3))), auxiliary

    def multiply_adds(self, convention: str = "conv+fc") -> int:
        """Multiply-adds of one image's forward pass in eval mode, all allowed operations run, by
        one of the CONVENTIONS.
        """
        require(
            convention in CONVENTIONS,
            f"convention is one of {', '.join(CONVENTIONS)}",
            "Name one of them.",
            convention=convention,
        )
        return CONVENTIONS[convention](self._cost)

    def _cell(
        self, kind: str, width: int, reduction: bool, before: Map, last: Map, build: Build
    ) -> tuple[nn.Module, Cost]:
        if kind == RESIDUAL:
            block = ResidualBlock(build, last.channels, width)
            return block, block.cost(last.side)
        build = replace(build, affine=self.config.affine)
        space, cost = self.macro.cells[kind], Cost()
        entries: list[ConvNorm | FactorizedReduce] = []
        for source in (before, last) if space.inputs == 2 else ():
            if source.side > last.side:
                entries.append(FactorizedReduce(build, source.channels, width))
            else:
                entries.append(ConvNorm(build, source.channels, width, 1))
            cost += entries[-1].cost(source.side)
        cell = Cell(space, build, entries, reduction, self.config.partial)
        return cell, cost + cell.cost(last.side)

    def _check_input(self, x: Tensor, weights: Mapping[str, EdgeWeights] | None) -> None:
        require(
            tuple(x.shape[1:]) == self.input_shape,
            "images are [batch, channels, side, side] as the network was built for",
            "Build the network for these images.",
            images=tuple(x.shape[1:]),
            network=self.input_shape,
        )
        if weights is None:
            require(
                self._discrete,
                "a network with choices gets architecture weights",
                "Give `weights`, or discretise the cells.",
                choices=self.macro.size,
            )


def _channels_last(x: Tensor) -> Tensor:
    """x in the layout that all devices but Apple's are fastest in."""
    return x if x.device.type == "mps" else x.contiguous(memory_format=torch.channels_last)


def _check(macro: Macro, config: CellNetworkConfig, side: int, channels: int, classes: int) -> None:
    for name, value in {"side": side, "channels": channels, "classes": classes}.items():
        require(value >= 1, f"{name} >= 1", "", **{name: value})
    for kind, cell in macro.cells.items():
        for op in cell.ops:
            if op != NONE and op not in OPERATIONS:
                near = get_close_matches(op, OPERATIONS, n=1)
                hint = f" Did you mean {near[0]}?" if near else ""
                raise InvalidInput(
                    f"Operations must be among {NONE}, {', '.join(OPERATIONS)}, but cell {kind!r} has {op!r}.{hint}"
                )
        single = macro.stacking == "nasbench201"
        require(
            cell.inputs == (1 if single else 2) and (not single or len(cell.outputs) == 1),
            "cells have two inputs; one, and one output node, where stacking is nasbench201",
            "Choose the stacking that the cells were made for.",
            stacking=macro.stacking,
            inputs=cell.inputs,
            outputs=cell.outputs,
        )
    require(
        (config.stem == "nasbench201") == (macro.stacking == "nasbench201"),
        "the stem nasbench201 goes with the stacking nasbench201, the others with the others",
        "Change `stem`.",
        stem=config.stem,
        stacking=macro.stacking,
    )
    require(
        not (config.auxiliary and macro.stacking == "nasbench201"),
        "NAS-Bench-201 has no auxiliary head",
        "Switch it off.",
        auxiliary=config.auxiliary,
    )
