"""Strides, channels and sides of a chain's rows (FaDE 2.4; its code for the numbers)."""

import math
from dataclasses import dataclass

from fade_ray.nn.costs import Map, halved
from spaces.errors import require

SMALLEST_SIDE = 8  # pixels


@dataclass(frozen=True)
class RowLayout:
    """One row: `channels_in -> channels`, from `side` x `side` maps to `side / stride`."""

    channels_in: int
    channels: int
    side: int
    stride: int

    @property
    def out(self) -> Map:
        return Map(self.channels, halved(self.side, self.stride))

    @property
    def keeps(self) -> bool:
        """Whether input and output have the same shape."""
        return self.stride == 1 and self.channels_in == self.channels


def row_strides(side: int, depth: int) -> tuple[int, ...]:
    """Pooling strides of `depth` rows for images of `side` pixels, so that at most 2 x 2 pixels (or
    a stride of 4 per row) are left.

    Side 32: depth 1 -> (4,), 2 -> (4, 4), 3 -> (4, 2, 2), 4 -> (2, 2, 2, 2), as in the paper's
    code. Deeper chains pool in the first and the last row and in inner rows spread evenly (the code
    draws them without a seed, which makes two equal models differ). Other sides follow the same
    rule; odd maps are pooled with their border kept (`ceil_mode`), so side 28 behaves as 32.
    """
    require(depth >= 1, "depth >= 1", "Ask for at least one cell.", depth=depth)
    rule, remedy = f"side >= {SMALLEST_SIDE} pixels", "Resize the images with `--image-side 32`."
    require(side >= SMALLEST_SIDE, rule, remedy, side=side)
    halvings = math.ceil(math.log2(side / 2))
    if depth <= halvings:
        exponents = [halvings // depth + (row < halvings % depth) for row in range(depth)]
        return tuple(2 ** min(2, exponent) for exponent in exponents)
    pooled = {round(i * (depth - 1) / (halvings - 1)) for i in range(halvings)}
    return tuple(2 if row in pooled else 1 for row in range(depth))


def chain_layout(
    side: int,
    depth: int,
    channels_in: int,
    final_channels: int,
    strides: tuple[int, ...] = (),
    channels: tuple[int, ...] = (),
) -> tuple[RowLayout, ...]:
    """Layout of every row, shallow to deep; channels double where the map is halved, up to
    `final_channels` (A.2 of the paper's code).

    `strides` () takes `row_strides`, `channels` () what is said above. InvalidInput for strides
    that do not fit depth and side, and channels that cannot be divided by those behind the first
    row.
    """
    chosen = strides or row_strides(side, depth)
    fits = len(chosen) == depth and min(chosen) >= 1
    require(fits, f"one stride >= 1 for each of the {depth} rows", "Or give none.", strides=strides)
    pooled, behind = math.prod(chosen), math.prod(chosen[1:])
    rule = f"side >= {pooled}, what strides {chosen} pool by (too small for the depth)"
    remedy = "Use fewer rows, smaller strides or larger images."
    require(pooled <= side, rule, remedy, side=side)
    fits = bool(channels) or (final_channels >= 1 and final_channels % behind == 0)
    rule = (
        f"final_channels is a multiple of {behind}, the strides {chosen[1:]} behind the first row"
    )
    remedy = f"Take {max(1, round(final_channels / behind)) * behind}."
    require(fits, rule, remedy, final_channels=final_channels)
    rows: list[RowLayout] = []
    for row, stride in enumerate(chosen):
        width = channels[row] if channels else final_channels // math.prod(chosen[row + 1 :])
        rows.append(RowLayout(channels_in, width, side, stride))
        channels_in, side = rows[-1].out
    return tuple(rows)
