"""What is counted in a network, whatever its kind."""

from collections.abc import Iterator
from typing import Any

from torch import nn

from fade_ray.nn import Network, parameters
from fade_ray.nn.costs import CONVENTIONS, Cost


def counts(network: Network, **names: Any) -> dict[str, Any]:
    """JSON-able: what is counted in a network, and the `names` of its sizes."""
    auxiliary, whole = network.auxiliary, parameters(network)
    return names | {
        "classes": network.classes,
        "input_shape": list(network.input_shape),
        "parameters": whole - (0 if auxiliary is None else parameters(auxiliary)),
        "parameters_with_auxiliary": None if auxiliary is None else whole,
        "multiply_adds": {name: network.multiply_adds((), name) for name in CONVENTIONS},
        "stages": list(_stages(network)),
    }


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
