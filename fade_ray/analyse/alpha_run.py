"""A study of alpha as a kind of run."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import pyarrow as pa

from fade_ray.analyse.alpha_config import AlphaStudy
from fade_ray.analyse.alpha_page import sections
from fade_ray.analyse.alpha_points import Point, as_table, points
from fade_ray.analyse.alpha_summary import Finding, findings, in_words, summary
from fade_ray.analyse.alpha_trials import alpha_job, alpha_search, swaps
from fade_ray.analyse.study_run import StudyRun
from fade_ray.cells.cell_trials import CellHistory
from fade_ray.cells.cell_watchers import CellProgress, ended
from fade_ray.cells.cells_config import CellPlan
from fade_ray.cells.cells_run import CELLS, checked_images
from fade_ray.cells.retrainings import RetrainPlan
from fade_ray.records.run_files import Run
from fade_ray.report.page import Section
from fade_ray.run.run_of_trials import Trials
from fade_ray.run.watcher import Watcher
from searchers.staged import StagedSearch

Ran = Run[AlphaStudy, CellHistory]


class Studied(NamedTuple):
    """What a study has by now."""

    points: list[Point]
    findings: list[Finding]

    def __bool__(self) -> bool:
        return bool(self.points)


class AlphaRun(StudyRun[AlphaStudy, CellHistory], name="analyse alpha"):
    """Measure how well the weights of a cell search order its operations.

    Searches, and takes in what each found an edge: with every operation that may stand there the
    network is trained from scratch, or, on NAS-Bench-201 with --table, looked up. Correlations of
    weight and accuracy (StacNAS, Fig. 5), with what chance and the number of parameters give.
    `--out DIR` continues the study in DIR, also with further --seeds and --retrain-seeds.
    """

    example = "fade-ray analyse alpha --spaces nasbench201 --table nasbench201.parquet"
    title = "Weights and accuracies"
    needs = "a search and accuracies of its operations"
    remedy = "Lower --learning-rate, or name other --edges."
    config, history = AlphaStudy, CellHistory
    inputs = CELLS.inputs

    def grows(self, before: AlphaStudy, now: AlphaStudy) -> bool:
        return CELLS.grows(before, now)

    def prepare(self, config: AlphaStudy) -> Trials[StagedSearch[Any]]:
        return Trials(alpha_search(config), alpha_job(config), checked_images(config))

    def watchers(
        self, config: AlphaStudy, prepared: Trials[Any], history: CellHistory
    ) -> list[Watcher]:
        told = self.forecast(config, history), history.active
        return [CellProgress(sum(planned(config, history).values()), ended, *told)]

    def measured(self, run: Ran) -> Studied:
        known = points(run.history, run.config)
        return Studied(known, findings(known))

    def summed(self, study: Studied) -> Mapping[str, Any]:
        return summary(*study)

    def sections(self, run: Ran, study: Studied) -> Iterable[Section]:
        return sections(run, *study)

    def tables(self, study: Studied) -> Mapping[str, pa.Table]:
        return {"points": as_table(study.points)}

    def told(self, study: Studied) -> Iterable[Any]:
        return [in_words(study.findings)]

    def reached(self, run: Ran) -> str:
        ended = [run.history.proposals[id].sort for id in run.history.outcomes]
        parts = [
            f"{ended.count(sort)} of {total} {words}"
            for (sort, total), words in zip(
                planned(run.config, run.history).items(), ("searches", "retrainings"), strict=True
            )
        ]
        return f"{' and '.join(parts)} of a study of alpha on {run.config.data.data}"

    def best(self, run: Ran) -> str:
        return CELLS.best(run)


def planned(study: AlphaStudy, history: CellHistory) -> dict[str, int]:
    """How many trials of each sort there are; of retrainings, while a search goes on, so far."""
    searches = study.plans()
    whole = all(plan.id in history.outcomes for plan in searches)
    trained = len(swaps(study, history.outcomes)) if whole else len(history.plans(RetrainPlan))
    return {CellPlan.sort: len(searches), RetrainPlan.sort: trained}
