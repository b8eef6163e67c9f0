"""A gradient study as a kind of run."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fade_ray.analyse.gradient_config import GradientStudy, Setting, upgrade
from fade_ray.analyse.gradient_page import sections
from fade_ray.analyse.gradient_study import GradientJob, MeasuredPlan, check_images, plans
from fade_ray.analyse.gradient_summary import Measured, in_words, measured, summary
from fade_ray.analyse.study_run import StudyRun
from fade_ray.data.data_config import load_images
from fade_ray.records.history import TrialHistory
from fade_ray.records.journal import Event
from fade_ray.records.json_form import from_json
from fade_ray.records.run_files import Run, read_object
from fade_ray.report.page import Section
from fade_ray.run.inputs import placed
from fade_ray.run.run_of_trials import Trials, check_run
from searchers import Outcome
from searchers.grid import GridSearch


class GradientHistory(TrialHistory[MeasuredPlan]):
    """What the record of a gradient study says, also of one from before it was a kind of run."""

    plan = MeasuredPlan

    def _take(self, event: Event) -> None:
        if "search" in event:
            self._take_old(event)
        else:
            super()._take(event)

    def _take_old(self, event: Event) -> None:
        """Epochs and failures that say themselves which search they are of, without its plan."""
        id = event["search"]
        setting = Setting(event["learning_rate"], event["relaxation"], event["update"])
        self.proposals.setdefault(id, MeasuredPlan(id, 0, setting, event["seed"], OLD))
        if event["event"] == "failed":
            self.outcomes[id] = Outcome.failed("diverged", event["reason"])
        else:
            self.epochs.setdefault(id, {})[event["epoch"]] = event

    def end_old(self, epochs: int) -> None:
        """Old searches that are whole have ended, which their record does not say."""
        for id, plan in self.proposals.items():
            if plan.epochs == OLD and len(self.epochs.get(id, {})) == epochs + 1:
                self.outcomes.setdefault(id, Outcome())


OLD = 0
"""The planned epochs of a search whose record does not tell them."""
Ran = Run[GradientStudy, GradientHistory]


class GradientsRun(StudyRun[GradientStudy, GradientHistory], name="analyse gradients"):
    """Measure what the architecture gradient of a cell search consists of, on NAS-Bench-201.

    Searches with a network of your size, bilevel and single-level, and what single-level DARTS
    explains the skip-connect collapse with: the architecture weights (its Fig. 1), the gradient
    correlation of eq. 13 (Fig. 2) and dL/dp of every operation (Figs. 3 to 9). `--out DIR`
    continues the study in DIR, also with other --seeds, --update, --relaxation, --learning-rate.
    """

    example = "fade-ray analyse gradients --data cifar10 --epochs 20 --seeds 0 1 2"
    title, what = "Gradient study", "searches of a gradient study"
    free = ("update", "relaxation", "learning_rate", "seeds")
    config, history = GradientStudy, GradientHistory

    def upgrade(self, values: dict[str, Any]) -> dict[str, Any]:
        return upgrade(values)

    def stored(self, folder: Path) -> GradientStudy | None:
        """Also of a study from before it was a kind of run, which has another file."""
        old = read_object(folder / "study.json")
        if old and not (folder / "config.json").exists():
            values = {name: value for name, value in old["study"].items() if name != "kind"}
            return placed(from_json(GradientStudy, upgrade(values)), self.inputs)
        return super().stored(folder)

    def read_record(self, folder: Path) -> GradientHistory:
        history, study = super().read_record(folder), self.stored(folder)
        if study is not None:
            history.end_old(study.epochs)
        return history

    def planned(self, config: GradientStudy) -> Sequence[MeasuredPlan]:
        return plans(config)

    def prepare(self, config: GradientStudy) -> Trials[GridSearch[MeasuredPlan]]:
        check_run(config.run, "fp32")
        splits = load_images(config.data)
        check_images(config, splits)
        return Trials(GridSearch(plans(config), lambda plan: plan, 0), GradientJob(config), splits)

    def measured(self, run: Ran) -> list[Measured]:
        searches = {
            (plan.setting, plan.seed): run.history.epochs.get(id, {})
            for id, plan in run.history.proposals.items()
        }
        return measured(searches, run.config.epochs)

    def summed(self, study: list[Measured]) -> Mapping[str, Any]:
        return summary(study)

    def sections(self, run: Ran, study: list[Measured]) -> Iterable[Section]:
        return sections(study)

    def told(self, study: list[Measured]) -> Iterable[Any]:
        return [in_words(study)]

    def line(self, plan: MeasuredPlan, outcome: Outcome, metrics: Mapping[str, Any]) -> str:
        if outcome.failure is not None:
            return super().line(plan, outcome, metrics)
        return f"{plan.kind}: {metrics['parameter_free_share']:.0%} free of parameters"
