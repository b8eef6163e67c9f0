"""A table in place of training: FaDE-ranks are made of marginals and noise, or were learned."""

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

from fade_ray.analysis.rank_measures import UNDERFLOW, Rows
from fade_ray.replay.benchmarks import Benchmark, View
from searchers import Outcome, Proposal
from spaces.errors import InvalidInput, require
from spaces.hyper import HyperArchitecture

Array = npt.NDArray[np.float64]

PERMUTATIONS = 1
"""Of the streams of a proposal's seed, the one that permutes; noise has the other."""


@dataclass(frozen=True)
class RankModel:
    """What stands in for training a hyper-architecture.

    Its weights are softmax((signal * m + noise * s * e) / (temperature * s)) over the distinct
    candidates of a row: m the mean accuracy of all architectures of the hyper-architecture with
    that candidate, s the standard deviation of the whole table, e a standard normal variate, drawn
    anew for each candidate of each hyper-architecture. With `weights` it is those, restricted to
    the candidates and normalised.

    There are two controls whose ranks say nothing. With a signal of 0 the noise alone is left, at
    the scale that it has beside the marginals; the marginals' part of the spread is missing.
    `permuted` keeps the weights, and exchanges them at random among the distinct candidates of each
    row, so that steps are about as long. (More noise is no control: it makes weights of 0 and 1,
    and steps far longer.) InvalidInput for a noise or signal below 0, a temperature of 0 or less,
    weights that are negative or not finite.
    """

    noise: float = 0.5
    """In standard deviations of the table's accuracies; 0: the marginals in order."""
    temperature: float = 1.0
    """The same unit; lower: larger differences of weights, so longer steps."""
    signal: float = 1.0
    """What the marginals are multiplied by, without unit; 0: ranks of noise alone."""
    weights: Rows | None = None
    """[d][w], of one training of all candidates of a benchmark in each row, in its order; signal,
    noise and temperature do not count then.
    """
    permuted: bool = False
    """Whether each row's values are exchanged at random, by the replay's and proposal's seeds."""

    def __post_init__(self) -> None:
        holds = 0 <= self.noise < math.inf
        require(holds, "0 <= rank noise < inf", "Use 0 for exact ranks.", noise=self.noise)
        holds, remedy = 0 <= self.signal < math.inf, "Use 1, or 0 for ranks of noise alone."
        require(holds, "0 <= rank signal < inf", remedy, signal=self.signal)
        holds = 0 < self.temperature < math.inf
        require(holds, "0 < temperature < inf", "Use 1.", temperature=self.temperature)
        if not all(0 <= weight < math.inf for row in self.weights or () for weight in row):
            raise InvalidInput(
                "Learned weights must be finite and 0 or more, but some are not. Record them anew."
            )


@dataclass(eq=False)
class TableObjective:
    """Answers proposals from a view of a benchmark: the same seed and proposal, the same answer."""

    benchmark: Benchmark
    seed: int
    model: RankModel
    view: View = field(init=False)

    def __post_init__(self) -> None:
        self.view = self.benchmark.view(self.seed)
        self._spread = self.view.spread
        widths, learned = [len(row) for row in self.benchmark.rows], self.model.weights
        if learned is not None and [len(row) for row in learned] != widths:
            raise InvalidInput(
                f"Learned weights of {self.benchmark.name} take {self.benchmark.depth} rows of "
                f"{widths}, but got rows of {[len(row) for row in learned]}. Give those of a "
                "hyper-architecture that holds all candidates in each row."
            )

    def __call__(self, proposal: Proposal) -> Outcome:
        if proposal.ranks:
            return Outcome(log_weights=self.log_weights(proposal.hyper, proposal.seed))
        return Outcome(score=self.view.score(self.benchmark.choice(proposal.hyper)))

    def report(self, architecture: HyperArchitecture) -> float:
        """The accuracy that an architecture is reported with, in [0, 1]."""
        return self.view.report(self.benchmark.choice(architecture))

    def log_weights(self, hyper: HyperArchitecture, seed: int) -> tuple[tuple[float, ...], ...]:
        """[d][w]: log weight credited to each place; `seed` draws the noise, and permutations."""
        candidates = [[self.benchmark.candidates[cell] for cell in row] for row in hyper.rows]
        distinct = [list(dict.fromkeys(row)) for row in candidates]
        if self.model.weights is None:
            logits = self._logits(distinct, seed)
        else:
            learned = np.log(np.maximum(np.asarray(self.model.weights, float), UNDERFLOW))
            logits = [row[known] for row, known in zip(learned, distinct, strict=True)]
        if self.model.permuted:
            generator = self._generator(seed, PERMUTATIONS)
            logits = [generator.permutation(values) for values in logits]
        credited = []
        for row, known, values in zip(candidates, distinct, logits, strict=True):
            normalised = np.minimum(log_softmax(values), 0.0)
            logs = dict(zip(known, normalised.tolist(), strict=True))
            credited.append(tuple(logs[index] for index in row))
        return tuple(credited)

    def _logits(self, distinct: list[list[int]], seed: int) -> list[Array]:
        generator = self._generator(seed)
        noise = self.model.noise * self._spread
        scale = self.model.temperature * self._spread
        return [
            (self.model.signal * mean + noise * generator.standard_normal(len(mean))) / scale
            for mean in self.view.marginals(distinct)
        ]

    def _generator(self, *seeds: int) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64([self.seed, *seeds]))
