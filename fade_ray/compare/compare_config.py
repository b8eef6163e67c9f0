"""The configuration of a comparison of searchers."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from fade_ray.data.data_config import DataConfig
from fade_ray.nn.chain import NetworkConfig
from fade_ray.run.run_config import RunConfig, RunOptions
from fade_ray.search.entrants import WALK, entrant, names
from fade_ray.search.limit_config import MeasuredLimits
from fade_ray.search.search_config import Config, OuterConfig, SpaceConfig, options_in
from fade_ray.training.old_configs import upgraded_training
from fade_ray.training.row_architecture import ArchitectureConfig
from fade_ray.training.train_config import TrainConfig
from searchers import AnchorWalk, BayesModel, Breeding
from spaces.errors import at_least, each_once, require


@dataclass(frozen=True)
class ContestConfig:
    """Who takes part, and what each may spend."""

    searchers: tuple[str, ...] = ("fade", "random", "bayes", "evolution")
    """Searchers by name: fade, random, bayes, evolution; any other registered one; and the other
    entrants: random-median, bayes-median, bayes-joint; fade-paper (the paper's walk; its training,
    by default a score function with uniform draws, is ours) and parts of FaDE, each alone over it
    (fade-exact and fade-sampled draw by the weights, too, and fade-sampled needs --norm none);
    fade-blind (a control: its hyper-architectures learn nothing, at the same price).
    """
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)
    """Seeds of each searcher: seven are the fewest that can show a difference in three tests."""
    baseline: str = "random"
    """What the others are tested against."""
    unit: Literal["images", "seconds"] = "images"
    """Unit of the budget: training images (one pass forward and back each; a pass forward alone
    counts a third), or seconds of training.
    """
    budget: float | None = None
    """What each search may spend; by default 30 evaluated architectures' images, or 300 seconds."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "searchers", names(self.searchers))
        for name in (*self.searchers, self.baseline):
            entrant(name)
        each_once(searchers=self.searchers, seeds=self.seeds)
        at_least(0, seeds=min(self.seeds))
        remedy = f"Choose one of {', '.join(self.searchers)}, or add it to --searchers."
        takes_part = self.baseline in self.searchers
        require(takes_part, "baseline takes part", remedy, baseline=self.baseline)
        remedy = "Give each search something to spend that ends."
        holds = self.budget is None or 0 < self.budget < math.inf
        require(holds, "0 < budget < inf", remedy, budget=self.budget)

    @property
    def jobs(self) -> dict[str, tuple[str, int]]:
        """Name of each search, such as "fade-0" -> (searcher, seed), seed by seed."""
        return {f"{name}-{seed}": (name, seed) for seed in self.seeds for name in self.searchers}


@dataclass(frozen=True)
class CompareConfig(RunOptions):
    """A whole comparison: `Config`, but for the searchers and seeds that take the place of one, and
    the options of all searchers of a kind in place of those of one.
    """

    contest: ContestConfig = field(default_factory=ContestConfig)
    data: DataConfig = field(default_factory=DataConfig)
    space: SpaceConfig = field(default_factory=SpaceConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    architecture: ArchitectureConfig = field(default_factory=ArchitectureConfig)
    anchor: AnchorWalk = WALK
    bayes: BayesModel = field(default_factory=BayesModel)
    evolution: Breeding = field(default_factory=Breeding)
    outer: OuterConfig = field(default_factory=OuterConfig)
    limits: MeasuredLimits = field(default_factory=MeasuredLimits)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        dict(self.configs())  # every rule of every search is checked here

    def configs(self) -> Iterator[tuple[str, Config]]:
        """(name of the search, its configuration), in the order of `jobs`."""
        parts = ("data", "space", "network", "train", "architecture", "limits", "run")
        # what a search asks depends on its outcomes alone; the test part is for the report alone
        outer = replace(self.outer, lockstep=True, test_evaluations=True)
        base = Config(outer=outer, **{name: getattr(self, name) for name in parts})
        bases = (self.anchor, self.bayes, self.evolution)
        for search, (name, seed) in self.contest.jobs.items():
            yield search, entrant(name).config(base, bases, seed)

    def check_ranks(self) -> None:
        """InvalidInput for an entrant that learns nothing: see `Config.check_ranks`."""
        for _, config in self.configs():
            config.check_ranks()


def upgrade(values: Mapping[str, Any]) -> dict[str, Any]:
    """A stored configuration in its present form: formerly "outer" held the options of all
    searchers side by side.
    """
    values = {**values, "train": upgraded_training(values.get("train", {}))}
    outer = values.get("outer", {})
    if "searcher" not in outer:
        return dict(values)
    parts = {"anchor": AnchorWalk, "bayes": BayesModel, "evolution": Breeding, "outer": OuterConfig}
    held = {name: options_in(outer, cls) for name, cls in parts.items()}
    held["anchor"]["name"] = AnchorWalk.name
    return {**values, **held}
