"""A study of gradient confusion as a kind of run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from fade_ray.analyse.confusion_config import ConfusionStudy
from fade_ray.analyse.confusion_page import COLUMNS, sections
from fade_ray.analyse.confusion_summary import Network, as_table, findings, networks, summary
from fade_ray.analyse.study_run import StudyRun
from fade_ray.cells.confusion_plan import ConfusionPlan
from fade_ray.cells.confusion_trial import MEASURE, ConfusionJob, check_networks
from fade_ray.data.data_config import load_images
from fade_ray.records.additions import joined
from fade_ray.records.history import TrialHistory
from fade_ray.records.run_files import Run
from fade_ray.report.page import Section
from fade_ray.report.words import DASH, si
from fade_ray.retrain.origin import find_genotype
from fade_ray.run.kind import Asked
from fade_ray.run.run_of_trials import Trials, check_run
from fade_ray.run.text_table import text_table
from searchers import Outcome
from searchers.grid import GridSearch


class ConfusionHistory(TrialHistory[ConfusionPlan]):
    """What the record of a study of gradient confusion says."""

    plan = ConfusionPlan


@dataclass(frozen=True)
class Chosen:
    """Which genotype the final network has."""

    trial: str | None = None
    """A trial of a run of `fade-ray cells`; by default the one with the best proxy accuracy."""


Ran = Run[ConfusionStudy, ConfusionHistory]


class ConfusionRun(StudyRun[ConfusionStudy, ConfusionHistory], name="analyse confusion"):
    """Measure how gradient confusion and skip-connects depend on the depth of a search network.

    Search networks of every depth, width and seed are trained and measured, and beside them the
    final network: SOURCE, as in `fade-ray retrain` (the run directory of a `fade-ray cells`, a
    genotype file, or a published name); without one, genotypes drawn from the space. Of equal
    confusion per million parameters are networks that are about as hard to train (StacNAS 3.4.2).
    `--out DIR` continues the study in DIR, also with other --cells, --channels, --seeds.
    """

    example = "fade-ray analyse confusion DARTS_V2 --data cifar10 --cells 5 8 14 20 --epochs 10"
    title, what = "Gradient confusion", "trainings of a study of confusion"
    free = ("cells", "channels", "seeds", "final")
    config, history = ConfusionStudy, ConfusionHistory
    source = "SOURCE"
    options = Chosen

    def base(self, asked: Asked) -> ConfusionStudy | None:
        base = super().base(asked)
        if base is None or asked.source is None:
            return base
        origin = find_genotype(asked.source, asked.options.trial)
        use = joined(origin.use, base.use)
        return replace(base, genotype=origin.macro, data=origin.data or base.data, use=use)

    def prepare(self, config: ConfusionStudy) -> Trials[GridSearch[ConfusionPlan]]:
        check_run(config.run, config.train.precision)
        splits, job = load_images(config.data), job_of(config)
        check_networks(config.plans(), splits, job)
        return Trials(GridSearch(config.plans(), lambda plan: plan, 0), job, splits)

    def measured(self, run: Ran) -> list[Network]:
        history = run.history
        return networks(
            (plan, history.epochs[id], history.metrics[id])
            for id, plan in history.proposals.items()
            if id in history.outcomes and history.outcomes[id].failure is None
        )

    def summed(self, study: list[Network]) -> Mapping[str, Any]:
        return summary(study)

    def tables(self, study: list[Network]) -> Mapping[str, pa.Table]:
        return {"measurements": as_table(study)} if study else {}

    def sections(self, run: Ran, study: list[Network]) -> Iterable[Section]:
        return sections(study)

    def told(self, study: list[Network]) -> Iterable[Any]:
        rows = [[column.of(network) for column in COLUMNS] for network in study]
        shown = [k for k in range(len(COLUMNS)) if any(row[k] != DASH for row in rows)]
        heads = [COLUMNS[k].head for k in shown]
        yield text_table(heads, [[row[k] for k in shown] for row in rows], left=heads[:1])
        yield from findings(study)

    def line(self, plan: ConfusionPlan, outcome: Outcome, metrics: Mapping[str, Any]) -> str:
        if outcome.failure is not None:
            return super().line(plan, outcome, metrics)
        return f"{plan.kind}: confusion {si(outcome.measures[MEASURE])} per million parameters"


def job_of(config: ConfusionStudy) -> ConfusionJob:
    """The trials of a study; the size of a search network is that of its plan."""
    base = config.search_config(config.cells[0], config.channels[0])
    return ConfusionJob(base, config.network, config.protocol)
