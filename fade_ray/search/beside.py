"""Has a search earned anything? What it found beside the baselines, as its record says it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any, Self

import numpy as np

from fade_ray.analysis.paired_tests import PairedTest, paired_tests
from fade_ray.records.journal import plain
from fade_ray.records.json_form import as_json
from fade_ray.report.page import Column, Numbers, Section, Table, Verdict
from fade_ray.report.verdict import in_one, powerless, sentences
from fade_ray.report.words import Measure, count, number, si
from fade_ray.search.baselines import BASELINES, FOUND
from fade_ray.search.search_history import History
from fade_ray.training.latency import about_latency

UNTRAINED = "No baseline was trained, so nothing says whether the search has earned anything."
MEASURE = "test"
LATENCY = "latency (ms)"


def median_latency(metrics: Iterable[Mapping[str, Any]]) -> float | None:
    """Of trials, in ms; None of those of versions that did not measure it."""
    known = [each["latency_ms"] for each in metrics if each.get("latency_ms") is not None]
    return median(known) if known else None


@dataclass(frozen=True)
class Trained:
    """A network that was trained from scratch, or random ones; means over its `scores`."""

    name: str
    parameters: float
    multiply_adds: float
    """Of one image."""
    latency_ms: float | None
    """Of one image, median; None where it was not measured."""
    scores: dict[int, float]
    """On the test part, by repeat."""

    @property
    def text(self) -> str:
        known = {FOUND: "the found architecture"} | {n: b.text for n, b in BASELINES.items()}
        return known.get(self.name, self.name)

    @property
    def mean(self) -> float:
        return fmean(self.scores.values())

    @property
    def std(self) -> float | None:
        """With n - 1; None of one."""
        scores = list(self.scores.values())
        return float(np.std(scores, ddof=1)) if len(scores) > 1 else None


@dataclass(frozen=True)
class Beside:
    """The found architecture first, and a test of each baseline against it, on equal repeats."""

    networks: tuple[Trained, ...]
    tests: tuple[PairedTest, ...]

    @classmethod
    def of(cls, history: History, score: Measure) -> Self:
        """Of all trainings from scratch that have ended well so far."""
        ended = defaultdict[str, dict[int, dict[str, Any]]](dict)
        for id, plan in history.proposals.items():
            tested = history.metrics.get(id, {})
            if plan.follows and score.score(tested, "test") is not None:
                ended[plan.network or FOUND][plan.repeat] = tested
        networks = tuple(
            Trained(
                name,
                fmean(each.get("parameters") or 0 for each in told.values()),
                fmean(each.get("network_multiply_adds") or 0 for each in told.values()),
                median_latency(told.values()),
                {repeat: score.score(each, "test") or 0.0 for repeat, each in told.items()},
            )
            for name, told in ended.items()
        )
        values = {network.name: network.scores for network in networks}
        held = FOUND in values and len(values) > 1
        return cls(networks, paired_tests(values, (FOUND,), MEASURE) if held else ())

    @property
    def sentence(self) -> str:
        """Whether a difference is shown, in one or two sentences."""
        if not self.tests:
            return UNTRAINED
        shown = in_one(self.tests, "the found architecture", "baselines")
        return " ".join([shown, *powerless(self.tests, "seed")])

    def section(self, score: Measure) -> Section:
        """Of a report."""
        columns = (
            Column("network", lambda n: n.text),
            Numbers("parameters", lambda n: si(n.parameters)),
            Numbers("multiply-adds", lambda n: si(n.multiply_adds)),
            Numbers(LATENCY, lambda n: number(n.latency_ms)),
            Numbers("seeds", lambda n: str(len(n.scores))),
            Numbers(f"test {score.name}", lambda n: score.text(n.mean, 2)),
            Numbers("standard deviation", lambda n: number(n.std and score.spread(n.std), 2)),
        )
        note = f"All trained from scratch by the same recipe, on the same images. {about_latency()}"
        table = Table.of("Networks that took no search", columns, self.networks, note=note)
        details = sentences(self.tests, {MEASURE: f"test {score.name}"}, score)
        told = Verdict(self.sentence, details[: len(self.tests)])
        return Section(QUESTION, [told, table] if self.tests else [told])

    def lines(self, score: Measure) -> dict[str, str]:
        """(label, text) at the end of a run."""
        told = {
            network.name: f"{score.text(network.mean, 2)} over {count(len(network.scores), 'seed')}"
            f", {si(network.parameters)} parameters: {network.text}"
            for network in self.networks
        }
        return (told if self.tests else {}) | {"earned?": self.sentence}

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        values: dict[str, Any] = plain(as_json(self))
        return values | {"verdict": self.sentence}


QUESTION = "Has the search earned anything?"
