"""The space of a search within its limits: what chains of it cost, asked of the network itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch

from fade_ray.nn import Chain, Draw, parameters
from fade_ray.records.remote import directory
from fade_ray.records.run_files import read_object
from fade_ray.search.chain_trial import Shaped, build_network
from fade_ray.search.search_config import Config
from fade_ray.training import place
from fade_ray.training.latency import timed
from fade_ray.trials.trainee import device_name
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
    that where nobody asks. `kept`: what is to be written before the first trial, by file.
    """

    space: Space
    costs: Mapping[str, RowCosts] = field(default_factory=dict)
    kept: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def walked(config: Config, images: Shaped | None) -> Walked:
    """What a search of `config` walks in; without the sizes of the images as if it had no limits.
    InvalidInput, with numbers, where these leave nothing to choose.
    """
    space = config.space.build(config.network, images)
    if images is None or not (config.limits.most or config.finish.objective_front != "off"):
        return Walked(space)
    network, depth = whole_network(config, space, images), config.space.depth(config.network)
    made = {n: _row_costs(space, each.text, each.of(network)) for n, each in COUNTED.items()}
    kept: dict[str, dict[str, Any]] = {}
    if config.limits.max_latency_ms is not None:
        told = kept[LATENCIES] = latencies(config, network)
        text = f"ms on {told['device']}"
        rows = [[*row.values()] for row in told["rows_ns"]]
        made["max_latency_ms"] = _row_costs(space, text, (told["fixed_ns"], rows), 10**6)
    return Walked(limited(space, depth, config.limits.over(made)), made, kept)


def _row_costs(space: Space, text: str, costs: Costs, unit: int = 1) -> RowCosts:
    fixed, each = costs
    cells = (space.at(row).cells for row in range(len(each)))
    rows = (dict(zip(*pair, strict=True)) for pair in zip(cells, each, strict=True))
    return RowCosts(text, fixed, tuple(rows), unit)


LATENCIES = "latencies.json"
"""Where they are kept: a search that goes on keeps to those that it began with."""


def latencies(config: Config, network: Chain) -> dict[str, Any]:
    """Nanoseconds per image of the candidates at their places, as the run in `config.out` has them,
    else measured now.
    """
    if config.out is not None and (kept := read_object(directory(config.out) / LATENCIES)):
        return dict(kept)
    placement, batch = place(config.run.device, config.train.precision), config.limits.latency_batch
    network, device = network.to(placement.device).eval(), placement.device
    threads = torch.get_num_threads()
    torch.set_num_threads(config.run.cpus_per_trial)
    try:
        fixed, rows = _measured(network, batch, device)
    finally:
        torch.set_num_threads(threads)
    cells = [[cell.code for cell in row] for row in network.hyper.distinct()]
    named = [dict(zip(*pair, strict=True)) for pair in zip(cells, rows, strict=True)]
    return {"device": device_name(placement), "batch": batch, "fixed_ns": fixed, "rows_ns": named}


def _measured(network: Chain, batch: int, device: torch.device) -> Costs:
    def spent(call: Callable[[], object]) -> int:
        return round(1e6 * timed(call, device) / batch)

    with torch.inference_mode():
        images = network.example.to(device).expand(batch, -1, -1, -1)
        rows, value = [], network.begin(images)[-1].value
        fixed = spent(lambda: network.begin(images))
        for row in network.places:
            entered = row.entry(value)
            fixed += spent(partial(row.entry, value))
            count = range(len(row.mixed.candidates))
            rows.append([spent(partial(row.mixed.candidate, entered, k, Draw())) for k in count])
            behind = row.mixed.candidate(entered, 0, Draw())
            fixed, value = fixed + spent(partial(row.leave, behind)), row.leave(behind)
        return fixed + spent(partial(network.head, value)), rows


def whole_network(config: Config, space: Space, images: Shaped) -> Chain:
    """All cells of a space in one network, in their order; those of graphs share their weights."""
    rows = [space.at(row).cells for row in range(config.space.depth(config.network))]
    most = max(map(len, rows))
    hyper = HyperArchitecture(tuple((*cells, *cells[:1] * (most - len(cells))) for cells in rows))
    sharing = replace(config, network=replace(config.network, share=True))
    network = build_network(Trial("", "ranks", hyper, 0, 1), images, sharing, torch.Generator())
    assert isinstance(network, Chain)
    return network
