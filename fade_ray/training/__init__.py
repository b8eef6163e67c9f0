"""Training of network weights and architecture logits."""

from fade_ray.training.architecture import Architecture
from fade_ray.training.device import Placement, place
from fade_ray.training.failures import TrainingFailed
from fade_ray.training.loop import Training, evaluate
from fade_ray.training.train_config import ArchitectureConfig, TrainConfig

__all__ = [
    "Architecture",
    "ArchitectureConfig",
    "Placement",
    "TrainConfig",
    "Training",
    "TrainingFailed",
    "evaluate",
    "place",
]
