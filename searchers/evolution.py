"""Regularised evolution (Real et al. 2019) on the cells of the rows themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from searchers.base import State, Told, at_least
from searchers.batch import BatchSearcher, as_points, generate
from spaces.candidates import Candidate
from spaces.errors import require
from spaces.feature_space import FeatureSpace
from spaces.hyper import HyperArchitecture


def moved_box(space: FeatureSpace, cell: Candidate, rng: np.random.Generator) -> Candidate | None:
    """A cell drawn from a box beside the cell's own: one bin up or down an axis, each with equal
    probability.

    Empty boxes resolve as in `FeatureSpace`; directions that lead back into the cell's own box are
    left out. None where all of them are.
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
    among the kind's.

    None where there is no such cell.
    """
    kinds = [
        within
        for cells in cell.edits().values()
        if (within := [other for other in cells if holds(space, other)])
    ]
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
    """Another cell of the space by one of the `MUTATIONS`; the cell itself where none of them finds
    one.
    """
    first = int(rng.integers(len(MUTATIONS)))
    for mutation in (*MUTATIONS[first:], *MUTATIONS[:first]):
        child = mutation(space, cell, rng)
        if child is not None:
            return child
    return cell


@dataclass(eq=False)
class EvolutionSearch(BatchSearcher):
    """Regularised evolution (Real et al. 2019, algorithm 1): the youngest survive, and the best of
    a tournament breeds.

    The first batch holds `population` random architectures, each generated from a uniform point as
    in random search. The following ones hold `batch` children each, until `trials` architectures
    have been proposed. A child is the most accurate of `tournament` members of the population,
    drawn with replacement as in the paper, with the cell of one row mutated. The population is made
    of the latest `population` architectures that were evaluated with success (`population_scored`,
    oldest first); all children of a batch have their parents in the population before it. As long
    as nothing has succeeded, further architectures are random too.

    The paper's population of 100 with tournaments of 25 is for 20,000 trials; the defaults are for
    20 to 100. InvalidInput for counts of zero, a population larger than `trials`, a tournament
    larger than the population.
    """

    space: FeatureSpace = field(repr=False)
    depth: int
    trials: int
    population: int = 10
    tournament: int = 5
    batch: int = 1
    evaluation_epochs: int = 30
    seed: int = 0
    max_retries: int = 2

    def __post_init__(self) -> None:
        at_least(
            1,
            depth=self.depth,
            trials=self.trials,
            population=self.population,
            tournament=self.tournament,
        )
        at_least(1, batch=self.batch, evaluation_epochs=self.evaluation_epochs)
        fits = self.tournament <= self.population <= self.trials
        remedy = "The first `population` trials are random, and a tournament is held among as many."
        sizes = {
            "tournament": self.tournament,
            "population": self.population,
            "trials": self.trials,
        }
        require(fits, "tournament <= population <= trials", remedy, **sizes)
        self._setup()
        self.population_scored: list[tuple[HyperArchitecture, float]] = []
        for number in range(self.population):
            self._propose_random(number)

    def _update(self, told: Told) -> None:
        scored = [(p.hyper, o.score) for p, o in told if o.score is not None]
        # the oldest die
        self.population_scored = (self.population_scored + scored)[-self.population :]
        for number in range(min(self.batch, self.trials - self._next_index)):
            if self.population_scored:
                self._propose("evaluation", self._child(), self.evaluation_epochs, repeat=number)
            else:
                self._propose_random(number)

    def _propose_random(self, number: int) -> None:
        # [d, 1, k]
        points = np.asarray([[self.space.uniform_point(self._rng)] for _ in range(self.depth)])
        architecture = generate(self.space, points, self._rng)
        self._propose(
            "evaluation",
            architecture,
            self.evaluation_epochs,
            repeat=number,
            points=as_points(points),
        )

    def _child(self) -> HyperArchitecture:
        drawn = self._rng.integers(len(self.population_scored), size=self.tournament)
        # Ties: the one drawn first, so that neither age nor place in the population counts.
        parent = max((self.population_scored[i] for i in drawn), key=lambda member: member[1])[0]
        row = int(self._rng.integers(self.depth))
        cell = mutated(self.space, parent.rows[row][0], self._rng)
        return HyperArchitecture((*parent.rows[:row], (cell,), *parent.rows[row + 1 :]))

    def _own_state(self) -> State:
        return {
            "population": [
                [architecture.code(), accuracy] for architecture, accuracy in self.population_scored
            ]
        }

    def _load_own_state(self, state: State) -> None:
        self.population_scored = [
            (HyperArchitecture.from_code(code), value) for code, value in state["population"]
        ]
