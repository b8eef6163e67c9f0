"""The correlation of FaDE-ranks with training alone while the hyper-architectures are trained: over
epochs, and at equal computation.

Computation is counted in multiply-adds, which a trial counts itself and which are the same on every
machine. Wall time would say nothing: of trials that share a machine it measures how busy the others
keep it, and the same epochs may take twice as long.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fade_ray.analysis.rank_measures import log_psis, spearman
from fade_ray.analysis.resampling import NOWHERE, Interval
from fade_ray.compare.comparison import jsonable
from fade_ray.ranks.rank_records import Alone, RankRun

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Course:
    """Spearman's rho of a run after each of its T epochs; NaN where all weights, or all accuracies,
    are equal.
    """

    setting: str
    seed: int
    epochs: tuple[int, ...]
    multiply_adds: tuple[int | None, ...]
    """[T], so far; None where the record does not tell."""
    rho: tuple[float, ...]
    """[T]"""

    def ended(self, multiply_adds: int) -> int:
        """How many epochs had ended when so much was computed; of a course whose multiply-adds are
        known.
        """
        return sum(spent is not None and spent <= multiply_adds for spent in self.multiply_adds)


@dataclass(frozen=True)
class Correlation:
    """Mean Spearman's rho of a setting and its 95 % interval; NaN where there is none."""

    setting: str
    seeds: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ComputationCurve:
    """Mean rho over the seeds of a setting, after the last epochs that had ended, at each
    multiply-adds [T] at which an epoch of a seed ended.

    From when all seeds have ended an epoch, to the first end of a seed.
    """

    setting: str
    multiply_adds: tuple[int, ...]
    spearman: tuple[float, ...]

    @classmethod
    def of(cls, setting: str, group: Sequence[Course]) -> Self:
        """Of courses whose multiply-adds are known."""
        spent = [[s for s in course.multiply_adds if s is not None] for course in group]
        first, last = max(s[0] for s in spent), min(s[-1] for s in spent)
        steps = sorted({s for one in spent for s in one if first <= s <= last})
        means = [
            float(np.mean([course.rho[course.ended(step) - 1] for course in group]))
            for step in steps
        ]
        return cls(setting, tuple(steps), tuple(means))


@dataclass(frozen=True)
class EqualComputation:
    """Settings held against each other after the same computation, whatever time it took."""

    multiply_adds: int
    """Computation that every run reached."""
    settings: tuple[Correlation, ...]
    """After the last epochs that had ended then; without settings of which a seed had ended none.
    """
    curves: tuple[ComputationCurve, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; what is NaN becomes None."""
        return {name: jsonable(value) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        settings = tuple(
            Correlation(
                one["setting"],
                one["seeds"],
                *(known(one[name]) for name in ("value", "low", "high")),
            )
            for one in values["settings"]
        )
        curves = tuple(
            ComputationCurve(
                one["setting"], tuple(one["multiply_adds"]), tuple(map(known, one["spearman"]))
            )
            for one in values["curves"]
        )
        return cls(values["multiply_adds"], settings, curves)


def known(value: float | None) -> float:
    """NaN is null in JSON."""
    return math.nan if value is None else float(value)


def by_setting(runs: Sequence[RankRun]) -> dict[str, list[RankRun]]:
    """The runs that have ended an epoch, by setting in the order in which they first appear."""
    groups: dict[str, list[RankRun]] = {}
    for run in runs:
        if run.epochs:
            groups.setdefault(run.setting, []).append(run)
    return groups


def courses(runs: Sequence[RankRun], alone: Sequence[Alone]) -> dict[str, list[Course]]:
    """By setting; {} where fewer than three architectures were trained alone."""
    if len(alone) < 3:
        return {}
    true = np.asarray([np.mean(one.accuracies) for one in alone])
    choices = np.asarray([one.choice for one in alone], dtype=np.intp)
    return {
        setting: [_course(run, choices, true) for run in group]
        for setting, group in by_setting(runs).items()
    }


def _course(run: RankRun, choices: npt.NDArray[np.intp], true: Array) -> Course:
    rho = tuple(float(spearman(log_psis(epoch.weights, choices), true)) for epoch in run.epochs)
    epochs, spent = (
        (epoch.epoch for epoch in run.epochs),
        (epoch.multiply_adds for epoch in run.epochs),
    )
    return Course(run.setting, run.seed, tuple(epochs), tuple(spent), rho)


def equal_computation(
    found: Mapping[str, Sequence[Course]], interval: Callable[[str, list[int]], Interval]
) -> EqualComputation | None:
    """The settings at the computation that all runs reached; None without runs, or where the
    multiply-adds of one are not known.

    interval: of the mean rho of a setting, from its name and how many epochs (1 or more) each of
    its runs is taken after.
    """
    every = [course for group in found.values() for course in group]
    if not every or any(spent is None for course in every for spent in course.multiply_adds):
        return None
    equal = min(course.multiply_adds[-1] or 0 for course in every)
    settings = []
    for setting, group in found.items():
        ended = [course.ended(equal) for course in group]
        if all(ended):
            mean = float(
                np.mean([course.rho[n - 1] for course, n in zip(group, ended, strict=True)])
            )
            # resamples may miss the undefined seed
            ends = interval(setting, ended) if math.isfinite(mean) else NOWHERE
            settings.append(Correlation(setting, len(group), mean, *ends))
    curves = tuple(ComputationCurve.of(setting, group) for setting, group in found.items())
    return EqualComputation(equal, tuple(settings), curves)
