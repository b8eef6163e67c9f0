"""Records of earlier formats, brought to the present one as they are read.

A record is append-only: one that was begun in an old format and continued by this version holds
both, each part behind a "start" event that says its format.
"""

from collections.abc import Callable
from typing import Any

Event = dict[str, Any]


def from_format_1(event: Event) -> Event:
    """Format 1 had an accuracy where there is a score now, failures without a kind, and plans of
    several searches or settings around a proposal, whose `repeat` was a study's seed.
    """
    plan, old = event.get("proposal", {}), event.get("outcome")
    if "entry" in plan:
        return event | {"proposal": _unwrapped(plan["entry"], plan["proposal"])}
    if old is None:
        return event
    accuracy, reason = old.get("accuracy"), old.get("failure")
    outcome = {
        "score": accuracy,
        "log_weights": old.get("log_weights"),
        "failure": None if reason is None else {"kind": "crashed", "reason": reason},
        "cost": old.get("cost"),
        "measures": None if accuracy is None else {"accuracy": accuracy},
    }
    return event | {"outcome": {k: value for k, value in outcome.items() if value is not None}}


def _unwrapped(name: str, proposal: Event) -> Event:
    """The plan of the search, or of the setting, `name`."""
    study = {"setting": name, "study_seed": proposal["repeat"], "entry": name}
    return proposal | study


UPGRADES: dict[int, Callable[[Event], Event]] = {1: from_format_1, 2: lambda event: event}
"""From the events of each format that is known to those of the present one."""
