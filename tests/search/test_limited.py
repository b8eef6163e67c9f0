"""What limits count is what networks are, and what they are told of."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import fade_ray
from fade_ray.nn import NetworkConfig, parameters
from fade_ray.run.folder import write_sealed
from fade_ray.search.chain_trial import Shape, build_network
from fade_ray.search.limit_config import MeasuredLimits
from fade_ray.search.limited import COUNTED, walked, whole_network
from fade_ray.search.search_config import Config, SpaceConfig
from searchers import Trial
from spaces import InvalidInput
from spaces.generator import generate, uniform_points

OWN = Path(__file__).parents[2] / "examples" / "own_modules.py"
SHAPE = Shape(16, 3, 10)


def graphs(**network: Any) -> Config:
    made = NetworkConfig(depth=3, final_channels=8, **network)
    space = SpaceConfig(min_vertices=2, max_vertices=4)
    return Config(space=space, network=made, outer=fade_ray.OuterConfig(carry_weights=False))


CONFIGS = {
    "shared": graphs(),
    "apart": graphs(share=False, kernel=5),
    "norm by operation": graphs(norm="operation", activation="edge"),
    "no norm": graphs(norm="none"),
    "modules": Config(space=SpaceConfig(space=str(OWN)), network=NetworkConfig(final_channels=16)),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_the_sums_of_a_space_are_the_counts_of_its_networks(name: str) -> None:
    config, rng = CONFIGS[name], np.random.default_rng(0)
    shape = Shape(32, 3, 10) if name == "modules" else SHAPE
    loose = replace(config, limits=MeasuredLimits(max_params=10**12, max_macs=10**12))
    space = walked(loose, shape).space
    depth = config.space.depth(config.network)
    for _ in range(10):
        drawn = generate(space, uniform_points(space, depth, rng)[:, None], rng)
        network = build_network(
            Trial("", "evaluation", drawn, 0, 1), shape, config, torch.Generator()
        )
        counted = [limit.cost.of(drawn) for limit in space.limits.limits]
        assert counted == [parameters(network), network.multiply_adds()]


def test_limits_hold_for_the_networks_that_are_drawn() -> None:
    config = replace(graphs(), limits=MeasuredLimits(max_params=9_000, max_macs=300_000))
    space, rng = walked(config, SHAPE).space, np.random.default_rng(0)
    for _ in range(20):
        drawn = generate(space, rng.random((3, 1, space.dim)), rng)
        network = build_network(
            Trial("", "evaluation", drawn, 0, 1), SHAPE, config, torch.Generator()
        )
        assert parameters(network) <= 9_000
        assert network.multiply_adds() <= 300_000


@pytest.mark.parametrize("field", COUNTED)
def test_a_limit_that_nothing_meets_says_what_would_do(field: str) -> None:
    config = replace(graphs(), limits=MeasuredLimits(**{field: 100}))
    with pytest.raises(InvalidInput, match="the cheapest architecture has") as told:
        walked(config, SHAPE)
    enough = int(str(told.value).partition("Give --")[2].split()[1])
    walked(replace(config, limits=MeasuredLimits(**{field: enough})), SHAPE)
    with pytest.raises(InvalidInput, match=r"leave [01] of"):
        walked(replace(config, limits=MeasuredLimits(**{field: enough - 1})), SHAPE)


def test_latencies_are_measured_once_and_kept_with_the_run(tmp_path: Path) -> None:
    config = replace(graphs(), limits=MeasuredLimits(max_latency_ms=1e4), out=str(tmp_path / "run"))
    within = walked(config, SHAPE)
    told = within.kept["latencies.json"]
    cells = [cell.code for cell in within.space.at(0).cells]
    assert [[*row] for row in told["rows_ns"]] == [cells] * 3
    assert min(told["fixed_ns"], *(ns for row in told["rows_ns"] for ns in row.values())) > 0
    # as if it had been another machine: of each cell a millisecond more than of the one before
    known = {code: 10**6 * place for place, code in enumerate(cells, start=1)}
    (tmp_path / "run").mkdir()
    there = {"device": "a sundial", "batch": 1, "fixed_ns": 500_000, "rows_ns": [known] * 3}
    write_sealed(tmp_path / "run" / "latencies.json", there)
    again = walked(replace(config, limits=MeasuredLimits(max_latency_ms=6.5)), SHAPE)
    assert again.kept["latencies.json"] == there
    assert [len(again.space.at(row).cells) for row in range(3)] == [4] * 3
    rng = np.random.default_rng(0)
    for _ in range(20):
        drawn = generate(again.space, rng.random((3, 1, 3)), rng)
        assert again.costs["max_latency_ms"].of(drawn) <= 6_500_000
    with pytest.raises(InvalidInput, match=r"has 3\.5 ms on a sundial"):
        walked(replace(config, limits=MeasuredLimits(max_latency_ms=3.4)), SHAPE)


def test_without_limits_nothing_is_built() -> None:
    config = graphs()
    assert walked(config, SHAPE).space == config.space.build(config.network)
    assert whole_network(config, config.space.build(config.network), SHAPE).hyper.width > 30
