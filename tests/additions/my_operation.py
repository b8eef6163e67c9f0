"""An operation of one's own on edges of cells, its text in exported modules, a space with it."""

from torch import nn

from fade_ray.export import OPERATION_TEXTS, OperationText
from fade_ray.nn import OPERATIONS
from fade_ray.nn.layers import Build
from fade_ray.nn.operations import Dense, Operation
from spaces import SPACES, Macro, PublishedSpace, cells_of


def operation(build: Build) -> Operation:
    C = build.channels
    return Dense(build.conv_norm(C, C, 3, build.stride, groups=2))


def grouped(channels: int, stride: int) -> nn.Sequential:
    """ReLU, convolution in two groups, BatchNorm."""
    conv = nn.Conv2d(channels, channels, 3, stride, 1, groups=2, bias=False)
    return nn.Sequential(nn.ReLU(), conv, nn.BatchNorm2d(channels))


OPERATIONS["grouped_conv_3x3"] = operation
OPERATION_TEXTS["grouped_conv_3x3"] = OperationText(
    lambda stride: f"grouped(channels, {stride})", (grouped,)
)
CELLS = cells_of(("none", "skip_connect", "grouped_conv_3x3"))
SPACES["grouped"] = PublishedSpace(Macro(CELLS, "darts", 3), 4, "with groups", "an example")
