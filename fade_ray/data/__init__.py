"""Images: their sources, their splits, and how they reach the network."""

from fade_ray.data.batches import AnyBatches, Batches, ImageBatches
from fade_ray.data.feed import Feed
from fade_ray.data.images import Augment, LabelledImages, Splits
from fade_ray.data.sources import SOURCES, load

__all__ = [
    "SOURCES",
    "AnyBatches",
    "Augment",
    "Batches",
    "Feed",
    "ImageBatches",
    "LabelledImages",
    "Splits",
    "load",
]
