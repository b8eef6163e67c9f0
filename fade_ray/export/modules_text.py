"""A chain of a user's own modules: their file beside the text that puts them together."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from torch import nn

from fade_ray.export.text import Plain
from fade_ray.nn import ModuleNetwork
from fade_ray.nn.module_network import ModuleHead
from fade_ray.nn.network import DenseHead
from fade_ray.records.additions import LOADED


def plain_modules(network: ModuleNetwork) -> Plain:
    """With the user's file, which holds the modules."""
    names = [name for (name,) in network.names]
    file = LOADED[str(network.space.file)]
    values = {
        "title": "modules of " + Path(file.path).name,
        "notation": [],
        "description": "",
        "uses_functions": False,
        "file": Path(file.path).name,
        "layers": list(_calls(network, names)),
    }
    description = {
        "code": network.hyper.code(),
        "cells": names,
        "layout": [dataclasses.asdict(row) for row in network.layout],
    }
    layers = nn.Sequential(*_live(network))
    weights = {f"layers.{name}": tensor for name, tensor in layers.state_dict().items()}
    beside = {Path(file.path).name: file.text}
    return Plain("modules.py.j2", values, [layers], description, weights, beside)


def _calls(network: ModuleNetwork, names: list[str]) -> Iterator[str]:
    channels, *_ = network.input_shape
    space, layout = network.space, network.layout
    if space.stem is not None:
        yield f"SPACE.stem({channels}, {layout[0].channels_in}),"
    for number, (name, row) in enumerate(zip(names, layout, strict=True)):
        sizes = f"{row.channels_in}, {row.channels}, {row.stride}"
        place = list(space.rows[number]).index(name)
        yield f"candidate({number}, {place})({sizes}),  # {name}"
    last, head = layout[-1].channels, network.head
    if space.head is not None:
        yield f"SPACE.head({last}, {network.classes}),"
    elif isinstance(head, DenseHead):
        yield f"nn.Conv2d({last}, {network.classes}, 1),"
    else:
        yield from ("nn.AdaptiveAvgPool2d(1),", "nn.Flatten(),")
        yield f"nn.Linear({last}, {network.classes}),"
    if isinstance(head, DenseHead | ModuleHead) and head.side is not None:
        yield f'nn.Upsample(size=({head.side}, {head.side}), mode="bilinear"),'


def _live(network: ModuleNetwork) -> Iterator[nn.Module]:
    """What the text makes, in its order."""
    yield from network.stem.blocks
    for place in network.places:
        yield from place.mixed.cells.children()
    if isinstance(network.head, ModuleHead):
        yield network.head.module
    elif isinstance(network.head, DenseHead):
        yield network.head.classifier
    else:
        yield from (nn.AdaptiveAvgPool2d(1), nn.Flatten(), network.head.classifier)
