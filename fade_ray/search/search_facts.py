"""What the tables of a report say: plain rows of text from a run's files."""

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from fade_ray.analysis.regression import wilson
from fade_ray.records.history import Cost, TrialHistory
from fade_ray.records.journal import wording
from fade_ray.report.words import count, duration, percent, si
from fade_ray.search.search_history import History
from searchers import Outcome, Proposal
from spaces.dag import Dag
from spaces.errors import InvalidInput

Row = tuple[str, ...]

KIND_NAMES = {"ranks": "hyper-architecture", "evaluation": "evaluation", "retraining": "retraining"}


@dataclass(frozen=True)
class Run:
    """The files of a run directory. What is not there yet is empty."""

    folder: Path
    history: History
    config: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> "Run":
        """Read a run directory.

        Raises:
            InvalidInput: no `records.jsonl`, or a file that does not hold what it should.
        """
        history = History.read(folder / "records.jsonl")
        names = ("config.json", "environment.json", "result.json")
        return cls(folder, history, *(read_object(folder / name) for name in names))

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the feature axes; () if the config names none."""
        return tuple(str(name) for name in (self.config.get("space") or {}).get("features") or ())

    @property
    def command(self) -> str | None:
        """The command that reproduces the run, as it was recorded."""
        files = (self.result, self.config, self.environment)
        command = next((file["command"] for file in files if file.get("command")), None)
        if isinstance(command, list):
            return shlex.join(str(part) for part in command)
        return None if command is None else str(command)

    @property
    def cells(self) -> list[Dag]:
        """The cells of the found architecture, or of the best one evaluated so far; [] if there is
        none.
        """
        codes = (self.result.get("architecture") or {}).get("cells")
        if codes:
            return [Dag.from_code(str(code)) for code in codes]
        best = self.history.best
        return [row[0] for row in self.history.proposals[best.id].hyper.graphs()] if best else []


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; {} if there is no such file."""
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"{path.name} of a run must be readable JSON, but {path} is not: {error}. "
            "Restore it from a copy of the run, or move it away to go on without it."
        ) from error
    if not isinstance(data, dict):
        raise InvalidInput(
            f"{path.name} of a run holds a JSON object, but {path} does not. Restore it or move it away."
        )
    return data


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of a nested mapping with their dotted names."""
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            yield from _flat(item, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", item


def state(run: Run) -> tuple[str, str]:
    """A word and a sentence on how far the run came."""
    history = run.history
    if not history.started:
        return "empty", "Nothing was recorded yet."
    continued = f" It was continued {count(history.resumed, 'time')}." if history.resumed else ""
    if history.ended and not run.result:
        return (
            "ended without a result",
            f"Ended {moment(history.last)}: nothing was found to retrain.{continued}",
        )
    if history.ended:
        return (
            "finished",
            f"Started {moment(history.started)}, ended {moment(history.last)}.{continued}",
        )
    waiting = len(history.in_flight)
    flight = (
        f" {count(waiting, 'trial')} {'was' if waiting == 1 else 'were'} in flight."
        if waiting
        else ""
    )
    times = f"Started {moment(history.started)}, last record {moment(history.last)}."
    return "unfinished", f"{times}{flight}{continued} All figures show what was done until then."


def continuation(run: Run) -> str | None:
    """The command that goes on with an unfinished run; None for one that ended."""
    return None if run.history.ended else f"fade-ray search --out {shlex.quote(str(run.folder))}"


def moment(time: str | None) -> str:
    """An ISO time to the second."""
    return "unknown" if time is None else time[:19].replace("T", " ") + " UTC"


def headline(run: Run) -> list[Row]:
    """(label, value, remark) of the figures that matter, the first the result of the run."""
    architecture, best, cost = (
        run.result.get("architecture") or {},
        run.history.best,
        run.history.cost,
    )
    rows = _test_accuracy(run)
    valid = run.result.get("valid_accuracy")
    if valid is not None:
        rows.append(
            (
                "valid accuracy",
                percent(valid, 2),
                "on the architecture split, by which it was chosen: optimistic",
            )
        )
    elif best is not None:
        remark = f"on the architecture split, trial {best.id}; not retrained and tested"
        rows.append(("best evaluation so far", percent(best.accuracy, 2), remark))
    if architecture.get("parameters") is not None:
        exact = f"{architecture['parameters']:,} in the found architecture"
        rows.append(("parameters", si(architecture["parameters"]), exact))
    if architecture.get("multiply_adds") is not None:
        rows.append(
            (
                "multiply-adds",
                si(architecture["multiply_adds"]),
                "for one image, found architecture",
            )
        )
    if cost.seconds:
        rows.append(
            (
                "training time",
                duration(cost.seconds),
                f"{si(cost.images)} images, summed over all trials",
            )
        )
    share = run.result.get("training_share", run.history.training_share)
    if share is not None:
        rows.append(("training share", percent(share, 0), "of the trials' wall time was training"))
    return rows


def _test_accuracy(run: Run) -> list[Row]:
    accuracy, chance = run.result.get("test_accuracy"), run.result.get("chance")
    if accuracy is None:
        return []
    remarks = [] if chance is None else [f"chance level {percent(chance)}"]
    images = run.result.get("test_images")
    if images:
        low, high = wilson(accuracy, images)
        remarks.append(
            f"{count(images, 'test image')}, 95 % interval {100 * low:.1f} to {percent(high)}"
        )
    proposals = run.history.proposals
    retrained = [m for id, m in run.history.metrics.items() if proposals[id].kind == "retraining"]
    told = [metrics.get("test_accuracy") for metrics in retrained]
    tested = [accuracy for accuracy in told if accuracy is not None]
    if len(tested) > 1:
        spread = (
            f"standard deviation {100 * stdev(tested):.2f} points over {len(tested)} retrainings"
        )
        remarks.append(f"mean {percent(mean(tested), 2)}, {spread}")
    else:
        remarks.append("retrained once from scratch, so the spread is unknown")
    return [("test accuracy", percent(accuracy, 2), "; ".join(remarks))]


def warnings(history: TrialHistory[Any]) -> list[Row]:
    """(message, trials it is about) of all warnings in words; those that differ in their numbers
    only are told once.
    """
    told: dict[str, tuple[list[str], list[str]]] = {}
    for id, message in history.warnings:
        text = message.removeprefix(f"trial {id} ")
        messages, ids = told.setdefault(wording(text), ([], []))
        messages += [text] if text not in messages else []
        ids += [id] if id is not None and id not in ids else []
    return [(messages[0], _about(ids, len(messages))) for messages, ids in told.values()]


def _about(ids: list[str], wordings: int, limit: int = 8) -> str:
    """Which trials a warning is about, and whether its numbers are those of the first one only."""
    rest = f" and {len(ids) - limit} more" if len(ids) > limit else ""
    trials = (
        ("trial " if len(ids) == 1 else f"{len(ids)} trials: ") + ", ".join(ids[:limit]) + rest
        if ids
        else ""
    )
    others = "with other numbers each; these are the first's" if wordings > 1 else ""
    return "; ".join(part for part in (trials, others) if part)


def failed_table(history: History) -> list[Row]:
    """(trial, kind, iteration, reason, what became of it) of every attempt that failed."""
    # sorted by id: the last attempt stays
    last = {proposal.index: id for id, proposal in history.proposals.items()}
    rows: list[Row] = []
    for id, proposal in history.proposals.items():
        failure = history.outcomes[id].failure if id in history.outcomes else None
        if failure is not None:
            retry = (
                f"tried again as {last[proposal.index]}"
                if last[proposal.index] != id
                else "not tried again"
            )
            rows.append(
                (id, KIND_NAMES[proposal.kind], str(proposal.iteration), str(failure), retry)
            )
    return rows


def cost_table(history: History) -> list[Row]:
    """Per kind of trial and in all: done, failed, in flight, images, multiply-adds, training and
    wall time, memory.
    """
    rows = []
    for kind, name in (*KIND_NAMES.items(), ("", "all trials")):
        ids = [id for id, proposal in history.proposals.items() if kind in ("", proposal.kind)]
        if not ids:
            continue
        told = [history.outcomes[id] for id in ids if id in history.outcomes]
        cost, peaks = Cost(), [0.0]
        for id in ids:
            cost = cost.plus(history.metrics.get(id, {}))
            peaks.append(float(history.metrics.get(id, {}).get("peak_memory_mib") or 0))
        failed = sum(outcome.failure is not None for outcome in told)
        numbers = (len(told) - failed, failed, len(ids) - len(told))
        spent = (
            si(cost.images),
            si(cost.multiply_adds),
            duration(cost.seconds),
            duration(cost.trial_seconds),
        )
        rows.append(
            (
                name,
                *(f"{number:,}" for number in numbers),
                *spent,
                f"{max(peaks):,.0f}" if max(peaks) else "–",
            )
        )
    return rows


def best_table(history: History, limit: int = 10) -> list[Row]:
    """(trial, iteration, walk, accuracy, code) of the best evaluations, the best first."""
    best = sorted(history.evaluations, key=lambda evaluation: -evaluation.accuracy)[:limit]
    return [
        (
            e.id,
            str(e.iteration),
            str(e.walk + 1),
            percent(e.accuracy, 2),
            history.proposals[e.id].hyper.code(),
        )
        for e in best
    ]


TRIALS = (
    "trial",
    "kind",
    "iteration",
    "epochs",
    "state",
    "accuracy",
    "on the test part",
    "training time",
    "architecture, rows separated by /",
)
TRIAL_NUMBERS = (2, 3, 5, 6, 7)
"""The columns of the table of trials, and which of them hold numbers."""


def trial_table(history: History) -> list[Row]:
    """One line per attempt at a trial, as in `TRIALS`."""
    return [
        trial_row(proposal, history.outcomes.get(id), history.metrics.get(id, {}))
        for id, proposal in history.proposals.items()
    ]


def trial_row(proposal: Proposal, outcome: Outcome | None, metrics: Mapping[str, Any]) -> Row:
    """One attempt at a trial, as in `TRIALS`; the accuracy of a hyper-architecture is that of its
    path of largest weights.
    """
    accuracy = (
        metrics.get("hyper_accuracy")
        if outcome is None or proposal.kind == "ranks"
        else outcome.score
    )
    state = (
        "in flight"
        if outcome is None
        else "done"
        if outcome.failure is None
        else f"failed: {outcome.failure}"
    )
    return (
        proposal.id,
        KIND_NAMES[proposal.kind],
        str(proposal.iteration),
        str(proposal.epochs),
        state,
        share(accuracy),
        share(metrics.get("test_accuracy")),
        "–" if metrics.get("seconds") is None else duration(metrics["seconds"]),
        proposal.hyper.code(),
    )


def share(value: float | None, digits: int = 2) -> str:
    """An accuracy in percent; a dash for none."""
    return "–" if value is None else percent(value, digits)


def config_table(data: Mapping[str, Any]) -> list[Row]:
    """(dotted name, value as JSON) of every setting."""
    return [
        (key, value if isinstance(value, str) else json.dumps(value)) for key, value in _flat(data)
    ]
