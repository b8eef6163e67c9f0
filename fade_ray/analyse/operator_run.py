"""A study of how operations correlate as a kind of run."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from fade_ray.analyse.operator_config import OperatorStudy
from fade_ray.analyse.operator_figures import pictures
from fade_ray.analyse.operator_summary import (
    Measured,
    Pair,
    as_table,
    findings,
    groups_file,
    mean_text,
    pairs,
    summary,
)
from fade_ray.analyse.operator_trial import OperatorJob, OperatorPlan, plans
from fade_ray.analyse.study_run import StudyRun
from fade_ray.cells.cells_run import checked_images
from fade_ray.records.history import TrialHistory
from fade_ray.records.run_files import Run
from fade_ray.report.page import Column, Numbers, Section, Table, Verdict, figure
from fade_ray.report.words import DASH, number
from fade_ray.run.folder import write_json
from fade_ray.run.run_of_trials import Trials
from fade_ray.run.text_table import text_table
from searchers.grid import GridSearch

COLUMNS = (
    Column("pair", lambda pair: pair.name),
    Numbers("first edge", lambda pair: mean_text(pair.values["first"])),
    Numbers("before", lambda pair: mean_text(pair.before)),
    Numbers("all edges", lambda pair: mean_text(pair.values["mean"])),
    Numbers("published, S1", lambda pair: number(pair.published, signed=True)),
)
"""Of a pair of operations."""
NOTE = (
    "Mean ± standard deviation over the networks; first edge: of the first cell; before: the same "
    "before the first step; all edges: mean over them. Published: StacNAS of 2019, Table 5."
)


class OperatorHistory(TrialHistory[OperatorPlan]):
    """What the record of a study of operators says."""

    plan = OperatorPlan


Ran = Run[OperatorStudy, OperatorHistory]


class OperatorsRun(StudyRun[OperatorStudy, OperatorHistory], name="analyse operators"):
    """Measure how the outputs of operations correlate, and which groups they form.

    Trains the mixture of all operations of a space, once per seed, and streams images through it:
    the correlation of every pair on every edge, exactly, and by it groups of like operations
    (StacNAS, appendix A). `fade-ray cells --groups DIR/groups.json` searches by them. `--out DIR`
    continues the study in DIR, also with other --seeds, --cut and --matrix.
    """

    example = "fade-ray analyse operators --space s1 --data cifar10 --cells 8 --epochs 10"
    title, what = "Correlation of operations", "networks of a study of operators"
    free = ("seeds", "cut", "matrix")
    config, history = OperatorStudy, OperatorHistory

    def planned(self, config: OperatorStudy) -> Sequence[OperatorPlan]:
        return plans(config)

    def prepare(self, config: OperatorStudy) -> Trials[GridSearch[OperatorPlan]]:
        splits = checked_images(config.search_config)
        return Trials(GridSearch(plans(config), lambda plan: plan, 0), OperatorJob(config), splits)

    def measured(self, run: Ran) -> Measured | None:
        history = run.history
        ended = {
            plan.seed: (history.epochs[id][0], history.metrics[id])
            for id, plan in history.proposals.items()
            if id in history.outcomes and history.outcomes[id].failure is None
        }
        return Measured.of(run.config, ended)

    def finish(self, run: Ran) -> Measured | None:
        study: Measured | None = super().finish(run)
        if study is not None:
            write_json(run.folder / "groups.json", groups_file(study))
        return study

    def summed(self, study: Measured | None) -> Mapping[str, Any]:
        return summary(study)

    def tables(self, study: Measured | None) -> Mapping[str, pa.Table]:
        return {} if study is None else {"correlations": as_table(study)}

    def sections(self, run: Ran, study: Measured | None) -> Iterable[Section]:
        found, rows = ([], []) if study is None else (findings(study), pairs(study))
        if found:
            yield Section("Groups", [Verdict(found[0], found[1:])])
        shown = [c for c in COLUMNS if any(c.of(pair) != DASH for pair in rows)]
        table = Table.of("", shown, rows, note=NOTE, missing="None yet.", label="pairs")
        yield Section("Pairs of operations", [table])
        yield Section("Figures", [figure(picture) for picture in pictures(study)])

    def told(self, study: Measured) -> Iterable[Any]:
        rows: list[Pair] = pairs(study)
        shown = [c for c in COLUMNS if any(c.of(pair) != DASH for pair in rows)]
        heads = [column.head for column in shown]
        yield text_table(heads, [[c.of(pair) for c in shown] for pair in rows], left=heads[:1])
        yield NOTE
        yield from findings(study)
