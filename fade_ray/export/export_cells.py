"""A trained network of cells as three files: readable PyTorch, its weights, and what is known about
it.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fade_ray.export.cells_source import cells_module_source, cells_module_weights
from fade_ray.export.export_chain import Told, write_files
from fade_ray.nn import CellNetwork
from spaces.errors import require


def export_cells(
    network: CellNetwork,
    folder: Path,
    name: str,
    *,
    classes: Sequence[str],
    mean: Sequence[float],
    std: Sequence[float],
    facts: Mapping[str, Any] = {},
) -> Path:
    """Write the network of a genotype as `<name>.py`, `.safetensors` and `.json` into `folder`.

    The `.py` needs torch alone (and safetensors to load the weights) and gives the scores of
    `network` in evaluation mode, up to rounding. The auxiliary head is left out, which serves
    training alone, and so is what no output depends on: nodes whose every way on is `none`.
    `network` stays as it is.

    The `.json` holds code (the genotype on one line), cells (a file of cells:
    `spaces.genotype.load_cells` reads the like), layout (kind of each place, channels and side in
    pixels behind it), network (its config), input_shape [channels, side, side], classes, mean, std,
    parameters (of the `.py`), multiply_adds (per image, convolutions and linear maps) and
    multiply_adds_2bn_relu, and `facts` beside them. The numbers among the facts stand in the
    docstring of the `.py` too.

    Args:
        name: a Python identifier, so that `import <name>` works in `folder`.
        classes: [classes] names.
        mean, std: [channels], in units of [0, 1], as the training images were normalised.

    Returns:
        The path of the `.py`; it is written last.

    Raises:
        InvalidInput: a search network or one built like it, a name that cannot be imported, a wrong
        number of classes or channels, a mean
            that is not finite or a std that is not positive, a fact under a name already taken, or
            a folder that cannot be written.
    """
    check_genotype(network)
    told = Told(
        name, list(classes), [float(value) for value in mean], [float(value) for value in std]
    )
    told.check(network.classes, network.input_shape)

    def source(lines: Mapping[str, str]) -> str:
        return cells_module_source(
            network, name, classes=told.classes, mean=told.mean, std=told.std, facts=lines
        )

    return write_files(
        folder, told, cells_module_weights(network), _describe(network), facts, source
    )


def check_genotype(network: CellNetwork) -> None:
    """InvalidInput unless `network` is that of a genotype, built for retraining."""
    require(
        network.macro.is_discrete,
        "one operation per edge",
        "Only the network of a genotype is exported: discretise the cells and train their network.",
        choices=network.macro.size,
    )
    config = network.config
    require(
        config.affine and config.running_statistics and config.partial == 1,
        "affine, running_statistics, partial == 1",
        "Only networks built for retraining are exported: those of a search have no statistics to evaluate with.",
        affine=config.affine,
        running_statistics=config.running_statistics,
        partial=config.partial,
    )


def _describe(network: CellNetwork) -> dict[str, Any]:
    return {
        "code": network.macro.notation,
        "cells": network.macro.to_dict(),
        "layout": [{"kind": place.kind, **place.out._asdict()} for place in network.places],
        "network": dataclasses.asdict(network.config),
        "input_shape": network.input_shape,
        "multiply_adds": network.multiply_adds(),
        "multiply_adds_2bn_relu": network.multiply_adds((), "conv+fc+2bn+relu"),
    }
