"""Retraining: what a cell search found (or a paper), trained from scratch at full size."""

from fade_ray.retrain.origin import Origin, find_genotype
from fade_ray.retrain.retrain_config import RetrainConfig
from fade_ray.retrain.retrain_recipes import RETRAIN_RECIPES, retrain_recipe
from fade_ray.retrain.retraining import Retraining, retrain

__all__ = [
    "RETRAIN_RECIPES",
    "Origin",
    "RetrainConfig",
    "Retraining",
    "find_genotype",
    "retrain",
    "retrain_recipe",
]
