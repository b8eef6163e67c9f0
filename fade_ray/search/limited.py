"""The space of a search within its limits: what chains of it cost, asked of the network itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch

from fade_ray.nn import Chain, parameters
from fade_ray.search.chain_trial import Shaped, build_network
from fade_ray.search.search_config import Config
from searchers import Trial
from spaces import HyperArchitecture
from spaces.feature_space import Space
from spaces.generator import limited
from spaces.limits import RowCosts

Costs = tuple[int, list[list[int]]]
"""What every architecture costs, and what each candidate adds [row][candidate]."""


@dataclass(frozen=True)
class Counted:
    """A cost that is limited by the field `max_...` of a `LimitConfig`."""

    text: str
    of: Callable[[Chain], Costs]


def _parameters(network: Chain) -> Costs:
    cells = sum(parameters(row.mixed) for row in network.places)
    return parameters(network) - cells, [row.sizes() for row in network.places]


def _multiply_adds(network: Chain) -> Costs:
    always = sum((row.cost for row in network.places), network.stem.cost + network.head.cost)
    rows = [[cost.multiply_adds for cost in row.choices] for row in network.places]
    return always.multiply_adds, rows


COUNTED: Mapping[str, Counted] = {
    "max_params": Counted("parameters", _parameters),
    "max_macs": Counted("multiply-adds", _multiply_adds),
}
"""What is counted, by its limit."""


@dataclass(frozen=True)
class Walked:
    """What a search walks in, and what its architectures cost, by the names of limits; nothing of
    that where nobody asks.
    """

    space: Space
    costs: Mapping[str, RowCosts] = field(default_factory=dict)


def walked(config: Config, images: Shaped | None) -> Walked:
    """What a search of `config` walks in; without the sizes of the images as if it had no limits.
    InvalidInput, with numbers, where these leave nothing to choose.
    """
    space = config.space.build(config.network, images)
    if images is None or not (config.limits or config.finish.objective_front != "off"):
        return Walked(space)
    costs, depth = row_costs(config, space, images), config.space.depth(config.network)
    return Walked(limited(space, depth, config.limits.over(costs)), costs)


def row_costs(config: Config, space: Space, images: Shaped) -> dict[str, RowCosts]:
    """All that is counted, by its limit."""
    network, made = whole_network(config, space, images), {}
    for name, counted in COUNTED.items():
        fixed, each = counted.of(network)
        cells = (space.at(row).cells for row in range(len(each)))
        rows = (dict(zip(*pair, strict=True)) for pair in zip(cells, each, strict=True))
        made[name] = RowCosts(counted.text, fixed, tuple(rows))
    return made


def whole_network(config: Config, space: Space, images: Shaped) -> Chain:
    """All cells of a space in one network, in their order; those of graphs share their weights."""
    rows = [space.at(row).cells for row in range(config.space.depth(config.network))]
    most = max(map(len, rows))
    hyper = HyperArchitecture(tuple((*cells, *cells[:1] * (most - len(cells))) for cells in rows))
    sharing = replace(config, network=replace(config.network, share=True))
    network = build_network(Trial("", "ranks", hyper, 0, 1), images, sharing, torch.Generator())
    assert isinstance(network, Chain)
    return network
