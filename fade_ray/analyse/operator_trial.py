"""A mixture of operations that is trained, and whose operations are then measured."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Self, cast

import numpy as np

from fade_ray.analyse.operator_config import OperatorStudy
from fade_ray.cells.cells_config import CellPlan
from fade_ray.cells.search_data import ImageData
from fade_ray.cells.stage_search import StageSearch
from fade_ray.data import Splits
from fade_ray.training.operator_correlation import OperatorCorrelations
from fade_ray.trials.job import Event, checkpoint_path
from fade_ray.trials.measured_training import MeasuredTraining
from fade_ray.trials.trainee import Ending, Metrics, lifecycle
from searchers import Outcome
from spaces.groups import without_variance

PARTS = 4
"""Of the pass over the images; each is an epoch of the trial, behind which it may go on."""


@dataclass(frozen=True)
class OperatorPlan:
    """A training and the pass behind it."""

    id: str
    attempt: int
    seed: int
    training_epochs: int

    @property
    def epochs(self) -> int:
        return self.training_epochs + PARTS

    @property
    def kind(self) -> str:
        """What the trial is called where people see it."""
        return f"mixture-seed{self.seed}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        return cls(**data)


def plans(study: OperatorStudy) -> list[OperatorPlan]:
    """One for each seed."""
    return [OperatorPlan(f"seed{seed}", 0, seed, study.epochs) for seed in study.seeds]


@dataclass(frozen=True)
class OperatorJob:
    """The trials of a study."""

    study: OperatorStudy

    def run(self, plan: Mapping[str, Any], data: Splits, folder: Path) -> Iterator[Event]:
        """See `fade_ray.trials.job.Job`."""
        planned = OperatorPlan.from_dict(plan)
        return lifecycle(
            lambda: OperatorTrial(planned, data, self.study),
            checkpoint_path(folder, planned.id),
            threads=self.study.run.cpus_per_trial,
        )


class OperatorTrial(MeasuredTraining[StageSearch]):
    """A search of one stage, and a pass over the first of the images its weights learned from, in
    `PARTS`. The same pass before the first step, in the event of epoch 0, is what training is to be
    compared with.
    """

    def __init__(self, plan: OperatorPlan, splits: Splits, study: OperatorStudy) -> None:
        search = CellPlan(plan.id, 0, 0, study.recipe, study.space, plan.seed, study.epochs)
        super().__init__(StageSearch(search, splits, study.search_config), PARTS)
        data = cast(ImageData, self.network.data)
        images = data.train_images
        self.images = min(study.images, len(images))
        self.batches = data.feed.plain(images.take(np.arange(self.images)))
        self.study = study
        self.correlations = self._nothing_seen()

    def _nothing_seen(self) -> OperatorCorrelations:
        network, study = self.network.network, self.study
        return OperatorCorrelations(network, study.reading, skips=study.skips)

    def first_metrics(self) -> Metrics:
        """matrices: as in the last event."""
        before = self._nothing_seen()
        cost = self._pass(before, 0, PARTS)
        return {**self.network.first_metrics(), **cost, "matrices": _told(before)}

    def measurement(self) -> Metrics:
        """A part of the pass."""
        return self._pass(self.correlations, self.measured - 1, self.measured)

    def _pass(self, correlations: OperatorCorrelations, *parts: int) -> Metrics:
        """From one part to another; what it cost."""
        start, seen = time.perf_counter(), 0
        batches = -(-self.images // self.batches.batch_size)
        weights = self.network.architecture.expected()
        bounds = [batches * part // PARTS for part in parts]
        for images, _ in islice(self.batches.ordered(), *bounds):
            with self.placement.precision():
                correlations.update(weights, images)
            seen += len(images)
        return {
            "images": seen,
            "multiply_adds": seen * self.network.network.multiply_adds(()),
            "seconds": time.perf_counter() - start,
        }

    def ending(self, epochs: Sequence[Mapping[str, Any]]) -> Ending:
        """matrices: {"place-edge": [O][O]}, None for what is not known; ops [O]; measured_images:
        how many.
        """
        metrics = {
            "matrices": _told(self.correlations),
            "ops": list(self.correlations.ops),
            "measured_images": self.images,
        }
        return Ending(Outcome(), metrics, _constant(self.correlations))

    def state_dict(self) -> dict[str, Any]:
        # nothing is known yet before the first measurement
        known = self.correlations.state_dict() if self.measured else None
        return {**super().state_dict(), "correlations": known}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.correlations = self._nothing_seen()  # of the network that was made anew
        if self.measured:
            self.correlations.load_state_dict(state["correlations"])


def _told(correlations: OperatorCorrelations) -> dict[str, list[list[float | None]]]:
    return {
        f"{place}-{edge}": [[float(v) if v == v else None for v in row] for row in matrix]
        for (place, edge), matrix in correlations.matrices().items()
    }


def _constant(correlations: OperatorCorrelations) -> list[str]:
    """Warnings of operations without variance, by their names."""
    ops, matrices = correlations.ops, correlations.matrices()
    edges: dict[str, list[str]] = {}
    for (place, edge), matrix in matrices.items():
        for op in set(without_variance(matrix, ops)) & set(correlations.measured[place, edge]):
            edges.setdefault(op, []).append(f"{place}-{edge}")
    return [
        f"{op} had no variance on {len(where)} of {len(matrices)} edges ({', '.join(where[:5])}), "
        "and is a group of its own where groups are made there"
        for op, where in sorted(edges.items())
    ]
