"""A mixture of operations that is trained, and whose operations are then measured."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np

from fade_ray.analyse.operator_config import OperatorStudy
from fade_ray.cells.cells_config import CellPlan
from fade_ray.cells.stage_search import StageSearch
from fade_ray.data import Splits
from fade_ray.training.operator_correlation import Edge, OperatorCorrelations
from fade_ray.trials.job import Event, checkpoint_path
from fade_ray.trials.trainee import Ending, Metrics, Trainee, lifecycle
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


class OperatorTrial(Trainee):
    """A search of one stage, then a pass over the first of the images its weights learned from, in
    `PARTS`. Its last event holds the matrices.
    """

    def __init__(self, plan: OperatorPlan, splits: Splits, study: OperatorStudy) -> None:
        search = CellPlan(plan.id, 0, 0, study.recipe, study.space, plan.seed, study.epochs)
        self.search = StageSearch(search, splits, study.search_config)
        self.placement, self.training = self.search.placement, self.search.training
        images = self.search.train_images
        self.images = min(study.images, len(images))
        self.batches = self.search.feed.plain(images.take(np.arange(self.images)))
        self.study, self.parts = study, 0
        self.correlations = self._nothing_seen()

    def _nothing_seen(self) -> OperatorCorrelations:
        study = self.study
        return OperatorCorrelations(self.search.network, study.reading, skips=study.skips)

    @property
    def finished(self) -> bool:
        return self.search.finished and self.parts == PARTS

    def first_metrics(self) -> Metrics:
        return self.search.first_metrics()

    def run_epoch(self) -> Metrics:
        """One of the training; behind its last one, a part of the pass."""
        return self._part() if self.search.finished else self.search.run_epoch()

    def _part(self) -> Metrics:
        start, seen = time.perf_counter(), 0
        batches = -(-self.images // self.batches.batch_size)
        bounds = [batches * part // PARTS for part in (self.parts, self.parts + 1)]
        weights = self.search.architecture.expected()
        for images, _ in islice(self.batches.ordered(), *bounds):
            with self.placement.precision():
                self.correlations.update(weights, images)
            seen += len(images)
        self.parts += 1
        return {
            "images": seen,
            "multiply_adds": seen * self.search.network.multiply_adds(()),
            "seconds": time.perf_counter() - start,
        }

    def ending(self, epochs: Sequence[Mapping[str, Any]]) -> Ending:
        """matrices: {"place-edge": [O][O]}, None for what is not known; ops [O]; images."""
        matrices = self.correlations.matrices()
        metrics = {
            "matrices": {f"{place}-{edge}": _listed(m) for (place, edge), m in matrices.items()},
            "ops": list(self.correlations.ops),
            "measured_images": self.images,
        }
        return Ending(Outcome(), metrics, _constant(self.correlations, matrices))

    def state_dict(self) -> dict[str, Any]:
        return {
            "search": self.search.state_dict(),
            "correlations": self.correlations.state_dict(),
            "parts": self.parts,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.search.load_state_dict(state["search"])
        self.training, self.parts = self.search.training, state["parts"]
        self.correlations = self._nothing_seen()  # of the network that was made anew
        self.correlations.load_state_dict(state["correlations"])


def _listed(matrix: Any) -> list[list[float | None]]:
    return [[float(value) if value == value else None for value in row] for row in matrix]


def _constant(correlations: OperatorCorrelations, matrices: Mapping[Edge, Any]) -> list[str]:
    """Warnings of operations without variance, by their names."""
    ops = correlations.ops
    edges: dict[str, list[str]] = {}
    for (place, edge), matrix in matrices.items():
        for op in set(without_variance(matrix, ops)) & set(correlations.measured[place, edge]):
            edges.setdefault(op, []).append(f"{place}-{edge}")
    return [
        f"{op} had no variance on {len(where)} of {len(matrices)} edges ({', '.join(where[:5])}), "
        "and is a group of its own where groups are made there"
        for op, where in sorted(edges.items())
    ]
