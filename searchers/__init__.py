"""Where to look next: searchers that ask and tell plain values."""

from searchers.anchor import AnchorSearch, pseudo_gradient, stencil, step
from searchers.base import AskTell, Kind, Outcome, Proposal
from searchers.batch import BatchSearcher
from searchers.paths import best_paths
from searchers.random_search import RandomSearch, ScoredPoint
from searchers.retraining import WithRetraining

__all__ = [
    "AnchorSearch",
    "AskTell",
    "BatchSearcher",
    "Kind",
    "Outcome",
    "Proposal",
    "RandomSearch",
    "ScoredPoint",
    "WithRetraining",
    "best_paths",
    "pseudo_gradient",
    "stencil",
    "step",
]
