"""The outer searchers by name, built from a configuration."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fade_ray.search.search_config import Config
from searchers import AnchorSearch, AskTell, BayesSearch, EvolutionSearch, RandomSearch
from spaces import GraphSpace

Builder = Callable[[GraphSpace, Config], AskTell]


def _anchor(space: GraphSpace, config: Config) -> AskTell:
    outer = config.outer
    return AnchorSearch(
        space,
        config.network.depth,
        outer.iterations,
        walks=outer.walks,
        repeats=outer.repeats,
        gamma=outer.gamma,
        gamma_rule=outer.gamma_rule,
        step_size=outer.step_size,
        step_rule=outer.step_rule,
        gradient=outer.gradient,
        momentum=outer.momentum,
        wide=outer.wide,
        evaluate_every=outer.evaluate_every,
        evaluations=1 if outer.evaluations is None else outer.evaluations,
        elites=outer.elites,
        finalists=outer.finalists,
        evolve=outer.evolve,
        mutation=outer.mutation,
        rank_epochs=outer.rank_epochs,
        evaluation_epochs=outer.evaluation_epochs,
        carry=outer.carry_weights,
        seed=config.seed,
        max_retries=outer.max_retries,
    )


def _random(space: GraphSpace, config: Config) -> AskTell:
    outer = config.outer
    return RandomSearch(
        space,
        config.network.depth,
        outer.iterations,
        batch=outer.walks,
        evaluations=5 if outer.evaluations is None else outer.evaluations,  # FaDE 3.2
        evaluation_epochs=outer.evaluation_epochs,
        seed=config.seed,
        max_retries=outer.max_retries,
    )


def _bayes(space: GraphSpace, config: Config) -> AskTell:
    outer = config.outer
    return BayesSearch(
        space,
        config.network.depth,
        outer.iterations,
        evaluations=5 if outer.evaluations is None else outer.evaluations,  # FaDE 3.2
        kappa=outer.kappa,
        joint=outer.joint,
        evaluation_epochs=outer.evaluation_epochs,
        seed=config.seed,
        max_retries=outer.max_retries,
    )


def _evolution(space: GraphSpace, config: Config) -> AskTell:
    outer = config.outer
    return EvolutionSearch(
        space,
        config.network.depth,
        trials=outer.iterations * outer.walks,
        population=outer.population,
        tournament=outer.tournament,
        batch=outer.walks,
        evaluation_epochs=outer.evaluation_epochs,
        seed=config.seed,
        max_retries=outer.max_retries,
    )


SEARCHERS: dict[str, Builder] = {
    "anchor": _anchor,
    "random": _random,
    "bayes": _bayes,
    "evolution": _evolution,
}
"""By `--searcher`."""


@dataclass(frozen=True)
class Entrant:
    """A searcher with the options that make it what its name says, over those of the comparison's
    configuration.
    """

    searcher: str
    outer: Mapping[str, Any] = field(default_factory=dict)
    architecture: Mapping[str, Any] = field(default_factory=dict)

    def config(self, config: Config, seed: int) -> Config:
        """`config` with these options."""
        outer = replace(config.outer, **{"searcher": self.searcher, **self.outer})
        return replace(
            config,
            outer=outer,
            architecture=replace(config.architecture, **self.architecture),
            seed=seed,
        )


UNLIMITED = 1_000_000
"""Iterations, or trials, of a search that its budget ends, and nothing else."""
WALK: dict[str, Any] = {"walks": 1, "evaluate_every": 1, "elites": 1}
"""`fade` where the budget may end at any time: after each step the anchors and what the ranks
prefer are evaluated.
"""
PAPER: dict[str, Any] = {
    **{"walks": 1, "evolve": False, "elites": 0, "repeats": 1},
    **{
        "gradient": "difference",
        "gamma_rule": "fixed",
        "step_rule": "plain",
        "momentum": 0.0,
        "wide": False,
    },
}
"""The walk of FaDE 2.4: one anchor per row, eq. 5. The walk alone is the paper's: how its
hyper-architectures are trained is the configuration's, by default ours (score function, uniform
draws).
"""
PARTS: dict[str, dict[str, Any]] = {
    "fade-paper": PAPER,
    "fade-elites": PAPER | {"elites": 2},
    "fade-repeats": PAPER | {"repeats": 2},
    "fade-least-squares": PAPER | {"gradient": "least-squares"},
    "fade-distinct": PAPER | {"gamma_rule": "distinct"},
    "fade-normalised": PAPER | {"step_rule": "normalised"},
    "fade-momentum": PAPER | {"momentum": 0.5},
    "fade-population": PAPER | {"walks": 2, "evolve": True},
    "fade-wide": PAPER | {"walks": 3, "evolve": True, "wide": True},
}
"""The paper's walk, and parts of FaDE, each alone over it: options of `AnchorSearch`, of
comparisons and replays alike.
"""

ENTRANTS: dict[str, Entrant] = {
    "fade": Entrant("anchor"),
    "random": Entrant("random", {"evaluations": 1, "walks": 1}),
    "bayes": Entrant("bayes", {"evaluations": 1}),
    "evolution": Entrant("evolution", {"walks": 1}),
    # as in FaDE 3.2: points scored by the median of five architectures
    "random-median": Entrant("random", {"evaluations": 5, "walks": 1}),
    "bayes-median": Entrant("bayes", {"evaluations": 5}),
    "bayes-joint": Entrant("bayes", {"evaluations": 1, "joint": True}),
    **{name: Entrant("anchor", options) for name, options in PARTS.items()},
    # parts of the training, each alone over the paper's walk
    "fade-cold": Entrant("anchor", PAPER | {"carry_weights": False}),
    "fade-weight-paths": Entrant("anchor", PAPER, {"weight_paths": 4}),
    # two parts at once: the straight-through estimators of the paper draw by the weights, where
    # ours draw uniformly
    "fade-exact": Entrant(
        "anchor", PAPER, {"estimator": "straight-through-exact", "draw": "weighted"}
    ),
    "fade-sampled": Entrant(
        "anchor", PAPER, {"estimator": "straight-through-sampled", "draw": "weighted"}
    ),
    # other estimators
    "fade-split": Entrant("anchor", PAPER, {"estimator": "score-function-split"}),
    "fade-marginal": Entrant("anchor", PAPER, {"estimator": "marginal"}),
    # a control: what is left of FaDE where its ranks say nothing
    "fade-blind": Entrant("anchor", {}, {"estimator": "permuted"}),
}
"""By the names of `fade-ray compare --searchers`. Random, Bayesian and evolutionary search evaluate
each point or architecture once; the paper's median of five (-median) spends four fifths of a budget
on repetition and is there to be compared.
"""
