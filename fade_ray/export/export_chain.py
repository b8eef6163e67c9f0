"""A trained architecture as three files: readable PyTorch, its weights, and what is known about it."""

import dataclasses
import json
import keyword
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from fade_ray.export.chain_source import module_source, module_weights
from fade_ray.export.files import write_whole
from fade_ray.nn import ChainNetwork
from fade_ray.records.journal import plain
from spaces.errors import InvalidInput, require


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
    """Write an architecture, a network of width one, as `<name>.py`, `.safetensors` and `.json`
    into `folder`.

    The `.py` needs torch alone (and safetensors to load the weights) and gives the scores of
    `network` in evaluation mode, up to rounding: it runs one convolution per edge, where `network`
    runs those that read the same value as one. `network` stays as it is.

    The `.json` holds code, cells (code, n, edges), layout (channels, side in pixels and stride of
    each row), network (its config), input_shape [channels, side, side], classes, mean, std,
    parameters, multiply_adds (per image), and `facts` beside them. The numbers among the facts
    stand in the docstring of the `.py` too. Parameters are counted without those of a shared
    hyper-cell that no edge uses.

    Args:
        name: a Python identifier, so that `import <name>` works in `folder`.
        classes: [classes] names.
        mean, std: [channels], in units of [0, 1], as the training images were normalised.

    Returns:
        The path of the `.py`; it is written last.

    Raises:
        InvalidInput: a network with a choice left, a name that cannot be imported, a wrong number
        of classes or channels, a mean that
            is not finite or a std that is not positive, a fact under a name already taken, or a
            folder that cannot be written.
    """
    check_architecture(network)
    told = Told(
        name, list(classes), [float(value) for value in mean], [float(value) for value in std]
    )
    told.check(network.classes, network.input_shape)

    def source(lines: Mapping[str, str]) -> str:
        return module_source(
            network, name, classes=told.classes, mean=told.mean, std=told.std, facts=lines
        )

    return write_files(folder, told, module_weights(network), _describe(network), facts, source)


@dataclass(frozen=True)
class Told:
    """What an export says of the images. `name`: of the module; `classes`: [classes] names; `mean`,
    `std`: [channels].
    """

    name: str
    classes: list[str]
    mean: list[float]
    std: list[float]

    def check(self, classes: int, input_shape: tuple[int, int, int]) -> None:
        """InvalidInput unless it fits a network with so many classes and images [channels, side,
        side].
        """
        if not self.name.isidentifier() or keyword.iskeyword(self.name):
            raise InvalidInput(
                f"The name of a module must be a Python identifier, but got {self.name!r}. Use 'architecture'."
            )
        require(
            len(self.classes) == classes,
            "len(classes) == network.classes",
            "Name each class once.",
            classes=len(self.classes),
        )
        channels = input_shape[0]
        finite = all(map(math.isfinite, [*self.mean, *self.std]))
        require(
            len(self.mean) == len(self.std) == channels and finite and min(self.std) > 0,
            "mean and std are finite, std > 0, one of each per channel",
            "Give those that the training images were normalised with.",
            mean=self.mean,
            std=self.std,
            channels=channels,
        )


def write_files(
    folder: Path,
    told: Told,
    weights: Mapping[str, Tensor],
    description: Mapping[str, Any],
    facts: Mapping[str, Any],
    source: Callable[[Mapping[str, str]], str],
) -> Path:
    """Write the three files of an export and return the path of the `.py`, which is written last.

    Args:
        weights: by their names in the module.
        description: of the network, with "code" and "multiply_adds".
        source: gives the text of the module from the "key: value" lines of its docstring.

    Raises:
        InvalidInput: a fact under a name already taken, or a folder that cannot be written.
    """
    # buffers of BatchNorm, not trained
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    parameters = sum(
        value.numel() for key, value in weights.items() if not key.endswith(statistics)
    )
    whole = {
        **description,
        **{"classes": told.classes, "mean": told.mean, "std": told.std, "parameters": parameters},
    }
    if taken := sorted(whole.keys() & facts.keys()):
        raise InvalidInput(
            f"Facts need names that the description does not use, but got {taken}. Rename them."
        )
    lines = {"Parameters": parameters, "Multiply-adds per image": whole["multiply_adds"]}
    lines |= {key: value for key, value in facts.items() if key.isidentifier()}
    text = source(_numbers(lines))
    written = json.dumps(plain({**whole, **facts}), indent=2) + "\n"
    write_whole(
        folder / f"{told.name}.safetensors",
        save(dict(weights), {"format": "pt", "code": whole["code"]}),
    )
    write_whole(folder / f"{told.name}.json", written.encode())
    return write_whole(folder / f"{told.name}.py", text.encode())


def _numbers(facts: Mapping[str, Any]) -> dict[str, str]:
    """The numbers among the facts, written for people."""
    numbers = {key: value for key, value in facts.items() if type(value) in (int, float)}
    return {
        key: f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
        for key, value in numbers.items()
    }


def check_architecture(network: ChainNetwork) -> None:
    """InvalidInput unless `network` is of width one."""
    require(
        network.hyper.is_architecture,
        "width == 1",
        "Only an architecture is exported: choose one candidate per row with `HyperArchitecture.architecture` and train it.",
        width=network.hyper.width,
    )


def _describe(network: ChainNetwork) -> dict[str, Any]:
    dags = [dag for (dag,) in network.hyper.graphs()]
    return {
        "code": network.hyper.code(),
        "cells": [{"code": dag.code, "n": dag.n, "edges": dag.edges} for dag in dags],
        "layout": [dataclasses.asdict(row) for row in network.layout],
        "network": dataclasses.asdict(network.config),
        "input_shape": network.input_shape,
        "multiply_adds": network.multiply_adds(),
    }
