"""The operations on the edges of cells: those of DARTS, of the StacNAS spaces and of NAS-Bench-201."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fade_ray.nn.cell_kernels import depthwise
from fade_ray.nn.cell_sums import CellNorm, Source, Sum


@dataclass(frozen=True)
class Cost:
    """What one image costs: multiply-adds of convolutions and linear maps, entries that come out of
    a BatchNorm, out of a ReLU.
    """

    multiply_adds: int = 0
    norms: int = 0
    relus: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.multiply_adds + other.multiply_adds,
            self.norms + other.norms,
            self.relus + other.relus,
        )


@dataclass(frozen=True)
class Build:
    """How the modules of one place are built; the operations there map `channels` to `channels`."""

    channels: int
    stride: int
    affine: bool
    running_statistics: bool
    pool_norm: bool
    generator: torch.Generator

    def norm(self, channels: int) -> CellNorm:
        return CellNorm(channels, affine=self.affine, track_running_stats=self.running_statistics)

    def conv(
        self,
        c_in: int,
        c_out: int,
        kernel: int,
        stride: int = 1,
        *,
        padding: int | None = None,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = False,
    ) -> nn.Conv2d:
        """By default padded to keep the side. Torch's default distribution, U(-b, b) with b =
        fan_in ** -0.5, from `generator`.
        """
        padding = dilation * (kernel // 2) if padding is None else padding
        made = nn.Conv2d(c_in, c_out, kernel, stride, padding, dilation, groups, bias)
        bound = 1 / math.sqrt(c_in // groups * kernel**2)
        for parameter in made.parameters():
            nn.init.uniform_(parameter, -bound, bound, generator=self.generator)
        return made

    def linear(self, c_in: int, c_out: int) -> nn.Linear:
        """With torch's default distribution."""
        made = nn.Linear(c_in, c_out)
        for parameter in made.parameters():
            nn.init.uniform_(parameter, -(c_in**-0.5), c_in**-0.5, generator=self.generator)
        return made


def halved(side: int, stride: int) -> int:
    """The side of the map behind an operation: ceil(side / stride), for every operation here."""
    return -(-side // stride)


class ConvNorm(nn.Module):
    """Convolution and BatchNorm; a ReLU may come before."""

    def __init__(
        self,
        build: Build,
        c_in: int,
        c_out: int,
        kernel: int,
        stride: int = 1,
        *,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.conv = build.conv(c_in, c_out, kernel, stride, bias=bias)
        self.norm = build.norm(c_out)

    def forward(self, x: Tensor, scale: Tensor | None = None) -> Tensor:
        return cast(Tensor, self.norm(self.conv(x), scale))

    def cost(self, side: int, relu: bool = True) -> Cost:
        """With the ReLU before it, if there is one."""
        out = halved(side, self.conv.stride[0]) ** 2
        relus = self.conv.in_channels * side**2 if relu else 0
        return Cost(self.conv.weight.numel() * out, self.conv.out_channels * out, relus)


class FactorizedReduce(nn.Module):
    """Two 1x1 convolutions with stride 2, the second one pixel further down and right,
    concatenated; BatchNorm. A ReLU comes before.

    An odd side is padded with zeros for the second one, so that both give ceil(side / 2).
    """

    def __init__(self, build: Build, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv_1 = build.conv(c_in, c_out - c_out // 2, 1, 2)
        self.conv_2 = build.conv(c_in, c_out // 2, 1, 2)
        self.norm = build.norm(c_out)

    def forward(self, x: Tensor, scale: Tensor | None = None) -> Tensor:
        odd = x.shape[-1] % 2
        shifted = F.pad(x, (0, odd, 0, odd))[:, :, 1:, 1:]
        return cast(Tensor, self.norm(torch.cat([self.conv_1(x), self.conv_2(shifted)], 1), scale))

    def cost(self, side: int) -> Cost:
        out = halved(side, 2) ** 2
        weights = self.conv_1.weight.numel() + self.conv_2.weight.numel()
        return Cost(weights * out, self.norm.num_features * out, self.conv_1.in_channels * side**2)


class DepthwiseSeparable(nn.Module):
    """Depthwise convolution, pointwise convolution, BatchNorm; a ReLU comes before."""

    def __init__(self, build: Build, kernel: int, stride: int, dilation: int = 1) -> None:
        super().__init__()
        C = build.channels
        self.depthwise = build.conv(C, C, kernel, stride, dilation=dilation, groups=C)
        self.pointwise = build.conv(C, C, 1)
        self.norm = build.norm(C)

    def forward(
        self, x: Tensor, total: Sum, weight: Tensor | None = None, mask: Tensor | None = None
    ) -> None:
        """Add weight * mask * its output to `total`."""
        y = depthwise(
            x, self.depthwise.weight, self.depthwise.stride[0], self.depthwise.dilation[0]
        )
        if mask is None:
            total.add_pointwise_norm(y, self.pointwise, self.norm, weight)
        else:
            unmasked = Sum()
            unmasked.add_pointwise_norm(y, self.pointwise, self.norm, weight)
            total.add(cast(Tensor, unmasked.value()), mask)

    def cost(self, side: int) -> Cost:
        out, C = halved(side, self.depthwise.stride[0]) ** 2, self.norm.num_features
        return Cost(
            (self.depthwise.weight.numel() + self.pointwise.weight.numel()) * out,
            C * out,
            C * side**2,
        )


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
        self.kind, self.kernel, self.stride, self.channels = (
            kind,
            kernel,
            build.stride,
            build.channels,
        )
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
    return (
        Identity()
        if build.stride == 1
        else Dense(FactorizedReduce(build, build.channels, build.channels))
    )


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
        ConvNorm(build, build.channels, build.channels, kernel, build.stride, bias=not build.affine)
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
