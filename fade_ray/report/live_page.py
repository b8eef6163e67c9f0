"""The page of a run that goes on: its trials, their curves, what was tried, the best so far."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from fade_ray.records.history import RunHistory, TrialHistory
from fade_ray.records.run_files import Run
from fade_ray.records.standings import TrialStanding, speed
from fade_ray.report import trial_figures as figures
from fade_ray.report.page import Column, Headline, Numbers, Page, Row, Section, State, Table
from fade_ray.report.trial_figures import NAMED, Tried, Value
from fade_ray.report.trials import measure_of, spent, warnings
from fade_ray.report.words import DASH, Measure, count, duration, moment, number, short, si

AnyRun = Run[Any, RunHistory]
Settings = Callable[[Any], Mapping[str, Value]]
"""What a plan tries, by name."""
LISTED = 200
"""Trials in the table of all."""


def live_page(
    run: AnyRun, kind: str, reached: str, settings: Settings, more: Iterable[Section]
) -> Page:
    """What its record says by now; `reached` in words, `more` of what its kind alone shows."""
    state = "finished" if run.result else "unfinished"
    told = f"{reached[:1].upper()}{reached[1:]}. Last record {moment(run.history.last)}."
    return Page(f"fade-ray {kind}", run.name, State(state, told), _sections(run, settings, more))


def _sections(run: AnyRun, settings: Settings, more: Iterable[Section]) -> Iterator[Section]:
    score, trials = measure_of(run.settings), run.history.standings
    open_ = [trial for trial in trials if trial.open]
    ended = sorted((c for c in trials if not c.open), key=lambda trial: trial.time or "")
    yield Section("", [warnings(run.history), Headline(_headline(run.history, ended, score))])
    if trials:
        nothing = "No trial is open."
        yield Section("Open trials", [Table.of("Now", _columns(score), open_, missing=nothing)])
        running = [trial.id for trial in open_ if trial.state == "running"]
        last = [trial.id for trial in reversed(ended)]
        named = [*running, *last][:NAMED]
        yield Section("Curves", [figures.epoch_curves(run.history.curves, named)])
    if isinstance(run.history, TrialHistory) and trials:
        tried = [
            Tried(trial.id, settings(run.history.proposals[trial.id]), trial.score)
            for trial in ended
            if trial.score is not None
        ]
        drawn = [figures.best_so_far(ended, score), figures.parallel_coordinates(tried, score)]
        yield Section("What was tried", drawn)
    yield from more
    if ended:
        yield Section("Trials that have ended", [_ended_table(ended, score)])


def _headline(history: RunHistory, ended: Sequence[TrialStanding], score: Measure) -> list[Row]:
    trials = history.standings
    states = [trial.state for trial in trials]
    known = [trial for trial in ended if trial.score is not None]
    rows: list[Row] = []
    if known:
        best = max(known, key=lambda trial: trial.score or 0.0)
        of = f"trial {best.id} of {count(len(known), 'trial')} with a score"
        rows.append((f"best {score.name} so far", score.text(best.score, 2), of))
    if trials:
        told = ", ".join(f"{states.count(s)} {s}" for s in ("running", "waiting", "failed"))
        rows.append(("trials done", f"{states.count('done'):,}", told))
    if now := speed(trials):
        rows.append(("images per second", si(now), "of all trials that run, in their last epochs"))
    if trials:
        seconds, images = (sum(getattr(c.cost, n) for c in trials) for n in ("seconds", "images"))
        spent_on = f"{si(images)} images, summed over trials, open ones too"
        rows.append(("training time", duration(seconds), spent_on))
    return rows


def _columns(score: Measure) -> list[Column]:
    return [
        Column("trial", lambda trial: trial.id),
        Column("kind", lambda trial: short(trial.kind)),
        Column("state", lambda trial: _state(trial)),
        Column("node", lambda trial: trial.node or DASH),
        Numbers("images/s", lambda trial: number(trial.images_per_second, 0)),
        Numbers("loss", lambda trial: number(trial.loss, 4)),
        Numbers("accuracy (%)", lambda c: number(None if c.accuracy is None else 100 * c.accuracy)),
        Numbers(score.axis("score"), lambda trial: _score(trial, score)),
        Numbers("training time", lambda trial: spent(trial.cost.seconds)),
        Column("last record", lambda trial: moment(trial.time)),
    ]


def _score(trial: TrialStanding, score: Measure) -> str:
    return number(None if trial.score is None else score.scale * trial.score)


def _state(trial: TrialStanding) -> str:
    words = {"waiting": "waits", "running": trial.reached, "done": "done"}
    return words.get(trial.state, f"failed: {trial.failure}")


def _ended_table(ended: Sequence[TrialStanding], score: Measure) -> Table:
    shown = [*reversed(ended)][:LISTED]
    title = f"{len(ended):,}, the last one first"
    if len(shown) < len(ended):
        title = f"The last {LISTED} of {len(ended):,}"
    return Table.of(title, _columns(score), shown, folded=True)
