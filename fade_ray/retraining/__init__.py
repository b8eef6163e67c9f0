"""A genotype trained from scratch, as a plain function that any kind of run may carry out."""

from fade_ray.retraining.retrain_config import RetrainConfig
from fade_ray.retraining.retrain_recipes import RETRAIN_RECIPES, retrain_recipe
from fade_ray.retraining.retraining import Retraining, retrain

__all__ = ["RETRAIN_RECIPES", "RetrainConfig", "Retraining", "retrain", "retrain_recipe"]
