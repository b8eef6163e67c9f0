"""A network of cells that is trained and whose gradient confusion is then measured, every
measurement an epoch of its trial: what is behind `fade-ray analyse confusion` and `--match-depth`.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fade_ray.cells.cell_trial import CellSearch
from fade_ray.cells.cells_config import CellPlan, CellsConfig
from fade_ray.cells.confusion_plan import ConfusionPlan, Final, Protocol
from fade_ray.cells.search_setup import STAGED
from fade_ray.cells.stage_search import StageSearch
from fade_ray.cells.watch import share
from fade_ray.data import Splits
from fade_ray.retraining.genotype_trial import GenotypeTrial
from fade_ray.retraining.retrain_config import NetworkOptions, RetrainConfig
from fade_ray.retraining.retrain_images import images_of
from fade_ray.retraining.retraining import Retraining
from fade_ray.training import Training, place
from fade_ray.training.confusion import measuring, network_confusion
from fade_ray.trials.job import Event, checkpoint_path
from fade_ray.trials.measured_training import MeasuredTraining
from fade_ray.trials.trainee import Ending, Metrics, lifecycle
from searchers import Outcome
from spaces.cell import SKIP, Macro
from spaces.errors import require

MILLION = 1e6
MEASURE = "confusion"
"""Mean zeta over the measurements per million parameters, among the measures of an outcome."""
PREFIXES = {False: "", True: "auxiliary_"}
"""Of what is measured without and with the auxiliary head."""


@dataclass(frozen=True)
class ConfusionJob:
    """Trials of `ConfusionPlan`s."""

    config: CellsConfig
    final: Final
    protocol: Protocol

    def run(self, plan: Mapping[str, Any], data: Splits, folder: Path) -> Iterator[Event]:
        """See `fade_ray.trials.job.Job`."""
        planned = ConfusionPlan.from_dict(plan)
        return lifecycle(
            lambda: ConfusionTrial(planned, data, self),
            checkpoint_path(folder, planned.id),
            threads=self.config.run.cpus_per_trial,
        )


class ConfusionTrial(MeasuredTraining[Any]):
    """A training, then `protocol.iterations` measurements of what it came to.

    The batches of each are drawn by a generator of its own from the images that the weights learned
    from, augmented as they were: the network is the same before and after.
    """

    def __init__(self, plan: ConfusionPlan, splits: Splits, job: ConfusionJob) -> None:
        self.plan, self.protocol = plan, job.protocol
        super().__init__(NETWORKS[plan.final](plan, splits, job), job.protocol.iterations)
        batches, wanted = len(self.network.training.batches), job.protocol.batches
        require(
            batches >= wanted,
            "training images fill all batches of a measurement",
            "Use a smaller --batch-size or more images.",
            batches=batches,
            wanted=wanted,
        )

    def measurement(self) -> Metrics:
        """zeta, raw, cosine as `Confusion`, with the auxiliary head too where there is one."""
        start, training = time.perf_counter(), self.network.training
        entropy = np.random.SeedSequence([self.plan.seed, self.measured])
        drawn = torch.Generator().manual_seed(int(entropy.generate_state(1)[0] >> 1))
        batches = list(islice(training.batches.epoch(drawn), self.protocol.batches))
        metrics: Metrics = {"images": sum(len(labels) for _, labels in batches), "multiply_adds": 0}
        for auxiliary in heads(training):
            problem = measuring(training.problem, auxiliary=auxiliary)
            confusion = network_confusion(problem, batches)
            for name in ("zeta", "raw", "cosine"):
                metrics[PREFIXES[auxiliary] + name] = getattr(confusion, name)
            metrics["multiply_adds"] += problem.multiply_adds
        return metrics | {"seconds": time.perf_counter() - start}

    def ending(self, epochs: Sequence[Mapping[str, Any]]) -> Ending:
        """What was measured per million parameters, and the skip-connects of the genotype."""
        training, genotype = self.network.training, self.network.genotype_now()
        values = [metrics["zeta"] for metrics in epochs if "zeta" in metrics]
        parameters = {
            f"{PREFIXES[auxiliary]}parameters": sum(
                weight.numel()
                for weight in measuring(training.problem, auxiliary=auxiliary).weights
            )
            for auxiliary in heads(training)
        }
        confusion = float(np.mean(values)) / (parameters["parameters"] / MILLION)
        known = {
            MEASURE: confusion,
            "genotype": genotype.notation,
            "skips": skips(genotype),
            "skip_share": share(genotype, skip=True),
            "batches": self.protocol.batches,
        }
        return Ending(Outcome(measures={MEASURE: confusion}), known | parameters)


def heads(training: Training) -> list[bool]:
    """Without the auxiliary head and, where there is one, with it."""
    return [False, True] if training.network.auxiliary is not None else [False]


def skips(genotype: Macro) -> dict[str, int]:
    """Skip-connects of each kind of cell."""
    return {
        kind: Counter(gene.op for gene in cell.genes)[SKIP] for kind, cell in genotype.cells.items()
    }


def begin_matching(
    plan: ConfusionPlan, splits: Splits, config: CellsConfig, folder: Path
) -> ConfusionTrial:
    """One training of `--match-depth`."""
    matching = config.matching
    return ConfusionTrial(plan, splits, ConfusionJob(config, matching.final, matching.protocol))


class StageTraining(StageSearch):
    """The search network of a plan."""

    def __init__(self, plan: ConfusionPlan, splits: Splits, job: ConfusionJob) -> None:
        self.last = plan.trained - 1
        sizes: dict[str, Any] = {f"stage_{name}": () for name in STAGED}
        sizes |= {"cells": plan.cells, "channels": plan.channels, "epochs": plan.training_epochs}
        config = replace(job.config, grid=replace(job.config.grid, **sizes))
        search = CellPlan(plan.id, 0, 0, plan.recipe, plan.space, plan.seed, plan.epochs)
        super().__init__(search, splits, config)


class FinalTraining(GenotypeTrial):
    """A genotype trained as by `fade-ray retrain`, with what trains the search networks."""

    def __init__(self, plan: ConfusionPlan, splits: Splits, job: ConfusionJob) -> None:
        config, setup = job.config, job.config.setup(plan.recipe, plan.space)
        asked = RetrainConfig(
            network=NetworkOptions(plan.cells, plan.channels),
            train=setup.train,
            epochs=plan.training_epochs,
            seed=plan.seed,
        ).on(setup.data)
        genotype = job.final.genotype or drawn(plan, splits, config)
        retraining, images = Retraining.of(genotype, asked), images_of(splits, asked)
        super().__init__(retraining, images, place(config.run.device, setup.train.precision))

    def genotype_now(self) -> Macro:
        return self.job.macro


def drawn(plan: ConfusionPlan, splits: Splits, config: CellsConfig) -> Macro:
    """A genotype of the space, every one equally likely; that of `random` with the same seed."""
    search = CellPlan(plan.id, 0, 0, "random", plan.space, plan.seed, 0)
    return CellSearch(search, splits, config).genotype_now()


def check_networks(plans: Iterable[ConfusionPlan], splits: Splits, job: ConfusionJob) -> None:
    """Build the largest of each sort. Raises InvalidInput for networks that cannot be, and images
    that do not fill the batches of a measurement.
    """
    for final in NETWORKS:
        sizes = [plan for plan in plans if plan.final == final]
        if sizes:
            ConfusionTrial(max(sizes, key=lambda plan: plan.cells * plan.channels), splits, job)


NETWORKS: dict[bool, type[StageTraining | FinalTraining]] = {
    False: StageTraining,
    True: FinalTraining,
}
"""By whether a plan is of the final network."""
