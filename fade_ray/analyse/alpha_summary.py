"""What the points of a study of alpha say: how well the weights of a search order operations."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fade_ray.analyse.alpha_points import Point
from fade_ray.analysis.agreement import MEASURES, Agreement, Group, agreement
from fade_ray.analysis.paired_tests import PairedTest, paired_tests
from fade_ray.report.verdict import sentences
from fade_ray.report.words import Measure, count, interval, listed, number
from spaces.cell import NONE

NOTE = (
    "Correlations are pooled within edges: operations are compared on their edge alone. In "
    "Pearson's an edge weighs the more the more its operations differ, and one that is cut by none "
    "most of all; in Kendall's all weigh alike. Intervals "
    "(95 %) are of resampled searches and of the edges in them; of a single search its edges "
    "alone, so that they say nothing of others, and of few searches they are too narrow. Chance: "
    "what 95 % of weights in random order within the edges reach at most, on either side of 0; p: "
    "the share of them that reaches as much. A search that only preferred large operations would "
    "do well too: the number of parameters stands beside it as a predictor."
)


class Case(NamedTuple):
    """Points that belong together."""

    space: str
    truth: str
    recipe: str
    stage: int
    stages: int

    @property
    def method(self) -> str:
        """ "stacnas, stage 1"."""
        return self.recipe + (f", stage {self.stage + 1}" if self.stages > 1 else "")

    @property
    def text(self) -> str:
        return f"{self.method} on {self.space}, {self.truth}"


PREDICTORS: dict[str, Callable[[Point], float]] = {
    "weight": lambda point: point.weight,
    "parameters": lambda point: float(point.parameters),
}
WITHOUT = "without none"


@dataclass(frozen=True)
class Finding:
    """How well a predictor orders the operations of a case."""

    case: Case
    predictor: str
    measure: str
    points: str
    """All, or `WITHOUT`: an edge that is cut can ruin a network, one such point makes a line."""
    agreement: Agreement

    @property
    def what(self) -> str:
        """ "parameters, without none"."""
        return self.predictor + (f", {WITHOUT}" if self.points == WITHOUT else "")

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        found = self.agreement
        return {
            **self.case._asdict(),
            **{"predictor": self.predictor, "measure": self.measure, "of": self.points},
            "value": _known(found.value),
            "interval": [_known(end) for end in found.interval],
            "searches": {name: _known(value) for name, value in found.units.items()},
            **{name: getattr(found, name) for name in ("chance", "p", "groups", "points")},
        }


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def cases(points: Sequence[Point]) -> dict[Case, list[Point]]:
    """The points of each case, by space and truth in the order of the points; the stages of a
    recipe are those that its points tell of.
    """
    stages: dict[str, int] = {}
    for point in points:
        stages[point.recipe] = max(stages.get(point.recipe, 0), point.stage + 1)
    grouped: dict[Case, list[Point]] = {}
    for p in points:
        case = Case(p.space, p.truth, p.recipe, p.stage, stages[p.recipe])
        grouped.setdefault(case, []).append(p)
    places = list(dict.fromkeys(case[:2] for case in grouped))
    return {case: grouped[case] for case in sorted(grouped, key=lambda c: places.index(c[:2]))}


def findings(points: Sequence[Point]) -> list[Finding]:
    """Of every case, predictor and measure; where `none` is an operation, also without it."""
    found = []
    for case, own in cases(points).items():
        parts = {"all": own}
        if any(point.op == NONE for point in own):
            parts[WITHOUT] = [point for point in own if point.op != NONE]
        for words, part in parts.items():
            for predictor in PREDICTORS:
                units = groups(part, predictor)
                if not units:
                    continue
                found += [
                    Finding(case, predictor, measure, words, agreement(units, measure))
                    for measure in MEASURES
                ]
    return found


def groups(points: Sequence[Point], predictor: str) -> dict[str, list[Group]]:
    """Seed -> the edges of its search, each with two operations or more."""
    edges: dict[tuple[int, str], list[Point]] = {}
    for point in points:
        edges.setdefault((point.seed, point.edge), []).append(point)
    units: dict[str, list[Group]] = {}
    for (seed, _), own in sorted(edges.items()):
        if len(own) > 1:
            x = np.array([PREDICTORS[predictor](point) for point in own])
            units.setdefault(str(seed), []).append(Group(x, np.array([p.accuracy for p in own])))
    return units


def by_edge(points: Sequence[Point]) -> dict[str, Agreement]:
    """The weight's Pearson correlation on each edge by itself, pooled over searches."""
    edges: dict[str, list[Point]] = {}
    for point in points:
        edges.setdefault(point.edge, []).append(point)
    units = {edge: groups(own, "weight") for edge, own in edges.items()}
    return {edge: agreement(each) for edge, each in units.items() if each}


def comparisons(found: Sequence[Finding]) -> list[PairedTest]:
    """Pearson correlations in pairs over seeds: of every method and the first one, and of every
    method and what the number of parameters gives on its own genotypes.
    """
    values: dict[tuple[str, str], dict[str, dict[str, Mapping[int, float]]]] = {}
    for each in found:
        if each.measure == "pearson" and each.points == "all":
            seeds = {int(s): r for s, r in each.agreement.units.items() if math.isfinite(r)}
            place = values.setdefault(each.case[:2], {}).setdefault(each.case.method, {})
            place[each.predictor] = seeds
    tests: list[PairedTest] = []
    for (space, truth), methods in values.items():
        name = f"Pearson's correlation on {space}, {truth}"
        weights = {method: known["weight"] for method, known in methods.items()}
        tests += paired_tests(weights, list(weights)[:1], name)
        for method, known in methods.items():
            pair = {method: known["weight"], PARAMETERS: known["parameters"]}
            tests += paired_tests(pair, [PARAMETERS], name)
    return [test for test in tests if len(test.seeds) > 1]


PARAMETERS = "the number of parameters"


def summary(points: Sequence[Point], found: Sequence[Finding]) -> dict[str, Any]:
    """JSON-able."""
    return {
        "note": NOTE,
        "findings": [finding.to_dict() for finding in found],
        "edges": [
            {**case._asdict(), "edge": edge, "pearson": _known(each.value), "points": each.points}
            for case, own in cases(points).items()
            for edge, each in by_edge(own).items()
        ],
        "comparisons": [
            {name: _known(v) if isinstance(v, float) else v for name, v in vars(test).items()}
            for test in comparisons(found)
        ],
    }


def amount(finding: Finding) -> str:
    """ "90 points: 3 searches, 18 edges"."""
    found = finding.agreement
    searches = count(len(found.units), "search", "searches")
    return f"{count(found.points, 'point')}: {searches}, {count(found.groups, 'edge')}"


def shown(finding: Finding) -> str:
    """ "+0.62 [+0.41 to +0.75], chance 0.31, p 0.0005 (90 points: ...)"."""
    found = finding.agreement
    return (
        f"{number(found.value, signed=True)} [{ends(found)}], chance {number(found.chance)}, "
        f"p {found.p:.2g} ({amount(finding)})"
    )


def ends(found: Agreement) -> str:
    """ "+0.41 to +0.75"."""
    return interval(found.interval.low, found.interval.high, signed=True)


def in_words(every: Sequence[Finding]) -> str:
    """The summary as lines for people, by the first accuracy of each space."""
    first: dict[str, str] = {}
    found = [e for e in every if first.setdefault(e.case.space, e.case.truth) == e.case.truth]
    others = dict.fromkeys(each.case.truth for each in every if each not in found)
    lines = [f"Also in the report: {listed(list(others))}.", ""] if others else []
    for case in dict.fromkeys(finding.case for finding in found):
        own = [finding for finding in found if finding.case == case]
        lines.append(case.text)
        lines += [f"  {each.measure:8} {each.what:24} {shown(each)}" for each in own]
        lines += [f"  {caution}" for caution in cautions(own)] + [""]
    lines += compared(found)
    return "\n".join([*lines, "", NOTE]).strip()


FEW = 6


def cautions(own: Sequence[Finding]) -> list[str]:
    """What keeps the numbers of a case from showing anything."""
    most = max((finding.agreement for finding in own), key=lambda found: found.points)
    told = []
    if most.points < FEW:
        told.append(
            f"{most.points} points show little: even a perfect order of them has a p of "
            f"{2 / math.factorial(min(most.points, 12)):.2g} at best."
            if most.groups == 1
            else f"{most.points} points show little."
        )
    if len(most.units) == 1:
        told.append("One search: nothing is known of another seed.")
    return told


def compared(found: Sequence[Finding]) -> tuple[str, ...]:
    """The comparisons in sentences, and what could not have been shown."""
    tests = comparisons(found)
    return sentences(tests, {test.measure: test.measure for test in tests}, Measure("correlation"))
