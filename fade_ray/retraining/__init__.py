"""A genotype trained from scratch, as a plain function that any kind of run may carry out."""

from fade_ray.retraining.retrain_config import RetrainConfig
from fade_ray.retraining.retrain_recipes import QUICK, RETRAIN_RECIPES, retrain_recipe
from fade_ray.retraining.retraining import Retraining, retrain
from fade_ray.retraining.text_trial import TextTrial

__all__ = [
    "QUICK",
    "RETRAIN_RECIPES",
    "RetrainConfig",
    "Retraining",
    "TextTrial",
    "retrain",
    "retrain_recipe",
]
