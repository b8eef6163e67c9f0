"""How far a run is, from its files alone."""

from datetime import datetime
from pathlib import Path
from typing import Any

from fade_ray.records.history import TrialHistory
from fade_ray.records.journal import wording
from fade_ray.run.kind import RunKind
from fade_ray.run.progress import clock


def status(kind: RunKind[Any, Any], folder: Path) -> str:
    """A few lines for people. Raises InvalidInput if the records cannot be read."""
    run = kind.read(folder)
    history, standing = run.history, kind.standing(run)
    warnings = {wording(message): message for _, message in history.warnings}.values()
    lines = [*standing.lines, ("last event", f"{history.last or '-'}{_age(history.last)}")]
    lines += [("warning", message) for message in warnings]
    if run.result and kind.reports:
        lines.append(("report", str(folder / "report.html")))
    if not run.result:
        lines.append(("continue", f"fade-ray {kind.name} --out {folder}"))
    state = "finished" if run.result else "not finished"
    told = [f"  {label:10} {text}" for label, text in lines]
    return "\n".join([f"{folder}: {state}, {standing.reached}", *told])


def trial_lines(history: TrialHistory[Any], best: str) -> list[tuple[str, str]]:
    """What every run of trials says: their numbers, the best, their cost."""
    trials, cost = history.trials, history.cost
    return [
        (
            "trials",
            f"{trials['done']} done, {trials['failed']} failed, {trials['retried']} retried, "
            f"{len(history.in_flight)} open",
        ),
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
