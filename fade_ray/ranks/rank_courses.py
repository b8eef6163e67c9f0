"""Correlations of FaDE-ranks with training alone over epochs, and at equal computation.

Computation is counted in multiply-adds, which a trial counts itself and which are the same on every
machine. Wall time would say nothing: of trials that share a machine it measures how busy the others
keep it, and the same epochs may take twice as long.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from fade_ray.analysis.resampling import NOWHERE, Interval


@dataclass(frozen=True)
class Point:
    """A run after an epoch."""

    setting: str
    seed: int
    epoch: int
    multiply_adds: int | None
    """So far; None where the record does not tell."""
    spearman: float


@dataclass(frozen=True)
class Course:
    """Rho of a run after each of T epochs; NaN where all weights, or accuracies, are equal."""

    setting: str
    seed: int
    epochs: tuple[int, ...]
    multiply_adds: tuple[int | None, ...]
    """[T], so far; None where the record does not tell."""
    rho: tuple[float, ...]
    """[T]"""

    def ended(self, multiply_adds: int) -> int:
        """How many epochs had ended when so much was computed, where multiply-adds are known."""
        return sum(spent is not None and spent <= multiply_adds for spent in self.multiply_adds)


def courses(points: Iterable[Point]) -> dict[str, list[Course]]:
    """By setting, each run's points in the order of its epochs."""
    runs = defaultdict[tuple[str, int], list[Point]](list)
    for point in points:
        runs[point.setting, point.seed].append(point)
    groups: dict[str, list[Course]] = {}
    for (setting, seed), run in runs.items():
        rows = [(point.epoch, point.multiply_adds, point.spearman) for point in run]
        groups.setdefault(setting, []).append(Course(setting, seed, *zip(*rows, strict=True)))
    return groups


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
    multiply-adds [T] at which an epoch of a seed ended: from when all seeds have ended one, to the
    first end of a seed.
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
        means = (_mean(group, [course.ended(step) for course in group]) for step in steps)
        return cls(setting, tuple(steps), tuple(means))


@dataclass(frozen=True)
class EqualComputation:
    """Settings held against each other after the same computation, whatever time it took."""

    multiply_adds: int
    """Computation that every run reached."""
    settings: tuple[Correlation, ...]
    """After the last epochs that had ended; without settings of which a seed had ended none."""
    curves: tuple[ComputationCurve, ...]


def equal_computation(
    groups: Mapping[str, Sequence[Course]], interval: Callable[[str, list[int]], Interval]
) -> EqualComputation | None:
    """The settings at the computation that all runs reached; None without runs, or where the
    multiply-adds of one are not known.

    interval: of the mean rho of a setting, from its name and how many epochs (1 or more) each of
    its runs is taken after.
    """
    every = [course for group in groups.values() for course in group]
    if not every or any(spent is None for course in every for spent in course.multiply_adds):
        return None
    equal = min(course.multiply_adds[-1] or 0 for course in every)
    settings = []
    for setting, group in groups.items():
        ended = [course.ended(equal) for course in group]
        if all(ended):
            mean = _mean(group, ended)
            # resamples may miss the undefined seed
            ends = interval(setting, ended) if math.isfinite(mean) else NOWHERE
            settings.append(Correlation(setting, len(group), mean, *ends))
    curves = tuple(ComputationCurve.of(setting, group) for setting, group in groups.items())
    return EqualComputation(equal, tuple(settings), curves)


def _mean(group: Sequence[Course], ended: Sequence[int]) -> float:
    """Mean rho of the courses, each after so many of its epochs."""
    return float(np.mean([course.rho[n - 1] for course, n in zip(group, ended, strict=True)]))
