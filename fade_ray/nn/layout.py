"""Strides, channels and sides of a chain's rows (FaDE 2.4; its code for the numbers)."""

import math
from dataclasses import dataclass

from fade_ray.nn.costs import Map, halved
from spaces.errors import InvalidInput

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
    if depth < 1:
        raise InvalidInput(f"`depth >= 1` must hold, but got {depth=}. Ask for at least one cell.")
    if side < SMALLEST_SIDE:
        raise InvalidInput(
            f"Images must have a side of at least {SMALLEST_SIDE} pixels, but got {side=}. Resize "
            "them with `--image-side 32`."
        )
    halvings = math.ceil(math.log2(side / 2))
    if depth <= halvings:
        exponents = [halvings // depth + (row < halvings % depth) for row in range(depth)]
        return tuple(2 ** min(2, exponent) for exponent in exponents)
    pooled = {round(i * (depth - 1) / (halvings - 1)) for i in range(halvings)}
    return tuple(2 if row in pooled else 1 for row in range(depth))


def chain_layout(
    side: int, depth: int, channels_in: int, final_channels: int, strides: tuple[int, ...] = ()
) -> tuple[RowLayout, ...]:
    """Layout of every row, shallow to deep; channels double where the map is halved, up to
    `final_channels` (A.2 of the paper's code).

    `strides` () takes `row_strides`. Raises InvalidInput when the strides do not fit the depth or
    the side, or when `final_channels` is not divisible by the product of the strides behind the
    first row.
    """
    chosen = strides or row_strides(side, depth)
    if len(chosen) != depth or min(chosen) < 1:
        raise InvalidInput(
            f"`strides` needs one stride >= 1 for each of the {depth} rows, but got {strides=}."
        )
    if math.prod(chosen) > side:
        raise InvalidInput(
            f"The image side is too small for the depth: strides {chosen} pool by "
            f"{math.prod(chosen)}, but the images have {side=} pixels. Use fewer rows, smaller "
            "strides or larger images."
        )
    behind = math.prod(chosen[1:])
    if final_channels < 1 or final_channels % behind:
        raise InvalidInput(
            f"`final_channels` must be a multiple of {behind}, the product of the strides behind "
            f"the first row {chosen[1:]}, but got {final_channels=}. Take "
            f"{max(1, round(final_channels / behind)) * behind}."
        )
    rows: list[RowLayout] = []
    for row, stride in enumerate(chosen):
        channels = final_channels // math.prod(chosen[row + 1 :])
        rows.append(RowLayout(channels_in, channels, side, stride))
        channels_in, side = rows[-1].out
    return tuple(rows)
