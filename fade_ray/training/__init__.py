"""Training of network weights and architecture logits."""

from .architecture import Architecture, TrainingFailed
from .config import ArchitectureConfig, TrainConfig
from .device import Placement, place
from .loop import Training, evaluate

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
