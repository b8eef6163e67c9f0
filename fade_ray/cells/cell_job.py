"""The trials of a run of cell searches: the sorts there are, in which stages they follow."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from fade_ray.cells.cell_trial import CellSearch
from fade_ray.cells.cells_config import CellPlan, CellsConfig
from fade_ray.cells.confusion_plan import ConfusionPlan
from fade_ray.cells.confusion_trial import begin_matching
from fade_ray.cells.depth_matching import at_matched_depths, depth_search, matched
from fade_ray.cells.retrainings import RetrainPlan, begin_retraining, retrainings
from fade_ray.data import Splits
from fade_ray.trials.job import Event, checkpoint_path
from fade_ray.trials.trainee import Trainee, lifecycle
from searchers.grid import GridSearch
from searchers.outcome import Outcome
from searchers.staged import Staged, StagedSearch


class Sort(NamedTuple):
    """A sort of trial: the class of its plans, and what is trained by one of them."""

    plan: type[Any]
    begin: Callable[[Any, Splits, Any, Path], Trainee]


def begin_search(plan: CellPlan, splits: Splits, config: CellsConfig, folder: Path) -> CellSearch:
    """At the depth that was found for its first stage, where one was."""
    grid = config.grid if plan.cells is None else replace(config.grid, cells=plan.cells)
    return CellSearch(plan, splits, replace(config, grid=grid), folder)


SORTS: dict[str, Sort] = {
    ConfusionPlan.sort: Sort(ConfusionPlan, begin_matching),
    CellPlan.sort: Sort(CellPlan, begin_search),
    RetrainPlan.sort: Sort(RetrainPlan, begin_retraining),
}
"""By the `sort` of a plan, a search where its record says none."""


class AnyPlan:
    """The plans of all sorts, as the record has them."""

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Any:
        """Of the class that its sort has. Raises KeyError for an unknown one."""
        return SORTS[data.get("sort", CellPlan.sort)].plan.from_dict(data)


@dataclass(frozen=True)
class CellJob:
    """The trials of one `fade-ray cells`. Event 0 is the state before the first step."""

    config: CellsConfig
    sorts: Mapping[str, Sort] = field(default_factory=lambda: SORTS)

    def run(self, plan: Mapping[str, Any], data: Splits, folder: Path) -> Iterator[Event]:
        """See `fade_ray.trials.job.Job`."""
        planned = AnyPlan.from_dict(plan)
        return lifecycle(
            lambda: self.sorts[planned.sort].begin(planned, data, self.config, folder),
            checkpoint_path(folder, planned.id),
            threads=self.config.run.cpus_per_trial,
            steps=self.config.run.checkpoint_steps,
        )


Found = Mapping[str, Outcome]
Stages = Sequence[Callable[[Any, Found], Staged[Any] | None]]
STAGES: Stages = (
    lambda config, outcomes: grid(at_matched_depths(config, outcomes)),
    lambda config, outcomes: grid(retrainings(config, outcomes)),
)
"""Which trials a run consists of, one stage after the other, each by what those before it found."""


def staged(config: Any, stages: Stages) -> StagedSearch[Any]:
    """All stages of a run."""
    return StagedSearch([partial(stage, config) for stage in stages])


def cell_stages(config: CellsConfig) -> Stages:
    """Before STAGES one for each depth that is matched."""
    return [*(partial(_depth, *pair) for pair in matched(config)), *STAGES]


def _depth(name: str, space: str, config: CellsConfig, outcomes: Found) -> Staged[Any]:
    return depth_search(config, name, space)


def grid(plans: list[Any]) -> GridSearch[Any] | None:
    """A trial that fails would fail again by its seed; one whose process dies is restarted by the
    engine.
    """
    return GridSearch(plans, lambda plan: plan, 0) if plans else None
