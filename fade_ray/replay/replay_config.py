"""What a replay runs."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fade_ray.analysis.rank_measures import Rows
from fade_ray.replay.table_objective import RankModel
from fade_ray.run.run_config import RunOptions
from fade_ray.search.entrants import entrant, names, replayed
from fade_ray.search.limit_config import LimitConfig
from spaces.accel_nasbench import DEVICES
from spaces.errors import InvalidInput, at_least, each_once, require, require_known


@dataclass(frozen=True)
class ReplayConfig(RunOptions):
    """Searchers against the table of a benchmark: no training, hundreds of seeds.

    Raises InvalidInput for unknown names and numbers out of range.
    """

    table: str
    """Parquet table of NAS-Bench-Macro, NAS-Bench-201 or Accel-NASBench, told apart by its columns.
    """
    searchers: tuple[str, ...] = ("fade", "random", "evolution")
    """By name, separated by blanks or commas: those of `fade-ray compare` that differ in more than
    training: fade, random, bayes, evolution; by-size (a control without any search: the largest
    architectures first) and any other registered one; fade-paper (the paper's walk, on this
    replay's ranks) and parts of FaDE, each alone over it; fade-blind (a control: fade, with its
    weights exchanged at random).
    """
    seeds: int = 100
    """Seeds 0, 1, ... of each searcher."""
    bayes_seeds: int = 5
    """Of Bayesian searchers, the first of these: they take a hundred times as long."""
    baseline: tuple[str, ...] = ("random",)
    """Searchers that the others are tested against."""
    budget: float = 200.0
    """What each search may spend, in evaluations."""
    rank_cost: float = 1.0
    """Cost of a hyper-architecture in evaluations: rank epochs / evaluation epochs, times its
    passes per image over those of one architecture.
    """
    rank_noise: float = 0.5
    """Noise of FaDE-ranks, in standard deviations of the table's accuracies (failed trainings
    included, where it has some); 0: exact marginals.
    """
    rank_signal: float = 1.0
    """What the marginals in FaDE-ranks are multiplied by; 0: only noise is left, at its scale."""
    temperature: float = 1.0
    """Of the softmax that makes weights of marginals and noise, in standard deviations too."""
    ranks: str | None = None
    """JSON file with "weights" [depth][candidates] of a trained hyper-architecture, which then take
    the place of signal, noise and temperature.
    """
    valid: Literal["c10_valid_12", "c10_valid_200"] = "c10_valid_12"
    """What searches see of NAS-Bench-201; of NAS-Bench-Macro: one of three trainings, by seed."""
    workers: int = 1
    """Processes. Their number changes no result."""
    limits: LimitConfig = field(default_factory=LimitConfig)
    latency_device: str = "zcu102"
    """Of Accel-NASBench, which --max-latency-ms is about: zcu102 and vck190 (one image at a time),
    a100, 3090, tpuv2 and tpuv3 (many at once, per image).
    """

    def __post_init__(self) -> None:
        for name in ("searchers", "baseline"):
            given = names(getattr(self, name))
            object.__setattr__(self, name, given)
            each_once(**{name: given})
            for each in given:
                require_known("A searcher", each, replayed())
        absent = [name for name in self.baseline if name not in self.searchers]
        remedy = f"Choose of {', '.join(self.searchers)}, or add it to --searchers."
        require(not absent, "the baseline takes part", remedy, baseline=absent)
        require_known("`--latency-device`", self.latency_device, DEVICES)
        at_least(1, seeds=self.seeds, bayes_seeds=self.bayes_seeds, workers=self.workers)
        holds = 1 <= self.budget < math.inf
        require(holds, "1 <= budget < inf", "Allow at least one evaluation.", budget=self.budget)
        holds = 0 <= self.rank_cost < math.inf
        require(holds, "0 <= rank cost < inf", "Use 1.0.", rank_cost=self.rank_cost)
        self.model(None)  # checks its numbers

    def model(self, weights: Rows | None) -> RankModel:
        return RankModel(self.rank_noise, self.temperature, self.rank_signal, weights)

    def jobs(self) -> list[tuple[str, int]]:
        """(searcher, seed), searcher by searcher."""
        few = min(self.seeds, self.bayes_seeds)
        counts = [few if entrant(name).searcher.slow else self.seeds for name in self.searchers]
        pairs = zip(self.searchers, counts, strict=True)
        return [(name, seed) for name, count in pairs for seed in range(count)]

    def learned(self) -> Rows | None:
        """The weights in the file `ranks`. InvalidInput for a file without any."""
        if self.ranks is None:
            return None
        try:
            rows = json.loads(Path(self.ranks).expanduser().read_bytes())["weights"]
            return tuple(tuple(float(weight) for weight in row) for row in rows)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InvalidInput(
                '--ranks must be a JSON file with "weights" [depth][candidates], but '
                f"{self.ranks}: {error!r}. Give the last epoch of a run of a rank study."
            ) from error
