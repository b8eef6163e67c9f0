"""The configuration of a comparison of searchers."""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from fade_ray.data.data_config import DataConfig
from fade_ray.nn.chain import NetworkConfig
from fade_ray.records.json_form import build, plain
from fade_ray.run.run_config import RunConfig
from fade_ray.search.entrants import ENTRANTS, UNLIMITED, WALK
from fade_ray.search.search_config import Config, OuterConfig, SpaceConfig
from fade_ray.training.train_config import ArchitectureConfig, TrainConfig
from spaces.errors import require, require_known


@dataclass(frozen=True)
class ContestConfig:
    """Who takes part, and what each may spend."""

    searchers: tuple[str, ...] = ("fade", "random", "bayes", "evolution")
    """Searchers by name: fade, random, bayes, evolution; random-median, bayes-median, bayes-joint;
    fade-paper (the paper's walk; its training, by default a score function with uniform draws, is
    ours) and parts of FaDE, each alone over it: fade-elites, fade-repeats, fade-least-squares,
    fade-distinct, fade-normalised, fade-momentum, fade-population, fade-wide, fade-cold,
    fade-weight-paths, fade-split, fade-marginal, fade-exact, fade-sampled (these two draw by the
    weights, too, and fade-sampled needs --norm none); fade-blind (a control: its
    hyper-architectures learn nothing, at the same price).
    """
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Seeds of each searcher."""
    baseline: str = "random"
    """What the others are tested against."""
    unit: Literal["images", "seconds"] = "images"
    """Unit of the budget: training images (one pass forward and back each; a pass forward alone
    counts a third), or seconds of training.
    """
    budget: float | None = None
    """What each search may spend; by default as many images as 30 evaluated architectures take, or
    300 seconds.
    """

    def __post_init__(self) -> None:
        # "fade,random" is two
        names = tuple(name for given in self.searchers for name in given.split(",") if name)
        object.__setattr__(self, "searchers", names)
        for name in (*self.searchers, self.baseline):
            require_known("A searcher", name, ENTRANTS)
        require(
            len(self.searchers) > 0,
            "len(searchers) >= 1",
            "Name a searcher.",
            searchers=self.searchers,
        )
        require(len(self.seeds) > 0, "len(seeds) >= 1", "Name a seed.", seeds=self.seeds)
        remedy = "Name each once."
        require(
            len(set(self.searchers)) == len(self.searchers),
            "searchers differ",
            remedy,
            searchers=self.searchers,
        )
        require(len(set(self.seeds)) == len(self.seeds), "seeds differ", remedy, seeds=self.seeds)
        require(min(self.seeds) >= 0, "seeds >= 0", "Use small numbers.", seeds=self.seeds)
        remedy = f"Choose one of {', '.join(self.searchers)}, or add it to --searchers."
        require(
            self.baseline in self.searchers, "baseline takes part", remedy, baseline=self.baseline
        )
        holds = self.budget is None or 0 < self.budget < math.inf
        require(
            holds,
            "0 < budget < inf",
            "Give each search something to spend that ends.",
            budget=self.budget,
        )


@dataclass(frozen=True)
class CompareConfig:
    """A whole comparison: `Config`, but for the searchers and seeds that take the place of one."""

    contest: ContestConfig = field(default_factory=ContestConfig)
    data: DataConfig = field(default_factory=DataConfig)
    space: SpaceConfig = field(default_factory=SpaceConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    architecture: ArchitectureConfig = field(default_factory=ArchitectureConfig)
    outer: OuterConfig = field(default_factory=lambda: OuterConfig(**WALK))
    run: RunConfig = field(default_factory=RunConfig)
    out: str | None = None
    """Run directory; by default runs/<time>-<name>. An unfinished run in it is continued."""
    name: str = "compare"
    """Name of the run, part of the default run directory."""

    def __post_init__(self) -> None:
        dict(self.configs())  # every rule of every search is checked here

    def configs(self) -> Iterator[tuple[str, Config]]:
        """(name of the search, its configuration): "fade-0" for the searcher fade with the seed 0;
        seed by seed.
        """
        outer = replace(self.outer, iterations=UNLIMITED, test_evaluations=True)
        parts = {
            name: getattr(self, name)
            for name in ("data", "space", "network", "train", "architecture", "run")
        }
        base = Config(outer=outer, **parts)
        for seed in self.contest.seeds:
            for name in self.contest.searchers:
                yield f"{name}-{seed}", ENTRANTS[name].config(base, seed)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, nested by the parts."""
        values: dict[str, Any] = plain(dataclasses.asdict(self))
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "CompareConfig":
        """The inverse of `to_dict`. Raises InvalidInput for unknown names."""
        config: CompareConfig = build(cls, values, "")
        return config
