"""A trained architecture as three files: readable PyTorch, its weights, and what is known about it."""

import dataclasses
import json
import keyword
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from fade_ray.nn import ChainNetwork
from fade_ray.records import plain
from spaces.errors import InvalidInput, require

from .files import write_whole
from .source import module_source, module_weights


def export_module(
    network: ChainNetwork,
    folder: Path,
    name: str,
    *,
    classes: Sequence[str],
    mean: Sequence[float],
    std: Sequence[float],
    facts: Mapping[str, Any] = {},
) -> Path:
    """Write an architecture, a network of width one, as `<name>.py`, `.safetensors` and `.json` into `folder`.

    The `.py` needs torch alone (and safetensors to load the weights) and gives the scores of `network` in evaluation mode, up to
    rounding: it runs one convolution per edge, where `network` runs those that read the same value as one. `network` stays as it is.

    The `.json` holds code, cells (code, n, edges), layout (channels, side in pixels and stride of each row), network (its config),
    input_shape [channels, side, side], classes, mean, std, parameters, multiply_adds (per image), and `facts` beside them. The numbers
    among the facts stand in the docstring of the `.py` too. Parameters are counted without those of a shared hyper-cell that no edge uses.

    Args:
        name: a Python identifier, so that `import <name>` works in `folder`.
        classes: [classes] names.
        mean, std: [channels], in units of [0, 1], as the training images were normalised.

    Returns:
        The path of the `.py`; it is written last.

    Raises:
        InvalidInput: a network with a choice left, a name that cannot be imported, a wrong number of classes or channels, a mean that
            is not finite or a std that is not positive, a fact under a name already taken, or a folder that cannot be written.
    """
    mean, std = [float(value) for value in mean], [float(value) for value in std]
    _check(network, name, classes, mean, std)
    weights = module_weights(network)
    description = _describe(network, weights, classes, mean, std)
    if taken := sorted(description.keys() & facts.keys()):
        raise InvalidInput(f"Facts need names that the description does not use, but got {taken}. Rename them.")
    told = {"Parameters": description["parameters"], "Multiply-adds per image": description["multiply_adds"]}
    told |= {key: value for key, value in facts.items() if key.isidentifier()}
    source = module_source(network, name, classes=classes, mean=mean, std=std, facts=_numbers(told))
    text = json.dumps(plain({**description, **facts}), indent=2) + "\n"
    write_whole(folder / f"{name}.safetensors", save(weights, {"format": "pt", "code": description["code"]}))
    write_whole(folder / f"{name}.json", text.encode())
    return write_whole(folder / f"{name}.py", source.encode())


def _numbers(facts: Mapping[str, Any]) -> dict[str, str]:
    """The numbers among the facts, written for people."""
    numbers = {key: value for key, value in facts.items() if type(value) in (int, float)}
    return {key: f"{value:,}" if isinstance(value, int) else f"{value:.4g}" for key, value in numbers.items()}


def check_architecture(network: ChainNetwork) -> None:
    """InvalidInput unless `network` is of width one."""
    require(
        network.hyper.is_architecture,
        "width == 1",
        "Only an architecture is exported: choose one candidate per row with `HyperArchitecture.architecture` and train it.",
        width=network.hyper.width,
    )


def _check(
    network: ChainNetwork, name: str, classes: Sequence[str], mean: Sequence[float], std: Sequence[float]
) -> None:
    check_architecture(network)
    if not name.isidentifier() or keyword.iskeyword(name):
        raise InvalidInput(f"The name of a module must be a Python identifier, but got {name!r}. Use 'architecture'.")
    require(
        len(classes) == network.classes,
        "len(classes) == network.classes",
        "Name each class once.",
        classes=len(classes),
    )
    channels = network.input_shape[0]
    require(
        len(mean) == len(std) == channels and all(map(math.isfinite, [*mean, *std])) and min(std) > 0,
        "mean and std are finite, std > 0, one of each per channel",
        "Give those that the training images were normalised with.",
        mean=mean,
        std=std,
        channels=channels,
    )


def _describe(
    network: ChainNetwork,
    weights: Mapping[str, Tensor],
    classes: Sequence[str],
    mean: Sequence[float],
    std: Sequence[float],
) -> dict[str, Any]:
    statistics = ("running_mean", "running_var", "num_batches_tracked")  # buffers of BatchNorm, not trained
    dags = [dag for (dag,) in network.hyper.rows]
    return {
        "code": network.hyper.code(),
        "cells": [{"code": dag.code, "n": dag.n, "edges": dag.edges} for dag in dags],
        "layout": [dataclasses.asdict(row) for row in network.layout],
        "network": dataclasses.asdict(network.config),
        "input_shape": network.input_shape,
        "classes": list(classes),
        "mean": mean,
        "std": std,
        "parameters": sum(value.numel() for key, value in weights.items() if not key.endswith(statistics)),
        "multiply_adds": network.multiply_adds(),
    }
