"""How far a run is, from its files alone."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from fade_ray.records.history import TrialHistory
from fade_ray.records.journal import wording
from fade_ray.records.remote import address, refreshed
from fade_ray.records.run_files import Run, legible, mark
from fade_ray.records.standings import TrialStanding, speed
from fade_ray.run.kind import RunKind
from fade_ray.run.progress import clock
from fade_ray.run.text_table import number, text_table

POLL = 2.0  # seconds between looks at a run that is followed
LATEST = 5.0  # and between looks at one in a store, which cost money
LISTED = 30
"""Trials that are told one by one."""

Kind = RunKind[Any, Any]


def status(kind: Kind, folder: Path) -> str:
    """A few lines for people. Raises InvalidInput if the records cannot be read."""
    with legible(folder):
        return _lines(kind, folder)


def _lines(kind: Kind, folder: Path) -> str:
    run = kind.read(folder)
    history, standing = run.history, kind.standing(run)
    warnings = {wording(message): message for _, message in history.warnings}.values()
    lines = [*standing.lines, ("last event", f"{history.last or '-'}{_age(history.last)}")]
    lines += [("warning", message) for message in warnings]
    if run.result and kind.reports:
        lines.append(("report", str(folder / "report.html")))
    if not run.result:
        lines.append(("continue", f"fade-ray {kind.name} --out {folder}"))
    told = [f"  {label:10} {text}" for label, text in lines]
    return "\n".join(
        [f"{folder}: {_state(run)}, {standing.reached}", *told, *_open(run.history.standings)]
    )


def status_object(kind: Kind, folder: Path) -> str:
    """The same for programs: a JSON object in one line."""
    with legible(folder):
        return json.dumps(_told(kind.read(folder), kind))


def _told(run: Run[Any, Any], kind: Kind) -> dict[str, Any]:
    trials = run.history.standings
    return {
        "folder": address(run.folder),
        "kind": kind.name,
        "state": _state(run),
        "reached": kind.standing(run).reached,
        "last_event": run.history.last,
        "warnings": [message for _, message in run.history.warnings],
        **({"cost": asdict(run.history.cost)} if isinstance(run.history, TrialHistory) else {}),
        "images_per_second": speed(trials),
        "trials": [asdict(trial) for trial in trials],
    }


def following(
    kind: Kind, folder: Path, tell: Callable[[Kind, Path], str], ages: bool = False
) -> Iterator[str]:
    """What `tell` says, each time the record has grown (with `ages`: at every look), until the run
    has ended.
    """
    seen = None
    while True:
        refreshed(folder, LATEST)
        ended, now = (folder / "result.json").exists(), mark(folder, kind.record, "result.json")
        if ages or now != seen:
            seen = now
            yield tell(kind, folder)
        if ended:
            return
        time.sleep(POLL)


def _state(run: Run[Any, Any]) -> str:
    return "finished" if run.result else "not finished"


HEADS = ("trial", "kind", "state", "node", "images/s", "loss", "accuracy", "training", "last event")


def _open(trials: Sequence[TrialStanding]) -> list[str]:
    """A table of the trials that are not over."""
    begun = [trial for trial in trials if trial.open]
    rows = [
        (
            trial.id,
            trial.kind,
            trial.reached if trial.state == "running" else "waits",
            trial.node or "-",
            number(trial.images_per_second, 0),
            number(trial.loss, 4),
            number(trial.accuracy, 4),
            clock(trial.cost.seconds),
            _age(trial.time).strip(" ()"),
        )
        for trial in begun[:LISTED]
    ]
    if not rows:
        return []
    console = Console(width=200, color_system=None, markup=False)
    with console.capture() as shown:
        console.print(text_table(HEADS, rows, left=HEADS[:4]))
    more = len(begun) - len(rows)
    rest = [f"and {more} more, which --json tells"] if more else []
    return ["", *(line.rstrip() for line in shown.get().splitlines()), *rest]


def trial_lines(history: TrialHistory[Any], best: str) -> list[tuple[str, str]]:
    """What every run of trials says: their numbers, the best, their cost."""
    trials, cost = history.trials, history.cost
    restarts = ", ".join(f"{count} {kind}" for kind, count in history.restarts.items())
    return [
        (
            "trials",
            f"{trials['done']} done, {trials['failed']} failed, {trials['retried']} retried, "
            f"{len(history.in_flight)} open",
        ),
        *([("restarts", restarts)] if restarts else []),
        ("best", best),
        (
            "cost",
            f"{cost.images:,} training images, {cost.multiply_adds:.3g} multiply-adds, "
            f"{clock(cost.seconds)} training",
        ),
    ]


def best_trial(history: TrialHistory[Any]) -> tuple[str, float] | None:
    """(id, score) of the trial of highest score, the first to end of equal ones; None of none."""
    scored = [(id, o.score) for id, o in history.outcomes.items() if o.score is not None]
    return max(scored, key=lambda pair: pair[1], default=None)


def _age(stamp: str | None) -> str:
    if stamp is None:
        return ""
    seconds = (datetime.now().astimezone() - datetime.fromisoformat(stamp)).total_seconds()
    return f" ({clock(seconds)} ago)"
