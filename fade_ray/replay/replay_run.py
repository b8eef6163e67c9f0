"""A replay as a kind of run: searchers against a table, and the comparison that follows from it."""

import math
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.text import Text

from fade_ray.compare.comparison import Comparison
from fade_ray.compare.comparison_output import print_summaries, print_verdict, write_comparison
from fade_ray.compare.entered_history import EnteredHistory, Job
from fade_ray.compare.trace import Trace
from fade_ray.records.history import RunHistory, passed
from fade_ray.records.journal import Event
from fade_ray.records.json_form import as_json, from_json
from fade_ray.records.run_files import Run, read_object
from fade_ray.replay.replay_config import ReplayConfig
from fade_ray.replay.replay_study import (
    UNIT,
    Replayed,
    Study,
    agreement,
    noise_points,
    prepare,
    run_study,
)
from fade_ray.report.tables import REAL, TEXT, WHOLE, YES, columns, write_tables
from fade_ray.report.words import ACCURACY
from fade_ray.run.forecast import GridForecast, Planned
from fade_ray.run.kind import RunKind, Standing, Start
from fade_ray.run.progress import LiveWatcher
from fade_ray.run.watcher import Watcher
from spaces.errors import InvalidInput

TRACES = columns(
    *((TEXT, "searcher"), (WHOLE, "seed"), (REAL, "budget"), (TEXT, "unit")),
    *((pa.list_(REAL), "costs scores reports"), (YES, "complete")),
    (pa.list_(TEXT), "architectures"),
)
"""One line per trace, as `Trace`."""


class ReplayHistory(RunHistory):
    """What the record of a replay says; `done`: what has ended, by (searcher, seed)."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.done: dict[Job, Replayed] = {}
        self.active = 0.0  # seconds, without those between an end and the next start
        super().__init__(events)

    def _take(self, event: Event) -> None:
        before = self.last
        super()._take(event)
        if before is not None and event["event"] != "start":
            self.active += passed(before, event["time"])
        if event["event"] == "replayed":
            held = (field.name for field in fields(Replayed) if field.name in event)
            self.add(from_json(Replayed, {name: event[name] for name in held}))

    def add(self, replayed: Replayed) -> None:
        self.done[replayed.job] = replayed


Ran = Run[ReplayConfig, ReplayHistory]


def forecast(config: ReplayConfig, history: ReplayHistory) -> GridForecast:
    """Of searches, each of which is taken for a trial of one epoch; nothing is known before one of
    each searcher has ended.
    """
    jobs, done = config.jobs(), history.done.values()
    known = {replayed.alike for replayed in done} >= set(config.searchers)
    seeds = Counter(name for name, _ in jobs)
    told = GridForecast({name: Planned(n, n) for name, n in seeds.items()})
    for replayed in done if known else ():
        told.begun(replayed)
        told.epoch(replayed, 1, {"seconds": replayed.seconds})
        told.ended(replayed, {})
    told.most = config.workers
    return told


class Lines(LiveWatcher):
    """How far a replay is: a line for each searcher, in a terminal a live one too."""

    def __init__(self, config: ReplayConfig, history: ReplayHistory) -> None:
        self.config, self.history, self.before = config, history, history.active
        super().__init__()

    def noted(self, line: str) -> None:
        self.console.print(line, soft_wrap=True)

    def advanced(self, part: Replayed) -> None:
        if self.live is not None:
            active = self.before + time.monotonic() - self.started
            told = forecast(self.config, self.history).words(active)
            self.live.update(Text(f"{reached(self.config, self.history)} · {told}"), refresh=True)


def reached(config: ReplayConfig, history: ReplayHistory) -> str:
    jobs = config.jobs()
    return f"{sum(job in history.done for job in jobs)} of {len(jobs)} searches"


class ReplayRun(RunKind[ReplayConfig, ReplayHistory], name="replay"):
    """Replay searchers against the table of a benchmark, without training.

    Each proposal is answered from the table, each search has the same budget. Writes traces,
    tables, figures and the comparison with its tests. Bayesian search takes a minute per seed
    (--bayes-seeds, --workers). `--out DIR` continues the unfinished replay in DIR, also with more
    --searchers or --seeds.
    """

    example = "fade-ray replay --table nasbench_macro.parquet --searchers fade random by-size"
    config, history = ReplayConfig, ReplayHistory
    record = "replays.jsonl"
    inputs = ("table", "ranks")
    folders = ("tables",)

    def upgrade(self, values: dict[str, Any]) -> dict[str, Any]:
        """The first versions held them as one part."""
        return dict(values.get("replay", values))

    def default(self) -> None:
        """A table has to be named."""

    def grows(self, before: ReplayConfig, now: ReplayConfig) -> bool:
        """Whether both have the same trace for the same searcher and seed."""
        asked = ("searchers", "seeds", "bayes_seeds", "baseline", "workers", "out", "name", "use")
        known = set(before.use) <= set(now.use)
        return known and replace(before, **{name: getattr(now, name) for name in asked}) == now

    def read_record(self, folder: Path) -> ReplayHistory:
        """From the record, or where that was not kept from the traces."""
        if (folder / self.record).exists():
            return super().read_record(folder)
        history, made = ReplayHistory(), read_object(folder / "comparison.json")
        results = {(r["searcher"], int(r["seed"])): r for r in made.get("results") or []}
        for trace in read_traces(folder / "traces.parquet"):
            spent = results.get((trace.searcher, trace.seed), {}).get("spent_on_ranks")
            history.add(Replayed(trace, spent or 0.0))
        return history

    def prepare(self, config: ReplayConfig) -> Study:
        return prepare(config)

    def watchers(
        self, config: ReplayConfig, prepared: Study, history: ReplayHistory
    ) -> list[Watcher]:
        return [Lines(config, history)]

    def work(self, prepared: Study, start: Start[ReplayConfig, ReplayHistory]) -> Mapping[str, Any]:
        def keep(replayed: Replayed) -> None:
            start.journal.append("replayed", **as_json(replayed))
            start.history.add(replayed)
            start.show("advanced", replayed)

        run_study(
            prepared,
            start.additions,
            lambda line: start.show("noted", line),
            start.history.done,
            keep,
        )
        start.journal.append("end")
        return {}

    def deliver(self, prepared: Study, run: Ran) -> dict[str, Any]:
        """What the ranks were made of, and the searches that failed."""
        benchmark, model = prepared.benchmark, prepared.model
        rho, done = agreement(benchmark, model), run.history.done.values()
        return {
            "benchmark": prepared.within.name,
            "table": dict(benchmark.facts),
            "floor": prepared.within.random_pick,
            "rank_spearman": rho if math.isfinite(rho) else None,
            "rank_noise_points": noise_points(benchmark, model),
            "failures": [
                {"searcher": r.trace.searcher, "seed": r.trace.seed, "failure": r.failure}
                for r in done
                if r.failure is not None
            ],
        }

    def finish(self, run: Ran) -> Comparison:
        """Traces, comparison, tables and report; searches that have not ended count as partial."""
        empty = partial(Trace, budget=run.config.budget, unit=UNIT, complete=False)
        done = [
            run.history.done.get(job) or Replayed(empty(*job, costs=(), scores=(), reports=()), 0.0)
            for job in run.config.jobs()
        ]
        traces = [replayed.trace for replayed in done]
        on_ranks = {r.job: r.spent_on_ranks for r in done}
        made = read_object(run.folder / "comparison.json")  # of before result.json told the floor
        floor = float(run.result.get("floor", made.get("floor", 0.0)))
        comparison = Comparison.of(traces, run.config.baseline, floor, spent_on_ranks=on_ranks)
        table = pa.Table.from_pylist(as_json(traces), schema=TRACES)
        write_tables({"traces": table}, run.folder)
        untrained = Run(run.folder, EnteredHistory(), run.config, run.environment, run.result)
        write_comparison(untrained, traces, comparison, "csv", replayed=True)
        return comparison

    def standing(self, run: Ran) -> Standing:
        if run.result:
            return Standing(f"a replay on {run.result['benchmark']}")
        told = forecast(run.config, run.history).words(run.history.active)
        lines = [("time", f"{told}, by its last event")] if run.history.active else []
        where = f"a replay on {run.config.table}"
        return Standing(f"{reached(run.config, run.history)} of {where}", lines)

    def tell(self, run: Ran, console: Console) -> None:
        """Means, the tests in words, and what the ranks were made of."""
        comparison: Comparison = run.made
        console.print()
        print_summaries(comparison, ACCURACY, console)
        config, rho = run.config, run.result["rank_spearman"]
        rho_text = "undefined, since they are all equal" if rho is None else f"{rho:.2f}"
        console.print(
            f"\n{run.result['benchmark']}, budget {config.budget:g} evaluations; a "
            f"hyper-architecture costs {config.rank_cost:g}. FaDE-ranks: {_made_of(run)}; over all "
            f"architectures their Spearman's rho with the reports is {rho_text}. Areas count "
            f"{100 * comparison.floor:.2f}%, the mean of the table, before the first evaluation.\n",
            soft_wrap=True,
        )
        print_verdict(comparison, console)


def read_traces(path: Path) -> list[Trace]:
    """The traces in a Parquet file. Raises InvalidInput where they cannot be read."""
    try:
        return [from_json(Trace, line) for line in pq.read_table(path).to_pylist()]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InvalidInput(
            f"The traces of a replay must be readable, but {path} is not: {error}. Restore it, or "
            "make it again from the record."
        ) from error


def _made_of(run: Ran) -> str:
    """The ranks in words."""
    config, points = run.config, run.result["rank_noise_points"]
    if points is None:
        return f"learned ({config.ranks})"
    words = {0.0: "no marginals", 1.0: "marginals"}
    signal = words.get(config.rank_signal, f"{config.rank_signal:g} x marginals")
    return f"{signal} with noise {config.rank_noise:g}, {points:.2f} points of accuracy"
