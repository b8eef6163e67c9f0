"""What the files of a run of several searches say, a comparison or a rank study: how far it came,
its trials and their cost.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fade_ray.compare.entered_history import EnteredHistory
from fade_ray.records.history import Cost
from fade_ray.report.words import count, duration, si
from fade_ray.search import search_facts as facts
from fade_ray.search.search_facts import Row, moment, read_object
from searchers.contest import Entered


@dataclass(frozen=True)
class EnteredRun:
    """The files that a comparison and a rank study have in common. What is not there (yet) is
    empty; a replay has no record.
    """

    folder: Path
    history: EnteredHistory
    recorded: bool
    config: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> "EnteredRun":
        """Read a directory. Raises InvalidInput for a file that does not hold what it should."""
        path = folder / "records.jsonl"
        recorded = path.exists()
        history = EnteredHistory.read(path) if recorded else EnteredHistory([])
        names = ("config.json", "environment.json", "result.json")
        return cls(folder, history, recorded, *(read_object(folder / name) for name in names))

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    @property
    def command(self) -> str | None:
        """The command that reproduces the run, as it was recorded."""
        found = next(
            (
                f["command"]
                for f in (self.result, self.config, self.environment)
                if f.get("command")
            ),
            None,
        )
        if isinstance(found, list):
            return shlex.join(str(part) for part in found)
        return None if found is None else str(found)

    @property
    def ended(self) -> bool:
        return self.history.ended or not self.recorded

    def state(self, done: int, whole: int, noun: str) -> tuple[str, str]:
        """A word and a sentence on how far the run came: `done` of `whole` of what it consists of."""
        history = self.history
        share = (
            f"{done} of {count(whole, noun, plural(noun))} complete."
            if whole
            else f"No {noun} has begun."
        )
        if not self.recorded:
            return (
                "finished" if done == whole > 0 else "unfinished"
            ), f"{share} Replayed on a table: nothing was trained."
        if not history.started:
            return "empty", "Nothing was recorded yet."
        again = f" It was continued {count(history.resumed, 'time')}." if history.resumed else ""
        if history.ended:
            return (
                "finished",
                f"{share} Started {moment(history.started)}, ended {moment(history.last)}.{again}",
            )
        times = f"Started {moment(history.started)}, last record {moment(history.last)}."
        flight = (
            f" {count(len(history.in_flight), 'trial')} in flight." if history.in_flight else ""
        )
        return (
            "unfinished",
            f"{share} {times}{flight}{again} Everything below shows what was done until then.",
        )

    def continuation(self, command: str) -> str | None:
        """The command that goes on with an unfinished run; None for one that ended."""
        return None if self.ended else f"fade-ray {command} --out {shlex.quote(str(self.folder))}"


def plural(noun: str) -> str:
    return noun + ("es" if noun.endswith("ch") else "s")


TRIALS = (
    "trial",
    "search",
    "kind",
    "iteration",
    "epochs",
    "state",
    "accuracy",
    "test accuracy",
    "cost",
    "training time",
)
TRIAL_NUMBERS = (3, 4, 6, 7, 8, 9)
"""The columns of the table of trials but for the last, the architecture, and which of them hold
numbers.
"""


def trial_table(history: EnteredHistory) -> list[Row]:
    """One line per attempt at a trial, by search and number, as in `TRIALS`, and the code of its
    architecture.
    """
    return [_trial(history, entered) for entered in history.proposals.values()]


def _trial(history: EnteredHistory, entered: Entered) -> Row:
    outcome = history.outcomes.get(entered.id)
    row = facts.trial_row(entered.proposal, outcome, history.metrics.get(entered.id, {}))
    cost = "–" if outcome is None or outcome.cost is None else si(outcome.cost)
    return (row[0], entered.entry, *row[1:7], cost, *row[7:])


COSTS = (
    *(
        "search",
        "done",
        "failed",
        "in flight",
        "training images",
        "multiply-adds",
        "training time",
        "wall time",
    ),
    "peak memory (MiB)",
)
COST_NUMBERS = (1, 2, 3, 4, 5, 6, 7, 8)


def cost_table(history: EnteredHistory, groups: Mapping[str, Sequence[str]]) -> list[Row]:
    """Per group of searches and in all, as in `COSTS`; `groups`: name -> names of its searches."""
    ids = list(history.proposals)
    rows = [
        _cost(history, name, [id for id in ids if history.proposals[id].entry in set(entries)])
        for name, entries in groups.items()
    ]
    return [*rows, _cost(history, "all trials", ids)] if ids else []


def _cost(history: EnteredHistory, name: str, ids: Sequence[str]) -> Row:
    told = [history.outcomes[id] for id in ids if id in history.outcomes]
    failed = sum(outcome.failure is not None for outcome in told)
    cost, peak = Cost(), 0.0
    for id in ids:
        metrics = history.metrics.get(id, {})
        cost, peak = cost.plus(metrics), max(peak, float(metrics.get("peak_memory_mib") or 0))
    numbers = (f"{number:,}" for number in (len(told) - failed, failed, len(ids) - len(told)))
    spent = (
        si(cost.images),
        si(cost.multiply_adds),
        duration(cost.seconds),
        duration(cost.trial_seconds),
    )
    return (name, *numbers, *spent, f"{peak:,.0f}" if peak else "–")
