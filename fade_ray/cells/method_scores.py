"""What the searches of a run found, each by the accuracies of its genotype trained from scratch."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

from fade_ray.cells.cells_config import CellPlan
from fade_ray.cells.retrainings import RetrainPlan
from fade_ray.records.history import TrialHistory


@dataclass(frozen=True)
class Scored:
    """One search, by what it found, trained in one setting."""

    setting: str
    space: str
    method: str
    seed: int
    """Of the search."""
    trial: str
    trained: str
    """The search whose retrainings these are: the first that found this genotype."""
    accuracies: tuple[float, ...]
    """On the test part after the last epoch, by the seed of the retraining."""
    parameters: int
    multiply_adds: int
    """Of an image (conv+fc)."""
    latency_ms: float
    """Of an image, median over the retrainings."""
    search_seconds: float
    """Of the device, training; so are the images."""
    search_images: int

    @property
    def accuracy(self) -> float:
        """Mean over the retrainings."""
        return mean(self.accuracies)


def scored(history: TrialHistory[Any]) -> list[Scored]:
    """Every search whose genotype was trained with every seed, by setting, in the order of the
    record. What has failed, or is not there yet, is left out.
    """
    plans = history.proposals.values()
    searches = [plan for plan in plans if isinstance(plan, CellPlan) and _found(history, plan)]
    trained: dict[str, dict[tuple[str, str], dict[int, RetrainPlan]]] = {}
    for plan in plans:
        if isinstance(plan, RetrainPlan):
            by_genotype = trained.setdefault(plan.setting, {})
            by_genotype.setdefault((plan.space, plan.genotype), {})[plan.seed] = plan
    return [
        each
        for setting, by_genotype in sorted(trained.items())
        for each in _of_setting(history, setting, searches, by_genotype)
    ]


def _found(history: TrialHistory[Any], plan: CellPlan) -> str | None:
    outcome = history.outcomes.get(plan.id)
    return None if outcome is None else outcome.found


def _of_setting(
    history: TrialHistory[Any],
    setting: str,
    searches: list[CellPlan],
    trained: Mapping[tuple[str, str], Mapping[int, RetrainPlan]],
) -> Iterator[Scored]:
    seeds = sorted({seed for by_seed in trained.values() for seed in by_seed})
    for search in searches:
        by_seed = trained.get((search.space, str(_found(history, search))), {})
        ids = [by_seed[seed].id for seed in seeds if seed in by_seed]
        ended = [history.metrics[id] for id in ids if id in history.metrics]
        if len(ended) < len(seeds) or not all("test_accuracy" in metrics for metrics in ended):
            continue
        cost = history.metrics[search.id]
        yield Scored(
            setting,
            search.space,
            search.recipe,
            search.seed,
            search.id,
            by_seed[seeds[0]].of,
            tuple(metrics["test_accuracy"] for metrics in ended),
            ended[0]["parameters"],
            ended[0]["network_multiply_adds"],
            median(metrics["latency_ms"] for metrics in ended),
            cost.get("seconds", 0.0),
            cost.get("images", 0),
        )
