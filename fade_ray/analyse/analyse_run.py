"""A gradient study as a kind of run."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from fade_ray.analyse.gradient_config import GradientStudy, Setting, upgrade
from fade_ray.analyse.gradient_page import gradient_page
from fade_ray.analyse.gradient_study import GradientJob, MeasuredPlan, check_images, plans
from fade_ray.analyse.gradient_summary import Measured, in_words, measured, summary
from fade_ray.data.data_config import load_images
from fade_ray.records.history import TrialHistory
from fade_ray.records.journal import Event
from fade_ray.records.json_form import from_json
from fade_ray.records.run_files import Run, read_object
from fade_ray.report.page import write_page
from fade_ray.run.folder import write_json
from fade_ray.run.grid_progress import GridProgress
from fade_ray.run.run_of_trials import RunOfTrials, Trials, check_device
from fade_ray.run.watcher import Watcher
from searchers import Outcome
from searchers.grid import GridSearch
from spaces.errors import InvalidInput


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


class GradientsRun(RunOfTrials[GradientStudy, GradientHistory], name="analyse gradients"):
    """Measure what the architecture gradient of a cell search consists of, on NAS-Bench-201.

    Searches with a network of your size, bilevel and single-level, and what single-level DARTS
    explains the skip-connect collapse with: the architecture weights (its Fig. 1), the gradient
    correlation of eq. 13 (Fig. 2) and dL/dp of every operation (Figs. 3 to 9). `--out DIR`
    continues the study in DIR, also with other --seeds, --update, --relaxation, --learning-rate.
    """

    example = "fade-ray analyse gradients --data cifar10 --epochs 20 --seeds 0 1 2"
    summary = "summary.json"
    config, history = GradientStudy, GradientHistory

    def upgrade(self, values: dict[str, Any]) -> dict[str, Any]:
        return upgrade(values)

    def stored(self, folder: Path) -> GradientStudy | None:
        """Also of a study from before it was a kind of run, which has another file."""
        old = read_object(folder / "study.json")
        if old and not (folder / "config.json").exists():
            values = {name: value for name, value in old["study"].items() if name != "kind"}
            return from_json(GradientStudy, upgrade(values))
        return super().stored(folder)

    def read_record(self, folder: Path) -> GradientHistory:
        history, study = super().read_record(folder), self.stored(folder)
        if study is not None:
            history.end_old(study.epochs)
        return history

    def grows(self, before: GradientStudy, now: GradientStudy) -> bool:
        """Each search has records of its own: others may be added, and some left out."""
        free = ("update", "relaxation", "learning_rate", "seeds", "run", "out", "name")
        return replace(now, **{name: getattr(before, name) for name in free}) == before

    def prepare(self, config: GradientStudy) -> Trials[GridSearch[MeasuredPlan]]:
        check_device(config.run, "fp32")
        splits = load_images(config.data)
        check_images(config, splits)
        return Trials(GridSearch(plans(config), lambda plan: plan, 0), GradientJob(config), splits)

    def watchers(
        self, config: GradientStudy, prepared: Trials[Any], history: GradientHistory
    ) -> list[Watcher]:
        return [GridProgress(len(plans(config)), _line)]

    def deliver(self, prepared: Trials[Any], run: Ran) -> Mapping[str, Any]:
        if not _measured(run):
            raise InvalidInput(
                "A study needs a search that ends, but none did (see "
                f"{run.folder / 'records.jsonl'}). Lower --learning-rate."
            )
        return run.result

    def finish(self, run: Ran) -> list[Measured]:
        study = _measured(run)
        write_json(run.folder / "summary.json", summary(study))
        write_page(gradient_page(run, study), run.folder)
        return study

    def reached(self, run: Ran) -> str:
        done, total = len(run.history.outcomes), len(plans(run.config))
        return f"{done} of {total} searches of a gradient study on {run.config.data.data}"

    def tell(self, run: Ran, console: Console) -> None:
        console.print(f"\n{in_words(run.made)}\n", soft_wrap=True, markup=False)


def _measured(run: Ran) -> list[Measured]:
    searches = {
        (plan.setting, plan.seed): run.history.epochs.get(id, {})
        for id, plan in run.history.proposals.items()
    }
    return measured(searches, run.config.epochs)


def _line(plan: MeasuredPlan, outcome: Outcome, metrics: Mapping[str, Any]) -> str:
    if outcome.failure is not None:
        return f"{plan.kind}: failed"
    return f"{plan.kind}: {metrics['parameter_free_share']:.0%} free of parameters"
