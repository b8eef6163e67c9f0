"""What an architecture of the outer search is: a chain of graphs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from fade_ray.nn import ChainNetwork, NetworkConfig
from fade_ray.nn.costs import CONVENTIONS
from spaces import Dag, HyperArchitecture
from spaces.errors import InvalidInput, require


@dataclass(frozen=True)
class Chain:
    """The architecture of an outer search; where an export told, its network and images too."""

    hyper: HyperArchitecture
    config: NetworkConfig | None = None
    side: int | None = None
    image_channels: int = 3
    classes: int | None = None

    @classmethod
    def exported(cls, data: Mapping[str, Any]) -> "Chain":
        """From the `.json` of `export_module`. Raises InvalidInput where it is none."""
        try:
            hyper = HyperArchitecture.from_code(str(data["code"]))
            values = {**data["network"], "strides": tuple(data["network"]["strides"])}
            channels, side, _ = data["input_shape"]
            return cls(
                hyper, NetworkConfig(**values), int(side), int(channels), len(data["classes"])
            )
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, InvalidInput):
                raise
            raise InvalidInput(
                f"An exported architecture needs code, network, input_shape and classes, but: {error!r}."
            ) from error


def describe_chain(
    chain: Chain,
    name: str | None,
    macro: str | None,
    images: tuple[int, int],
    cells: int | None,
    channels: int | None,
) -> dict[str, Any]:
    """JSON-able. `images`: side and classes where the chain does not tell its own or `macro` is
    given. Raises InvalidInput.
    """
    hyper = chain.hyper
    require(
        hyper.is_architecture,
        "width == 1",
        "Describe one architecture: one graph per row.",
        width=hyper.width,
    )
    require(
        cells in (None, hyper.depth),
        "--cells is the number of rows of the code",
        "Leave it out: a chain has one cell per row.",
        cells=cells,
        rows=hyper.depth,
    )
    told = macro is None and chain.side is not None
    side, classes = (chain.side, chain.classes) if told else images
    config = replace(chain.config or NetworkConfig(depth=hyper.depth), share=False)
    config = replace(
        config,
        final_channels=config.final_channels if channels is None else channels,
        strides=config.strides if told else (),
    )
    network = ChainNetwork(
        hyper,
        config,
        side=side or images[0],
        channels=chain.image_channels,
        classes=classes or images[1],
        generator=torch.Generator().manual_seed(0),
    )
    return {
        "kind": "chain",
        "name": name,
        "genotype": hyper.code(),
        "graph": {
            f"row {number}": _dag_graph(dag)
            for number, (dag,) in enumerate(hyper.graphs(), start=1)
        },
        "macro": "as exported" if told else macro or "cifar10",
        "cells": hyper.depth,
        "channels": config.final_channels,
        "classes": network.classes,
        "input_shape": list(network.input_shape),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "parameters_with_auxiliary": None,
        "multiply_adds": {name: network.multiply_adds((), name) for name in CONVENTIONS},
        "stages": [
            *(
                {
                    "stage": f"row {number}",
                    "shape": [row.channels, *[-(-row.side // row.stride)] * 2],
                }
                for number, row in enumerate(network.layout, start=1)
            ),
            {"stage": "classifier", "shape": [network.classes]},
        ],
    }


def _dag_graph(dag: Dag) -> dict[str, Any]:
    into: dict[str, list[str]] = {
        str(v): [str(u) for u, w in dag.edges if w == v] or ["INPUT"] for v in range(dag.n)
    }
    return {"vertices": into, "outputs": [str(v) for v in dag.sinks]}
