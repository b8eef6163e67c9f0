"""Do FaDE-ranks order architectures as training alone does? Correlations, regrets, noise."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import stats

from fade_ray.analysis.rank_measures import (
    Rows,
    chance_regret,
    kendall,
    log_psis,
    mean_correlation,
    regret,
    spearman,
)
from fade_ray.analysis.resampling import Interval, percentiles
from fade_ray.ranks.rank_courses import (
    Correlation,
    EqualComputation,
    Point,
    courses,
    equal_computation,
)
from fade_ray.ranks.rank_records import Alone, RankEpoch, RankRun, by_setting
from spaces.errors import require

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; NaN where undefined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Agreement:
    """How well an order of the architectures agrees with the mean accuracies of training them
    alone. Intervals are percentiles of a bootstrap over architectures.
    """

    spearman: Estimate
    kendall: Estimate
    regrets: tuple[Estimate, ...]
    """[len(ks)], in shares of accuracy."""


@dataclass(frozen=True)
class SeedAgreement:
    """One run, after its last epoch."""

    seed: int
    agreement: Agreement
    accuracy: float | None
    """Of the path of largest weights, as recorded."""


@dataclass(frozen=True)
class SettingAgreement:
    """All runs of a setting, after their last epochs."""

    setting: str
    seeds: tuple[SeedAgreement, ...]
    mean: Agreement
    """Means over seeds; architectures resampled, the same for all seeds: what they leave open."""
    overall: Agreement
    """The same means; architectures and seeds resampled: what others of both might give."""
    pooled: Agreement
    """Of the mean log psi over seeds: the rank that the seeds give together."""


@dataclass(frozen=True)
class Result:
    """A setting after its last epochs, as it is told: means over seeds; NaN where unknown."""

    rho: Correlation
    kendall: float
    regrets: tuple[float, ...]
    pooled: float
    """Spearman's rho of all seeds together."""


@dataclass(frozen=True)
class RunPoint(Point):
    """A run after an epoch, against the architectures trained alone."""

    kendall: float
    regrets: tuple[float, ...]


@dataclass(frozen=True)
class Ceiling:
    """How far the noise of training keeps correlations below 1. NaN with a single repeat.

    Of training alone: initial weights, order of the batches, augmentation. The repeats are judged
    by the same images, so what they agree on includes the luck of these images, an architecture
    being better on them than on others like them: `between` and `bound` are biased upwards as
    estimates for all images. Ranks learned on other images (truth "test") cannot foresee that luck
    and stay below the bound even without noise of their own; ranks learned on the very images of
    the truth ("architecture") share it.
    """

    repeats: int
    between: float
    """Mean Spearman's rho between two repeats of training alone."""
    reliability: float
    """Of the mean of all repeats, by Spearman and Brown: r rho / (1 + (r - 1) rho)."""
    bound: float
    """Its root, a noiseless rank's mean (of a linear correlation; of ranks approximately)."""

    @classmethod
    def of(cls, alone: Sequence[Alone]) -> Self:
        """Of the repeats that all architectures have."""
        repeats = min((len(one.accuracies) for one in alone), default=0)
        table = [one.accuracies[:repeats] for one in alone]
        rho = mean_correlation(np.asarray(table, float).reshape(len(alone), repeats))
        reliability = repeats * rho / (1 + (repeats - 1) * rho) if rho > 0 else math.nan
        return cls(repeats, rho, reliability, math.sqrt(reliability) if rho > 0 else math.nan)


@dataclass(frozen=True)
class RankStudy:
    """All of the above, made by `of`."""

    architectures: int
    ks: tuple[int, ...]
    chance_regrets: tuple[float, ...]
    """[len(ks)], of as many architectures drawn at random."""
    settings: tuple[SettingAgreement, ...]
    differences: tuple[tuple[str, Estimate], ...]
    """(setting, mean rho - that of the first setting), on the same resampled architectures and,
    where settings share seeds, the same seeds.
    """
    points: tuple[RunPoint, ...]
    equal_computation: EqualComputation | None
    """With the intervals of `overall`; None where multiply-adds of a run are not known."""
    ceiling: Ceiling

    @classmethod
    def of(
        cls,
        runs: Sequence[RankRun],
        alone: Sequence[Alone],
        generator: np.random.Generator,
        ks: Sequence[int] = (1, 5),
        resamples: int = 2000,
        confidence: float = 0.95,
    ) -> Self:
        """Judge the ranks of `runs` by the architectures trained `alone`. Settings stand in the
        order in which they first appear.

        Raises InvalidInput for fewer than three architectures, one of them twice or outside of a
        run's rows, repeats or epochs that are missing, and a seed of a setting twice.
        """
        _check(runs, alone)
        n, groups = len(alone), by_setting(runs)
        draws = generator.integers(n, size=(resamples, n))
        seed_draws = generator.random((resamples, MOST_SEEDS))
        known = (choices_of(alone), means_of(alone), tuple(ks))
        truth = _Truth(*known, draws, seed_draws, confidence)
        judged = {name: truth.setting(group) for name, group in groups.items()}
        first, *others = groups
        points = tuple(truth.point(run, epoch) for run in runs for epoch in run.epochs)
        return cls(
            architectures=len(alone),
            ks=tuple(ks),
            chance_regrets=tuple(chance_regret(truth.means, k) for k in ks),
            settings=tuple(setting for setting, _ in judged.values()),
            differences=tuple(
                (name, truth.difference(judged[first], judged[name])) for name in others
            ),
            points=points,
            equal_computation=equal_computation(
                courses(points), lambda name, ended: truth.interval(groups[name], ended)
            ),
            ceiling=Ceiling.of(alone),
        )

    @property
    def results(self) -> tuple[Result, ...]:
        """By setting."""
        return tuple(
            Result(
                Correlation(one.setting, len(one.seeds), *vars(one.overall.spearman).values()),
                one.mean.kendall.value,
                tuple(regret.value for regret in one.mean.regrets),
                one.pooled.spearman.value,
            )
            for one in self.settings
        )


@dataclass(frozen=True)
class _Truth:
    """What training alone found, and the resamples [b, n] that all settings are judged on."""

    choices: npt.NDArray[np.intp]
    means: Array
    ks: tuple[int, ...]
    draws: npt.NDArray[np.intp]
    seed_draws: Array
    """[b, many], in [0, 1): which seeds a resample takes."""
    confidence: float

    def setting(self, runs: Sequence[RankRun]) -> tuple[SettingAgreement, Array]:
        """The agreement, and the mean rho in each resample of architectures and seeds [b]."""
        psis = final_psis(runs, self.choices)
        # [measure, seed], [measure, seed, b]
        values, resampled = self._judged(psis)
        overall = self._over_seeds(runs, resampled)
        pooled, pooled_resampled = self._judged(psis.mean(axis=0, keepdims=True))
        each = [
            SeedAgreement(run.seed, self._agreement(values[:, i], resampled[:, i]), run.accuracy)
            for i, run in enumerate(runs)
        ]
        mean = self._agreement(values.mean(axis=1), resampled.mean(axis=1))
        both = self._agreement(values.mean(axis=1), overall)
        together = self._agreement(pooled[:, 0], pooled_resampled[:, 0])
        return SettingAgreement(runs[0].setting, tuple(each), mean, both, together), overall[0]

    def interval(self, runs: Sequence[RankRun], ended: Sequence[int]) -> Interval:
        """Of the mean rho of runs, each after so many epochs; architectures and seeds resampled."""
        weights = [run.epochs[n - 1].weights for run, n in zip(runs, ended, strict=True)]
        psis = np.asarray([log_psis(rows, self.choices) for rows in weights])
        resampled = spearman(psis[:, self.draws], self.means[self.draws])  # [seed, b]
        return percentiles(self._over_seeds(runs, resampled[None])[0], self.confidence)

    def difference(
        self, first: tuple[SettingAgreement, Array], other: tuple[SettingAgreement, Array]
    ) -> Estimate:
        value = other[0].mean.spearman.value - first[0].mean.spearman.value
        return Estimate(value, *percentiles(other[1] - first[1], self.confidence))

    def _over_seeds(self, runs: Sequence[RankRun], resampled: Array) -> Array:
        """[measure, seed, b] -> [measure, b]: means over the seeds that each resample takes."""
        order = np.argsort([run.seed for run in runs])
        draws = order[(self.seed_draws[:, : len(runs)] * len(runs)).astype(int)].T  # [seed, b]
        taken = np.take_along_axis(resampled, np.broadcast_to(draws, resampled.shape), axis=1)
        return np.asarray(taken.mean(axis=1), float)

    def _judged(self, psis: Array) -> tuple[Array, Array]:
        """[seed, n] -> [measure, seed], and in each resample [measure, seed, b]."""
        n = len(self.means)
        counts = np.stack([np.bincount(draw, minlength=n) for draw in self.draws]).astype(float)
        taus = np.asarray([kendall(psi, self.means, counts) for psi in psis])
        drawn = self._measures(psis[:, self.draws], self.means[self.draws], taus)
        return self._values(psis), drawn

    def _values(self, psis: Array) -> Array:
        """[seed, n] -> [measure, seed]."""
        taus = np.asarray([kendall(psi, self.means)[0] for psi in psis])
        return self._measures(psis, self.means, taus)

    def _measures(self, psis: Array, means: Array, taus: Array) -> Array:
        """rho, tau, regrets."""
        regrets = (regret(psis, means, k) for k in self.ks)
        return np.asarray([spearman(psis, means), taus, *regrets])

    def _agreement(self, values: Array, resampled: Array) -> Agreement:
        """[measure], [measure, b]."""
        rho, tau, *regrets = (
            Estimate(float(value), *percentiles(row, self.confidence))
            for value, row in zip(values, resampled, strict=True)
        )
        return Agreement(rho, tau, tuple(regrets))

    def point(self, run: RankRun, epoch: RankEpoch) -> RunPoint:
        values = self._values(log_psis(epoch.weights, self.choices)[None])[:, 0]
        rho, tau, *regrets = values.tolist()
        where = (run.setting, run.seed, epoch.epoch, epoch.multiply_adds)
        return RunPoint(*where, rho, tau, tuple(regrets))


MOST_SEEDS = 1000
"""Runs of one setting."""


def means_of(alone: Sequence[Alone]) -> Array:
    """[n]: mean accuracy of training alone."""
    return np.asarray([np.mean(one.accuracies) for one in alone])


def choices_of(alone: Sequence[Alone]) -> npt.NDArray[np.intp]:
    """[n, d]"""
    return np.asarray([one.choice for one in alone], dtype=np.intp)


def final_psis(runs: Sequence[RankRun], choices: npt.NDArray[np.intp]) -> Array:
    """[run, n]: log psi of the architectures `choices` [n, d] after the last epoch of each run."""
    return np.asarray([log_psis(run.weights, choices) for run in runs])


def _check(runs: Sequence[RankRun], alone: Sequence[Alone]) -> None:
    n, distinct = len(alone), len({one.choice for one in alone})
    require(len(runs) > 0, "at least one run", "Train a hyper-architecture.", runs=len(runs))
    require(n >= 3, "at least 3 architectures", "Train more of them alone.", architectures=n)
    remedy = "Merge the repeats of equal ones."
    require(distinct == n, "each architecture once", remedy, distinct=distinct)
    for one in alone:
        holds = len(one.accuracies) > 0 and bool(np.isfinite(one.accuracies).all())
        rule = "an architecture has one accuracy or more, each of them a number"
        require(holds, rule, "Train it (again).", choice=one.choice, accuracies=one.accuracies)
    twice = [name for name, n in Counter((r.setting, r.seed) for r in runs).items() if n > 1]
    remedy = "Leave the repeated runs out."
    require(not twice, "each seed of a setting once", remedy, repeated=twice)
    for run in runs:
        epochs = [epoch.epoch for epoch in run.epochs]
        spent = [epoch.multiply_adds for epoch in run.epochs if epoch.multiply_adds is not None]
        holds = len(epochs) > 0 and epochs == sorted(set(epochs)) and spent == sorted(spent)
        rule = "a run has epochs, in their order and that of their computation"
        remedy = f"Record the run of {run.setting!r} with seed {run.seed} anew."
        require(holds, rule, remedy, epochs=epochs, multiply_adds=spent)


@dataclass(frozen=True)
class TableAgreement:
    """How well psi orders all w^d architectures of a table."""

    architectures: int
    spearman: float
    kendall: float
    ks: tuple[int, ...]
    regrets: tuple[float, ...]
    chance_regrets: tuple[float, ...]
    percentile: float
    """Share of architectures worse than the one of largest psi (of equal ones the worst)."""


def rank_against_table(
    weights: Rows, accuracies: Array, ks: Sequence[int] = (1, 10, 100)
) -> TableAgreement:
    """Judge the weights [d][w_i] of a hyper-architecture by the accuracies [w_1, ..., w_d] of all
    its architectures. InvalidInput where the shapes differ.
    """
    shape = tuple(len(row) for row in weights)
    rule, remedy = "accuracies.shape == row lengths", "Give an entry per distinct candidate."
    require(shape == accuracies.shape, rule, remedy, rows=shape, table=accuracies.shape)
    psis = log_psis(weights, np.indices(shape).reshape(len(shape), -1).T)
    true = accuracies.reshape(-1)
    best = true.max() - regret(psis, true, 1)
    return TableAgreement(
        len(true),
        spearman=float(spearman(psis, true)),
        kendall=float(stats.kendalltau(psis, true).statistic),  # n log n, where ours is n^2
        ks=tuple(ks),
        regrets=tuple(float(regret(psis, true, k)) for k in ks),
        chance_regrets=tuple(chance_regret(true, k) for k in ks),
        percentile=float((true < best - 1e-12).mean()),
    )
