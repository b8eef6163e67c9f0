"""What every report of a run of trials says: how far it came, its warnings, its trials, their cost.

Tables, headlines and sentences of what only one kind of run knows are that kind's own.
"""

import shlex
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

from fade_ray.records.history import RunHistory, TrialHistory
from fade_ray.records.journal import wording
from fade_ray.records.measures import MEASURES
from fade_ray.records.remote import address
from fade_ray.records.standings import Cost
from fade_ray.report.page import Column, Numbers, Origin, Row, State, Table, Warnings, Words
from fade_ray.report.words import (
    DASH,
    Measure,
    count,
    duration,
    moment,
    percent,
    si,
)
from searchers.outcome import Outcome

History = TrialHistory[Any]

KIND_NAMES = {
    "ranks": "hyper-architecture",
    "evaluation": "evaluation",
    "repeat": "repeat",
    "retraining": "retraining",
    "baseline": "baseline",
}


def measure_of(config: Mapping[str, Any]) -> Measure:
    """How the scores of a run are told, from its configuration: accuracy, if it says nothing."""
    objective = (config.get("train") or {}).get("objective") or {"name": "classification"}
    return MEASURES.get(str(objective["name"]), Measure())


def state(
    history: History,
    folder: Path,
    command: str,
    done: str = "",
    after: str = "",
    without: str | None = None,
) -> State:
    """How far a run came; `done` of what stands first, `after` last.

    `without`: what to say of a run that ended without a result.
    """
    again = f"It was continued {count(history.resumed, 'time')}." if history.resumed else ""
    started, last = f"Started {moment(history.started)}", moment(history.last)
    if history.ended and without is not None:
        return State("ended without a result", _joined(f"Ended {last}: {without}.", again))
    if history.ended:
        return State("finished", _joined(done, f"{started}, ended {last}.", again, after))
    continued = f"fade-ray {command} --out {shlex.quote(address(folder))}"
    if not history.started:
        return State("empty", "Nothing was recorded yet.", continued)
    waiting = len(history.in_flight)
    flight = f"{count(waiting, 'trial')} in flight." if waiting else ""
    until = "Everything below shows what was done until then."
    reached = _joined(done, f"{started}, last record {last}.", flight, again, until, after)
    return State("unfinished", reached, continued)


def _joined(*sentences: str) -> str:
    return " ".join(sentence for sentence in sentences if sentence)


def warnings(history: RunHistory) -> Warnings:
    """All warnings in words; those that differ in their numbers only are told once."""
    alike: dict[str, tuple[list[str], list[str]]] = {}
    for id, message in history.warnings:
        text = message.removeprefix(f"trial {id} ")
        messages, ids = alike.setdefault(wording(text), ([], []))
        messages += [text] if text not in messages else []
        ids += [id] if id is not None and id not in ids else []
    return Warnings([(messages[0], _about(ids, len(messages))) for messages, ids in alike.values()])


def _about(ids: Sequence[str], wordings: int, limit: int = 8) -> str:
    """Which trials a warning is about, and whether its numbers are those of the first one only."""
    rest = f" and {len(ids) - limit} more" if len(ids) > limit else ""
    named = "trial " if len(ids) == 1 else f"{len(ids)} trials: "
    trials = named + ", ".join(ids[:limit]) + rest if ids else ""
    others = "with other numbers each; these are the first's" if wordings > 1 else ""
    return "; ".join(part for part in (trials, others) if part)


def time_rows(history: History, share: float | None = None) -> list[Row]:
    """The lines of a headline on training time, and on its share of the trials' wall time."""
    cost, share = history.cost, history.training_share if share is None else share
    images = f"{si(cost.images)} images, summed over all trials"
    rows: list[Row] = []
    if cost.seconds:
        rows.append(("training time", duration(cost.seconds), images))
    if share is not None:
        remark = "of the trials' wall time was training"
        rows.append(("training share", percent(share, 0), remark))
    return rows


def cost_table(
    title: str,
    history: History,
    head: str,
    key: Callable[[Any], str],
    order: Iterable[str] = (),
    note: str = "",
) -> Table:
    """Per group of trials, by the `key` of their plans, and in all: how they ended, and what they
    took. Groups stand in this `order`, others behind them.
    """
    attempts, groups = _attempts(history), defaultdict[str, list[Attempt]](list)
    for name in order:
        groups[name] = []
    for attempt in attempts:
        groups[key(attempt.plan)].append(attempt)
    groups["all trials"] = attempts
    columns = (
        Column(head, lambda group: group.name),
        Numbers("done", lambda group: f"{group.states['done']:,}"),
        Numbers("failed", lambda group: f"{group.states['failed']:,}"),
        Numbers("in flight", lambda group: f"{group.states['in flight']:,}"),
        Numbers("training images", lambda group: si(group.cost.images)),
        Numbers("multiply-adds", lambda group: si(group.cost.multiply_adds)),
        Numbers("training time", lambda group: duration(group.cost.seconds)),
        Numbers("wall time", lambda group: duration(group.cost.trial_seconds)),
        Numbers("peak memory (MiB)", lambda group: f"{group.peak:,.0f}" if group.peak else DASH),
    )
    note = f"Times are sums over trials, which may run at once.{note}"
    rows = [_Group.of(name, members) for name, members in groups.items() if members]
    return Table.of(title, columns, rows, note=note)


class _Group(NamedTuple):
    name: str
    states: Counter[str]
    cost: Cost
    peak: float

    @classmethod
    def of(cls, name: str, attempts: Sequence["Attempt"]) -> "_Group":
        states = Counter(attempt.state.partition(":")[0] for attempt in attempts)
        metrics = [attempt.metrics for attempt in attempts]
        peak = max(float(each.get("peak_memory_mib") or 0) for each in metrics)
        return cls(name, states, reduce(Cost.plus, metrics, Cost()), peak)


class Attempt(NamedTuple):
    """An attempt at a trial: its plan, and what came of it."""

    plan: Any
    outcome: Outcome | None
    metrics: Mapping[str, Any]

    @property
    def state(self) -> str:
        if self.outcome is None:
            return "in flight"
        return "done" if self.outcome.failure is None else f"failed: {self.outcome.failure}"

    def score(self, measure: Measure) -> float | None:
        """Of a hyper-architecture that of its path of largest weights."""
        if self.outcome is None or self.outcome.score is None:
            return measure.score(self.metrics, "hyper")
        return self.outcome.score


def _attempts(history: History) -> list[Attempt]:
    plans = history.proposals.items()
    return [Attempt(plan, history.outcomes.get(id), history.sums(id)) for id, plan in plans]


def kind_text(plan: Any) -> str:
    """ "evaluation", "baseline resnet-18"."""
    return f"{KIND_NAMES.get(plan.kind, plan.kind)} {getattr(plan, 'network', '')}".rstrip()


def trial_table(
    history: History, score: Measure, more: Mapping[int, Column] | None = None, missing: str = ""
) -> Table:
    """A line per attempt at a trial, with `more` columns at their places."""
    attempts = _attempts(history)
    columns = [
        Column("trial", lambda one: one.plan.id),
        Column("kind", lambda one: kind_text(one.plan)),
        Numbers("epochs", lambda one: str(one.plan.epochs)),
        Column("state", lambda one: one.state),
        Numbers(score.name, lambda one: score.text(one.score(score), 2)),
        Numbers(f"test {score.name}", lambda one: score.text(score.score(one.metrics, "test"), 2)),
        Numbers("training time", lambda one: spent(one.metrics.get("seconds"))),
        Column("architecture, rows separated by /", lambda one: one.plan.hyper.code()),
    ]
    for place, column in (more or {}).items():
        columns.insert(place, column)
    title = f"All {len(attempts)} trials"
    return Table.of(title, columns, attempts, folded=True, missing=missing)


ITERATION = Numbers("iteration", lambda one: str(one.plan.iteration))
"""Of `trial_table`, where searchers ask."""


def spent(seconds: float | None) -> str:
    """A duration; a dash for none."""
    return DASH if seconds is None else duration(seconds)


def origin(run: Any, made_from: str, more: str = "") -> list[Origin | Words]:
    """The blocks that say how a run was made, and its page: `made_from` files."""
    data = run.environment.get("data") or run.result.get("data")
    images = [Words(f"{data}.", "card")] if data else []
    where = f"The figures lie beside this page in figures/ as SVG and PNG{more}."
    about = Origin.of(run.command, run.settings, run.environment)
    return [*images, about, Words(f"Made from {made_from}. {where}")]
