"""Cells of one's own: bottlenecks, a gated convolution, and operations of the house."""

from functools import partial

from torch import nn

import fade_ray


def bottleneck(channels, stride, expansion=2):
    inner = expansion * channels
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels, inner, 1, bias=False),
        nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False),
        nn.Conv2d(inner, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
    )


class Gated(nn.Module):
    def __init__(self, channels, stride):
        super().__init__()
        self.conv = nn.Conv2d(channels, 2 * channels, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x):
        return self.norm(nn.functional.glu(self.conv(x), 1))


space = fade_ray.cell_space(
    operations=["none", "skip_connect", bottleneck, partial(bottleneck, expansion=4), Gated]
)

if __name__ == "__main__":
    print(fade_ray.cells(space=space))
