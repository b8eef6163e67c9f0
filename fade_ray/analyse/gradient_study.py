"""Searches on NAS-Bench-201 that are measured along the way: what single-level DARTS says about
bilevel search, seen on small networks.

A search here is that of `fade-ray cells` in the analysis setting of the paper's section 4.1
(algorithms E.2): SGD for weights and logits with the same learning rate and cosine schedule, for
the logits without momentum and weight decay.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from fade_ray.analyse.gradient_config import SPACE, GradientStudy, Setting
from fade_ray.analyse.gradients import (
    Correlation,
    Node,
    OperationGradients,
    correlation,
    first_middle_last,
    node_gradients,
)
from fade_ray.cells.cell_trial import CellSearch
from fade_ray.cells.cells_config import CellPlan
from fade_ray.cells.search_data import halves
from fade_ray.cells.watch import indicators, learned
from fade_ray.data import Splits
from fade_ray.training.failures import TrainingFailed
from fade_ray.trials.job import Event, checkpoint_path
from fade_ray.trials.trainee import Metrics, lifecycle
from spaces.errors import require
from spaces.nasbench201 import KIND

SITUATIONS = ("held-out", "other", "same")
"""The second batch of a gradient correlation: of the images that bilevel trains the logits on;
another one of the same images; the first one itself. They are the three rows of the paper's Table
1.
"""


@dataclass(frozen=True)
class MeasuredPlan:
    """One search of a study."""

    id: str
    attempt: int
    setting: Setting
    seed: int
    epochs: int

    @property
    def kind(self) -> str:
        """What the trial is called where people see it."""
        return f"{self.setting.text}, seed {self.seed}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        return cls(**{**data, "setting": Setting(**data["setting"])})


def plans(study: GradientStudy) -> list[MeasuredPlan]:
    """Every search of the study, seeds outermost."""
    pairs = itertools.product(study.seeds, study.settings)
    return [
        MeasuredPlan(f"{setting.name}-seed{seed}", 0, setting, seed, study.epochs)
        for seed, setting in pairs
    ]


def check_images(study: GradientStudy, splits: Splits) -> None:
    """Raises InvalidInput for less than two batches, which could not be compared."""
    ours, theirs = halves(splits, study.search_config(study.settings[0]).grid.held_out)
    images, size = min(len(ours), len(theirs)), study.batch_size
    rule = "half of the training images fill 2 batches or more"
    remedy = "Lower --batch-size, or use more images."
    require(images >= 2 * size, rule, remedy, images=images, batch_size=size)


@dataclass(frozen=True)
class GradientJob:
    """The trials of a study. The metrics of an epoch are those of `MeasuredSearch`."""

    study: GradientStudy

    def run(self, plan: Mapping[str, Any], data: Splits, folder: Path) -> Iterator[Event]:
        """See `fade_ray.trials.job.Job`."""
        planned = MeasuredPlan.from_dict(plan)
        return lifecycle(
            lambda: MeasuredSearch(planned, data, self.study),
            checkpoint_path(folder, planned.id),
            threads=self.study.run.cpus_per_trial,
        )


class MeasuredSearch(CellSearch):
    """A search whose metrics are, beside loss, accuracy and costs, the `measurement` of each epoch;
    epoch 0 is the state before the first step.
    """

    def __init__(self, plan: MeasuredPlan, splits: Splits, study: GradientStudy) -> None:
        inner = CellPlan(plan.id, 0, 0, plan.setting.recipe, SPACE, plan.seed, plan.epochs)
        super().__init__(inner, splits, study.search_config(plan.setting))
        self.pairs, self.places = study.pairs, first_middle_last(self.network.macro)

    def first_metrics(self) -> Metrics:
        return measurement(self, None, self.pairs)

    def run_epoch(self) -> Metrics:
        with OperationGradients(self.network, self.places) as measured:
            metrics = super().run_epoch()
        gradients = {str(place): slope.tolist() for place, slope in measured.mean().items()}
        return metrics | measurement(self, gradients, self.pairs)


def measurement(search: CellSearch, gradients: dict[str, Any] | None, pairs: int) -> Metrics:
    """What is known at the end of an epoch, JSON-able.

    weights [E][O]: architecture weights; skip_share, parameter_free_share: of the genotype they now
    give; correlation: {situation: {place: {node: {"value", "cosine"}}}}, means over `pairs` pairs
    of batches at the weights as they are; gradients: {place: dL/dp [E][O]}, the mean over the
    epoch's steps, None before the first.
    """
    known, macro = learned(search.architecture), search.network.macro
    now = search.genotype_now()
    state = indicators(macro, known, now)
    return {
        "weights": state["weights"][KIND],
        "skip_share": state["skip_share"],
        "parameter_free_share": state["parameter_free_share"],
        "correlation": correlations(search, pairs),
        "gradients": gradients,
    }


def correlations(search: CellSearch, pairs: int) -> dict[str, Any]:
    """{situation: {place: {node: {"value", "cosine"}}}}, means over `pairs` pairs of batches, at
    least 2, or as many as there are.

    The batches are augmented as in training, and drawn by generators of their own: measuring does
    not change the search. Raises TrainingFailed when a gradient is not finite.
    """
    ours, theirs = (_gradients(search, held_out, pairs) for held_out in (False, True))
    partners = {"held-out": theirs, "other": ours[1:] + ours[:1], "same": ours}
    means: dict[str, Any] = {}
    for situation in SITUATIONS:
        both = list(zip(ours, partners[situation], strict=False))
        for place, node in ours[0]:
            several = [correlation(mine[place, node], their[place, node]) for mine, their in both]
            if not all(math.isfinite(single.value) for single in several):
                epoch = search.training.epoch
                raise TrainingFailed(
                    f"the gradients became infinite after epoch {epoch}; lower the rate"
                )
            means.setdefault(situation, {}).setdefault(str(place), {})[str(node)] = _mean(several)
    return means


def _gradients(search: CellSearch, held_out: bool, pairs: int) -> list[dict[Node, Tensor]]:
    """The `node_gradients` of some batches of a part, which depend on seed and epoch alone."""
    seed = np.random.SeedSequence([search.plan.seed, search.training.epoch]).generate_state(1)[0]
    drawn = torch.Generator().manual_seed(int(seed))
    batches = search.data.batches(held_out).epoch(drawn)
    problem, network = search.training.problem, search.network
    weights, places = search.architecture.expected(), first_middle_last(network.macro)
    return [
        node_gradients(problem, network, weights, batch, places)
        for batch in itertools.islice(batches, max(2, pairs))
    ]


def _mean(several: Sequence[Correlation]) -> dict[str, float]:
    names = ("value", "cosine")
    return {name: float(np.mean([getattr(each, name) for each in several])) for name in names}
