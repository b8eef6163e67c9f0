"""A rank study as a kind of run."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from fade_ray.ranks.rank_config import RankStudyConfig, StudyConfig
from fade_ray.ranks.rank_page import rank_page
from fade_ray.ranks.rank_records import RankHistory, of_table, rank_runs, trained_alone, truth_part
from fade_ray.ranks.rank_summary import RankFindings
from fade_ray.ranks.rank_trials import RankJob, RankTrial, check_sample, search
from fade_ray.ranks.rank_verdict import in_words
from fade_ray.records.measures import Measure
from fade_ray.records.run_files import Run
from fade_ray.report.page import write_page
from fade_ray.run.folder import write_json
from fade_ray.run.forecast import Planned
from fade_ray.run.grid_progress import GridProgress
from fade_ray.run.inputs import IMAGES
from fade_ray.run.run_of_trials import RunOfTrials, Trials, check_run
from fade_ray.run.tensorboard import ROWS
from fade_ray.run.watcher import Watcher
from fade_ray.training.objective_check import images_for
from fade_ray.training.old_configs import upgraded_training
from searchers import Outcome
from spaces.nasbench_macro import MacroTable

Ran = Run[RankStudyConfig, RankHistory]


class RankStudyRun(RunOfTrials[RankStudyConfig, RankHistory], name="rank-study"):
    """Hold the ranks of hyper-architectures against architectures of theirs trained alone.

    A hyper-architecture is trained in each setting with each seed, then a sample of its
    architectures alone, stratified over the predicted rank. `--out DIR` continues the unfinished
    study in DIR, with its flags, or one that has ended with further --settings.
    """

    example = "fade-ray rank-study --settings default marginal --seeds 0 1 2"
    summary = "ranks.json"
    inputs = (*IMAGES, "study.table")
    config, history = RankStudyConfig, RankHistory
    board = ROWS

    def upgrade(self, values: dict[str, Any]) -> dict[str, Any]:
        return {**values, "train": upgraded_training(values.get("train", {}))}

    def grows(self, before: RankStudyConfig, now: RankStudyConfig) -> bool:
        """Whether settings were added behind the old ones, whose trainings and sample stay."""
        known = before.study.settings
        rest = {name: getattr(before, name) for name in ("run", "out", "name")}
        same = replace(now, study=replace(now.study, settings=known), **rest)
        return now.study.settings[: len(known)] == known and same == before

    def prepare(self, config: RankStudyConfig) -> Trials[Any]:
        check_run(config.run, config.train.precision)
        config.check_ranks()
        study, hyper = config.study, config.hyper
        if study.table is None:
            check_sample(hyper.size, study.sample)
        else:
            MacroTable.read(Path(study.table).expanduser())
        splits = images_for(config.train.objective, config.data)
        if study.table is None:
            config.space.check(config.network, splits)
        return Trials(search(study, hyper), RankJob(config), splits)

    def watchers(
        self, config: RankStudyConfig, prepared: Trials[Any], history: RankHistory
    ) -> list[Watcher]:
        told = self.forecast(config, history), history.active
        line = partial(_line, measure=config.train.objective.measure)
        return [GridProgress(_trainings(config.study), line, *told)]

    def finish(self, run: Ran) -> list[str]:
        """ranks.json and the report; the verdict in words."""
        study, history = run.config.study, run.history
        hyper = run.config.hyper
        table = None if study.table is None else MacroTable.read(Path(study.table).expanduser())
        score = run.config.train.objective.measure
        alone = trained_alone(history, hyper, score) if table is None else of_table(table)
        truth = truth_part(history, score) if table is None else "table"
        runs = rank_runs(history, study.settings, score)
        findings = RankFindings.of(hyper, runs, alone, truth, table)
        verdict = in_words(findings)
        write_json(run.folder / "ranks.json", findings.as_json() | {"verdict": verdict})
        write_page(rank_page(run, findings, verdict), run.folder)
        return verdict

    def coming(self, config: RankStudyConfig) -> dict[str, Planned]:
        study = config.study
        hypers = len(study.settings) * len(study.seeds)
        alone = _trainings(study) - hypers
        return {
            "ranks": Planned(hypers, hypers * study.rank_epochs),
            "evaluation": Planned(alone, alone * study.alone_epochs, True),
        }

    def reached(self, run: Ran) -> str:
        done, total = len(run.history.outcomes), _trainings(run.config.study)
        return f"{done} of {total} trainings of a rank study on {run.config.data.data}"

    def tell(self, run: Ran, console: Console) -> None:
        for sentence in run.made:
            console.print(sentence, soft_wrap=True)


def _trainings(study: StudyConfig) -> int:
    alone = 0 if study.table else study.sample * study.repeats
    return len(study.settings) * len(study.seeds) + alone


def _line(trial: RankTrial, outcome: Outcome, metrics: Mapping[str, Any], measure: Measure) -> str:
    ranked = outcome.log_weights is not None
    score = measure.score(metrics, "hyper") if ranked else outcome.score
    result = "failed" if score is None else f"{measure.name} {measure.plain(score):.3f}"
    return f"{trial.id}: {result}, {metrics.get('seconds', 0):.0f} s"
