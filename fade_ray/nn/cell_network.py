"""Networks of cells: search networks, whose edges are mixtures, and networks of genotypes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import nn

from fade_ray.nn.cell import Cell
from fade_ray.nn.costs import Cost, Map
from fade_ray.nn.layers import Build
from fade_ray.nn.network import Head, Network, Place
from fade_ray.nn.operations import OPERATIONS
from fade_ray.nn.stems import STEMS, AuxiliaryHead, ResidualBlock
from spaces.cell import NONE, Macro
from spaces.errors import at_least, require, require_known
from spaces.stackings import RESIDUAL, Stacking


@dataclass(frozen=True)
class CellNetworkConfig:
    """What a network looks like, whatever its cells are."""

    channels: int = 16
    """Channels of a node in the first cells; doubled at each reduction."""
    stem: str = "cifar"
    """What stands before the first cell, of STEMS; those for ImageNet divide the side by 8."""
    affine: bool = True
    """Scale and shift in the BatchNorms of the cells."""
    running_statistics: bool = True
    """Off: BatchNorm always normalises by the batch, and has no buffers."""
    pool_norm: bool = False
    """BatchNorm after pooling operations."""
    auxiliary: bool = False
    """The second classifier, after cell 2 * depth // 3."""
    auxiliary_norm: bool = True
    """Second BatchNorm of the auxiliary head. DARTS has none for ImageNet, P-DARTS one."""
    partial: int = 1
    """1 / partial of the channels go through an edge's operations (PC-DARTS: 4)."""

    def __post_init__(self) -> None:
        require_known("`stem`", self.stem, STEMS)
        C, partial = self.channels, self.partial
        fits = partial >= 1 and C % partial == 0 and C // partial >= 2
        rule = "channels is a multiple of partial, and channels / partial >= 2"
        remedy = "Use 16 or 36 channels with partial 1, 16 with 4."
        require(fits, rule, remedy, channels=C, partial=partial)

    def for_search(self, stack: Stacking) -> Self:
        """With the BatchNorm of search networks: no scale and shift in cells, batch statistics."""
        pool_norm = stack.search_pool_norm
        return replace(self, affine=False, running_statistics=False, pool_norm=pool_norm)


class CellNetwork(Network):
    """`macro`'s cells as a network; weights from `generator`, with torch's default distributions.

    InvalidInput for operations that are not known, a stem that does not belong to the stacking, an
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
        _check(macro, config, side, channels, classes)
        plan, image, width = STEMS[config.stem], Map(channels, side), config.channels
        fixed = Build(width, 1, True, config.running_statistics, config.pool_norm, generator)
        stem = plan.build(fixed, image)
        places: list[Place] = []
        auxiliary: tuple[int, nn.Module] | None = None
        maps = [*stem.maps]
        for index, position in enumerate(macro.layout):
            width *= 2 if position.reduction else 1
            build = replace(fixed, channels=width)
            if position.kind == RESIDUAL:
                places.append(ResidualBlock(build, maps[-1]))
            else:
                space, build = macro.cells[position.kind], replace(build, affine=config.affine)
                before = maps[-space.inputs :]
                cell = (position.kind, space, build, before, position.reduction, config.partial)
                places.append(Cell(*cell))
            maps.append(places[-1].out)
            if config.auxiliary and index == 2 * macro.depth // 3:
                second = plan.auxiliary_norm or config.auxiliary_norm
                head = AuxiliaryHead(fixed, maps[-1], classes, plan.auxiliary_stride, second)
                auxiliary = (index, head)
        before_head, cost = None, Cost()
        if macro.stack.final_norm:
            before_head = nn.Sequential(fixed.norm(maps[-1].channels), nn.ReLU())
            cost = Cost(norms=maps[-1].entries, relus=maps[-1].entries)
        classifier = fixed.linear(maps[-1].channels, classes)
        scores = Head(classifier, before_head, cost)
        super().__init__(stem, places, scores, image=image, auxiliary=auxiliary)
        self.macro, self.config = macro, config


def _check(macro: Macro, config: CellNetworkConfig, side: int, channels: int, classes: int) -> None:
    at_least(1, side=side, channels=channels, classes=classes)
    stack, where = macro.stack, f"where the stacking is {macro.stacking},"
    rule = f"{where} cells have inputs == {stack.inputs}"
    rule += ", and one output node" * stack.single_output
    remedy = "Choose the stacking that the cells were made for."
    for kind, cell in macro.cells.items():
        for op in cell.ops:
            require_known(f"An operation of cell {kind!r}", op, [NONE, *OPERATIONS])
        fits = cell.inputs == stack.inputs and (not stack.single_output or len(cell.outputs) == 1)
        require(fits, rule, remedy, inputs=cell.inputs, outputs=cell.outputs)
    rule = f"{where} the stem is {' or '.join(stack.stems)}"
    require(config.stem in stack.stems, rule, "Change `stem`.", stem=config.stem)
    rule, possible = f"{where} there is no auxiliary head", stack.auxiliary or not config.auxiliary
    require(possible, rule, "Switch it off.", auxiliary=config.auxiliary)
