"""How far the trials of a run are, from its events alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from searchers.outcome import Outcome
from searchers.plan import Plan

COSTS = ("images", "multiply_adds", "seconds")
ACCURACIES = ("test_accuracy", "architecture_accuracy", "accuracy")
"""Of an epoch, the most telling one first."""
State = Literal["waiting", "running", "done", "failed"]
Epochs = Mapping[int, Mapping[str, Any]]  # number -> metrics


@dataclass(frozen=True)
class Cost:
    """Sums over trials. `seconds` is training, `trial_seconds` the wall time of the trials."""

    images: int = 0
    multiply_adds: int = 0
    seconds: float = 0.0
    trial_seconds: float = 0.0

    def plus(self, metrics: Mapping[str, Any]) -> "Cost":
        """With one more trial; a figure that it did not report counts as zero."""
        return Cost(
            self.images + int(metrics.get("images") or 0),
            self.multiply_adds + int(metrics.get("multiply_adds") or 0),
            self.seconds + float(metrics.get("seconds") or 0.0),
            self.trial_seconds + float(metrics.get("trial_seconds") or 0.0),
        )


def epoch_sums(epochs: Epochs) -> dict[str, float]:
    """What a trial has cost by its epochs; {} of none."""
    return {
        name: sum(metrics.get(name) or 0 for metrics in epochs.values()) for name in COSTS if epochs
    }


@dataclass(frozen=True)
class TrialStanding:
    """How far a trial is.

    `state`: "waiting" has no process at work on it. `epoch`: the last one told, of `epochs` (None:
    not known). `stage`: "2 of 3", where it has several. `images_per_second`, `loss` and `accuracy`
    of that epoch, `node` where it runs; `score` and `failure` of one that has ended. `time` of its
    last event, ISO 8601 in UTC.
    """

    id: str
    kind: str
    state: State
    epoch: int
    epochs: int | None
    stage: str | None = None
    node: str | None = None
    images_per_second: float | None = None
    loss: float | None = None
    accuracy: float | None = None
    score: float | None = None
    failure: str | None = None
    time: str | None = None
    cost: Cost = Cost()

    @classmethod
    def of(
        cls,
        id: str,
        kind: str,
        epochs: Epochs,
        planned: int | None,
        outcome: Outcome | None,
        metrics: Mapping[str, Any],
        time: str | None,
        begun: Mapping[str, Any] | None = None,
    ) -> Self:
        """Of its epochs, of the `metrics` at its end, and of what its process said as it began;
        None where none has begun.
        """
        last = max(epochs, default=0)
        now, stages = epochs.get(last, {}), epochs.get(0, {}).get("stages", 1)
        failure = None if outcome is None else outcome.failure
        running: State = "waiting" if begun is None else "running"
        return cls(
            id,
            kind,
            running if outcome is None else "done" if failure is None else "failed",
            last,
            planned,
            f"{now.get('stage', 0) + 1} of {stages}" if stages > 1 else None,
            {**now, **(begun or {}), **metrics}.get("node"),
            images_per_second(now),
            now.get("loss"),
            accuracy(now),
            None if outcome is None else outcome.score,
            None if failure is None else str(failure),
            time,
            Cost().plus(metrics or epoch_sums(epochs)),
        )

    @property
    def open(self) -> bool:
        return self.state in ("running", "waiting")

    @property
    def reached(self) -> str:
        """ "3 of 50 epochs, stage 2 of 4"."""
        known = self.epochs is not None
        told = f"{self.epoch} of {self.epochs} epochs" if known else f"epoch {self.epoch}"
        return told if self.stage is None else f"{told}, stage {self.stage}"


def speed(standings: Iterable[TrialStanding]) -> float:
    """Training images per second of the trials that run, by their last epochs."""
    return sum(c.images_per_second or 0.0 for c in standings if c.state == "running")


def accuracy(metrics: Mapping[str, Any]) -> float | None:
    """The most telling accuracy of an epoch; None of one that tells none."""
    return next((metrics[name] for name in ACCURACIES if metrics.get(name) is not None), None)


def kind_of(plan: Plan) -> str:
    """What a plan is called; not every plan says it."""
    return str(getattr(plan, "kind", "trial"))


def images_per_second(metrics: Mapping[str, Any]) -> float | None:
    """The speed of an epoch; None of one that does not tell it."""
    told, images, seconds = (metrics.get(n) for n in ("images_per_second", "images", "seconds"))
    return told or (images / seconds if images and seconds else None)
