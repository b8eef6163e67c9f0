"""Modules of one's own: four stages, each of a ResNet block, an MBConv or a ViT block."""

from functools import partial

from torch import nn

import fade_ray


def conv(c_in, c_out, kernel=3, stride=1, groups=1):
    layer = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(c_out))


class ResNet(nn.Module):
    def __init__(self, c_in, c_out, stride):
        super().__init__()
        self.body = nn.Sequential(conv(c_in, c_out, 3, stride), nn.ReLU(), conv(c_out, c_out))
        self.shortcut = conv(c_in, c_out, 1, stride)

    def forward(self, x):
        return (self.body(x) + self.shortcut(x)).relu()


def mbconv(c_in, c_out, stride, expansion):
    c = expansion * c_in
    layers = conv(c_in, c, 1), nn.ReLU6(), conv(c, c, 3, stride, c), nn.ReLU6(), conv(c, c_out, 1)
    return nn.Sequential(*layers)


class ViT(nn.TransformerEncoderLayer):
    def __init__(self, c_in, c_out, stride):
        super().__init__(c_out, 2, 2 * c_out, batch_first=True)
        self.patches = conv(c_in, c_out, 2 * stride - 1, stride)

    def forward(self, x):
        x = self.patches(x)
        tokens = super().forward(x.flatten(2).transpose(1, 2))
        return tokens.transpose(1, 2).unflatten(2, x.shape[2:])


space = fade_ray.choices(stem=conv, rows=[[ResNet, partial(mbconv, expansion=3), ViT]] * 4)

if __name__ == "__main__":
    print(fade_ray.search(space=space, data="digits"))
