"""Runs that are small enough to be made many times, a search and a toy of another kind, and what
two runs must have in common.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fade_ray.data.data_config import DataConfig
from fade_ray.nn import NetworkConfig
from fade_ray.records.history import TrialHistory
from fade_ray.records.journal import read_events
from fade_ray.records.run_files import Run
from fade_ray.run.lifecycle import run as carry_out
from fade_ray.run.run_config import RunConfig, RunOptions
from fade_ray.run.run_of_trials import RunOfTrials, Trials
from fade_ray.run.watcher import Watcher
from fade_ray.search.search_config import Config, FinishConfig, OuterConfig, SpaceConfig
from fade_ray.training import ArchitectureConfig, TrainConfig
from fade_ray.trials.job import Event, Job
from searchers import AnchorWalk
from searchers.grid import GridSearch

TIMES = {"seconds", "trial_seconds", "images_per_second", "peak_memory_mib", "node", "latency_ms"}


@pytest.fixture
def small() -> Callable[..., Config]:
    """`small(out, **run options)`: two walks, two iterations, five kinds of trial, all of one epoch
    or two; in lockstep, so that engines can be compared.
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
            outer=OuterConfig(
                rank_epochs=epochs, evaluation_epochs=1, retrain_epochs=2, lockstep=True
            ),
            finish=FinishConfig(confirmed=0, baselines=()),
            run=RunConfig(**({"engine": "local"} | run)),  # type: ignore[arg-type]
            out=str(out),
        )

    return config


@pytest.fixture(scope="session")
def story() -> Callable[[Path], dict[str, Any]]:
    """What a run directory says, without times and places: proposals, outcomes and metrics by id,
    anchors by iteration, epochs by id and number.
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

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "ToyPlan":
        return cls(**data)

    def retry(self) -> "ToyPlan":
        attempt = self.attempt + 1
        return replace(
            self, id=f"{self.index:05d}r{attempt}", attempt=attempt, seed=self.seed + 100
        )


@dataclass(frozen=True)
class ToyConfig(RunOptions):
    """A run of toy trials; `breaking` holds for some of them how many attempts break."""

    trials: int = 4
    breaking: tuple[tuple[int, int], ...] = ()
    run: RunConfig = field(default_factory=lambda: RunConfig(engine="local"))

    @property
    def plans(self) -> list[ToyPlan]:
        return [
            ToyPlan(f"{index:05d}", index, 0, index, 2 + index % 2) for index in range(self.trials)
        ]


class ToyHistory(TrialHistory[ToyPlan]):
    plan = ToyPlan


class ToyRun(RunOfTrials[ToyConfig, ToyHistory], name="toy"):
    """Train nothing."""

    example = "fade-ray toy"
    config, history, reports = ToyConfig, ToyHistory, False
    job: Job[Any] | None = None  # in place of the usual one

    def prepare(self, config: ToyConfig) -> Trials[GridSearch[ToyPlan]]:
        searcher = GridSearch(config.plans, ToyPlan.retry, max_retries=1)
        return Trials(searcher, self.job or toy_job(config), np.linspace(0, 1, 11))

    def deliver(
        self, prepared: Trials[GridSearch[ToyPlan]], run: Run[ToyConfig, ToyHistory]
    ) -> dict[str, Any]:
        return {"failures": prepared.searcher.failures}


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
                "outcome": {"score": accuracy},
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
        kind = ToyRun()
        kind.job = job
        return carry_out(kind, config, watchers=watchers, command="toy").folder

    return run


@pytest.fixture
def toy_config() -> Callable[..., ToyConfig]:
    """`toy_config(out, **fields)`: four trials of two or three epochs; of one the first attempt
    breaks, of another every one.
    """

    def config(out: Path, **fields: Any) -> ToyConfig:
        return ToyConfig(**({"breaking": ((1, 1), (2, 9)), "out": str(out)} | fields))

    return config
