"""Where to look next: searchers that ask and tell plain values."""

from searchers.anchor import AnchorSearch
from searchers.base import AskTell, Kind, Proposal
from searchers.batch import BatchSearcher
from searchers.bayes import BayesSearch
from searchers.evolution import EvolutionSearch
from searchers.outcome import Failure, Outcome
from searchers.paths import best_paths
from searchers.points import ScoredPoint
from searchers.random_search import RandomSearch
from searchers.retraining import WithRetraining
from searchers.size_search import SizeSearch
from searchers.stencils import stencil
from searchers.steps import pseudo_gradient, step

__all__ = [
    "AnchorSearch",
    "AskTell",
    "BatchSearcher",
    "BayesSearch",
    "EvolutionSearch",
    "Failure",
    "Kind",
    "Outcome",
    "Proposal",
    "RandomSearch",
    "ScoredPoint",
    "SizeSearch",
    "WithRetraining",
    "best_paths",
    "pseudo_gradient",
    "stencil",
    "step",
]
