"""A search whose best architectures are evaluated again before one of them is chosen.

The best of many noisy scores is, more than anything else, a lucky one. So the last part of the
trials goes into the few that look best, and what counts is the mean of all trainings of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import fmean
from typing import NamedTuple

from searchers.base import AskTell, Proposal, checked
from searchers.following import Following
from searchers.outcome import Outcome
from spaces.errors import at_least
from spaces.hyper import HyperArchitecture


class Pooled(NamedTuple):
    """All scored trainings of one architecture, by index."""

    trainings: tuple[tuple[Proposal, float], ...]

    @property
    def first(self) -> Proposal:
        return self.trainings[0][0]

    @property
    def hyper(self) -> HyperArchitecture:
        return self.first.hyper

    @property
    def scores(self) -> tuple[float, ...]:
        return tuple(score for _, score in self.trainings)

    @property
    def score(self) -> float:
        """Their mean."""
        return fmean(self.scores)

    @property
    def told(self) -> float:
        """Their mean where it was evaluated again, else the best."""
        return self.score if self.repeated else max(self.scores)

    @property
    def repeated(self) -> bool:
        """Whether it was among the best few."""
        return any(proposal.kind == "repeat" for proposal, _ in self.trainings)


def pooled(trainings: Iterable[tuple[Proposal, float]]) -> list[Pooled]:
    """By architecture, the best mean first, ties by the first training."""
    groups: dict[str, list[tuple[Proposal, float]]] = {}
    for each in sorted(trainings, key=lambda training: training[0].index):
        groups.setdefault(each[0].hyper.code(), []).append(each)
    return sorted((Pooled(tuple(group)) for group in groups.values()), key=lambda p: -p.score)


def front(
    architectures: Iterable[Pooled], cost: Callable[[HyperArchitecture], float]
) -> list[Pooled]:
    """Those whose mean score no other one of at most their cost reaches, by rising cost."""
    kept: list[Pooled] = []
    for each in sorted(architectures, key=lambda p: (cost(p.hyper), -p.score)):
        if not kept or each.score > kept[-1].score:
            kept.append(each)
    return kept


def spread(architectures: Sequence[Pooled], count: int) -> list[Pooled]:
    """As many of them, evenly from the first to the last; of one the last."""
    if count >= len(architectures):
        return list(architectures)
    last = len(architectures) - 1
    steps = (round(last * step / max(count - 1, 1)) for step in range(count))
    return [architectures[step] for step in steps] if count > 1 else [architectures[last]]


def chosen(architectures: Iterable[Pooled]) -> Pooled | None:
    """The best mean of those that were evaluated again; before that, what has the best score."""
    known = list(architectures)
    repeated = [each for each in known if each.repeated]
    if repeated:
        return repeated[0]
    return max(known, key=lambda each: (each.told, -each.first.index), default=None)


class WithRepeats(Following):
    """Any searcher, then `times` more evaluations (kind "repeat", different seeds) of each of the
    `best_few` architectures of best mean score so far; of those the best mean is the `best`. With a
    cost they go `along` its front instead, evenly from the cheapest to the best.
    """

    def __init__(
        self,
        inner: AskTell,
        best_few: int,
        times: int,
        seed: int = 0,
        max_retries: int = 2,
        along: Callable[[HyperArchitecture], float] | None = None,
    ) -> None:
        at_least(1, best_few=best_few, times=times)
        self.best_few, self.times, self.along = best_few, times, along
        self._asked: dict[str, Proposal] = {}
        self._scored: list[tuple[Proposal, float]] = []
        super().__init__(inner, seed, max_retries)

    def follow(self) -> None:
        few = pooled(self._scored)
        if self.along is not None:
            few = spread(front(few, self.along), self.best_few)
        few = few[: self.best_few]
        for repeat in range(self.times):
            for architecture in few:
                epochs = architecture.first.epochs
                self.propose("repeat", architecture.hyper, epochs, repeat=repeat)

    def ask(self) -> Proposal | None:
        proposal = super().ask()
        if proposal is not None and proposal.scored:
            self._asked[proposal.id] = proposal
        return proposal

    def tell(self, id: str, outcome: Outcome) -> None:
        proposal = self._asked.get(id)
        score = None if proposal is None else checked(proposal, outcome).score
        if proposal is not None and score is not None:
            self._scored.append((proposal, score))
        self._asked.pop(id, None)
        super().tell(id, outcome)

    @property
    def best(self) -> tuple[HyperArchitecture, float] | None:
        found = chosen(pooled(self._scored))
        return None if found is None else (found.hyper, found.told)
