"""Retraining as a kind of run: what a cell search found (or a paper), delivered at full size."""

from fade_ray.retrain.origin import Origin, find_genotype

__all__ = ["Origin", "find_genotype"]
