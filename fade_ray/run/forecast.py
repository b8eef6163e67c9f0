"""How long a run will still take, by what its epochs have cost so far."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from fade_ray.records.history import TrialHistory
from fade_ray.records.standings import kind_of
from fade_ray.run.progress import clock

LONGER = 1.25
"""Images of an epoch from scratch, on the weights and architecture parts 4:1, over those of a
search.
"""


class Planned(NamedTuple):
    """Trials of a kind that a run will have in all, their epochs together, and whether they are
    asked for all at once.
    """

    trials: float
    epochs: float
    at_once: bool = False


class Forecast:
    """`planned`: by kind of trial. It is told of every epoch, and of every trial that has ended."""

    def __init__(self, planned: Mapping[str, Planned]) -> None:
        self.planned = planned
        self.done, self.seconds = Counter[str](), defaultdict[str, float](float)
        self.trained, self.took = 0.0, 0.0  # of trials that have ended: training, all their time
        self.open, self.most = 0, 1  # trials at once, and the most of them

    @classmethod
    def of(cls, planned: Mapping[str, Planned], history: TrialHistory[Any]) -> Self:
        """As the record says."""
        forecast = cls(planned)
        for event, id in history.times:
            if event == "proposed":
                forecast.begun()
            elif event == "finished":
                forecast.ended(history.metrics[id])
        for id, epochs in history.epochs.items():
            for metrics in epochs.values():
                forecast.epoch(kind_of(history.proposals[id]), metrics)
        return forecast

    def begun(self) -> None:
        self.open += 1
        self.most = max(self.most, self.open)

    def ended(self, metrics: Mapping[str, Any]) -> None:
        self.open -= 1
        self.trained += metrics.get("seconds") or 0.0
        self.took += metrics.get("trial_seconds") or 0.0

    def epoch(self, kind: str, metrics: Mapping[str, Any]) -> None:
        self.done[kind] += 1
        self.seconds[kind] += metrics.get("seconds") or 0.0

    def left(self, active: float) -> float | None:
        """Seconds, of a run that has been at it for so many; None while nothing is known. Trials
        go on side by side as they did, where there are enough of their kind.
        """
        if not (sum(self.seconds.values()) and active and self.planned):
            return None
        pace = sum(self.seconds.values()) / active  # seconds of training in one
        alone = self.trained / self.took if self.trained and self.took else 1.0  # in one of a trial
        behind = sum(plan.trials for plan in self.planned.values() if plan.at_once)
        fastest = alone * min(float(self.most), behind)
        return sum(
            max(0.0, plan.epochs - self.done[kind])
            * self._each(kind)
            / (fastest if plan.at_once else pace)
            for kind, plan in self.planned.items()
        )

    def _each(self, kind: str) -> float:
        """Seconds of an epoch: its own, else those of an evaluation, else of any."""
        if self.done[kind]:
            return self.seconds[kind] / self.done[kind]
        if self.done["evaluation"]:
            return LONGER * self.seconds["evaluation"] / self.done["evaluation"]
        return sum(self.seconds.values()) / self.done.total()

    def words(self, active: float) -> str:
        """ "4:04 gone, 4:40 left"."""
        left = self.left(active)
        return f"{clock(active)} gone" + ("" if left is None else f", {clock(left)} left")
