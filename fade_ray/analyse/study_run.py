"""What all measurements of searches have in common as kinds of run."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, ClassVar, Generic

import pyarrow as pa
from rich.console import Console

from fade_ray.records.run_files import Run
from fade_ray.report.page import Page, Section, write_page
from fade_ray.report.tables import write_tables
from fade_ray.report.trials import origin, state, warnings
from fade_ray.run.folder import write_json
from fade_ray.run.forecast import Planned, counted
from fade_ray.run.grid_progress import GridProgress
from fade_ray.run.run_of_trials import C, H, RunOfTrials
from fade_ray.run.watcher import Watcher
from searchers import Outcome
from spaces.errors import InvalidInput


class StudyRun(RunOfTrials[C, H], Generic[C, H]):
    """A kind of run whose trials record measurements; a summary, tables and a page are made of
    these. Each trial has records of its own, so that a study may go on with others added.
    """

    summary = "summary.json"
    title: ClassVar[str]
    """Of the page."""
    what: ClassVar[str]
    """Its trials: "searches of a gradient study"."""
    free: ClassVar[tuple[str, ...]]
    """Fields of the configuration that may differ when a study goes on."""
    needs: ClassVar[str] = "a training that ends"
    remedy: ClassVar[str] = "Lower --learning-rate."

    def planned(self, config: C) -> Sequence[Any]:
        """The plans of all trials."""
        return config.plans()  # type: ignore[attr-defined, no-any-return]

    @abstractmethod
    def measured(self, run: Run[C, H]) -> Any:
        """What the record has by now; false where that is nothing."""

    @abstractmethod
    def summed(self, study: Any) -> Mapping[str, Any]:
        """summary.json, of what was `measured`."""

    @abstractmethod
    def sections(self, run: Run[C, H], study: Any) -> Iterable[Section]:
        """What the page says of what was `measured`."""

    @abstractmethod
    def told(self, study: Any) -> Iterable[Any]:
        """What is printed at the end: text, or whatever else rich prints."""

    def line(self, plan: Any, outcome: Outcome, metrics: Mapping[str, Any]) -> str:
        """What is told of a trial that has ended."""
        return f"{plan.kind}: {'failed' if outcome.failure is not None else 'done'}"

    def tables(self, study: Any) -> Mapping[str, pa.Table]:
        """Parquet files in tables/."""
        return {}

    def grows(self, before: C, now: C) -> bool:
        free = (*self.free, "run", "out", "name")
        kept: Any = {name: getattr(before, name) for name in free}
        return bool(replace(now, **kept) == before)  # type: ignore[type-var]

    def watchers(self, config: C, prepared: Any, history: H) -> list[Watcher]:
        return [
            GridProgress(
                len(self.planned(config)),
                self.line,
                self.forecast(config, history),
                history.active,
            )
        ]

    def coming(self, config: C) -> Mapping[str, Planned]:
        return counted(self.planned(config))

    def deliver(self, prepared: Any, run: Run[C, H]) -> Mapping[str, Any]:
        if not self.measured(run):
            raise InvalidInput(
                f"A study needs {self.needs}, but has none: see its warnings, and "
                f"{run.folder / 'errors'}. {self.remedy}"
            )
        return run.result

    def finish(self, run: Run[C, H]) -> Any:
        study = self.measured(run)
        write_json(run.folder / self.summary, self.summed(study))
        write_tables(self.tables(study), run.folder / "tables")
        write_page(self._page(run, study), run.folder)
        return study

    def _page(self, run: Run[C, H], study: Any) -> Page:
        reached = state(run.history, run.folder, self.name, f"{self.reached(run)}.")
        made = origin(run, f"{self.record} of the study alone")
        head, foot = Section("", [warnings(run.history)]), Section("How it was made", made)
        sections = chain([head], self.sections(run, study), [foot])
        return Page(self.title, run.name, reached, sections)

    def reached(self, run: Run[C, H]) -> str:
        done, total = len(run.history.outcomes), len(self.planned(run.config))
        return f"{done} of {total} {self.what} on {run.settings['data']['data']}"

    def tell(self, run: Run[C, H], console: Console) -> None:
        console.print()
        for each in self.told(run.made):
            console.print(each, soft_wrap=True)
        console.print()
