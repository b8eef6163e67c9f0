"""The outer search of FaDE 2.4: one anchor per row walks the feature space along the FaDE-ranks of its surroundings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from searchers.base import Proposal, State, Told, at_least
from searchers.batch import BatchSearcher, as_points, generate
from searchers.paths import best_paths
from spaces.errors import require
from spaces.feature_space import FeatureSpace
from spaces.hyper import HyperArchitecture

Array = NDArray[np.float64]


def stencil(anchor: Array, gamma: float) -> Array:
    """The points of a row in the box [0, 1]^k (FaDE 2.4): {M} and {M +- gamma e_k}.

    anchor [k] -> [2k+1, k], in the order M, M + gamma e_1, M - gamma e_1, M + gamma e_2, ... The paper's |row| = w with
    k = w/2 counts one point too few: w = 2k+1. InvalidInput unless 0 < gamma <= 0.5, the half width of the box.
    """
    require(0 < gamma <= 0.5, "0 < gamma <= 0.5", "Choose gamma as a part of the box's width 1.", gamma=gamma)
    k = len(anchor)
    points = np.tile(anchor, (2 * k + 1, 1))
    # Near the border the pair of an axis is slid inside the box and stays 2 gamma apart. Clipping its outer point alone
    # would bring the sides as close as gamma: both could share a box of the space, and the difference would say
    # nothing. Within gamma of the border the step is therefore that of the point gamma inside.
    centre = np.clip(anchor, gamma, 1 - gamma)
    axes = np.arange(k)
    points[1 + 2 * axes, axes] = centre + gamma
    points[2 + 2 * axes, axes] = centre - gamma
    return points


def pseudo_gradient(log_weights: Sequence[float] | Array) -> Array:
    """beta(M + gamma e_k) - beta(M - gamma e_k) per axis, beta = exp(log weight): [2k+1] -> [k] (sum of FaDE eq. 5).

    Not divided by 2 gamma, as in the paper: lambda absorbs it. Where both sides resolve to the same graph the
    difference is exactly 0, as a duplicate's weight is credited to each of its places.
    """
    beta = np.exp(np.asarray(log_weights, dtype=np.float64))
    return np.asarray(beta[1::2] - beta[2::2])


def step(anchor: Array, log_weights: Sequence[float] | Array, step_size: float, direction: int = 1) -> Array:
    """The next anchor (FaDE eq. 5): anchor [k], log weights [2k+1] of its stencil -> [k], clipped to the box [0, 1]^k.

    direction -1 is the printed sign. Our default is +1: beta is larger for better cells (it is a factor of psi, which
    is claimed to correlate positively with accuracy), so that the printed minus walks to worse graphs, while plus
    ascends the ranks, as the text and the caption of the paper's Fig. 2 say.
    """
    moved = anchor + direction * step_size * pseudo_gradient(log_weights)  # FaDE eq. 5
    return np.asarray(np.clip(moved, 0.0, 1.0))


def pooled(repeats: Sequence[Sequence[Sequence[float]]], hyper: HyperArchitecture) -> Array:
    """Log weights [d, w] of a hyper-architecture from those of its repeats, each [d][w]: normalised geometric means.

    The mean of log weights alone is a geometric mean, whose row sums to less than 1 where repeats disagree: steps would
    shrink with their number. It is scaled so that the *distinct* candidates of a row sum to as much as in the repeats,
    that is to 1: the softmax of the repeats' mean logits. One repeat stays as it is.
    """
    each = np.asarray(repeats, dtype=np.float64)  # [repeat, d, w]
    mean = each.mean(axis=0)
    for i, places in enumerate(hyper.places()):
        distinct = firsts(places)
        sums = np.logaddexp.reduce(each[:, i, distinct], axis=1)
        mean[i] -= np.logaddexp.reduce(mean[i, distinct]) - sums.mean()
    return np.asarray(mean)


def firsts(places: Sequence[int]) -> list[int]:
    """The first place of each distinct candidate of a row, in the order of the distinct candidates."""
    return [places.index(candidate) for candidate in range(max(places) + 1)]


@dataclass(eq=False)
class AnchorSearch(BatchSearcher):
    """Pseudo-gradient ascent on FaDE-ranks (FaDE 2.4, eq. 5) by one walk, or by an evolving population of walks.

    Each iteration asks, for each of `walks`, one hyper-architecture (depth x (2k+1)) generated afresh from the stencil
    of the walk's anchors [d][k], `repeats` times with different seeds, and moves each row's anchor by the ranks of that
    row: the rows are independent, and nothing older than the batch is used. A walk all of whose repeats failed stays
    where it is. Every `evaluate_every`-th iteration and the last one also ask `evaluations` architectures per walk
    generated from the anchors themselves (FaDE 3.2). With `evolve` and at least two walks, after such an iteration the
    walk with the lowest median accuracy restarts at the anchors of the best one, displaced by a normal variate of
    standard deviation `mutation` on each axis. With `finalists` > 0 one more batch evaluates, per walk, that many
    architectures of largest psi of its last hyper-architecture.

    `gamma` and `step_size` (lambda) are in units of the box [0, 1]; the paper gives neither. `rank_epochs` and
    `evaluation_epochs`: training epochs per trial, the defaults from FaDE 3.2. `carry`: a hyper-architecture's network
    starts from the weights of the same walk's previous one (FaDE 2.4, "weight sharing"), of the same repeat or, where
    that one failed, of any that succeeded.

    InvalidInput for a depth, window, or count of zero, a gamma that lets both sides of the stencil share a box, and the
    like.
    """

    space: FeatureSpace = field(repr=False)
    depth: int
    iterations: int
    walks: int = 1
    repeats: int = 1
    gamma: float = 0.17
    step_size: float = 1.0
    direction: int = 1
    evaluate_every: int = 5
    evaluations: int = 1
    finalists: int = 0
    evolve: bool = True
    mutation: float = 0.1
    rank_epochs: int = 5
    evaluation_epochs: int = 30
    carry: bool = False
    seed: int = 0
    max_retries: int = 2

    def __post_init__(self) -> None:
        self._check()
        self._setup()
        starts = [[self.space.uniform_point(self._rng) for _ in range(self.depth)] for _ in range(self.walks)]
        self._anchors: Array = np.asarray(starts, dtype=np.float64)  # [walk, d, k]
        self._propose_iteration([self._heirs([])] * self.walks)

    def _check(self) -> None:
        at_least(1, depth=self.depth, iterations=self.iterations, walks=self.walks, repeats=self.repeats)
        at_least(1, evaluate_every=self.evaluate_every)
        at_least(1, rank_epochs=self.rank_epochs, evaluation_epochs=self.evaluation_epochs)
        at_least(0, evaluations=self.evaluations, finalists=self.finalists)
        for name, value in {"step_size": self.step_size, "mutation": self.mutation}.items():
            holds = math.isfinite(value) and value >= 0
            require(holds, f"0 <= {name} < inf", "Give a finite number of 0 or more.", **{name: value})
        remedy = "Use +1 to ascend the ranks, -1 for the printed sign of eq. 5."
        require(self.direction in (1, -1), "direction is +1 or -1", remedy, direction=self.direction)
        stencil(np.zeros(1), self.gamma)
        self.space.check_gamma(self.gamma)

    @property
    def anchors(self) -> list[list[list[float]]]:
        return [[[float(x) for x in point] for point in rows] for rows in self._anchors]

    def _propose_iteration(self, parents: list[list[str | None]]) -> None:
        """Iteration t = completed batches + 1: the hyper-architectures of all walks, then all evaluations.

        parents [walk][repeat]: where the networks of the hyper-architectures start from with `carry`.
        """
        t = self._completed + 1
        for walk, anchors in enumerate(self._anchors):
            points = np.asarray([stencil(anchor, self.gamma) for anchor in anchors])  # [d, 2k+1, k]
            hyper = generate(self.space, points, self._rng)
            for repeat, parent in enumerate(parents[walk]):
                source = parent if self.carry else None
                self._propose("ranks", hyper, self.rank_epochs, walk, repeat, as_points(points), source)
        if t % self.evaluate_every == 0 or t == self.iterations:
            for walk, anchors in enumerate(self._anchors):
                points = anchors[:, None, :]  # [d, 1, k]
                for repeat in range(self.evaluations):
                    hyper = generate(self.space, points, self._rng)
                    self._propose("evaluation", hyper, self.evaluation_epochs, walk, repeat, as_points(points))

    def _update(self, told: Told) -> None:
        if self._completed > self.iterations:
            return  # the finalists are in: done
        ranks: dict[int, tuple[HyperArchitecture, Array]] = {}  # of each walk with a successful repeat
        parents = []
        for walk in range(self.walks):
            trials = [(p, o.log_weights) for p, o in told if p.kind == "ranks" and p.walk == walk and o.log_weights]
            if trials:
                hyper = trials[0][0].hyper
                ranks[walk] = hyper, pooled([log_weights for _, log_weights in trials], hyper)
            parents.append(self._heirs([p for p, _ in trials]))
        for walk, (_, log_weights) in ranks.items():
            for row, anchor in enumerate(self._anchors[walk]):
                self._anchors[walk, row] = step(anchor, log_weights[row], self.step_size, self.direction)
        if self._completed < self.iterations:
            if self.evolve:
                self._restart_worst(told)
            self._propose_iteration(parents)
        else:
            self._propose_finalists(ranks)

    def _heirs(self, trials: list[Proposal]) -> list[str | None]:
        """For each repeat of the next iteration the id of the trial whose network weights it may start from."""
        succeeded = {trial.repeat: trial.id for trial in trials}
        spare = next(iter(succeeded.values()), None)
        return [succeeded.get(repeat, spare) for repeat in range(self.repeats)]

    def _restart_worst(self, told: Told) -> None:
        """The worst of the walks evaluated in this batch restarts near the best, unless all are equal."""
        accuracies: dict[int, list[float]] = {}
        for proposal, outcome in told:
            if proposal.kind == "evaluation" and outcome.accuracy is not None:
                accuracies.setdefault(proposal.walk, []).append(outcome.accuracy)
        medians = {walk: float(np.median(values)) for walk, values in accuracies.items()}
        if len(set(medians.values())) < 2:
            return
        worst, best = min(medians, key=medians.__getitem__), max(medians, key=medians.__getitem__)
        displaced = self._anchors[best] + self._rng.normal(0.0, self.mutation, self._anchors[best].shape)
        self._anchors[worst] = np.clip(displaced, 0.0, 1.0)

    def _propose_finalists(self, ranks: dict[int, tuple[HyperArchitecture, Array]]) -> None:
        """Batch number iterations + 1, of the walks whose last hyper-architecture has ranks."""
        for walk, (hyper, log_weights) in ranks.items():
            # One weight per distinct candidate: a duplicate would give the same architecture twice.
            rows = [row[firsts(places)] for row, places in zip(log_weights, hyper.places(), strict=True)]
            for repeat, (choice, _) in enumerate(best_paths([row.tolist() for row in rows], self.finalists)):
                self._propose("evaluation", hyper.architecture(choice), self.evaluation_epochs, walk, repeat)

    def _own_state(self) -> State:
        return {"anchors": self.anchors}

    def _load_own_state(self, state: State) -> None:
        self._anchors = np.asarray(state["anchors"], dtype=np.float64)
