"""How long a run will still take, by what its epochs or shares of its budgets have cost so far."""

from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from heapq import heapify, heappop, heappush
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


def alike(plan: Any) -> str:
    """What is equal of plans whose epochs cost the same: `alike`, where they have it, or `kind`."""
    return getattr(plan, "alike", None) or kind_of(plan)


def counted(plans: Iterable[Any]) -> dict[str, Planned]:
    """By what is alike of them."""
    trials, epochs = Counter[str](), Counter[str]()
    for plan in plans:
        trials[alike(plan)] += 1
        epochs[alike(plan)] += plan.epochs
    return {kind: Planned(trials[kind], epochs[kind]) for kind in trials}


class Remaining(ABC):
    """How long a run will still take."""

    @abstractmethod
    def left(self, active: float) -> float | None:
        """Seconds, of a run that has been at it for so many; None while nothing is known."""

    def words(self, active: float) -> str:
        """ "4:04 gone, 4:40 left"."""
        left = self.left(active)
        return f"{clock(active)} gone" + ("" if left is None else f", {clock(left)} left")


class ByShare(Remaining):
    """Of a run that always takes as long for an equal share of all that it has to do, of which
    `share` tells how much is done, from 0 to 1.
    """

    def __init__(self, share: Callable[[], float]) -> None:
        self.share = share

    def left(self, active: float) -> float | None:
        share = self.share()
        return active * (1 - share) / share if active and share > FIRST else None


FIRST = 0.02
"""A smaller share says nothing yet."""


class Forecast(Remaining):
    """`planned`: by what is `alike` of trials. It is told of every epoch, and of every trial that
    has ended.
    """

    def __init__(self, planned: Mapping[str, Planned]) -> None:
        self.planned = planned
        self.done, self.seconds = Counter[str](), defaultdict[str, float](float)
        self.trained, self.took = 0.0, 0.0  # of trials that have ended: training, all their time
        self.begun_of, self.reached = Counter[str](), dict[str, int]()  # by kind, by id
        self.open, self.most = dict[str, Any](), 1  # trials at once by id, and the most of them

    @classmethod
    def of(cls, planned: Mapping[str, Planned], history: TrialHistory[Any]) -> Self:
        """As the record says."""
        forecast = cls(planned)
        for event, id in history.times:
            if event == "proposed":
                forecast.begun(history.proposals[id])
            elif event == "finished":
                forecast.ended(history.proposals[id], history.metrics[id])
        for id, epochs in history.epochs.items():
            for number, metrics in epochs.items():
                forecast.epoch(history.proposals[id], number, metrics)
        return forecast

    def begun(self, plan: Any) -> None:
        self.begun_of[alike(plan)] += plan.id not in self.open  # else it goes on
        self.open[plan.id] = plan
        self.most = max(self.most, len(self.open))

    def ended(self, plan: Any, metrics: Mapping[str, Any]) -> None:
        self.open.pop(plan.id, None)
        self.trained += metrics.get("seconds") or 0.0
        self.took += metrics.get("trial_seconds") or 0.0

    def epoch(self, plan: Any, number: int, metrics: Mapping[str, Any]) -> None:
        if number:  # 0 is the state before the first one
            self.done[alike(plan)] += 1
            self.reached[plan.id] = number
            self.seconds[alike(plan)] += metrics.get("seconds") or 0.0

    def left(self, active: float) -> float | None:
        """Trials go on side by side as they did, where there are enough of their kind."""
        if not (sum(self.seconds.values()) and active and self.planned):
            return None
        pace = sum(self.seconds.values()) / active  # seconds of training in one
        alone = self._alone()
        behind = sum(plan.trials for plan in self.planned.values() if plan.at_once)
        fastest = alone * min(float(self.most), behind)
        return sum(
            max(0.0, plan.epochs - self.done[kind])
            * self._each(kind)
            / (fastest if plan.at_once else pace)
            for kind, plan in self.planned.items()
        )

    def _alone(self) -> float:
        """Seconds of training in one of a trial."""
        return self.trained / self.took if self.trained and self.took else 1.0

    def _each(self, kind: str) -> float:
        """Seconds of an epoch: its own, else those of an evaluation, else of any."""
        if self.done[kind]:
            return self.seconds[kind] / self.done[kind]
        if self.done["evaluation"]:
            return LONGER * self.seconds["evaluation"] / self.done["evaluation"]
        return sum(self.seconds.values()) / self.done.total()


class GridForecast(Forecast):
    """Of trials that wait for nothing but a place, as they will be put side by side; those that are
    `at_once` wait for all others, too.
    """

    def left(self, active: float) -> float | None:
        if not sum(self.seconds.values()):
            return None
        places: list[float] = [
            max(0.0, plan.epochs - self.reached.get(id, 0)) * self._each(alike(plan))
            for id, plan in self.open.items()
        ]
        places += [0.0] * (self.most - len(places))
        for behind in (False, True):
            if behind:
                places = [max(places)] * len(places)
            heapify(places)
            for lasts in self._waiting(behind):
                heappush(places, heappop(places) + lasts)
        return max(places) / self._alone()

    def _waiting(self, behind: bool) -> list[float]:
        """Seconds of training of each trial that has not begun; kinds take turns."""
        waiting = sorted(
            (number / plan.trials, plan.epochs / plan.trials * self._each(kind))
            for kind, plan in self.planned.items()
            if plan.at_once == behind
            for number in range(self.begun_of[kind], round(plan.trials))
        )
        return [lasts for _, lasts in waiting]
