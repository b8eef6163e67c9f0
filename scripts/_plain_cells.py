"""The plain form of a network of cells, as the original code of DARTS computes it: the baseline and
the reference.

NCHW, one chain of modules per operation and edge, every output multiplied by its weight and added
by Python's `sum`, `none` computed and multiplied like the others. Slow and simple on purpose; the
product never uses it.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from fade_ray.nn import CellNetwork, CellNetworkConfig, EdgeWeights
from spaces.cell import NONE, CellSpace, Macro
from spaces.stackings import RESIDUAL


class Zero(nn.Module):
    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, :: self.stride, :: self.stride].mul(0.0)


class FactorizedReduce(nn.Module):
    def __init__(self, c_in: int, c_out: int, affine: bool) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.conv_1 = nn.Conv2d(c_in, c_out // 2, 1, 2, bias=False)
        self.conv_2 = nn.Conv2d(c_in, c_out // 2, 1, 2, bias=False)
        self.norm = norm(c_out, affine)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(x)
        return self.norm(torch.cat([self.conv_1(x), self.conv_2(x[:, :, 1:, 1:])], 1))


class Partial(nn.Module):
    """PC-DARTS: the operation mix sees the first channels only."""

    def __init__(self, mix: nn.Module, partial: int, stride: int) -> None:
        super().__init__()
        self.mix, self.partial, self.stride = mix, partial, stride
        self.pool = nn.MaxPool2d(2, 2)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        width = x.shape[1] // self.partial
        rest = x[:, width:] if self.stride == 1 else self.pool(x[:, width:])
        y = torch.cat([self.mix(x[:, :width], weights), rest], 1)
        N, C, H, W = y.shape
        return y.view(N, self.partial, C // self.partial, H, W).transpose(1, 2).reshape(N, C, H, W)


def norm(channels: int, affine: bool) -> nn.Module:
    return nn.BatchNorm2d(channels, affine=affine, track_running_stats=False)


def half(C: int, kernel: int, stride: int, dilation: int, affine: bool) -> list[nn.Module]:
    depthwise = nn.Conv2d(C, C, kernel, stride, dilation * (kernel // 2), dilation, C, bias=False)
    return [nn.ReLU(), depthwise, nn.Conv2d(C, C, 1, bias=False), norm(C, affine)]


def operation(name: str, C: int, stride: int, affine: bool) -> nn.Module:
    """One candidate, as the original code builds it for the search."""
    kernel = int(name[-1]) if name[-1].isdigit() else 0
    if name == NONE:
        return Zero(stride)
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else FactorizedReduce(C, C, affine)
    if name.startswith("sep_conv"):
        return nn.Sequential(*half(C, kernel, stride, 1, affine), *half(C, kernel, 1, 1, affine))
    if name.startswith("dil_conv"):
        return nn.Sequential(*half(C, kernel, stride, 2, affine))
    if name.startswith("nor_conv"):
        return nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(C, C, kernel, stride, kernel // 2, bias=not affine),
            norm(C, affine),
        )
    if name.startswith("max_pool"):
        return nn.MaxPool2d(kernel, stride, kernel // 2)
    return nn.AvgPool2d(kernel, stride, kernel // 2, count_include_pad=False)


class Mix(nn.Module):
    def __init__(self, space: CellSpace, C: int, stride: int, config: CellNetworkConfig) -> None:
        super().__init__()
        self.operations = nn.ModuleDict()
        for name in space.ops:
            made = operation(name, C, stride, config.affine)
            pooled = "pool" in name and config.pool_norm
            self.operations[name] = nn.Sequential(made, norm(C, config.affine)) if pooled else made

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        return sum(
            weight * made(x) for weight, made in zip(weights, self.operations.values(), strict=True)
        )


class PlainCell(nn.Module):
    def __init__(
        self, space: CellSpace, width: int, entries: Sequence[nn.Module], reduction: bool, config
    ) -> None:
        super().__init__()
        self.space, self.entries = space, nn.ModuleList(entries)
        self.edges = nn.ModuleList()
        for source, _ in space.edges:
            stride = 2 if reduction and source < space.inputs else 1
            mix = Mix(space, width // config.partial, stride, config)
            self.edges.append(mix if config.partial == 1 else Partial(mix, config.partial, stride))

    def forward(self, inputs: Sequence[Tensor], weights: EdgeWeights) -> Tensor:
        values = (
            [entry(x) for entry, x in zip(self.entries, inputs, strict=True)]
            if self.entries
            else list(inputs)
        )
        for node in range(self.space.inputs, self.space.nodes):
            parts = []
            for number in self.space.incoming(node):
                y = self.edges[number](
                    values[self.space.edges[number][0]], weights.operations[number]
                )
                parts.append(y if weights.edges is None else weights.edges[number] * y)
            values.append(sum(parts))
        return torch.cat([values[node] for node in self.space.outputs], 1)


class ResidualBlock(nn.Module):
    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.ReLU(), nn.Conv2d(c_in, c_out, 3, 2, 1, bias=False), norm(c_out, True)
        )
        self.second = nn.Sequential(
            nn.ReLU(), nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False), norm(c_out, True)
        )
        self.pool, self.shortcut = nn.AvgPool2d(2, 2), nn.Conv2d(c_in, c_out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x)) + self.shortcut(self.pool(x))


class PlainCells(nn.Module):
    """`forward(x, weights)` -> class scores, with a copy of the weights of `network`: a search
    network with the stem for CIFAR or for NAS-Bench-201 and without an auxiliary head.
    """

    def __init__(self, network: CellNetwork) -> None:
        super().__init__()
        macro, config = network.macro, network.config
        self.macro: Macro = macro
        single, width = network.macro.stack.single_output, config.channels
        before = last = width if single else 3 * width
        self.stem = nn.Sequential(
            nn.Conv2d(network.input_shape[0], last, 3, padding=1, bias=False), norm(last, True)
        )
        self.cells, reduced = nn.ModuleList(), False
        for place in macro.layout:
            width *= 2 if place.reduction else 1
            if place.kind == RESIDUAL:
                self.cells.append(ResidualBlock(last, width))
                before, last = last, width
                continue
            first = (
                FactorizedReduce(before, width, config.affine)
                if reduced
                else entry(before, width, config.affine)
            )
            entries = [] if single else [first, entry(last, width, config.affine)]
            space = macro.cells[place.kind]
            self.cells.append(PlainCell(space, width, entries, place.reduction, config))
            before, last, reduced = last, width * len(space.outputs), place.reduction
        self.norm = nn.Sequential(norm(last, True), nn.ReLU()) if single else nn.Identity()
        self.classifier = nn.Linear(last, network.classes)
        self.to(next(network.parameters()).dtype)
        self.load_state_dict(plain_state(network))

    def forward(self, x: Tensor, weights: Mapping[str, EdgeWeights]) -> Tensor:
        before = last = self.stem(x)
        for place, cell in zip(self.macro.layout, self.cells, strict=True):
            inputs = (last,) if place.kind == RESIDUAL or not cell.entries else (before, last)
            y = cell(last) if place.kind == RESIDUAL else cell(inputs, weights[place.kind])
            before, last = last, y
        return self.classifier(self.norm(last).mean((2, 3)))


def entry(c_in: int, c_out: int, affine: bool) -> nn.Module:
    return nn.Sequential(nn.ReLU(), nn.Conv2d(c_in, c_out, 1, bias=False), norm(c_out, affine))


def plain_name(name: str, network: CellNetwork) -> str:
    """The plain form's name of the parameter `name` of `network`."""
    parts = name.split(".")
    if parts[0] == "stem":
        return ".".join(["stem", {"conv": "0", "norm": "1"}[parts[3]], parts[4]])
    if parts[:2] == ["head", "before"]:
        return f"norm.{parts[2]}.{parts[3]}"
    if parts[0] == "head":
        return ".".join(parts[1:])
    if parts[0] != "places":
        return name
    parts[0] = "cells"
    if parts[-2] == "shortcut":
        return ".".join(parts)
    place = network.macro.layout[int(parts[1])]
    module = network.get_submodule(name.rpartition(".")[0].rpartition(".")[0])
    names = {"conv": "1", "norm": "2"}
    if place.kind != RESIDUAL and parts[2] == "edges":
        space, edge, rest = network.macro.cells[place.kind], parts[3].split("-"), parts[5:]
        number = space.edges.index((int(edge[0]), int(edge[1])))
        mix = ["mix", "operations"] if network.config.partial > 1 else ["operations"]
        parts = [*parts[:3], str(number), *mix, parts[4], *rest[-2:]]
        first = {"depthwise": "1", "pointwise": "2", "norm": "3"}
        second = {"depthwise": "5", "pointwise": "6", "norm": "7"}
        if "pool" in parts[-3]:
            names = {"norm": "1"}
        elif len(rest) == 3:
            names = {"first": first, "second": second, "only": first, "module": names}[rest[0]]
    if hasattr(module, "conv_1"):
        return ".".join(parts)
    parts[-2] = names[parts[-2]]
    return ".".join(parts)


def plain_state(network: CellNetwork) -> dict[str, Tensor]:
    """The weights of `network` under the names of its plain form."""
    return {
        plain_name(name, network): value.contiguous()
        for name, value in network.state_dict().items()
    }
