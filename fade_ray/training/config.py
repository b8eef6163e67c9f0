"""Names as they stood in the first version, see `fade_ray.config`."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from fade_ray.records.json_form import from_json
from fade_ray.training import train_config
from fade_ray.training.old_configs import upgraded_training
from fade_ray.training.optimisers import Adam
from fade_ray.training.row_architecture import ArchitectureConfig
from spaces.errors import require_known

__all__ = ["ArchitectureConfig", "TrainConfig"]


def check_options(names: Iterable[str], *classes: type[Any]) -> None:
    """InvalidInput for the first of `names` that is a field of none of them."""
    options = dict.fromkeys(option.name for each in classes for option in fields(each))
    for name in names:
        require_known("An option", name, options)


def TrainConfig(**values: Any) -> train_config.TrainConfig:  # noqa: N802
    """With the options of Adam beside the others. InvalidInput."""
    check_options(values, train_config.TrainConfig, Adam)
    return from_json(train_config.TrainConfig, upgraded_training(values))
