"""A search that is small enough to be run many times, and what two runs of it must have in common."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fade_ray.config import Config, DataConfig, OuterConfig, RunConfig, SpaceConfig
from fade_ray.nn import NetworkConfig
from fade_ray.records import read_events
from fade_ray.training import ArchitectureConfig, TrainConfig

TIMES = {"seconds", "trial_seconds", "images_per_second", "peak_memory_mib"}


@pytest.fixture
def small() -> Callable[..., Config]:
    """`small(out, **run options)`: two walks, two iterations, five kinds of trial, all of one epoch or two."""

    def config(out: Path, *, epochs: int = 2, iterations: int = 2, **run: Any) -> Config:
        return Config(
            data=DataConfig(limit=240),
            space=SpaceConfig(min_vertices=2, max_vertices=4),
            network=NetworkConfig(depth=2, final_channels=4, kernel=3),
            train=TrainConfig(batch_size=64),
            architecture=ArchitectureConfig(paths=2),
            outer=OuterConfig(
                iterations=iterations,
                walks=2,
                gamma=0.26,
                evaluate_every=1,
                evaluations=1,
                finalists=1,
                rank_epochs=epochs,
                evaluation_epochs=1,
                retrain_epochs=2,
            ),
            run=RunConfig(**({"engine": "local"} | run)),  # type: ignore[arg-type]
            out=str(out),
        )

    return config


@pytest.fixture(scope="session")
def story() -> Callable[[Path], dict[str, Any]]:
    """What a run directory says, without times: proposals, outcomes and metrics by id, anchors by iteration, epochs by id and number."""

    def timeless(metrics: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in metrics.items() if key not in TIMES}

    def told(folder: Path) -> dict[str, Any]:
        found: dict[str, Any] = {"proposed": {}, "finished": {}, "iteration": {}, "epoch": {}}
        for event in read_events(folder / "records.jsonl"):
            name = event["event"]
            if name == "proposed":
                assert event["proposal"]["id"] not in found[name], "proposed twice"
                found[name][event["proposal"]["id"]] = event["proposal"]
            elif name == "finished":
                assert event["id"] not in found[name], "counted twice"
                found[name][event["id"]] = (event["outcome"], timeless(event["metrics"]))
            elif name == "iteration":
                assert event["iteration"] not in found[name], "recorded twice"
                found[name][event["iteration"]] = event["anchors"]
            elif name == "epoch":
                found[name][event["id"], event["epoch"]] = timeless(event["metrics"])
        return found

    return told
