"""The searchers of a replay by name. Each is built so that the budget ends it, nothing else."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from fade_ray.replay.table_objective import RankModel
from fade_ray.search.entrants import PARTS, UNLIMITED, WALK
from searchers import AnchorSearch, AskTell, BayesSearch, EvolutionSearch, RandomSearch, SizeSearch
from spaces.feature_space import FeatureSpace

Builder = Callable[[FeatureSpace, int, int], AskTell]
"""(space, depth, seed)"""


@dataclass(frozen=True)
class Replayer:
    """A searcher, and what it changes of the replay's rank model: the counterpart of
    `searches.Entrant`.
    """

    build: Builder
    ranks: Mapping[str, Any] = field(default_factory=dict)

    def model(self, model: RankModel) -> RankModel:
        """`model` with these changes."""
        return replace(model, **self.ranks)


def gamma(space: FeatureSpace) -> float:
    """Half width of the stencil: a box of the coarsest axis, so that M and both sides lie in three
    boxes; at most half the cube.
    """
    return min(0.5, 1 / min(space.bins))


def _anchor(space: FeatureSpace, depth: int, seed: int, **options: Any) -> AskTell:
    # An evaluation after each step: a table has no training to save on.
    return AnchorSearch(
        space, depth, UNLIMITED, gamma=gamma(space), seed=seed, **{"evaluate_every": 1, **options}
    )


def _random(space: FeatureSpace, depth: int, seed: int, evaluations: int) -> AskTell:
    return RandomSearch(space, depth, UNLIMITED, evaluations=evaluations, seed=seed)


def _bayes(
    space: FeatureSpace, depth: int, seed: int, evaluations: int = 1, joint: bool = False
) -> AskTell:
    return BayesSearch(space, depth, UNLIMITED, evaluations=evaluations, joint=joint, seed=seed)


def _evolution(space: FeatureSpace, depth: int, seed: int) -> AskTell:
    return EvolutionSearch(space, depth, UNLIMITED, seed=seed)


def _by_size(space: FeatureSpace, depth: int, seed: int) -> AskTell:
    return SizeSearch(space, depth, UNLIMITED, seed=seed)


SEARCHERS: dict[str, Replayer] = {
    "fade": Replayer(partial(_anchor, **WALK)),
    "random": Replayer(partial(_random, evaluations=1)),
    "bayes": Replayer(_bayes),
    "evolution": Replayer(_evolution),
    # as in FaDE 3.2: points scored by the median of five architectures
    "random-median": Replayer(partial(_random, evaluations=5)),
    "bayes-median": Replayer(partial(_bayes, evaluations=5)),
    "bayes-joint": Replayer(partial(_bayes, joint=True)),
    **{name: Replayer(partial(_anchor, **options)) for name, options in PARTS.items()},
    # a control without any search: the largest first
    "by-size": Replayer(_by_size),
    # a control: what is left of FaDE where its ranks say nothing
    "fade-blind": Replayer(partial(_anchor, **WALK), {"permuted": True}),
}
"""The names that a comparison has too mean the same searcher there, `fade-paper` being the paper's
walk and its variants each one part over it.
"""
SLOW = ("bayes", "bayes-median", "bayes-joint")
"""Searchers that fit a model before each question: a hundred times slower than the others."""
