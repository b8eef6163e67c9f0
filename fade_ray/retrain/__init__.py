"""Retraining: what a cell search found (or a paper), trained from scratch at full size."""

from .config import RetrainConfig
from .origin import Origin, find_genotype
from .recipes import RETRAIN_RECIPES, retrain_recipe
from .retrain import Retraining, retrain

__all__ = [
    "RETRAIN_RECIPES",
    "Origin",
    "RetrainConfig",
    "Retraining",
    "find_genotype",
    "retrain",
    "retrain_recipe",
]
