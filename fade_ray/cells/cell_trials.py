"""The searches of a `fade-ray cells` run, each with everything that its files say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, TypeVar

from fade_ray.cells.cell_job import AnyPlan
from fade_ray.cells.cells_config import CellPlan
from fade_ray.cells.method_scores import scored
from fade_ray.records.history import TrialHistory
from fade_ray.records.journal import Event
from fade_ray.records.run_files import Ended, Run, read_object
from fade_ray.records.standings import TrialStanding
from fade_ray.report.trials import measure_of
from fade_ray.report.words import ACCURACY, Measure
from searchers.outcome import Outcome
from spaces.cell import CellSpace, Macro
from spaces.darts import SPACES
from spaces.genotype import load_cells

P = TypeVar("P")


class CellHistory(TrialHistory[Any]):
    """What the events of a run of cell searches say together."""

    plan = AnyPlan

    def _finish(self, event: Event) -> None:
        """Outcomes of earlier versions left what was found to the metrics."""
        super()._finish(event)
        id, outcome = event["id"], self.outcomes[event["id"]]
        genotype = self.metrics[id].get("genotype")
        self.outcomes[id] = replace(outcome, found=outcome.found or genotype)

    def plans(self, plan: type[P]) -> list[P]:
        """Those of one sort, in the order of their ids."""
        return [each for each in self.proposals.values() if isinstance(each, plan)]


CellRun = Run[Any, CellHistory]

SHARES = ("parameter_free_share", "skip_share")
SET_UP = {"setting": "small", "proxy_images": "held-out", "stages": 1}
"""What figures are to be read with, and its values in records that do not say it."""
FOUND = ("genotype", *SHARES, "proxy_accuracy", "discrete_accuracy")


@dataclass(frozen=True)
class Trial:
    """One search of the run, of all attempts at it the last. What is not there yet is empty.

    `epochs`: number, from 0 (before the first step), -> metrics; `macro`: what it found;
    `retrained`: its test accuracy trained from scratch, in the first setting of this run, else by
    `fade-ray retrain`.
    """

    plan: CellPlan
    epochs: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    outcome: Outcome | None = None
    macro: Macro | None = None
    retrained: float | None = None

    @classmethod
    def of(cls, run: CellRun, plan: CellPlan, retrained: float | None = None) -> "Trial":
        """Raises InvalidInput for a genotype, or the result of a retraining, that is none."""
        history, path = run.history, run.folder / "genotypes" / f"{plan.id}.json"
        alone = read_object(run.folder / "retrain" / plan.id / "result.json", Ended)
        score = measure_of(run.settings).score(alone, "test")
        trained = score if score is not None else alone.get("test_accuracy_last")
        return cls(
            plan,
            history.epochs.get(plan.id, {}),
            history.metrics.get(plan.id, {}),
            history.outcomes.get(plan.id),
            load_cells(path) if path.exists() else None,
            trained if retrained is None else retrained,
        )

    @property
    def name(self) -> str:
        """ "darts-1st on s3, seed 0"."""
        return f"{self.plan.recipe} on {self.plan.space}, seed {self.plan.seed}"

    @property
    def space(self) -> Macro | None:
        """What was searched, as published; None for a space that is not loaded."""
        return SPACES[self.plan.space].macro if self.plan.space in SPACES else None

    @property
    def done(self) -> bool:
        return self.outcome is not None and self.outcome.failure is None

    @property
    def state(self) -> str:
        """ "finished", "failed: ...", "3 of 50 epochs", with the stage where there are several."""
        if self.outcome is None:
            about = self.plan.id, self.plan.kind, self.epochs, self.plan.epochs
            return TrialStanding.of(*about, None, {}, None).reached
        early = f" early, after {max(self.epochs, default=0)} of {self.plan.epochs} epochs"
        ended = f"finished{early if self.metrics.get('ended_early') else ''}"
        return ended if self.done else f"failed: {self.outcome.failure}"

    @property
    def row(self) -> dict[str, Any]:
        """The line of cells.json: what is known by now."""
        plan, metrics, last = self.plan, self.metrics, max(self.epochs, default=0)
        now = {name: self.epochs.get(last, {}).get(name) for name in SHARES}
        waiting = f"epoch {last} of {plan.epochs}"
        state = waiting if self.outcome is None else "done" if self.done else self.state
        return {
            **{"id": plan.id, "method": plan.recipe, "space": plan.space, "seed": plan.seed},
            "state": state,
            **{name: self.epochs.get(0, {}).get(name, old) for name, old in SET_UP.items()},
            **{name: metrics.get(name, now.get(name)) for name in FOUND},
            "retrained_accuracy": self.retrained,
            **{name: metrics.get(name) for name in ("groups", "true", "device")},
            "device_seconds": metrics.get("seconds"),
            **{name: metrics.get(name) for name in ("peak_memory_mib", "searches")},
        }

    def cells(self, kind: str) -> list[CellSpace]:
        """A kind of cell as it was found, and as its space has it, with names of edges and ops."""
        macros = [macro for macro in (self.macro, self.space) if macro is not None]
        return [macro.cells[kind] for macro in macros if kind in macro.cells]

    def series(self, name: str) -> tuple[list[int], list[float]]:
        """The epochs that told `name`, and its values."""
        values = {epoch: metrics.get(name) for epoch, metrics in sorted(self.epochs.items())}
        known = {e: float(value) for e, value in values.items() if isinstance(value, int | float)}
        return list(known), list(known.values())

    @cached_property
    def stages(self) -> list[int]:
        """The epochs, from 1, with which a further stage or a search at a lower rate begins."""
        epochs = [(e, metrics) for e, metrics in sorted(self.epochs.items()) if e > 0]
        stages = [(e, (m.get("search", 0), m.get("stage", 0))) for e, m in epochs]
        return [epoch for (_, before), (epoch, now) in pairwise(stages) if before != now]


def best_row(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The search of best proxy accuracy, the first of equals; None where none has one. One on
    training images counts only where there is none on held-out images.
    """
    done = [row for row in rows if row.get("proxy_accuracy") is not None]
    held_out = [row for row in done if row.get("proxy_images") != "training"]
    return max(held_out or done, key=lambda row: float(row["proxy_accuracy"]), default=None)


def proxy_name(row: Mapping[str, Any], score: Measure = ACCURACY) -> str:
    """What the proxy of a search is called where its figure stands alone."""
    return f"proxy {score.name}" + " on training images" * (row.get("proxy_images") == "training")


def trials_of(run: CellRun) -> list[Trial]:
    """Every search in the order of the grid."""
    last = {plan.index: plan for plan in run.history.plans(CellPlan)}
    scores = scored(run.history)
    retrained = {s.trial: s.accuracy for s in scores if s.setting == scores[0].setting}
    return [Trial.of(run, plan, retrained.get(plan.id)) for _, plan in sorted(last.items())]
