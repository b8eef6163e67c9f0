"""Runs that are small enough to be made many times, a search and a toy of another kind, and what
two runs must have in common.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fade_ray.run.engines import carry_out, interruptible, recording

from fade_ray.data.data_config import DataConfig
from fade_ray.nn import NetworkConfig
from fade_ray.records.history import TrialHistory
from fade_ray.records.journal import read_events
from fade_ray.run.folder import RunKind, check_same_run, run_folder, write_json
from fade_ray.run.run_config import RunConfig
from fade_ray.run.session import Session, Watcher
from fade_ray.search.search_config import Config, OuterConfig, SpaceConfig
from fade_ray.training import ArchitectureConfig, TrainConfig
from fade_ray.trials.job import Event, Job
from searchers import AnchorWalk
from searchers.grid import GridSearch

TIMES = {"seconds", "trial_seconds", "images_per_second", "peak_memory_mib"}


@pytest.fixture
def small() -> Callable[..., Config]:
    """`small(out, **run options)`: two walks, two iterations, five kinds of trial, all of one epoch
    or two.
    """

    def config(out: Path, *, epochs: int = 2, iterations: int = 2, **run: Any) -> Config:
        return Config(
            data=DataConfig(limit=240),
            space=SpaceConfig(min_vertices=2, max_vertices=4),
            network=NetworkConfig(depth=2, final_channels=4, kernel=3),
            train=TrainConfig(batch_size=64),
            architecture=ArchitectureConfig(paths=2),
            searcher=AnchorWalk(
                iterations=iterations, walks=2, gamma=0.26, evaluate_every=1, finalists=1
            ),
            outer=OuterConfig(rank_epochs=epochs, evaluation_epochs=1, retrain_epochs=2),
            run=RunConfig(**({"engine": "local"} | run)),  # type: ignore[arg-type]
            out=str(out),
        )

    return config


@pytest.fixture(scope="session")
def story() -> Callable[[Path], dict[str, Any]]:
    """What a run directory says, without times: proposals, outcomes and metrics by id, anchors by
    iteration, epochs by id and number.
    """

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


@dataclass(frozen=True)
class ToyPlan:
    """A trial that trains nothing."""

    id: str
    index: int
    attempt: int
    seed: int
    epochs: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def retry(self) -> "ToyPlan":
        attempt = self.attempt + 1
        return replace(
            self, id=f"{self.index:05d}r{attempt}", attempt=attempt, seed=self.seed + 100
        )


@dataclass(frozen=True)
class ToyConfig:
    """A run of toy trials; `breaking` holds for some of them how many attempts break."""

    trials: int = 4
    breaking: tuple[tuple[int, int], ...] = ()
    run: RunConfig = field(default_factory=lambda: RunConfig(engine="local"))
    out: str | None = None
    name: str = "toy"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"breaking": [list(pair) for pair in self.breaking]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ToyConfig":
        built = {
            "run": RunConfig(**values["run"]),
            "breaking": tuple(tuple(pair) for pair in values["breaking"]),
        }
        return cls(**{**values, **built})

    @property
    def plans(self) -> list[ToyPlan]:
        return [
            ToyPlan(f"{index:05d}", index, 0, index, 2 + index % 2) for index in range(self.trials)
        ]


class ToyHistory(TrialHistory[ToyPlan]):
    @classmethod
    def parse(cls, plan: Mapping[str, Any]) -> ToyPlan:
        return ToyPlan(**plan)


TOY = RunKind("toy", ToyConfig.from_dict)


def toy_job(config: ToyConfig) -> Job[Any]:
    breaking = dict(config.breaking)

    # made in here so that it reaches the workers of Ray by value: they cannot import tests
    class ToyJob:
        def run(self, plan: Mapping[str, Any], data: Any, folder: Path) -> Iterator[Event]:
            cost = {"images": 8, "multiply_adds": 100, "seconds": 0.5}
            for epoch in range(1, plan["epochs"] + 1):
                yield {"epoch": epoch, "metrics": {"loss": (1 + plan["seed"]) / epoch, **cost}}
                if plan["attempt"] < breaking.get(plan["index"], 0):
                    raise ValueError(f"toy {plan['id']} broke")
            sums = {name: plan["epochs"] * value for name, value in cost.items()}
            accuracy = float(data[plan["seed"] % len(data)])
            yield {
                "outcome": {"accuracy": accuracy},
                "metrics": sums | {"seed": plan["seed"]},
                "warnings": [],
            }

    return ToyJob()


@pytest.fixture(scope="session")
def toy() -> Callable[..., Path]:
    """`toy(config)`: a run of another kind than a search, by the machinery that they share; its
    directory.
    """

    def run(
        config: ToyConfig, watchers: Sequence[Watcher] = (), job: Job[Any] | None = None
    ) -> Path:
        folder = run_folder(config)
        if check_same_run(folder, config, TOY) and (folder / "result.json").exists():
            return folder
        searcher = GridSearch(config.plans, ToyPlan.retry, max_retries=1)
        with (
            interruptible(folder, TOY),
            recording(folder, config, TOY, ToyHistory, "toy") as (journal, history),
        ):
            session = Session(searcher, journal, history, watchers)
            carry_out(session, job or toy_job(config), np.linspace(0, 1, 11), config.run, folder)
            write_json(folder / "result.json", {"failures": searcher.failures})
        return folder

    return run


@pytest.fixture
def toy_config() -> Callable[..., ToyConfig]:
    """`toy_config(out, **fields)`: four trials of two or three epochs; of one the first attempt
    breaks, of another every one.
    """

    def config(out: Path, **fields: Any) -> ToyConfig:
        return ToyConfig(**({"breaking": ((1, 1), (2, 9)), "out": str(out)} | fields))

    return config
