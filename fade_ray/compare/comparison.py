"""Searchers side by side under one budget: curves, final reports, ranks, costs, and tests.

Two measures, larger being better: "final", the report of the architecture of best mean score when
the budget is spent, and "area", the mean of that curve over the budget. "final" is what is claimed
with; "area" is corrected as a family of its own.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from fade_ray.analysis.paired_tests import PairedTest, paired_tests
from fade_ray.analysis.resampling import t_interval
from fade_ray.compare.trace import Trace, anytime, area, check_traces, final, top_reports
from fade_ray.report.verdict import verdict
from fade_ray.report.words import ACCURACY, Measure
from spaces.errors import InvalidInput, require

Array = npt.NDArray[np.float64]
K = TypeVar("K")
MEASURES = ("final", "area")
GRID = 101
"""Budgets that the bands are given at, from 0 to the budget."""


@dataclass(frozen=True)
class SeedResult:
    """What one trace comes to; a searcher that evaluated nothing stands at the floor."""

    searcher: str
    seed: int
    complete: bool
    evaluations: int
    """Within the budget."""
    spent: float
    """When the last of them ended, in the unit of the traces."""
    spent_on_ranks: float | None
    """Of the whole budget, on hyper-architectures, where it is known."""
    score: float | None
    """Best mean score of an architecture; None without an evaluation."""
    final: float
    area: float


@dataclass(frozen=True)
class Band:
    """A searcher's reported curve over its complete seeds: mean and 95% t interval at each budget;
    NaN where not every seed has evaluated something, and as ends of the interval of a single seed.
    """

    searcher: str
    seeds: int
    grid: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    score: tuple[float, ...]
    """Mean of the best score so far."""


@dataclass(frozen=True)
class Summary:
    """A searcher over its complete seeds; NaN where too few are."""

    searcher: str
    seeds: int
    partial: int
    """Traces that are not complete, and counted nowhere else."""
    mean: float
    """Of the final report. `std` with n - 1, `low` and `high` the 95% t interval of the mean."""
    std: float
    low: float
    high: float
    area: float
    area_std: float
    rank: float
    """Mean rank by the final report among all searchers, 1 the best, equal ones sharing; over the
    seeds that all completed. `area_rank` is the same by area.
    """
    area_rank: float
    evaluations: float
    """Mean per seed; so is `spent`."""
    spent: float
    spent_on_ranks: float | None
    top: tuple[float, ...]
    """Reports of the k best-scored architectures of all seeds together, best score first (FaDE Fig.
    8); as everywhere, means over the evaluations of each.
    """
    top_mean: float
    """Mean report of the k best-scored architectures of each seed, over seeds."""


@dataclass(frozen=True)
class Comparison:
    """All of the above, made by `of`."""

    budget: float
    unit: str
    floor: float
    baselines: tuple[str, ...]
    k: int
    results: tuple[SeedResult, ...]
    bands: tuple[Band, ...]
    summaries: tuple[Summary, ...]
    common_seeds: tuple[int, ...]
    """Completed by all searchers."""
    tests: tuple[PairedTest, ...]
    """Each searcher against each baseline, on each of `MEASURES`."""
    verdict: tuple[str, ...]
    """Sentences."""

    @classmethod
    def of(
        cls,
        traces: Sequence[Trace],
        baseline: str | Sequence[str] = "random",
        floor: float = 0.0,
        k: int = 10,
        spent_on_ranks: Mapping[tuple[str, int], float | None] | None = None,
        score: Measure = ACCURACY,
    ) -> Self:
        """Compare the searchers of `traces`, in the order in which they first appear.

        Args:
            baseline: one or several searchers that the others are tested against.
            floor: what counts before the first evaluation: the accuracy of a guess.
            k: architectures per searcher in the distributions of the best.
            spent_on_ranks: by (searcher, seed), what went into hyper-architectures.
            score: what the reports measure, for the words.

        Raises InvalidInput for traces that cannot be compared, a baseline without traces, a floor
        that is no number, and k below 1.
        """
        check_traces(traces)
        remedy = "Use that of a guess, 1 / classes."
        require(math.isfinite(floor), "a finite floor", remedy, floor=floor)
        require(k >= 1, "k >= 1", "Use 10, as FaDE's Fig. 8.", k=k)
        searchers = list(dict.fromkeys(trace.searcher for trace in traces))
        baselines = (baseline,) if isinstance(baseline, str) else tuple(dict.fromkeys(baseline))
        missing = [name for name in baselines if name not in searchers]
        if missing:
            raise InvalidInput(
                f"A baseline must be one of the searchers {', '.join(searchers)}, "
                f"but got {missing[0]!r}. Run it as well."
            )
        spent = spent_on_ranks or {}
        results = [_result(t, floor, spent.get((t.searcher, t.seed))) for t in traces]
        groups = {name: [t for t in traces if t.searcher == name] for name in searchers}
        values = {measure: _values(results, measure) for measure in MEASURES}
        common = sorted(set.intersection(*(set(seeds) for seeds in values["final"].values())))
        ranks = {measure: mean_ranks(values[measure], common) for measure in MEASURES}
        tests = tuple(t for m in MEASURES for t in paired_tests(values[m], baselines, m))
        summaries = tuple(_summary(name, groups[name], results, k, ranks) for name in searchers)
        partial = Counter(result.searcher for result in results if not result.complete)
        empty = Counter(r.searcher for r in results if r.complete and not r.evaluations)
        grid = np.linspace(0.0, traces[0].budget, GRID)
        return cls(
            budget=traces[0].budget,
            unit=traces[0].unit,
            floor=floor,
            baselines=baselines,
            k=k,
            results=tuple(results),
            bands=tuple(_band(name, group, grid) for name, group in groups.items()),
            summaries=summaries,
            common_seeds=tuple(common),
            tests=tests,
            verdict=verdict(tests, partial, empty, floor, score),
        )


def _result(trace: Trace, floor: float, spent_on_ranks: float | None) -> SeedResult:
    return SeedResult(
        trace.searcher,
        trace.seed,
        trace.complete,
        evaluations=trace.within,
        spent=trace.costs[trace.within - 1] if trace.within else 0.0,
        spent_on_ranks=spent_on_ranks,
        score=float(anytime(trace, [trace.budget]).scores[0]) if trace.within else None,
        final=final(trace, floor),
        area=area(trace, floor),
    )


def _band(searcher: str, traces: Sequence[Trace], grid: Array) -> Band:
    curves = [anytime(trace, grid) for trace in traces if trace.complete]
    reports = np.asarray([curve.reports for curve in curves]).reshape(-1, len(grid))  # [seed, G]
    scores = np.asarray([curve.scores for curve in curves]).reshape(-1, len(grid))
    mean, score = (tuple(_mean(column) for column in part.T) for part in (reports, scores))
    low, high = zip(*(t_interval(column) for column in reports.T), strict=True)
    return Band(searcher, len(curves), tuple(grid.tolist()), mean, low, high, score)


def _summary(
    name: str,
    traces: Sequence[Trace],
    results: Sequence[SeedResult],
    k: int,
    ranks: Mapping[str, Mapping[str, float]],
) -> Summary:
    mine = [result for result in results if result.searcher == name and result.complete]
    finals, areas = [result.final for result in mine], [result.area for result in mine]
    low, high = t_interval(finals)
    on_ranks = [result.spent_on_ranks for result in mine if result.spent_on_ranks is not None]
    complete = [trace for trace in traces if trace.complete]
    together, tops = top_reports(complete, k), [top_reports([trace], k) for trace in complete]
    return Summary(
        name,
        seeds=len(mine),
        partial=len(traces) - len(mine),
        mean=_mean(finals),
        std=_std(finals),
        low=low,
        high=high,
        area=_mean(areas),
        area_std=_std(areas),
        rank=ranks["final"][name],
        area_rank=ranks["area"][name],
        evaluations=_mean([result.evaluations for result in mine]),
        spent=_mean([result.spent for result in mine]),
        spent_on_ranks=_mean(on_ranks) if on_ranks else None,
        top=tuple(report for _, report in together),
        top_mean=_mean([_mean([report for _, report in top]) for top in tops if top]),
    )


def _values(results: Sequence[SeedResult], measure: str) -> dict[str, dict[int, float]]:
    """[searcher][seed] of the complete traces; a searcher without any has {}."""
    whole = [result for result in results if result.complete]
    return {
        name: {result.seed: getattr(result, measure) for result in whole if result.searcher == name}
        for name in dict.fromkeys(result.searcher for result in results)
    }


def mean_ranks(values: Mapping[str, Mapping[K, float]], seeds: Sequence[K]) -> dict[str, float]:
    """Of each of `values` [name][seed] among all, 1 the best, over `seeds`; NaN without any."""
    table = np.asarray([[of_seed[seed] for of_seed in values.values()] for seed in seeds])
    ranks = rankdata(-table.reshape(-1, len(values)).round(12), axis=1)  # [seed, searcher]
    return {name: _mean(column) for name, column in zip(values, ranks.T, strict=True)}


def _mean(values: Sequence[float] | Array) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def _std(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
