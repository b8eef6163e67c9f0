"""The searchers of a replay by name. Each is built so that the budget ends it, nothing else."""

from collections.abc import Callable
from functools import partial
from typing import Any

from searchers import AnchorSearch, AskTell, BayesSearch, EvolutionSearch, RandomSearch
from spaces.feature_space import FeatureSpace

Builder = Callable[[FeatureSpace, int, int], AskTell]
"""(space, depth, seed)"""

UNLIMITED = 1_000_000
"""Iterations, or trials."""


def gamma(space: FeatureSpace) -> float:
    """Half width of the stencil: a box of the coarsest axis, so that M and both sides lie in three boxes; at most half the cube."""
    return min(0.5, 1 / min(space.bins))


def _anchor(space: FeatureSpace, depth: int, seed: int, **options: Any) -> AskTell:
    # An evaluation after each step: a table has no training to save on.
    return AnchorSearch(space, depth, UNLIMITED, gamma=gamma(space), evaluate_every=1, seed=seed, **options)


def _random(space: FeatureSpace, depth: int, seed: int, evaluations: int) -> AskTell:
    return RandomSearch(space, depth, UNLIMITED, evaluations=evaluations, seed=seed)


def _bayes(space: FeatureSpace, depth: int, seed: int, evaluations: int = 1, joint: bool = False) -> AskTell:
    return BayesSearch(space, depth, UNLIMITED, evaluations=evaluations, joint=joint, seed=seed)


def _evolution(space: FeatureSpace, depth: int, seed: int) -> AskTell:
    return EvolutionSearch(space, depth, UNLIMITED, seed=seed)


SEARCHERS: dict[str, Builder] = {
    "fade": _anchor,
    "random": partial(_random, evaluations=1),
    "bayes": _bayes,
    "evolution": _evolution,
    # as in FaDE 3.2: points scored by the median of five architectures
    "random-median": partial(_random, evaluations=5),
    "bayes-median": partial(_bayes, evaluations=5),
    "bayes-joint": partial(_bayes, joint=True),
    # one part of FaDE exchanged or added
    "fade-elites": partial(_anchor, elites=2),
    "fade-least-squares": partial(_anchor, gradient="least-squares"),
    "fade-distinct": partial(_anchor, gamma_rule="distinct"),
    "fade-normalised": partial(_anchor, step_rule="normalised"),
    "fade-momentum": partial(_anchor, momentum=0.5),
    "fade-population": partial(_anchor, walks=2),
    "fade-wide": partial(_anchor, walks=3, wide=True),
}
"""`fade` is the walk of the paper, one anchor per row, with an evaluation at the anchors after each step."""
SLOW = ("bayes", "bayes-median", "bayes-joint")
"""Searchers that fit a model before each question: minutes per seed, where the others take tenths of seconds."""
