"""The depth at which a measure that grows with it is nearest to a target's: bisection, with several
trials at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import Generic

from searchers.attempts import Attempts
from searchers.outcome import Outcome
from searchers.plan import P
from spaces.errors import at_least, require


@dataclass(frozen=True)
class Match:
    """`depth`: of those measured the one nearest to `target`, the least deep of equals. `values`:
    depth -> what was measured, in the order of the depths.
    """

    depth: int
    target: float
    values: Mapping[int, float]

    @property
    def monotone(self) -> bool:
        """Whether the measured values grow with the depth, as bisection takes for granted."""
        return all(less <= more for less, more in pairwise(self.values.values()))


def match(values: Mapping[int, float], target: float) -> Match | None:
    """The nearest of `values`, NaN left out; None where nothing, or no target, was measured."""
    known = {depth: values[depth] for depth in sorted(values) if not math.isnan(values[depth])}
    if math.isnan(target) or not known:
        return None
    nearest = min(known, key=lambda depth: (abs(known[depth] - target), depth))
    return Match(nearest, target, known)


def probes(
    values: Mapping[int, float], target: float | None, depths: Sequence[int], at_once: int
) -> list[int]:
    """The depths to measure next, at most `at_once` and evenly spaced: those between the least deep
    one that reaches the target and the deepest one before it. [] once no depth lies there.

    `values`: what was measured, NaN where that failed; `target`: None while it is unknown, so that
    all `depths` are left.
    """
    known = {} if target is None else values
    reaching = [depth for depth, value in known.items() if target is not None and value >= target]
    high = min(reaching, default=math.inf)
    below = [depth for depth, value in known.items() if depth < high and not math.isnan(value)]
    low = max(below, default=-math.inf)
    left = [depth for depth in depths if low < depth < high and depth not in values]
    if len(left) <= at_once:
        return left
    return [left[(i + 1) * len(left) // (at_once + 1)] for i in range(at_once)]


class DepthMatch(Generic[P]):
    """Asks, in rounds, for the trials of the target and of the depths that `probes` names, until
    the nearest depth is known: log(depths) to base `at_once` + 1 rounds where the measure grows.

    `plans`: depth -> its trials (one per seed), which are averaged; None -> those of the target.
    What is measured stands in the outcome's measures as `measure`; of a trial that fails nothing is
    known. A round waits for the one before, so that the order of the answers changes nothing.
    Raises InvalidInput without depths, and for depths that do not grow.
    """

    def __init__(
        self,
        depths: Sequence[int],
        plans: Callable[[int | None], Sequence[P]],
        measure: str,
        *,
        again: Callable[[P], P] = lambda plan: plan,
        at_once: int = 2,
        max_retries: int = 0,
    ) -> None:
        at_least(1, depths=len(depths), at_once=at_once)
        grow = list(depths) == sorted(set(depths))
        require(grow, "depths grow", "Give each once, the least deep first.", depths=depths)
        self.depths, self.plans, self.measure, self.at_once = depths, plans, measure, at_once
        self._trials = Attempts[P]([], again, max_retries)
        self._depth: dict[str, int | None] = {}  # of the first attempt at each trial
        self._add([None, *probes({}, None, depths, at_once)])

    def _add(self, depths: Sequence[int | None]) -> None:
        for depth in depths:
            for plan in self.plans(depth):
                self._depth[plan.id] = depth
                self._trials.add(plan)

    @property
    def most_probes(self) -> int:
        """Depths that may be asked for."""
        left, asked = len(self.depths), 0
        while left:
            asked += min(left, self.at_once)
            left //= self.at_once + 1  # the widest gap between probes
        return asked

    def ask(self) -> P | None:
        """As `Asks.ask`; None between the rounds too."""
        return self._trials.ask()

    def tell(self, id: str, outcome: Outcome) -> None:
        """As `Asks.tell`."""
        self._trials.tell(id, outcome)
        self._go_on()

    def _go_on(self) -> None:
        target, values = self._measured()
        if self._trials.done and not math.isnan(target):
            self._add(probes(values, target, self.depths, self.at_once))

    def _measured(self) -> tuple[float, dict[int, float]]:
        """Means of the target and of each depth, NaN where nothing was measured."""
        several: dict[int | None, list[float]] = {None: []}
        for first, _, outcome in self._trials.told:
            value = outcome.measures.get(self.measure, math.nan)
            held = several.setdefault(self._depth[first.id], [])
            held += [value] if math.isfinite(value) else []
        means = {depth: fmean(each) if each else math.nan for depth, each in several.items()}
        return means[None], {d: mean for d, mean in means.items() if d is not None}

    @property
    def match(self) -> Match | None:
        """What was found so far; None where all of the target's trials failed, or of all depths."""
        target, values = self._measured()
        return match(values, target)

    @property
    def done(self) -> bool:
        return self._trials.done

    @property
    def in_flight(self) -> list[P]:
        """Asked and not yet told."""
        return self._trials.in_flight

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """As `Staged.outcomes`."""
        return {first.id: outcome for first, _, outcome in self._trials.told}

    @property
    def failures(self) -> list[tuple[str, str]]:
        """(id of the last attempt, reason) of every trial given up."""
        return self._trials.failures
