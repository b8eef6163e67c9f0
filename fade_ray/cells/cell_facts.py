"""What the files of a `fade-ray cells` run say: its trials, and the tables of its report."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from fade_ray.cells.cell_history import CellHistory
from fade_ray.cells.cells_config import CellPlan
from fade_ray.report.words import count, duration, percent
from fade_ray.search.search_facts import Row, moment, read_object
from searchers.outcome import Failure
from spaces.cell import CellSpace, Macro
from spaces.darts import SPACES
from spaces.errors import InvalidInput


@dataclass(frozen=True)
class Trial:
    """One search of the run, of all attempts at it the last. What is not there yet is empty.

    `epochs`: number, from 0 (before the first step), -> metrics; `row`: its line of cells.json;
    `macro`: what it found.
    """

    plan: CellPlan
    epochs: dict[int, dict[str, Any]] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    failure: Failure | None = None
    finished: bool = False
    macro: Macro | None = None
    row: dict[str, Any] = field(default_factory=dict)
    retrained: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """ "darts-1st on s3, seed 0"."""
        return f"{self.plan.recipe} on {self.plan.space}, seed {self.plan.seed}"

    @property
    def state(self) -> str:
        if self.failure is not None:
            return f"failed: {self.failure}"
        return (
            "finished"
            if self.finished
            else f"{max(self.epochs, default=0)} of {self.plan.epochs} epochs"
        )

    def known(self, name: str) -> Any:
        """A figure of the finished trial, from cells.json or from the record; None where there is
        none.
        """
        value = self.row.get(name)
        return self.metrics.get(name) if value is None else value

    @property
    def retrained_accuracy(self) -> float | None:
        """On the test images, after the last epoch of the retraining."""
        told = self.row.get("retrained_accuracy")
        return self.retrained.get("test_accuracy_last") if told is None else told

    def cells(self, kind: str) -> list[CellSpace]:
        """A kind of cell as it was found, and as its space has it: what names edges and operations."""
        published = SPACES[self.plan.space].macro if self.plan.space in SPACES else None
        return [
            macro.cells[kind]
            for macro in (self.macro, published)
            if macro is not None and kind in macro.cells
        ]

    def series(self, name: str) -> tuple[list[int], list[float]]:
        """The epochs that told `name`, and its values."""
        told = {epoch: metrics.get(name) for epoch, metrics in sorted(self.epochs.items())}
        known = {
            epoch: float(value) for epoch, value in told.items() if isinstance(value, int | float)
        }
        return list(known), list(known.values())

    @property
    def stages(self) -> list[int]:
        """The epochs, from 1, with which a further stage or a search at a lower rate begins."""
        told = [
            (epoch, m.get("search", 0), m.get("stage", 0))
            for epoch, m in sorted(self.epochs.items())
            if epoch > 0
        ]
        return [b[0] for a, b in pairwise(told) if a[1:] != b[1:]]


@dataclass(frozen=True)
class CellRun:
    """The files of a run directory. What is not there yet is empty."""

    folder: Path
    history: CellHistory
    config: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> "CellRun":
        """Read a run directory. Raises InvalidInput: no `records.jsonl`, or a file that does not
        hold what it should.
        """
        history = CellHistory.read(folder / "records.jsonl")
        files = (
            read_object(folder / name) for name in ("config.json", "environment.json", "cells.json")
        )
        config, environment, table = files
        rows = {
            str(row.get("id")): row for row in table.get("trials") or [] if isinstance(row, dict)
        }
        return cls(folder, history, config, environment, rows)

    @cached_property
    def trials(self) -> list[Trial]:
        """Every search in the order of the grid."""
        last = {plan.index: plan for plan in self.history.proposals.values()}
        return [self._trial(plan) for _, plan in sorted(last.items())]

    def _trial(self, plan: CellPlan) -> Trial:
        outcome = self.history.outcomes.get(plan.id)
        path = self.folder / "genotypes" / f"{plan.id}.json"
        return Trial(
            plan,
            self.history.epochs.get(plan.id, {}),
            self.history.metrics.get(plan.id, {}),
            None if outcome is None else outcome.failure,
            outcome is not None,
            _macro(path) if path.exists() else None,
            self.rows.get(plan.id, {}),
            read_object(self.folder / "retrain" / plan.id / "result.json"),
        )


def _macro(path: Path) -> Macro:
    try:
        return Macro.from_dict(json.loads(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"A genotype of a run must be readable, but {path} is not: {error}. Restore it, or move it away."
        ) from error


HEAD = (
    *(
        "trial",
        "method",
        "space",
        "seed",
        "state",
        "free of parameters",
        "proxy accuracy",
        "as genotype",
        "retrained",
    ),
    *("device time", "peak MiB", "true: C10 / C100 / IN16 (%)"),
)
NUMBERS = (3, 5, 6, 7, 8, 9, 10)
"""The columns of the table of trials, and which of them hold numbers."""


def trial_table(trials: list[Trial]) -> list[Row]:
    """One line per search, as in `HEAD`."""
    return [
        (
            trial.plan.id,
            trial.plan.recipe,
            trial.plan.space,
            str(trial.plan.seed),
            trial.state,
            _share(trial.known("parameter_free_share"), 0),
            _share(trial.known("proxy_accuracy")),
            _share(trial.known("discrete_accuracy")),
            _share(trial.retrained_accuracy),
            "–"
            if trial.known("device_seconds") is None and not trial.finished
            else duration(_seconds(trial)),
            "–"
            if trial.known("peak_memory_mib") is None
            else f"{trial.known('peak_memory_mib'):,.0f}",
            _true(trial.known("true")),
        )
        for trial in trials
    ]


def _seconds(trial: Trial) -> float | None:
    found: float | None = trial.known("device_seconds")
    return trial.metrics.get("seconds") if found is None else found


def _share(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else percent(value, digits)


TRUE = ("c10_test_200", "c100_test_200", "in16_test_200")
"""Columns of the NAS-Bench-201 table that the page shows, in percent: CIFAR-10, CIFAR-100,
ImageNet16-120.
"""


def _true(values: Mapping[str, Any] | None) -> str:
    if not values:
        return "–"
    return " / ".join(
        "–" if values.get(column) is None else f"{values[column]:.2f}" for column in TRUE
    )


def genotype_table(trials: list[Trial]) -> list[Row]:
    """(trial, genotype on one line) of the finished searches."""
    return [
        (trial.plan.id, str(trial.known("genotype"))) for trial in trials if trial.known("genotype")
    ]


def state(run: CellRun) -> tuple[str, str]:
    """A word and a sentence on how far the run came."""
    history = run.history
    if not history.started:
        return "empty", "Nothing was recorded yet."
    done = sum(trial.finished and trial.failure is None for trial in run.trials)
    told = f"{done} of {count(len(run.trials), 'search', 'searches')} done. Started {moment(history.started)}, "
    again = f" It was continued {count(history.resumed, 'time')}." if history.resumed else ""
    if history.ended:
        return "finished", f"{told}ended {moment(history.last)}.{again}"
    return (
        "unfinished",
        f"{told}last record {moment(history.last)}.{again} All figures show what was done until then.",
    )


def continuation(run: CellRun) -> str | None:
    """The command that goes on with an unfinished run; None for one that ended."""
    return None if run.history.ended else f"fade-ray cells --out {shlex.quote(str(run.folder))}"


def grid_text(trials: list[Trial]) -> str:
    """ "Methods darts-1st, gdas; spaces s3; seeds 0, 1."; nothing where there is no trial."""
    names = ("recipe", "space", "seed")
    parts = [
        list(dict.fromkeys(str(getattr(trial.plan, name)) for trial in trials)) for name in names
    ]
    words = zip(("method", "space", "seed"), parts, strict=True)
    told = "; ".join(
        f"{word}{'s' if len(part) > 1 else ''} {', '.join(part)}" for word, part in words
    )
    return f"{told[0].upper()}{told[1:]}." if trials else ""
