"""The operations on the edges of cells: those of DARTS, of the StacNAS spaces and of
NAS-Bench-201.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from fade_ray.nn.costs import Cost, halved
from fade_ray.nn.layers import Build, ConvNorm, DepthwiseSeparable, FactorizedReduce
from fade_ray.nn.sums import Source, Sum


class Operation(nn.Module):
    """An operation on an edge: `forward` adds weight * mask * its output to `total`; weight a
    scalar, mask [batch, 1, 1, 1], None for 1.
    """

    def forward(
        self, source: Source, total: Sum, weight: Tensor | None, mask: Tensor | None
    ) -> None:
        raise NotImplementedError

    def cost(self, side: int) -> Cost:
        """On an input of side x side."""
        raise NotImplementedError


class Separable(Operation):
    """Two times ReLU, depthwise separable convolution; the stride is in the first."""

    def __init__(self, build: Build, kernel: int) -> None:
        super().__init__()
        self.first = DepthwiseSeparable(build, kernel, build.stride)
        self.second = DepthwiseSeparable(build, kernel, 1)
        self.stride = build.stride

    def forward(
        self, source: Source, total: Sum, weight: Tensor | None, mask: Tensor | None
    ) -> None:
        middle = Sum()
        self.first(source.relu, middle)
        self.second(F.relu_(cast(Tensor, middle.value())), total, weight, mask)

    def cost(self, side: int) -> Cost:
        return self.first.cost(side) + self.second.cost(halved(side, self.stride))


class Dilated(Operation):
    """ReLU, depthwise separable convolution with dilation 2."""

    def __init__(self, build: Build, kernel: int) -> None:
        super().__init__()
        self.only = DepthwiseSeparable(build, kernel, build.stride, dilation=2)

    def forward(
        self, source: Source, total: Sum, weight: Tensor | None, mask: Tensor | None
    ) -> None:
        self.only(source.relu, total, weight, mask)

    def cost(self, side: int) -> Cost:
        return self.only.cost(side)


class Dense(Operation):
    """ReLU, then a module that ends in a BatchNorm: NAS-Bench-201's convolutions, the
    skip-connection at stride 2.
    """

    def __init__(self, module: ConvNorm | FactorizedReduce) -> None:
        super().__init__()
        self.module = module

    def forward(
        self, source: Source, total: Sum, weight: Tensor | None, mask: Tensor | None
    ) -> None:
        y = self.module(source.relu, weight)
        total.add(y if mask is None else y * mask, fresh=True)

    def cost(self, side: int) -> Cost:
        return self.module.cost(side)


class Pool(Operation):
    """Max or average pooling, with BatchNorm behind it where the network asks for it. Averages
    leave the padding out.
    """

    def __init__(self, build: Build, kind: str, kernel: int) -> None:
        super().__init__()
        self.kind, self.kernel = kind, kernel
        self.stride, self.channels = build.stride, build.channels
        self.norm = build.norm(build.channels) if build.pool_norm else None

    def forward(
        self, source: Source, total: Sum, weight: Tensor | None, mask: Tensor | None
    ) -> None:
        name, norm = (self.kind, self.kernel, self.stride), self.norm
        y = source.once(name, lambda: self._pool(source.value))
        if norm is not None:
            # without weights and statistics of its own, the BatchNorm of one edge is that of all
            own = norm.affine or norm.running_mean is not None
            y = norm(y) if own else source.once((*name, "norm"), lambda: norm(y))
        total.add(y if mask is None else y * mask, weight)

    def _pool(self, x: Tensor) -> Tensor:
        if self.kind == "max":
            return F.max_pool2d(x, self.kernel, self.stride, self.kernel // 2)
        return F.avg_pool2d(x, self.kernel, self.stride, self.kernel // 2, count_include_pad=False)

    def cost(self, side: int) -> Cost:
        return Cost(
            norms=0 if self.norm is None else self.channels * halved(side, self.stride) ** 2
        )


class Identity(Operation):
    """The skip-connection at stride 1; drop path never drops it."""

    def forward(
        self, source: Source, total: Sum, weight: Tensor | None, mask: Tensor | None
    ) -> None:
        total.add(source.value, weight)

    def cost(self, side: int) -> Cost:
        return Cost()


Builder = Callable[[Build], Operation]


def _skip(build: Build) -> Operation:
    if build.stride == 1:
        return Identity()
    return Dense(FactorizedReduce(build, build.channels, build.channels))


def _separable(kernel: int) -> Builder:
    return lambda build: Separable(build, kernel)


def _dilated(kernel: int) -> Builder:
    return lambda build: Dilated(build, kernel)


def _pool(kind: str, kernel: int) -> Builder:
    return lambda build: Pool(build, kind, kernel)


def _conv(kernel: int) -> Builder:
    # the benchmark's convolutions have a bias where the BatchNorm behind them has none; the
    # BatchNorm takes it out again
    return lambda build: Dense(
        build.conv_norm(build.channels, build.channels, kernel, build.stride, bias=not build.affine)
    )


OPERATIONS: dict[str, Builder] = {
    "max_pool_3x3": _pool("max", 3),
    "max_pool_5x5": _pool("max", 5),
    "avg_pool_3x3": _pool("average", 3),
    "avg_pool_5x5": _pool("average", 5),
    "skip_connect": _skip,
    "sep_conv_3x3": _separable(3),
    "sep_conv_5x5": _separable(5),
    "sep_conv_7x7": _separable(7),
    "dil_conv_3x3": _dilated(3),
    "dil_conv_5x5": _dilated(5),
    "nor_conv_1x1": _conv(1),
    "nor_conv_3x3": _conv(3),
}
"""How each operation is built but `none`, which is never built: it is left out of every sum."""
