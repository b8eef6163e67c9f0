"""Operations on the edges of cells: those of DARTS, the StacNAS spaces and NAS-Bench-201."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from fade_ray.nn.costs import Cost, halved
from fade_ray.nn.layers import AlongAxes, Build, ConvNorm, DepthwiseSeparable, FactorizedReduce
from fade_ray.nn.sums import Source, Sum, Term


class Operation(nn.Module):
    """An operation on an edge: `forward` adds its output for the value of `source` to `term`."""

    def forward(self, source: Source, term: Term) -> None:
        raise NotImplementedError

    def cost(self, side: int) -> Cost:
        """On an input of side x side."""
        raise NotImplementedError


class Separable(Operation):
    """ReLU, depthwise separable convolution; with `twice` two of them, the stride in the first."""

    def __init__(self, build: Build, kernel: int, dilation: int = 1, twice: bool = True) -> None:
        super().__init__()
        self.first = DepthwiseSeparable(build, kernel, build.stride, dilation)
        self.second = DepthwiseSeparable(build, kernel, 1) if twice else None
        self.stride = build.stride

    def forward(self, source: Source, term: Term) -> None:
        if self.second is None:
            self.first(source.relu, term)
            return
        middle = Sum()
        self.first(source.relu, Term(middle))
        self.second(F.relu_(cast(Tensor, middle.value())), term)

    def cost(self, side: int) -> Cost:
        second = Cost() if self.second is None else self.second.cost(halved(side, self.stride))
        return self.first.cost(side) + second


class Dense(Operation):
    """ReLU, then a module that ends in a BatchNorm: convolutions, or a skip at stride 2."""

    def __init__(self, module: ConvNorm | FactorizedReduce | AlongAxes) -> None:
        super().__init__()
        self.module = module

    def forward(self, source: Source, term: Term) -> None:
        term.add_weighted(self.module(source.relu, term.weight))

    def cost(self, side: int) -> Cost:
        return self.module.cost(side)


class Pool(Operation):
    """Max or average pooling, with BatchNorm if asked for. Averages leave the padding out."""

    def __init__(self, build: Build, kind: str, kernel: int) -> None:
        super().__init__()
        self.kind, self.kernel = kind, kernel
        self.stride, self.channels = build.stride, build.channels
        self.norm = build.norm(build.channels) if build.pool_norm else None

    def forward(self, source: Source, term: Term) -> None:
        name, norm = (self.kind, self.kernel, self.stride), self.norm
        y = source.once(name, lambda: self._pool(source.value))
        if norm is not None:
            # without weights and statistics of its own, the BatchNorm of one edge is that of all
            own = norm.affine or norm.running_mean is not None
            y = norm(y) if own else source.once((*name, "norm"), lambda: norm(y))
        term.add(y)

    def _pool(self, x: Tensor) -> Tensor:
        if self.kind == "max":
            return F.max_pool2d(x, self.kernel, self.stride, self.kernel // 2)
        return F.avg_pool2d(x, self.kernel, self.stride, self.kernel // 2, count_include_pad=False)

    def cost(self, side: int) -> Cost:
        out = self.channels * halved(side, self.stride) ** 2
        return Cost(norms=0 if self.norm is None else out)


class Identity(Operation):
    """The skip-connection at stride 1; drop path never drops it."""

    def forward(self, source: Source, term: Term) -> None:
        term.total.add(source.value, term.weight)

    def cost(self, side: int) -> Cost:
        return Cost()


def _skip(build: Build) -> Operation:
    C = build.channels
    return Identity() if build.stride == 1 else Dense(FactorizedReduce(build, C, C))


def _along_axes(build: Build) -> Operation:
    return Dense(AlongAxes(build, 7))


def _conv(build: Build, kernel: int) -> Operation:
    # the benchmark's convolutions have a bias where the BatchNorm behind them has none; the
    # BatchNorm takes it out again
    C, bias = build.channels, not build.affine
    return Dense(build.conv_norm(C, C, kernel, build.stride, bias=bias))


OPERATIONS: dict[str, Callable[[Build], Operation]] = {
    "max_pool_3x3": partial(Pool, kind="max", kernel=3),
    "max_pool_5x5": partial(Pool, kind="max", kernel=5),
    "avg_pool_3x3": partial(Pool, kind="average", kernel=3),
    "avg_pool_5x5": partial(Pool, kind="average", kernel=5),
    "skip_connect": _skip,
    "sep_conv_3x3": partial(Separable, kernel=3),
    "sep_conv_5x5": partial(Separable, kernel=5),
    "sep_conv_7x7": partial(Separable, kernel=7),
    "dil_conv_3x3": partial(Separable, kernel=3, dilation=2, twice=False),
    "dil_conv_5x5": partial(Separable, kernel=5, dilation=2, twice=False),
    "conv_7x1_1x7": _along_axes,
    "nor_conv_1x1": partial(_conv, kernel=1),
    "nor_conv_3x3": partial(_conv, kernel=3),
}
"""How each operation is built but `none`, which is never built: it is left out of every sum."""
