"""The outer search as a kind of run."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from fade_ray.export import folded_text
from fade_ray.records.run_files import Run, read_object
from fade_ray.report.page import Section, write_page
from fade_ray.report.tables import write_tables
from fade_ray.report.trials import measure_of
from fade_ray.run.forecast import Forecast, Planned
from fade_ray.run.kind import Start
from fade_ray.run.run_of_trials import RunOfTrials, Trials, check_run
from fade_ray.run.tensorboard import ROWS
from fade_ray.run.watcher import Watcher
from fade_ray.search.baselines import BASELINES
from fade_ray.search.beside import Beside
from fade_ray.search.chain_trial import SearchJob
from fade_ray.search.limited import Walked, walked
from fade_ray.search.search_config import RECIPES, Config, upgrade
from fade_ray.search.search_history import History
from fade_ray.search.search_page import search_page, search_sections
from fade_ray.search.search_progress import Progress
from fade_ray.search.search_result import deliver, exported
from fade_ray.search.search_session import SearchSession
from fade_ray.search.search_tables import search_tables
from fade_ray.training.objective_check import images_for
from searchers import AskTell, Proposal, WithRetraining
from searchers.rehearsal import rehearsed
from spaces import HyperArchitecture

Ran = Run[Config, History]
Began = Start[Config, History]


REHEARSED = 100
"""Iterations of a search that are asked for to see how long it will take; of more, their share."""


class SearchRun(RunOfTrials[Config, History], name="search"):
    """Search which graphs form the cells of a network, retrain the best one, test and report it.

    `--recipe NAME` starts from a named setting; `--out DIR` continues the unfinished run in DIR,
    with its flags.
    """

    example = "fade-ray search --data cifar10 --iterations 10"
    config, history, recipes = Config, History, RECIPES
    board, foreseen = ROWS, Forecast

    def upgrade(self, values: dict[str, Any]) -> dict[str, Any]:
        return upgrade(values)

    def grows(self, before: Config, now: Config) -> bool:
        """Whether seeds were added to trainings from scratch, or baselines to the only one."""
        finish, then = now.finish, before.finish
        alone = not then.baselines and then.seeds == 1
        more = finish.seeds >= then.seeds and (alone or finish.baselines == then.baselines)
        finish = replace(finish, baselines=then.baselines, retrain_seeds=then.retrain_seeds)
        rest = {name: getattr(before, name) for name in ("run", "out", "name")}
        return more and replace(now, finish=finish, **rest) == before

    def prepare(self, config: Config) -> Trials[AskTell]:
        check_run(config.run, config.train.precision)
        config.check_ranks()
        self.searcher(config)  # checks it before anything is loaded
        splits = images_for(config.train.objective, config.data)
        within = walked(config, splits)
        return Trials(self.searcher(config, within), SearchJob(config), splits, within.kept)

    def searcher(self, config: Config, within: Walked | None = None) -> AskTell:
        """At its beginning, with the trainings from scratch behind it; without limits where nothing
        is said of them.
        """
        within = within or walked(config, None)
        outer, finish = config.outer, config.finish
        return WithRetraining(
            config.choice(within.space, within.costs),
            outer.retrain_epochs,
            finish.seeds,
            config.seed,
            outer.max_retries,
            {name: partial(BASELINES[name].cells, within.space) for name in finish.baselines},
        )

    def watchers(
        self, config: Config, prepared: Trials[AskTell], history: History
    ) -> list[Watcher]:
        forecast = self.forecast(config, history)
        so_far = history.active, history.best
        measure = config.train.objective.measure
        return [Progress(config.searcher.iterations, forecast, *so_far, measure=measure)]

    def coming(self, config: Config) -> dict[str, Planned]:
        """What its searcher would ask for; of a slow or a long search, by its beginning."""
        whole, most = config.searcher, 1 if config.searcher.slow else REHEARSED
        few = replace(whole, iterations=min(most, whole.iterations))
        plans = rehearsed(self.searcher(replace(config, searcher=few)))
        times = whole.iterations / few.iterations
        parts: dict[str, Planned] = {}
        for plan in plans:
            share = 1.0 if plan.iteration > few.iterations else times
            trials, epochs, _ = parts.get(plan.kind, Planned(0.0, 0.0))
            epochs += share * plan.epochs
            parts[plan.kind] = Planned(trials + share, epochs, plan.follows)
        return parts

    def session(self, trials: Any, start: Began, watchers: Sequence[Watcher]) -> SearchSession:
        session = SearchSession(trials.searcher, start.journal, start.history, watchers)
        session.iterations = start.config.searcher.iterations
        return session

    def deliver(self, prepared: Trials[AskTell], run: Ran) -> dict[str, Any]:
        return deliver(prepared, run)

    def finish(self, run: Ran) -> None:
        measure = run.config.train.objective.measure
        tables = search_tables(run.history, run.config.space.axes, measure)
        write_tables(tables, run.folder / "tables")
        write_page(search_page(run), run.folder)

    def reached(self, run: Ran) -> str:
        searcher = run.config.searcher
        reached = min(searcher.iterations, max(run.history.anchors, default=0))
        return (
            f"iteration {reached} of {searcher.iterations}, {searcher.name} search on "
            f"{run.config.data.data}"
        )

    def best(self, run: Ran) -> str:
        best, score = run.history.best, measure_of(run.settings)
        if best is None:
            return "-"
        name = "" if score.counted else f"{score.name} "
        return f"{name}{score.plain(best.score):.4f} (evaluation {best.id})"

    def found(self, run: Ran) -> str:
        score, result = measure_of(run.settings), run.result
        told = result[f"test_{score.key}"]
        return f"test {score.name} {told:.4f}, {result['architecture']['code']}"

    def watched(self, run: Ran) -> Iterator[Section]:
        yield from search_sections(run)

    def features(self, config: Config) -> tuple[str, ...]:
        return config.space.axes

    def settings(self, config: Config, plan: Proposal) -> dict[str, float | str]:
        """The features of the graph in each row, which is what is searched."""
        told = dict[str, float | str]()
        for row, cells in enumerate(plan.hyper.rows, start=1):
            told |= config.space.told(row, cells[0])
        return told

    def tell(self, run: Ran, console: Console) -> None:
        score, result = measure_of(run.settings), run.result
        name, key = score.name, score.key
        trials, cost, share = result["trials"], result["cost"], result["training_share"]
        lines = {
            "architecture": result["architecture"]["code"],
            f"valid {name}": f"{result[f'valid_{key}']:.4f} ({run.history.chosen_text(score)}, on "
            "the architecture part)",
            f"test {name}": f"{result[f'test_{key}']:.4f} (retrained, "
            f"{result['test_images']:,} images)",
            "trials": f"{trials['done']} done, {trials['failed']} failed, "
            f"{trials['retried']} retried",
            "cost": f"{cost['training_images']:,} training images, {cost['multiply_adds']:.3g} "
            f"multiply-adds, {cost['seconds']:.0f} s training",
        }
        if share is not None:
            lines["training"] = f"{share:.0%} of the trials' wall time"
        if saved := folded_text(read_object(run.folder / "architectures" / "architecture.json")):
            lines["exported"] = saved
        lines |= Beside.of(run.history, score).lines(score)
        for label, text in lines.items():
            console.print(f"{label:14} {text}", soft_wrap=True)

    def architecture(self, run: Ran) -> HyperArchitecture | None:
        found = run.result.get("architecture")
        return None if found is None else HyperArchitecture.from_code(found["code"])

    def export(self, run: Ran, forms: Sequence[str] = ()) -> list[Path]:
        return exported(run, forms)
