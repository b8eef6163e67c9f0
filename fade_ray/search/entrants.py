"""The entrants of comparisons and replays: searchers under a name, with what makes them that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from fade_ray.search.search_config import Config
from searchers import AnchorWalk, BayesPoints, Evolution, RandomPoints, Searcher
from searchers.options import UNLIMITED
from spaces.errors import require_known


@dataclass(frozen=True)
class Entrant:
    """A searcher with the options that make it what its name says, over those that a comparison or
    replay has for all of its kind. Add your own to `ENTRANTS`.
    """

    searcher: type[Searcher]
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the searcher."""
    architecture: Mapping[str, Any] = field(default_factory=dict)
    """Of how hyper-architectures learn their ranks."""
    outer: Mapping[str, Any] = field(default_factory=dict)
    ranks: Mapping[str, Any] = field(default_factory=dict)
    """Of a replay's `RankModel`: what stands for `architecture` there."""

    @property
    def replayed(self) -> bool:
        """Whether a table, on which nothing is trained, can tell it from others."""
        return bool(self.ranks) or not (self.architecture or self.outer)

    def build(self, bases: Sequence[Any]) -> Searcher:
        """The options in full, without an end of their own: those of the first of `bases` whose
        fields are the searcher's, then what makes the entrant.
        """
        values: dict[str, Any] = {}
        for base in bases:
            if issubclass(self.searcher, type(base)):
                values |= {option.name: getattr(base, option.name) for option in fields(base)}
        return self.searcher(**{**values, "iterations": UNLIMITED, **self.options})

    def config(self, config: Config, bases: Sequence[Any], seed: int) -> Config:
        """`config` as that of this entrant."""
        return replace(
            config,
            searcher=self.build(bases),
            outer=replace(config.outer, **self.outer),
            architecture=replace(config.architecture, **self.architecture),
            seed=seed,
        )


WALK = AnchorWalk(walks=1, evaluate_every=1, elites=1)
"""`fade` where the budget may end at any time: each step evaluates anchors and best ranks."""
PAPER: dict[str, Any] = {
    "walks": 1,
    "evolve": False,
    "elites": 0,
    "repeats": 1,
    "gradient": "difference",
    "gamma_rule": "fixed",
    "step_rule": "plain",
    "momentum": 0.0,
    "wide": False,
}
"""The walk of FaDE 2.4: one anchor per row, eq. 5. The walk alone is the paper's: how its
hyper-architectures are trained is the configuration's, by default ours (score function, uniform
draws).
"""


def _part(**options: Any) -> Entrant:
    return Entrant(AnchorWalk, PAPER | options)


def _trained(outer: Mapping[str, Any] | None = None, **architecture: Any) -> Entrant:
    return Entrant(AnchorWalk, PAPER, architecture, outer or {})


ENTRANTS: dict[str, Entrant] = {
    "fade": Entrant(AnchorWalk),
    "random": Entrant(RandomPoints, {"evaluations": 1, "batch": 1}),
    "bayes": Entrant(BayesPoints, {"evaluations": 1}),
    "evolution": Entrant(Evolution, {"batch": 1}),
    # as in FaDE 3.2: points scored by the median of five architectures
    "random-median": Entrant(RandomPoints, {"evaluations": 5, "batch": 1}),
    "bayes-median": Entrant(BayesPoints, {"evaluations": 5}),
    "bayes-joint": Entrant(BayesPoints, {"evaluations": 1, "joint": True}),
    # the paper's walk, and parts of FaDE, each alone over it
    "fade-paper": _part(),
    "fade-elites": _part(elites=2),
    "fade-repeats": _part(repeats=2),
    "fade-least-squares": _part(gradient="least-squares"),
    "fade-distinct": _part(gamma_rule="distinct"),
    "fade-normalised": _part(step_rule="normalised"),
    "fade-momentum": _part(momentum=0.5),
    "fade-population": _part(walks=2, evolve=True),
    "fade-wide": _part(walks=3, evolve=True, wide=True),
    # parts of the training, each alone over the paper's walk
    "fade-cold": _trained({"carry_weights": False}),
    "fade-weight-paths": _trained(weight_paths=4),
    # two parts at once: the straight-through estimators of the paper draw by the weights, where
    # ours draw uniformly
    "fade-exact": _trained(estimator="straight-through-exact", draw="weighted"),
    "fade-sampled": _trained(estimator="straight-through-sampled", draw="weighted"),
    # other estimators
    "fade-split": _trained(estimator="score-function-split"),
    "fade-marginal": _trained(estimator="marginal"),
    # a control: what is left of FaDE where its ranks say nothing
    "fade-blind": Entrant(
        AnchorWalk, architecture={"estimator": "permuted"}, ranks={"permuted": True}
    ),
}
"""By the names of `--searchers`; every other searcher takes part by its own name. Random, Bayesian
and evolutionary search evaluate each point or architecture once; the paper's median of five
(-median) spends four fifths of a budget on repetition and is there to be compared.
"""


def entrants() -> dict[str, Entrant]:
    """`ENTRANTS`, and every registered searcher that has no entrant of its name."""
    own = {name: Entrant(searcher) for name, searcher in Searcher.table.items()}
    return ENTRANTS | {name: entrant for name, entrant in own.items() if name not in ENTRANTS}


def replayed() -> dict[str, Entrant]:
    """The entrants that replays know."""
    return {name: entrant for name, entrant in entrants().items() if entrant.replayed}


def entrant(name: str) -> Entrant:
    """The entrant of that name. Raises InvalidInput, with the nearest one, for an unknown one."""
    require_known("A searcher", name, entrants())
    return entrants()[name]


def names(given: tuple[str, ...]) -> tuple[str, ...]:
    """Names given apart, or with commas: "fade,random" is two."""
    return tuple(name for each in given for name in each.split(",") if name)
