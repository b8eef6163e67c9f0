"""The trials of several searches: each the trial of the outer search under its own configuration,
with what it cost.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fade_ray.data import Splits
from fade_ray.search.chain_trial import run_trial
from fade_ray.search.search_config import Config
from fade_ray.training.estimators import forward_passes
from fade_ray.trials.job import Event
from searchers import Proposal
from searchers.contest import Entered

Price = Callable[[Proposal, Splits, Config], float | None]


def training_images(proposal: Proposal, splits: Splits, config: Config) -> float:
    """What a trial costs in training images.

    An image passed forward and back counts once. One of the architecture split of a
    hyper-architecture counts a third for every pass forward along a path, as the pass back costs
    about two forward.
    """
    weights, architecture = len(splits.weights), len(splits.architecture)
    if proposal.kind != "ranks":
        return proposal.epochs * weights
    steps = max(weights, architecture)  # the larger split sets the epoch, the smaller is cycled
    learning = max(0, proposal.epochs - config.architecture.warm_up)
    passes = forward_passes(config.architecture, proposal.hyper.width)
    return proposal.epochs * steps + learning * steps * passes / 3


PRICES: dict[str, Price] = {
    "images": training_images,
    "seconds": lambda proposal, splits, config: None,
}
"""By the unit of a budget: what a trial will cost, None where only the trial can tell."""


@dataclass(frozen=True)
class EntryJob:
    """The `Job` of a comparison or a rank study: its plans are `Entered`, `configs` has the
    configuration of each entry.
    """

    configs: Mapping[str, Config]
    unit: str = "images"

    def run(self, plan: Mapping[str, Any], data: Splits, folder: Path) -> Iterator[Event]:
        """Events of `run_trial`, the last one's outcome with its cost in `unit`."""
        entered = Entered.from_dict(plan)
        config = self.configs[entered.entry]
        for event in run_trial(entered.proposal, data, config, folder):
            if "outcome" not in event:
                yield event
                continue
            price = PRICES[self.unit](entered.proposal, data, config)
            cost = event["metrics"]["seconds"] if price is None else price
            yield event | {"outcome": event["outcome"] | {"cost": cost}}
