"""What a retraining needs of its data, whatever they are of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from fade_ray.data import AnyBatches
from fade_ray.nn import AnyNetwork
from fade_ray.retraining.retrain_config import RetrainConfig
from fade_ray.training import Placement
from fade_ray.training.sums import Workers
from spaces.cell import Macro

Opener = Callable[[Placement, Workers, int], AnyBatches]


@dataclass(frozen=True, eq=False)
class Examples(ABC):
    """`train`, `test`: (placement, workers, batch size) -> this worker's batches. `counts`: of the
    examples to train and to test.
    """

    counts: tuple[int, int]
    description: str
    train: Opener
    test: Opener

    @staticmethod
    @abstractmethod
    def opened(config: RetrainConfig) -> Examples:
        """Those that `config` names. Raises InvalidInput for unusable data."""

    @staticmethod
    @abstractmethod
    def of(data: Any, config: RetrainConfig) -> Examples:
        """Of data that are in memory already. Raises InvalidInput where they do not fit."""

    @abstractmethod
    def network(
        self, macro: Macro, config: RetrainConfig, generator: torch.Generator
    ) -> AnyNetwork:
        """That of a genotype, untrained. Raises InvalidInput where it does not fit the data."""
