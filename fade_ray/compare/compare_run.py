"""A comparison as a kind of run: searchers x seeds under one budget."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal, TypedDict

from rich.console import Console

from fade_ray.compare.compare_config import CompareConfig, upgrade
from fade_ray.compare.comparison import Comparison
from fade_ray.compare.comparison_output import print_summaries, print_verdict, write_comparison
from fade_ray.compare.contest_session import ContestProgress, ContestSession
from fade_ray.compare.entered_history import EnteredHistory, random_pick, unspent
from fade_ray.compare.entry_job import PRICES, EntryJob, first_evaluation, training_images
from fade_ray.compare.trace import Trace
from fade_ray.records.json_form import as_json
from fade_ray.records.run_files import Run, read_object
from fade_ray.report.trials import measure_of
from fade_ray.report.verdict import foreseen
from fade_ray.run.folder import write_json, write_sealed
from fade_ray.run.forecast import ByShare, Remaining
from fade_ray.run.kind import Start
from fade_ray.run.run_of_trials import RunOfTrials, Trials, check_run
from fade_ray.run.tensorboard import ROWS
from fade_ray.run.watcher import Watcher
from fade_ray.search.limited import walked
from fade_ray.training.objective_check import guess, images_for
from searchers.contest import Contest
from spaces.errors import InvalidInput

EVALUATIONS = 30  # of the default budget in images
SECONDS = 300.0
Ran = Run[CompareConfig, EnteredHistory]
Began = Start[CompareConfig, EnteredHistory]
Prepared = Trials[Contest]


class Settled(TypedDict):
    """budget.json."""

    budget: float
    unit: Literal["images", "seconds"]


class CompareRun(RunOfTrials[CompareConfig, EnteredHistory], name="compare"):
    """Compare searchers: each with every seed, all under one budget, FaDE paying for its ranks too.

    Architectures are selected on the architecture split; accuracy on the test part is in the report
    alone. The budget alone ends a search, and --searchers says which: --iterations, --finalists and
    --retrain-epochs say nothing here. `--out DIR` continues the unfinished run in DIR.
    """

    example = "fade-ray compare --searchers fade random evolution"
    summary = "comparison.json"
    config, history = CompareConfig, EnteredHistory
    board = ROWS

    def upgrade(self, values: dict[str, Any]) -> dict[str, Any]:
        return upgrade(values)

    def prepare(self, config: CompareConfig) -> Prepared:
        check_run(config.run, config.train.precision)
        config.check_ranks()
        space, configs = config.space.build(config.network), dict(config.configs())
        for each in configs.values():
            each.search(space)  # checks it before anything is loaded
        splits = images_for(config.train.objective, config.data)
        within = walked(replace(next(iter(configs.values())), out=config.out), splits)
        space = within.space
        searches = {name: each.search(space) for name, each in configs.items()}
        unit = config.contest.unit
        images = EVALUATIONS * config.outer.evaluation_epochs * len(splits.weights)
        budget = config.contest.budget or (float(images) if unit == "images" else SECONDS)
        price = PRICES[unit]
        for name, each in configs.items() if unit == "images" else ():
            priced = partial(training_images, splits=splits, config=each)
            _check_budget(budget, name, first_evaluation(each.search(space), priced))
        contest = Contest(searches, budget, lambda name, asked: price(asked, splits, configs[name]))
        return Prepared(contest, EntryJob(configs, unit), splits, within.kept)

    def watchers(
        self, config: CompareConfig, prepared: Prepared, history: EnteredHistory
    ) -> list[Watcher]:
        measure = config.train.objective.measure
        return [ContestProgress(prepared.searcher, history.active, measure=measure)]

    def session(
        self, trials: Prepared, start: Began, watchers: Sequence[Watcher]
    ) -> ContestSession:
        budget = {"budget": trials.searcher.budget, "unit": start.config.contest.unit}
        write_sealed(start.folder / "budget.json", budget)
        session = ContestSession(trials.searcher, start.journal, start.history, watchers)
        contest = start.config.contest
        for message in foreseen(contest.searchers, contest.seeds, contest.baseline):
            session.warn(message)
        return session

    def close(self, session: ContestSession, start: Began) -> None:
        for name, reason in session.searcher.failures.items():
            session.warn(f"the search {name} ended before its budget: {reason}")
        history = self.read_record(start.folder)
        so_far = Run(start.folder, history, start.config)
        message = history.without_evaluation(run_traces(so_far))
        if message is not None:
            session.warn(message)

    def deliver(self, prepared: Prepared, run: Ran) -> dict[str, Any]:
        contest, splits = prepared.searcher, prepared.data
        names, budget = contest.entries, contest.budget
        objective = run.config.train.objective
        return {
            **run.result,
            "complete": {name: contest.over(name) for name in names},
            "unspent": {name: max(0.0, budget - contest.spent(name)) for name in names},
            "chance": objective.measure.plain(guess(objective, splits)),
            "data": splits.describe(),
            "test_images": len(splits.test),
        }

    def finish(self, run: Ran) -> Comparison:
        traces, baseline = run_traces(run), run.config.contest.baseline
        write_json(run.folder / "traces.json", as_json(traces))
        score = measure_of(run.settings)
        floor = random_pick(traces, baseline, score.plain(run.result.get("chance", 0.0)))
        spent = run.history.spent(ranks_alone=True)
        on_ranks = {job: spent.get(name) for name, job in run.config.contest.jobs.items()}
        comparison = Comparison.of(traces, baseline, floor, score=score, spent_on_ranks=on_ranks)
        write_comparison(run, traces, comparison, "csv", "parquet")
        return comparison

    def reached(self, run: Ran) -> str:
        contest, history = run.config.contest, run.history
        budget = float(read_object(run.folder / "budget.json", Settled).get("budget", 0.0))
        searches = len(contest.jobs)
        # in seconds a search ends a little beyond
        spent = sum(min(budget, cost) for cost in history.spent().values())
        share = spent / (searches * budget or 1.0)
        return (
            f"{share:.0%} of the budgets of {searches} searches on {run.config.data.data}, "
            f"{len(history.complete(run.result))} at their end"
        )

    def remaining(self, run: Ran) -> Remaining:
        budget = float(read_object(run.folder / "budget.json")["budget"])
        return ByShare(lambda: run.history.share(run.config.contest.jobs, budget))

    def tell(self, run: Ran, console: Console) -> None:
        """The table and the verdict."""
        comparison: Comparison = run.made
        print_summaries(comparison, measure_of(run.settings), console)
        console.print(
            f"budget of each search: {comparison.budget:,.0f} {comparison.unit}; report: on the "
            "test part, mean and standard deviation over seeds",
            soft_wrap=True,
        )
        left = unspent(run.result, comparison.budget)
        if any(left.values()):
            text = ", ".join(f"{name} {share:.1%}" for name, share in left.items())
            console.print(f"unspent, as it covers nothing more of use: {text}", soft_wrap=True)
        share = run.result["training_share"]
        if share is not None:
            console.print(f"training: {share:.0%} of the trials' wall time")
        print_verdict(comparison, console)


def run_traces(run: Ran) -> list[Trace]:
    """The traces of a comparison, finished or not."""
    jobs, budget = run.config.contest.jobs, read_object(run.folder / "budget.json", Settled)
    if not budget:
        raise InvalidInput(
            f"A comparison settles its budget as the first search begins, but {run.folder} was "
            "stopped before: there is nothing to report. Continue it with "
            f"`fade-ray compare --out {run.folder}`."
        )
    over = run.history.complete(run.result)
    measure = measure_of(as_json(run.config))
    return run.history.traces(jobs, budget["budget"], budget["unit"], over, measure)


def _check_budget(budget: float, name: str, needed: float) -> None:
    """InvalidInput for a budget that ends before the first evaluation of a search."""
    if needed > budget:
        raise InvalidInput(
            f"The budget must cover the first evaluation of each search, but --budget {budget:g} "
            f"training images is less than the {needed:,.0f} of {name}. Raise it, lower "
            "--evaluation-epochs or --rank-epochs, or use fewer images (--limit)."
        )
