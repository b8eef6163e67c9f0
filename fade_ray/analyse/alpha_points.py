"""The points of a study of alpha, from its record: weight and accuracy of operations on edges."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import pyarrow as pa

from fade_ray.analyse.alpha_config import AlphaStudy
from fade_ray.analyse.alpha_trials import LOOKED_UP, WEIGHTS, neighbours
from fade_ray.cells.cell_trials import CellHistory
from fade_ray.cells.cells_config import CellPlan
from fade_ray.cells.retrainings import RetrainPlan


@dataclass(frozen=True)
class Point:
    """An operation on an edge of what a search found."""

    space: str
    recipe: str
    seed: int
    stage: int
    """Of the search, from 0: the one at whose end the weight is taken."""
    edge: str
    op: str
    chosen: bool
    """Whether it is the one that was found."""
    weight: float
    """That the search network mixed with, of all operations of that stage."""
    truth: str
    """A setting of retraining, or a column of a table."""
    accuracy: float
    """Of the network of the genotype with it, in shares of 1; mean over `trainings`."""
    trainings: int
    """How many accuracies were averaged; 0 for those of a table."""
    parameters: int
    """Of that network."""


class Known:
    """What is known of networks by space, notation and truth: accuracies, and their weights."""

    def __init__(self, history: CellHistory) -> None:
        self.accuracies = defaultdict[tuple[str, str, str], list[float]](list)
        self.parameters: dict[tuple[str, str, str], int] = {}
        self.looked_up = set[str]()
        for plan in history.plans(RetrainPlan):
            metrics = history.metrics.get(plan.id, {})
            if "test_accuracy" in metrics:
                self._add(
                    (plan.space, plan.genotype, plan.setting),
                    metrics["test_accuracy"],
                    metrics["parameters"],
                )
        for search in history.plans(CellPlan):
            for notation, record in history.metrics.get(search.id, {}).get("looked_up", {}).items():
                for truth in LOOKED_UP:
                    key = (search.space, notation, truth)
                    if key not in self.parameters:
                        self._add(key, record[truth] / 100, int(record[WEIGHTS]))
                    self.looked_up.add(truth)

    def _add(self, key: tuple[str, str, str], accuracy: float, parameters: int) -> None:
        self.accuracies[key].append(accuracy)
        self.parameters[key] = parameters


def points(history: CellHistory, study: AlphaStudy) -> list[Point]:
    """All that are known by now, in the order of searches, stages, edges and operations."""
    known = Known(history)
    return [
        point
        for plan in history.plans(CellPlan)
        if plan.id in history.outcomes and history.outcomes[plan.id].found is not None
        for point in _of_search(plan, history, study, known)
    ]


def _of_search(
    plan: CellPlan, history: CellHistory, study: AlphaStudy, known: Known
) -> Iterator[Point]:
    space, found = study.macro(plan.space), str(history.outcomes[plan.id].found)
    truths = LOOKED_UP if study.looked_up(plan.space) else tuple(study.settings(plan.space))
    for stage, weights in last_weights(history.epochs[plan.id]).items():
        for edge in study.edges(plan.space):
            kind, name = edge.split(":")
            cell = space.cells[kind]
            row = weights[kind][cell.edge_names.index(name)]
            for op, macro in neighbours(found, space, edge).items():
                weight, notation = float(row[cell.ops.index(op)]), macro.notation
                if weight == 0:  # no part of that stage
                    continue
                for truth in truths:
                    key = (plan.space, notation, truth)
                    if key in known.parameters:
                        yield Point(
                            *(plan.space, plan.recipe, plan.seed, stage, edge, op),
                            notation == found,
                            weight,
                            truth,
                            fmean(known.accuracies[key]),
                            0 if truth in known.looked_up else len(known.accuracies[key]),
                            known.parameters[key],
                        )


def last_weights(epochs: Mapping[int, Mapping[str, Any]]) -> dict[int, Mapping[str, Any]]:
    """Stage -> the weights {kind: [E][O]} at its end; of several searches at lower learning rates
    the last. Of cells that are only drawn those of the start.
    """
    return {metrics["stage"]: metrics["weights"] for _, metrics in sorted(epochs.items())}


def dropped(history: CellHistory, study: AlphaStudy) -> list[str]:
    """The edges asked for that a search has not kept, in words."""
    told = []
    for plan in history.plans(CellPlan):
        outcome = history.outcomes.get(plan.id)
        if outcome is None or outcome.found is None or not study.swaps.edges:
            continue
        space = study.macro(plan.space)
        gone = [e for e in study.edges(plan.space) if not neighbours(outcome.found, space, e)]
        if gone:
            told.append(f"{plan.kind} has not kept {', '.join(gone)}")
    return told


def as_table(points: Sequence[Point]) -> pa.Table:
    """A row per point."""
    return pa.Table.from_pylist([vars(point) for point in points])
