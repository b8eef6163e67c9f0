"""Methods beside each other by what they found, trained from scratch, over the seeds of the search
(the layout of StacNAS, table 8), with tests of their differences.

The unit of replication is the search: what its retrainings reach is averaged first.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean, median, stdev
from typing import Self

import numpy as np

from fade_ray.analysis.agreement import Group, agreement
from fade_ray.analysis.paired_tests import PairedTest, paired_tests
from fade_ray.analysis.rank_measures import kendall
from fade_ray.analysis.resampling import t_interval
from fade_ray.cells.method_scores import Scored
from fade_ray.compare.comparison import mean_ranks
from fade_ray.report.verdict import in_one, powerless, sentences
from fade_ray.report.words import Measure, count, listed

RANDOM = "random"
"""The recipe that the others are tested against."""
MEASURE = "accuracy"

Pair = tuple[str, int]
"""A space and the seed of a search."""


@dataclass(frozen=True)
class Row:
    """A method on a space, or on several together; NaN where too few searches have come to their
    end.
    """

    setting: str
    spaces: tuple[str, ...]
    method: str
    searches: int
    missing: int
    """Searches without a genotype trained with every seed; they count nowhere else."""
    mean: float
    """Test accuracy over searches; `std` with n - 1, `low` and `high` the 95 % t interval, all of
    one space alone.
    """
    std: float
    low: float
    high: float
    retraining_std: float
    """Among the retrainings of one search, mean over searches."""
    parameters: float
    """Mean over searches; so are the next, but for the latency, which is the median."""
    multiply_adds: float
    latency_ms: float
    search_seconds: float
    search_images: float


@dataclass(frozen=True)
class Family:
    """Tests that are corrected together: in a setting, over pairs of (space, seed)."""

    setting: str
    spaces: tuple[str, ...]
    baseline: str
    """Empty where each method is tested against each other one."""
    pairs: tuple[Pair, ...]
    """What the numbers of a test's pairs stand for."""
    tests: tuple[PairedTest, ...]

    @property
    def verdict(self) -> str:
        """What was shown, in one sentence."""
        about = f"{self.setting}, {listed(self.spaces)}"
        if self.baseline:
            found = in_one(self.tests, self.baseline, "methods")
        else:
            shown = [f"{t.searcher} {t.finding} than {t.baseline}" for t in self.tests if t.shown]
            between = f"between the {count(len(self.tests), 'pair')} of methods"
            found = f"{listed(shown)}." if shown else f"No difference shown {between}."
        return " ".join([f"{about}: {found}", *powerless(self.tests, self.pair)])

    def sentences(self, score: Measure) -> tuple[str, ...]:
        """Test by test, and what could not have been shown."""
        text = f"{score.name} after retraining ({self.setting}) on {listed(self.spaces)}"
        return sentences(self.tests, {MEASURE: text}, score, self.pair)

    @property
    def pair(self) -> str:
        """What the pairs are."""
        return "seed" if len(self.spaces) == 1 else "pair"


@dataclass(frozen=True)
class Rankings:
    """Whether two settings, or two halves of the retrainings of one, rank the methods alike."""

    first: str
    second: str
    spaces: tuple[str, ...]
    methods: int
    of_means: float
    """Kendall's tau-b of the methods' mean accuracies; 1: the same ranking, 0: unrelated."""
    within: float
    """Of the methods with one seed on one space, pooled. `low` and `high`: 95 %, over resampled
    searches; NaN for a single one. `chance`: what 95 % of random orders reach at most.
    """
    low: float
    high: float
    chance: float

    @property
    def verdict(self) -> str:
        """In one sentence."""
        halves = f"two halves of the retrainings in {self.first}"
        settings = halves if self.first == self.second else f"{self.first} and {self.second}"
        known, ends = math.isfinite(self.low), f"{self.low:.2f} to {self.high:.2f}"
        return (
            f"{settings}, {listed(self.spaces)}: Kendall's tau of the {self.methods} methods' "
            f"means {self.of_means:+.2f}; within searches {self.within:+.2f}"
            f"{f', 95% interval {ends}' if known else ''} (random orders reach {self.chance:.2f})."
        )


@dataclass(frozen=True)
class MethodTable:
    """All of the above, made by `of`."""

    settings: tuple[str, ...]
    spaces: tuple[str, ...]
    methods: tuple[str, ...]
    rows: tuple[Row, ...]
    ranks: Mapping[str, Mapping[str, float]]
    """[setting][method]: mean rank by accuracy, 1 the best, over the pairs that all have."""
    families: tuple[Family, ...]
    rankings: tuple[Rankings, ...]

    @classmethod
    def of(cls, scores: Sequence[Scored], searches: Sequence[tuple[str, str, int]]) -> Self | None:
        """Of all `searches` (method, space, seed), in their order; None where nothing is scored."""
        if not scores:
            return None
        settings = tuple(dict.fromkeys(each.setting for each in scores))
        methods = tuple(dict.fromkeys(method for method, _, _ in searches))
        spaces = tuple(dict.fromkeys(space for _, space, _ in searches))
        values = {
            setting: _values([each for each in scores if each.setting == setting], methods)
            for setting in settings
        }
        groups = [spaces, *((space,) for space in spaces if len(spaces) > 1)]
        rows = tuple(
            _row(setting, group, method, scores, searches)
            for setting in settings
            for group in groups
            for method in methods
        )
        families = (
            family
            for setting in settings
            for group in groups
            for family in _families(setting, group, values[setting], group == spaces)
        )
        ranks = {name: mean_ranks(each, _common([each])) for name, each in values.items()}
        halves = _rankings(settings, groups, scores, methods)
        return cls(settings, spaces, methods, rows, ranks, tuple(families), tuple(halves))

    def row(self, setting: str, spaces: tuple[str, ...], method: str) -> Row:
        """Of `rows`."""
        asked = (setting, spaces, method)
        return next(r for r in self.rows if (r.setting, r.spaces, r.method) == asked)

    def verdict(self, spaces: tuple[str, ...]) -> tuple[str, ...]:
        """In a sentence per family of tests and pair of settings, of those on these spaces."""
        known: list[Family | Rankings] = [*self.families, *self.rankings]
        told = tuple(each.verdict for each in known if each.spaces == spaces)
        return told or ("Nothing was tested: there is one method.",)


Values = Mapping[str, Mapping[Pair, float]]
"""[method][space, seed]: accuracy."""


def _values(scores: Sequence[Scored], methods: Sequence[str]) -> Values:
    return {
        method: {(s.space, s.seed): s.accuracy for s in scores if s.method == method}
        for method in methods
    }


def _row(
    setting: str,
    spaces: tuple[str, ...],
    method: str,
    scores: Sequence[Scored],
    searches: Sequence[tuple[str, str, int]],
) -> Row:
    mine = [s for s in scores if (s.setting, s.method) == (setting, method) and s.space in spaces]
    accuracies = [each.accuracy for each in mine]
    spreads = [stdev(each.accuracies) for each in mine if len(each.accuracies) > 1]
    planned = sum(name == method and space in spaces for name, space, _ in searches)
    alone = accuracies if len(spaces) == 1 else ()  # a spread over spaces would say nothing
    return Row(
        setting,
        spaces,
        method,
        len(mine),
        planned - len(mine),
        _mean(accuracies),
        stdev(alone) if len(alone) > 1 else math.nan,
        *t_interval(alone),
        _mean(spreads),
        _mean([each.parameters for each in mine]),
        _mean([each.multiply_adds for each in mine]),
        median([each.latency_ms for each in mine]) if mine else math.nan,
        _mean([each.search_seconds for each in mine]),
        _mean([each.search_images for each in mine]),
    )


def _mean(values: Sequence[float]) -> float:
    return mean(values) if values else math.nan


def _families(
    setting: str, spaces: tuple[str, ...], values: Values, among_themselves: bool
) -> list[Family]:
    """Each method against random; and each against each other one, which is a family of its own."""
    pairs = sorted({pair for each in values.values() for pair in each if pair[0] in spaces})
    numbered = {
        method: {pairs.index(pair): x for pair, x in of_pair.items() if pair[0] in spaces}
        for method, of_pair in values.items()
    }
    others = {method: each for method, each in numbered.items() if method != RANDOM}
    grids = [(RANDOM, numbered, [RANDOM])] if RANDOM in numbered and others else []
    if among_themselves and len(others) > 1:
        grids.append(("", others, list(others)))
    return [
        Family(setting, spaces, name, tuple(pairs), paired_tests(each, baselines, MEASURE))
        for name, each, baselines in grids
    ]


def _common(tables: Sequence[Values]) -> list[Pair]:
    """What every method has in each of the tables."""
    known = [set(of_pair) for values in tables for of_pair in values.values()]
    return sorted(set.intersection(*known))


def _rankings(
    settings: Sequence[str],
    groups: Sequence[tuple[str, ...]],
    scores: Sequence[Scored],
    methods: Sequence[str],
) -> list[Rankings]:
    """Each setting beside each other one, after its own retrainings in two halves."""
    sides: list[tuple[tuple[str, str], Values, Values]] = []
    by_setting = {s: [each for each in scores if each.setting == s] for s in settings}
    for number, first in enumerate(settings):
        seeds = min(len(each.accuracies) for each in by_setting[first])
        if seeds > 1:
            parts = (slice(None, seeds // 2), slice(seeds // 2, None))
            halves = [_values(_part(by_setting[first], part), methods) for part in parts]
            sides.append(((first, first), halves[0], halves[1]))
        for second in settings[number + 1 :]:
            both = [_values(by_setting[name], methods) for name in (first, second)]
            sides.append(((first, second), both[0], both[1]))
    found = [_ranked(names, group, a, b) for names, a, b in sides for group in groups]
    return [each for each in found if each is not None]


def _part(scores: Sequence[Scored], part: slice) -> list[Scored]:
    return [replace(each, accuracies=each.accuracies[part]) for each in scores]


def _ranked(
    names: tuple[str, str], spaces: tuple[str, ...], first: Values, second: Values
) -> Rankings | None:
    """None for fewer methods than three, or without a search that all of them have."""
    pairs = [pair for pair in _common([first, second]) if pair[0] in spaces]
    if len(first) < 3 or not pairs:
        return None
    sides = [[[each[pair] for each in side.values()] for pair in pairs] for side in (first, second)]
    x, y = np.asarray(sides).round(12)  # [pair, method]
    of_means = float(kendall(x.mean(axis=0).round(12), y.mean(axis=0).round(12))[0])
    units = {f"{pairs[i]}": [Group(x[i], y[i])] for i in range(len(pairs))}
    pooled = agreement(units, "kendall")
    low, high = pooled.interval
    return Rankings(*names, spaces, len(first), of_means, pooled.value, low, high, pooled.chance)
