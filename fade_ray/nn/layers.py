"""The layers that networks are made of."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fade_ray.nn.costs import Cost, halved
from fade_ray.nn.kernels import depthwise
from fade_ray.nn.norms import Norm
from fade_ray.nn.sums import Term

Axes = tuple[int, int]
"""Of rows and columns."""


@dataclass(frozen=True)
class Build:
    """How the modules of one place are built; the operations there map `channels` to `channels`."""

    channels: int
    stride: int
    affine: bool
    running_statistics: bool
    pool_norm: bool
    generator: torch.Generator

    def norm(self, channels: int) -> Norm:
        return Norm(channels, affine=self.affine, track_running_stats=self.running_statistics)

    def conv(
        self, c_in: int, c_out: int, kernel: int | Axes, stride: int | Axes = 1, **rest: Any
    ) -> nn.Conv2d:
        """Without bias and padded to keep the side unless `rest` says otherwise. Torch's default
        distribution, U(-b, b) with b = fan_in ** -0.5, from `generator`.
        """
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = tuple(rest.get("dilation", 1) * (side // 2) for side in sides)
        made = nn.Conv2d(c_in, c_out, kernel, stride, **{"padding": padding, "bias": False, **rest})
        self._draw(made, 1 / math.sqrt(c_in // made.groups * math.prod(sides)))
        return made

    def linear(self, c_in: int, c_out: int) -> nn.Linear:
        """With torch's default distribution."""
        made = nn.Linear(c_in, c_out)
        self._draw(made, c_in**-0.5)
        return made

    def conv_norm(
        self, c_in: int, c_out: int, kernel: int, stride: int = 1, **rest: Any
    ) -> ConvNorm:
        return ConvNorm(self.conv(c_in, c_out, kernel, stride, **rest), self.norm(c_out))

    def _draw(self, layer: nn.Module, bound: float) -> None:
        for parameter in layer.parameters():
            nn.init.uniform_(parameter, -bound, bound, generator=self.generator)


class ConvNorm(nn.Module):
    """Convolution, BatchNorm, `activation` where there is one. In cells a ReLU comes before."""

    def __init__(
        self, conv: nn.Conv2d, norm: Norm, activation: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        super().__init__()
        self.conv, self.norm, self.activation = conv, norm, activation

    def forward(self, x: Tensor, scale: Tensor | None = None) -> Tensor:
        conv = self.conv
        alone = conv.groups == conv.in_channels > 1  # depthwise
        y = self.norm(depthwise(x, conv.weight, conv.stride[0]) if alone else conv(x), scale)
        return cast(Tensor, y) if self.activation is None else self.activation(y)

    def cost(self, side: int, relu: bool = True) -> Cost:
        """Of an input of side x side, with the ReLU before it, if there is one."""
        out = self.conv.out_channels * halved(side, self.conv.stride[0]) ** 2
        before = self.conv.in_channels * side**2 if relu else 0
        behind = 0 if self.activation is None else out
        return Cost(self.conv.weight.numel() * out // self.conv.out_channels, out, before + behind)


class FactorizedReduce(nn.Module):
    """Two 1x1 convolutions with stride 2, the second one pixel further down and right, BatchNorm;
    a ReLU comes before. An odd side gets a border of zeros, so that both give ceil(side / 2).
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


class AlongAxes(nn.Module):
    """A convolution along the rows, one along the columns, BatchNorm; a ReLU comes before."""

    def __init__(self, build: Build, kernel: int) -> None:
        super().__init__()
        C, s = build.channels, build.stride
        self.conv_1 = build.conv(C, C, (1, kernel), (1, s))
        self.conv_2 = build.conv(C, C, (kernel, 1), (s, 1))
        self.norm = build.norm(C)

    def forward(self, x: Tensor, scale: Tensor | None = None) -> Tensor:
        return cast(Tensor, self.norm(self.conv_2(self.conv_1(x)), scale))

    def cost(self, side: int) -> Cost:
        out, C = halved(side, self.conv_1.stride[1]), self.norm.num_features
        weights = self.conv_1.weight.numel()
        return Cost(weights * out * (side + out), C * out**2, C * side**2)


class DepthwiseSeparable(nn.Module):
    """Depthwise convolution, pointwise convolution, BatchNorm; a ReLU comes before."""

    def __init__(self, build: Build, kernel: int, stride: int, dilation: int = 1) -> None:
        super().__init__()
        C = build.channels
        self.depthwise = build.conv(C, C, kernel, stride, dilation=dilation, groups=C)
        self.pointwise = build.conv(C, C, 1)
        self.norm = build.norm(C)

    def forward(self, x: Tensor, term: Term) -> None:
        conv = self.depthwise
        y = depthwise(x, conv.weight, conv.stride[0], conv.dilation[0])
        term.add_pointwise_norm(y, self.pointwise, self.norm)

    def cost(self, side: int) -> Cost:
        out, C = halved(side, self.depthwise.stride[0]) ** 2, self.norm.num_features
        weights = self.depthwise.weight.numel() + self.pointwise.weight.numel()
        return Cost(weights * out, C * out, C * side**2)
