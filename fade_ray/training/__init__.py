"""Training of network weights and architecture logits."""

from fade_ray.training.device import Placement, place
from fade_ray.training.failures import TrainingFailed
from fade_ray.training.image_objectives import MultiLabel, Regression, Segmentation
from fade_ray.training.loop import Training, evaluate
from fade_ray.training.objectives import Classification, LanguageModel, Objective
from fade_ray.training.optimisers import ASGD, SGD, Adam, Optimiser
from fade_ray.training.row_architecture import ArchitectureConfig, RowArchitecture
from fade_ray.training.train_config import TrainConfig

__all__ = [
    "ASGD",
    "SGD",
    "Adam",
    "ArchitectureConfig",
    "Classification",
    "LanguageModel",
    "MultiLabel",
    "Objective",
    "Optimiser",
    "Placement",
    "Regression",
    "RowArchitecture",
    "Segmentation",
    "TrainConfig",
    "Training",
    "TrainingFailed",
    "evaluate",
    "place",
]
