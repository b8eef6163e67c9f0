"""Images: where they come from (`sources`), how they are split (`splits`) and how they reach the network (`batches`)."""

from .batches import Batches
from .images import Augment, LabelledImages, Splits
from .sources import SOURCES, load

__all__ = ["SOURCES", "Augment", "Batches", "LabelledImages", "Splits", "load"]
