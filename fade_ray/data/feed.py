"""How the images of a data set reach a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch

from fade_ray.data.batches import Batches
from fade_ray.data.images import Augment, LabelledImages, Splits


class Place(Protocol):
    """Where batches are used: a device, and the memory layout that it is fastest in."""

    @property
    def device(self) -> torch.device: ...

    @property
    def channels_last(self) -> bool: ...


@dataclass(frozen=True)
class Feed:
    """Batches of the parts of `splits` at `place`, normalised by its statistics, those that are
    trained on augmented by `augment`. `rank`, `size`: see `ImageBatches`.
    """

    splits: Splits
    place: Place
    batch_size: int
    augment: Augment
    rank: int = 0
    size: int = 1

    def augmented(self, part: LabelledImages) -> Batches:
        """For training."""
        return self._batches(part, self.augment)

    def plain(self, part: LabelledImages) -> Batches:
        """For measuring."""
        return self._batches(part, Augment())

    def _batches(self, part: LabelledImages, augment: Augment) -> Batches:
        return Batches(
            part,
            augment=augment,
            batch_size=self.batch_size,
            device=self.place.device,
            mean=self.splits.mean,
            std=self.splits.std,
            channels_last=self.place.channels_last,
            rank=self.rank,
            size=self.size,
        )
