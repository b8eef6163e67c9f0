"""Searches of few words for tests: options and lengths of trials side by side."""

from dataclasses import fields
from typing import Any

from searchers import (
    AnchorSearch,
    AnchorWalk,
    BayesPoints,
    BayesSearch,
    BySize,
    Evolution,
    EvolutionSearch,
    RandomPoints,
    RandomSearch,
    SizeSearch,
    TrialLengths,
)
from spaces.feature_space import FeatureSpace

LENGTHS = {each.name for each in fields(TrialLengths)}


def lengths(**given: Any) -> TrialLengths:
    """Those of FaDE 3.2; every hyper-architecture from the start."""
    return TrialLengths(
        **{"rank_epochs": 5, "evaluation_epochs": 30, "carry_weights": False, **given}
    )


def _made(kind: Any, space: FeatureSpace, depth: int, seed: int, given: dict[str, Any]) -> Any:
    trials = {name: value for name, value in given.items() if name in LENGTHS}
    options = {name: value for name, value in given.items() if name not in LENGTHS}
    return kind(**options).build(space, depth, lengths(**trials), seed)


def anchor_search(
    space: FeatureSpace, depth: int, iterations: int, seed: int = 0, **given: Any
) -> AnchorSearch:
    usual = {"walks": 1, "evaluate_every": 5, "finalists": 0, "iterations": iterations}
    search: AnchorSearch = _made(AnchorWalk, space, depth, seed, usual | given)
    return search


def random_search(
    space: FeatureSpace, depth: int, iterations: int, seed: int = 0, **given: Any
) -> RandomSearch:
    usual = {"batch": 1, "iterations": iterations}
    search: RandomSearch = _made(RandomPoints, space, depth, seed, usual | given)
    return search


def bayes_search(
    space: FeatureSpace, depth: int, iterations: int, seed: int = 0, **given: Any
) -> BayesSearch:
    search: BayesSearch = _made(
        BayesPoints, space, depth, seed, {"iterations": iterations, **given}
    )
    return search


def evolution_search(
    space: FeatureSpace, depth: int, iterations: int, seed: int = 0, **given: Any
) -> EvolutionSearch:
    usual = {"batch": 1, "iterations": iterations}
    search: EvolutionSearch = _made(Evolution, space, depth, seed, usual | given)
    return search


def size_search(
    space: FeatureSpace, depth: int, iterations: int, seed: int = 0, **given: Any
) -> SizeSearch:
    search: SizeSearch = _made(BySize, space, depth, seed, {"iterations": iterations, **given})
    return search
