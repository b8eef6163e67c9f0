"""The trials of several searches: those of the outer search, with what each cost."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fade_ray.data import Splits
from fade_ray.search.chain_trial import run_trial
from fade_ray.search.search_config import Config
from fade_ray.training.estimators import forward_passes
from fade_ray.trials.job import Event
from searchers import Outcome, Trial
from searchers.contest import Entered

Price = Callable[[Trial, Splits, Config], float | None]


def training_images(trial: Trial, splits: Splits, config: Config) -> float:
    """What a trial costs in training images: one passed forward and back counts once, one of the
    architecture split of a hyper-architecture a third for every pass forward along a path, as the
    pass back costs about two forward.
    """
    weights, architecture = len(splits.weights), len(splits.architecture)
    if not trial.ranks:
        return trial.epochs * weights
    steps = max(weights, architecture)  # the larger split sets the epoch, the smaller is cycled
    learning = max(0, trial.epochs - config.architecture.warm_up)
    passes = forward_passes(config.architecture, trial.hyper.width)
    return trial.epochs * steps + learning * steps * passes / 3


PRICES: dict[str, Price] = {
    "images": training_images,
    "seconds": lambda trial, splits, config: None,
}
"""By the unit of a budget: what a trial will cost, None where only the trial can tell."""


def first_evaluation(searcher: Any, price: Callable[[Trial], float | None]) -> float:
    """What a searcher spends until its first evaluation, were its ranks to prefer nothing."""
    spent = 0.0
    while (asked := searcher.ask()) is not None:
        spent += price(asked) or 0.0
        if asked.scored:
            break
        rows = tuple((-float(len(row)),) * len(row) for row in asked.hyper.rows)
        searcher.tell(asked.id, Outcome(log_weights=rows))
    return spent


@dataclass(frozen=True)
class EntryJob:
    """The `Job` of a comparison: its plans are `Entered`; `configs` by entry."""

    configs: Mapping[str, Config]
    unit: str

    def run(self, plan: Mapping[str, Any], data: Splits, folder: Path) -> Iterator[Event]:
        """Events of `run_trial`, the last one's outcome with its cost in `unit`."""
        entered = Entered.from_dict(plan)
        config = self.configs[entered.entry]
        yield from priced(entered, data, config, folder, PRICES[self.unit])


def priced(
    trial: Trial, data: Splits, config: Config, folder: Path, price: Price
) -> Iterator[Event]:
    """Events of `run_trial`, the last one's outcome with its price, or the seconds it trained."""
    for event in run_trial(trial, data, config, folder):
        if "outcome" in event:
            known = price(trial, data, config)
            cost = event["metrics"]["seconds"] if known is None else known
            event = event | {"outcome": event["outcome"] | {"cost": cost}}
        yield event
