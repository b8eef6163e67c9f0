"""Bayesian search: Gaussian processes and upper confidence bounds (FaDE 3.2)."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from searchers.base import AskTell
from searchers.batch import Array
from searchers.options import TrialLengths
from searchers.points import PointOptions, PointSearch
from spaces.errors import at_least, require
from spaces.feature_space import Space

Coordinates = tuple[float, ...]


def suggest(
    points: Sequence[Coordinates], scores: Sequence[float], count: int, kappa: float, seed: int
) -> list[Coordinates]:
    """`count` points of the box [0, 1]^m to evaluate next: maximisers of mean + kappa * standard
    deviation.

    points [n][m], n >= 1, repeats allowed; scores [n], higher is better. The model is that of
    `bayesian-optimization`: Matern 5/2, scores normalised, one length scale. Further points of a
    batch are chosen as if those before them had been scored like the best point so far ("constant
    liar"): without it all of them would be the same. A pure function: the same arguments give the
    same points, in any process.
    """
    # Takes seconds to import, and not every search needs it.
    from bayes_opt import acquisition
    from bayes_opt.target_space import TargetSpace
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import Matern
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    rng = np.random.RandomState(seed)
    names = [f"x{i:03d}" for i in range(len(points[0]))]
    target = TargetSpace(
        None, dict.fromkeys(names, (0.0, 1.0)), random_state=rng, allow_duplicate_points=True
    )
    # The model of `BayesianOptimization`; it has one length scale, which is searched for on a grid
    # in place of from five random starts.
    model = GaussianProcessRegressor(
        Matern(nu=2.5), alpha=1e-6, normalize_y=True, optimizer=best_of_line, random_state=rng
    )
    bound = acquisition.UpperConfidenceBound(kappa=kappa)
    chooser = bound if count == 1 else acquisition.ConstantLiar(bound, strategy="max")
    # One thread: matrices this small are slower on several, and their sums would depend on the
    # number of threads.
    with warnings.catch_warnings(), threadpool_limits(1):
        # about length scales at their bounds, which few points cannot tell
        warnings.simplefilter("ignore")
        # the library prints a line for every point that is scored again
        with redirect_stdout(io.StringIO()):
            for point, score in zip(points, scores, strict=True):
                target.register(np.asarray(point), score)
        # In a box of so few dimensions the best of ten thousand points needs one descent to its
        # top, not ten; on a line a thousand are enough without any.
        draws, descents = (1_000, 0) if len(names) == 1 else (10_000, 1)
        chosen = [
            chooser.suggest(model, target, n_random=draws, n_smart=descents, random_state=rng)
            for _ in range(count)
        ]
    return [tuple(float(x) for x in point) for point in chosen]


def best_of_line(
    objective: Callable[..., float], start: NDArray[np.float64], bounds: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """The minimum of a function of one parameter, start [1], in bounds [1, 2]; an optimizer of
    scikit-learn's Gaussian processes.

    The best of a grid, whose points are 1 apart (of a logarithm: a factor of e), and of its
    surroundings. Of valleys nearly as deep as each other it may take the wrong one, as random
    starts may. It takes no gradients and draws no random numbers.
    """
    from scipy import optimize

    def value(theta: float) -> float:
        return float(objective(np.array([theta]), eval_gradient=False))

    low, high = (float(bound) for bound in bounds[0])
    grid = np.linspace(low, high, 1 + math.ceil(high - low))
    best = float(min(grid, key=value))
    step = grid[1] - grid[0]
    within = (max(low, best - step), min(high, best + step))
    found = optimize.minimize_scalar(
        value, bounds=within, method="bounded", options={"xatol": 1e-3}
    )
    return min(
        (np.array([best]), value(best)),
        (np.array([found.x]), float(found.fun)),
        key=lambda pair: pair[1],
    )


@dataclass(frozen=True)
class BayesModel:
    """What Bayesian search models, and how it goes by it."""

    kappa: float = 2.5
    """Weight of the uncertainty in the upper confidence bound (FaDE 3.2)."""
    joint: bool = False
    """One Gaussian process over all rows instead of one per row."""
    n_initial: int = 5
    """Batches that begin within that many points are uniform, as is any without a scored point."""

    def __post_init__(self) -> None:
        at_least(1, n_initial=self.n_initial)
        holds = math.isfinite(self.kappa) and self.kappa >= 0
        require(holds, "0 <= kappa < inf", "The paper's value is 2.5.", kappa=self.kappa)


@dataclass(frozen=True)
class BayesPoints(BayesModel, PointOptions, name="bayes"):
    """Points of the joint box [0, 1]^(d x k) of largest upper confidence bound, scored as in random
    search (FaDE 3.2).

    One independent Gaussian process per row over its feature point [k], all of them fed the same
    score: the paper argues that its few points are too few for a model of all rows. (Its xi is no
    parameter of upper confidence bounds; of the first points it says nothing.)
    """

    slow = True

    def __post_init__(self) -> None:
        PointOptions.__post_init__(self)
        BayesModel.__post_init__(self)

    def build(self, space: Space, depth: int, lengths: TrialLengths, seed: int) -> AskTell:
        return BayesSearch(self, space, depth, lengths, seed)


class BayesSearch(PointSearch[BayesPoints]):
    """The search of `BayesPoints`. The processes are fitted anew for each batch, from the scored
    points, those under way as if they had been scored like the best one, and a seed made of `seed`,
    the batch and the row: there is no other state.
    """

    def next_points(self) -> Iterator[Array]:
        options = self.options
        if self.opened * options.batch < options.n_initial or not self.points_scored:
            return (self.uniform_points() for _ in range(options.batch))
        return iter(self._suggested())

    def _suggested(self) -> list[Array]:
        count, rows = self.options.batch, range(self.depth)
        models = [list(rows)] if self.options.joint else [[row] for row in rows]
        batch: list[Array] = [np.empty((self.depth, self.space.dim)) for _ in range(count)]
        known = [(scored.point, scored.median) for scored in self.points_scored]
        best = max(median for _, median in known)
        known += [(point, best) for batch in self.points_pending.values() for point in batch]
        scores = tuple(score for _, score in known)
        for number, model in enumerate(models):
            sequence = np.random.SeedSequence(self.seed, spawn_key=(self.opened, number))
            seed = int(sequence.generate_state(1)[0])
            points = tuple(tuple(x for row in model for x in point[row]) for point, _ in known)
            suggested = suggest(points, scores, count, self.options.kappa, seed)
            for point, coordinates in zip(batch, suggested, strict=True):
                point[model] = np.reshape(coordinates, (len(model), self.space.dim))
        return batch
