"""Configurations of trainings as they were stored before optimisers and objectives had names."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from fade_ray.training.objectives import Classification
from fade_ray.training.optimisers import SGD, Adam
from fade_ray.training.train_config import TrainConfig


def upgraded_training(values: Mapping[str, Any]) -> dict[str, Any]:
    """The part "train" of an old config.json in its present form; a present one as it is.

    Rows were trained by Adam with gradients clipped by value, cells by SGD and by norm. Those had
    "epochs" and "cutout" too, which now stand elsewhere and are left out here.
    """
    if "optimiser" in values:
        return dict(values)
    rule = SGD if "momentum" in values else Adam
    parts = {"optimiser": rule, "objective": Classification}
    inner = {
        part: {"name": member.name}
        | {field.name: values[field.name] for field in fields(member) if field.name in values}
        for part, member in parts.items()
    }
    own = {field.name for field in fields(TrainConfig)}
    return {name: value for name, value in values.items() if name in own} | inner
