"""What a rank study comes to: the numbers of its file, ranks.json."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fade_ray.analysis.rank_measures import UNDERFLOW, Rows, mean_correlation, spearman
from fade_ray.analysis.resampling import t_interval
from fade_ray.ranks.rank_correlation import (
    Ceiling,
    Estimate,
    RankStudy,
    Result,
    TableAgreement,
    means_of,
    rank_against_table,
)
from fade_ray.ranks.rank_courses import (
    Correlation,
    Course,
    EqualComputation,
    Point,
    courses,
    equal_computation,
)
from fade_ray.ranks.rank_records import Alone, RankRun, by_setting
from fade_ray.records.journal import plain
from fade_ray.records.json_form import as_json
from spaces import HyperArchitecture
from spaces.nasbench_macro import MacroTable

REPEATS_SEED = 0
MOST_RESAMPLED = 400
"""Architectures that are resampled; more are taken for all that there are."""


@dataclass(frozen=True)
class TablePoint(TableAgreement, Point):
    """A run after an epoch, against a table."""


@dataclass(frozen=True)
class PairedEstimate(Estimate):
    """A mean difference, paired over `seeds`, with Student's t interval."""

    seeds: int


@dataclass(frozen=True)
class TableStudy:
    """The ranks of every run after every epoch, and those of each setting's mean log weights at the
    end, against a whole table. Intervals are Student's t over seeds: the architectures are all
    there are.
    """

    name: str
    agreements: tuple[TablePoint, ...]
    pooled: Mapping[str, TableAgreement]
    ceiling: float
    """Mean Spearman's rho between the table's own trainings."""
    differences: tuple[tuple[str, PairedEstimate], ...]
    """Of each further setting from the first, in rho at the end, over the seeds that both have."""
    equal_computation: EqualComputation | None

    @classmethod
    def of(cls, runs: Sequence[RankRun], table: MacroTable) -> "TableStudy":
        means, trained = table.accuracies.mean(axis=-1), by_setting(runs)
        points = tuple(
            TablePoint(
                *(run.setting, run.seed, epoch.epoch, epoch.multiply_adds),
                **vars(rank_against_table(epoch.weights, means)),
            )
            for run in runs
            for epoch in run.epochs
        )
        groups, names = courses(points), list(trained)

        def interval(name: str, ended: Sequence[int]) -> Any:
            pairs = zip(groups[name], ended, strict=True)
            return t_interval([course.rho[n - 1] for course, n in pairs])

        return cls(
            "NAS-Bench-Macro",
            points,
            {name: rank_against_table(_pooled(group), means) for name, group in trained.items()},
            mean_correlation(table.accuracies.reshape(-1, table.accuracies.shape[-1])),
            tuple((name, _paired(groups[names[0]], groups[name])) for name in names[1:]),
            equal_computation(groups, interval),
        )

    @property
    def ks(self) -> tuple[int, ...]:
        return next((one.ks for one in self.pooled.values()), ())

    @property
    def chance_regrets(self) -> tuple[float, ...]:
        return next((one.chance_regrets for one in self.pooled.values()), ())

    @property
    def points(self) -> tuple[TablePoint, ...]:
        return self.agreements

    @property
    def results(self) -> tuple[Result, ...]:
        """By setting: means over the last epochs of its runs."""
        return tuple(self._result(name, self.last(name)) for name in self.pooled)

    def last(self, setting: str) -> list[TablePoint]:
        """Of each run of a setting the last epoch."""
        own = (point for point in self.agreements if point.setting == setting)
        return list({point.seed: point for point in own}.values())  # a later one takes its place

    def _result(self, name: str, last: Sequence[TablePoint]) -> Result:
        values = [point.spearman for point in last]
        rho = Correlation(name, len(values), float(np.mean(values)), *t_interval(values))
        regrets = np.mean([point.regrets for point in last], axis=0)
        tau = float(np.mean([point.kendall for point in last]))
        return Result(rho, tau, tuple(regrets.tolist()), self.pooled[name].spearman)


def _paired(first: Sequence[Course], other: Sequence[Course]) -> PairedEstimate:
    before = {course.seed: course.rho[-1] for course in first}
    values = [course.rho[-1] - before[course.seed] for course in other if course.seed in before]
    value = float(np.mean(values)) if values else math.nan
    return PairedEstimate(value, *t_interval(values), len(values))


def _pooled(runs: Sequence[RankRun]) -> Rows:
    """Normalised geometric means of the final weights of trainings."""
    logs = [
        np.mean([np.log(np.maximum(row, UNDERFLOW)) for row in rows], axis=0)
        for rows in zip(*(run.weights for run in runs), strict=True)
    ]
    return tuple(tuple(np.exp(row - np.logaddexp.reduce(row)).tolist()) for row in logs)


@dataclass(frozen=True)
class Baseline:
    """An order by a size, without training, and its Spearman's rho with the mean accuracies."""

    name: str
    spearman: float


@dataclass(frozen=True)
class RankFindings:
    """What a study found so far: `table` or `summary`, and None where nothing can be correlated.

    `truth`: a key of TRUTHS.
    """

    hyper: HyperArchitecture
    runs: tuple[RankRun, ...]
    alone: tuple[Alone, ...]
    truth: str
    table: TableStudy | None = None
    summary: RankStudy | None = None
    baseline: Baseline | None = None

    @classmethod
    def of(
        cls,
        hyper: HyperArchitecture,
        runs: Sequence[RankRun],
        alone: Sequence[Alone],
        truth: str,
        table: MacroTable | None = None,
    ) -> "RankFindings":
        """Summaries go over the architectures that have all their repeats."""
        size = by_size(hyper, alone)
        findings = cls(hyper, tuple(runs), tuple(alone), truth, baseline=size)
        if table is None:
            return replace(findings, summary=summary_of(runs, findings.whole))
        return replace(findings, table=TableStudy.of(runs, table))

    @property
    def study(self) -> TableStudy | RankStudy | None:
        return self.table or self.summary

    @property
    def whole(self) -> list[Alone]:
        """The architectures with all their repeats."""
        repeats = max((len(one.accuracies) for one in self.alone), default=0)
        return [one for one in self.alone if len(one.accuracies) == repeats > 0]

    @property
    def courses(self) -> dict[str, list[Course]]:
        """By setting; {} where nothing can be correlated."""
        return {} if self.study is None else courses(self.study.points)

    @property
    def noise(self) -> Ceiling:
        return Ceiling.of(self.whole)

    def as_json(self) -> dict[str, Any]:
        """What ranks.json holds but for the verdict; NaN is null."""
        values: dict[str, Any] = plain(as_json(self))
        return values


def summary_of(runs: Sequence[RankRun], whole: Sequence[Alone]) -> RankStudy | None:
    """None where there is nothing to correlate yet."""
    if not runs or len(whole) < 3:
        return None
    return RankStudy.of(runs, whole, np.random.default_rng(REPEATS_SEED))


def by_size(hyper: HyperArchitecture, alone: Sequence[Alone]) -> Baseline | None:
    """Of the sum of the cells' sizes; None where all sums are equal."""
    distinct = hyper.distinct()
    sizes = [sum(row[k].size for row, k in zip(distinct, one.choice, strict=True)) for one in alone]
    if len(set(sizes)) < 2:
        return None
    return Baseline(hyper.rows[0][0].size_name, float(spearman(np.array(sizes), means_of(alone))))
