"""What is counted in a network, whatever its kind."""

from collections.abc import Iterator
from typing import Any

from torch import nn

from fade_ray.nn import Network, parameters
from fade_ray.nn.costs import CONVENTIONS, Cost
from fade_ray.nn.language_network import LanguageNetwork
from fade_ray.nn.network import AnyNetwork


def counts(network: Network, **names: Any) -> dict[str, Any]:
    """JSON-able: what is counted in a network, and the `names` of its sizes."""
    auxiliary, whole = network.auxiliary, parameters(network)
    return names | {
        "classes": network.classes,
        "input_shape": list(network.input_shape),
        "parameters": whole - (0 if auxiliary is None else parameters(auxiliary)),
        "parameters_with_auxiliary": None if auxiliary is None else whole,
        "multiply_adds": _multiply_adds(network),
        "stages": list(_stages(network)),
    }


def language_counts(network: LanguageNetwork, **names: Any) -> dict[str, Any]:
    """The same of a language model, per word. The decoder has its bias alone to itself."""
    cell, vectors = network.cell, network.vectors
    stages = (
        ("word vectors", network.units, vectors.numel(), 0),
        (cell.kind, network.units, parameters(cell), cell.cost.multiply_adds),
        ("decoder", len(vectors), network.bias.numel(), vectors.numel()),
    )
    return names | {
        "parameters": parameters(network),
        "multiply_adds": _multiply_adds(network),
        "stages": [
            {"stage": name, "shape": [size], "parameters": count, "multiply_adds": multiply_adds}
            for name, size, count, multiply_adds in stages
        ],
    }


def _multiply_adds(network: AnyNetwork) -> dict[str, int]:
    return {name: network.multiply_adds((), name) for name in CONVENTIONS}


def _stages(network: Network) -> Iterator[dict[str, Any]]:
    """Every part: shape of its output [channels, side, side], parameters, multiply-adds."""

    def stage(name: str, shape: list[int], part: nn.Module, cost: Cost) -> dict[str, Any]:
        counts = {"parameters": parameters(part), "multiply_adds": cost.multiply_adds}
        return {"stage": name, "shape": shape, **counts}

    stem = network.stem
    first, last = stem.maps
    if first != last:
        yield {"stage": "stem 0", "shape": [*first, first.side]}
    if stem.blocks:
        yield stage("stem" + " 1" * (first != last), [*last, last.side], stem, stem.cost)
    for index, place in enumerate(network.places):
        title = f"{index} {place.kind}" + " (reduction)" * (place.reduction > 1)
        yield stage(title, [*place.out, place.out.side], place, place.along(0))
    yield stage("classifier", [network.classes], network.head, network.head.cost)
