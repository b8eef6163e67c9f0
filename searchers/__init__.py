"""Where to look next: searchers that ask and tell plain values."""

from searchers.anchor import AnchorSearch, AnchorWalk
from searchers.base import AskTell, Kind, Proposal, Trial
from searchers.batch import BatchSearcher, SpaceSearcher
from searchers.bayes import BayesModel, BayesPoints, BayesSearch
from searchers.evolution import Breeding, Evolution, EvolutionSearch
from searchers.options import Searcher, TrialLengths
from searchers.outcome import Failure, Outcome
from searchers.paths import best_paths
from searchers.points import ScoredPoint
from searchers.random_search import RandomPoints, RandomSearch
from searchers.repeats import WithRepeats
from searchers.retraining import WithRetraining
from searchers.size_search import BySize, SizeSearch
from searchers.stencils import stencil
from searchers.steps import pseudo_gradient, step

__all__ = [
    "AnchorSearch",
    "AnchorWalk",
    "AskTell",
    "BatchSearcher",
    "BayesModel",
    "BayesPoints",
    "BayesSearch",
    "Breeding",
    "BySize",
    "Evolution",
    "EvolutionSearch",
    "Failure",
    "Kind",
    "Outcome",
    "Proposal",
    "RandomPoints",
    "RandomSearch",
    "ScoredPoint",
    "Searcher",
    "SizeSearch",
    "SpaceSearcher",
    "Trial",
    "TrialLengths",
    "WithRepeats",
    "WithRetraining",
    "best_paths",
    "pseudo_gradient",
    "stencil",
    "step",
]
