"""Regularised evolution (Real et al. 2019) on the cells of the rows themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from searchers.base import AskTell, Told
from searchers.batch import SpaceSearcher
from searchers.options import Batch, Searcher, TrialLengths
from spaces.candidates import Candidate
from spaces.errors import at_least, require
from spaces.feature_space import FeatureSpace, Space
from spaces.generator import within
from spaces.hyper import HyperArchitecture


def moved_box(space: FeatureSpace, cell: Candidate, rng: np.random.Generator) -> Candidate | None:
    """A cell drawn from a box beside the cell's own: one bin up or down an axis, each with equal
    probability. Empty boxes resolve as in `FeatureSpace`; directions that lead back into the cell's
    own box are left out. None where all of them are.
    """
    point = space.embed(cell)
    bins = np.asarray(space.bins)
    here = np.asarray(space.interval(point))
    steps = [sign * unit for unit in np.eye(space.dim, dtype=int) for sign in (1, -1)]
    inside = [here + step for step in steps if np.all((here + step >= 0) & (here + step < bins))]
    others = [(box + 0.5) / bins for box in inside if not space.same_box((box + 0.5) / bins, point)]
    return space.sample(others[int(rng.integers(len(others)))], rng) if others else None


def edited(space: FeatureSpace, cell: Candidate, rng: np.random.Generator) -> Candidate | None:
    """A cell of the space one edit away: its kind drawn among those that have one, then the cell
    among the kind's. None where there is no such cell.
    """
    edits = cell.edits().values()
    kinds = [[other for other in cells if holds(space, other)] for cells in edits]
    kinds = [kind for kind in kinds if kind]
    if not kinds:
        return None
    kind = kinds[int(rng.integers(len(kinds)))]
    return kind[int(rng.integers(len(kind)))]


def holds(space: FeatureSpace, cell: Candidate) -> bool:
    """Whether the cell is one of the space: each of those is a member of its own point's box."""
    return cell in space.members(space.embed(cell))


Mutation = Callable[[FeatureSpace, Candidate, np.random.Generator], Candidate | None]
MUTATIONS: tuple[Mutation, ...] = (moved_box, edited)
"""Drawn with equal probability; where one has nothing to offer the next one is tried."""


def mutated(space: FeatureSpace, cell: Candidate, rng: np.random.Generator) -> Candidate:
    """Another cell of the space by one of the `MUTATIONS`; the cell itself where none finds one."""
    first = int(rng.integers(len(MUTATIONS)))
    for mutation in (*MUTATIONS[first:], *MUTATIONS[:first]):
        child = mutation(space, cell, rng)
        if child is not None:
            return child
    return cell


@dataclass(frozen=True)
class Breeding:
    """Who lives and who breeds in an evolution.

    Real et al.'s population of 100 with tournaments of 25 is for 20,000 trials; the defaults are
    for 20 to 100.
    """

    population: int = 10
    """Architectures alive: the latest that were evaluated with success."""
    tournament: int = 5
    """Architectures among which the parent of the next one is the best."""

    def __post_init__(self) -> None:
        at_least(1, population=self.population, tournament=self.tournament)
        sizes = {"tournament": self.tournament, "population": self.population}
        holds = self.tournament <= self.population
        require(holds, "tournament <= population", "It is held among that many.", **sizes)


@dataclass(frozen=True)
class Evolution(Breeding, Searcher, name="evolution"):
    """Regularised evolution (Real et al. 2019, algorithm 1) of the graphs: the youngest survive,
    and the best of a tournament breeds. `iterations` times `batch` architectures in all.
    """

    batch: Batch = 2
    """Architectures per iteration."""

    def __post_init__(self) -> None:
        Searcher.__post_init__(self)
        Breeding.__post_init__(self)
        at_least(1, batch=self.batch)
        remedy = "The first `population` architectures are random."
        given = {"iterations": self.iterations, "batch": self.batch}
        rule, holds = "population <= iterations * batch", self.population <= self.trials
        require(holds, rule, remedy, population=self.population, **given)

    @property
    def trials(self) -> int:
        """Architectures in all."""
        return self.iterations * self.batch

    def build(self, space: Space, depth: int, lengths: TrialLengths, seed: int) -> AskTell:
        return EvolutionSearch(self, space, depth, lengths, seed)


class EvolutionSearch(SpaceSearcher[Evolution]):
    """The search of `Evolution`.

    The first batch holds `population` random architectures, each generated from a uniform point as
    in random search; the following ones hold `batch` children each. A child is the best of
    `tournament` members of the population, drawn with replacement as in the paper, with the cell of
    one row mutated; all children of a batch have their parents in the population before it
    (`population_scored`, in the order of their batches' ends). As long as `population`
    architectures have not ended, or nothing has succeeded, further architectures are random too.
    """

    def begin(self) -> None:
        self.population_scored: list[tuple[HyperArchitecture, float]] = []
        self.ended = 0  # architectures, with success or not
        for _ in range(self.options.population):
            self.propose_at(self.uniform_points())

    def learn(self, told: Told) -> None:
        scored = [(p.hyper, o.score) for p, o in told if o.score is not None]
        # the oldest die
        self.population_scored = (self.population_scored + scored)[-self.options.population :]
        self.ended += len(told)

    def ahead(self) -> None:
        for _ in range(min(self.options.batch, self.options.trials - self.proposed)):
            if self.population_scored and self.ended >= self.options.population:
                self.propose_architecture(self._child())
            else:
                self.propose_at(self.uniform_points())

    def _child(self) -> HyperArchitecture:
        drawn = self.rng.integers(len(self.population_scored), size=self.options.tournament)
        # Ties: the one drawn first, so that neither age nor place in the population counts.
        parent = max((self.population_scored[i] for i in drawn), key=lambda member: member[1])[0]

        def child() -> HyperArchitecture:
            row = int(self.rng.integers(self.depth))
            cell = mutated(self.space.at(row), parent.rows[row][0], self.rng)
            return HyperArchitecture((*parent.rows[:row], (cell,), *parent.rows[row + 1 :]))

        return within(self.space, child, self.rng)
