"""What exported modules of cells are made of: plain PyTorch, whose text is copied into them."""

# mypy: disable-error-code="no-any-return"

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def relu_conv_norm(c_in: int, c_out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """ReLU, convolution, BatchNorm."""
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(c_out),
    )


def separable(channels: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """ReLU, depthwise convolution, pointwise convolution, BatchNorm."""
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels, channels, kernel, stride, padding, dilation, channels, bias=False),
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
    )


def sep_conv(channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Two depthwise separable convolutions, the stride in the first."""
    return nn.Sequential(
        *separable(channels, kernel, stride),
        *separable(channels, kernel),
    )


def dil_conv(channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """A depthwise separable convolution with dilation 2."""
    return separable(channels, kernel, stride, dilation=2)


def along_axes(channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """ReLU, a convolution along the rows, one along the columns, BatchNorm."""
    rows, columns = (1, kernel), (kernel, 1)
    padding = kernel // 2
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels, channels, rows, (1, stride), (0, padding), bias=False),
        nn.Conv2d(channels, channels, columns, (stride, 1), (padding, 0), bias=False),
        nn.BatchNorm2d(channels),
    )


def max_pool(kernel: int, stride: int = 1) -> nn.Module:
    """Max pooling."""
    return nn.MaxPool2d(kernel, stride, kernel // 2)


def avg_pool(kernel: int, stride: int = 1) -> nn.Module:
    """Average pooling that leaves the padding out."""
    return nn.AvgPool2d(kernel, stride, kernel // 2, count_include_pad=False)


def normed(layer: nn.Module, channels: int) -> nn.Sequential:
    """The layer, BatchNorm."""
    return nn.Sequential(layer, nn.BatchNorm2d(channels))


class FactorizedReduce(nn.Module):
    """ReLU, two 1x1 convolutions with stride 2, BatchNorm.

    The second one is a pixel further down and right. An odd map gets a border of zeros, so that
    both halves are of one size.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv_1 = nn.Conv2d(c_in, c_out - c_out // 2, 1, stride=2, bias=False)
        self.conv_2 = nn.Conv2d(c_in, c_out // 2, 1, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(x)
        odd = x.shape[-1] % 2
        shifted = F.pad(x, (0, odd, 0, odd))[:, :, 1:, 1:]
        return self.norm(torch.cat([self.conv_1(x), self.conv_2(shifted)], 1))


class Residual(nn.Module):
    """Two convolutions beside an average pooling; halves the map."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.first = relu_conv_norm(c_in, c_out, 3, stride=2)
        self.second = relu_conv_norm(c_out, c_out, 3)
        self.shortcut = nn.Conv2d(c_in, c_out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(F.avg_pool2d(x, 2, 2, ceil_mode=True)) + self.second(self.first(x))
