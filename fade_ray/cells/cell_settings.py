"""The published settings of the cell searches: options by name, as flags have them, and how they
stand under those. What is not said here is as `fade-ray cells` has it without flags, which are
DARTS's values for the weights: SGD 0.025 to 0.001, cosine, momentum 0.9, decay 3e-4, clip 5.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from fade_ray.training.objectives import LanguageModel

T = TypeVar("T")

Setting = Mapping[str, Any]
"""Options of `fade-ray cells` by name, and their values."""

SMALL, PUBLISHED = "small", "published"
"""The setting in which a recipe says nothing, and that of its paper."""

_SIZE: Setting = {"cells": 8, "channels": 16}
# algorithms B.2
_DARTS: Setting = {"epochs": 50, "batch_size": 64, "held_out": 0.5, **_SIZE}
# AutoDL's, for the baselines (algorithms E.2)
_AUTODL: Setting = {**_DARTS, "cells": 15, "weight_decay": 5e-4, "nesterov": True}
# algorithms B.5: plain SGD on PTB, constant; Adam of the logits with its usual betas; the unrolled
# step clipped as the others
_PTB: Setting = {
    "epochs": 50,
    "batch_size": 256,
    "channels": 300,
    "objective": LanguageModel(),
    "weight_decay": 5e-7,
    "unroll_clip": 0.25,
}
DARTS: Mapping[str, Setting] = {
    PUBLISHED: _DARTS,
    "nasbench201": _AUTODL,
    "recurrent": _PTB,
}

OF_TASK: Mapping[str, Setting] = {
    "text": {
        "epochs": 10,
        "batch_size": 64,
        "channels": 64,
        "objective": LanguageModel(),
        "learning_rate": 20.0,
        "schedule": "constant",
        "momentum": 0.0,
        "weight_decay": 5e-7,
        "clip": 0.25,
        "architecture_learning_rate": 3e-3,
        "architecture_beta1": 0.9,
    }
}
"""What stands under every setting, by the task of the space: of text a small network, trained as
DARTS does on PTB.
"""

# algorithms E.2, E.5. The paper searches NAS-Bench-201 and ImageNet; elsewhere DARTS's values.
_ON_NB201: Setting = {**_DARTS, "cells": 15, "learning_rate": 0.005}
_STEM: Setting = {"stem": "imagenet-search"}
SINGLE_LEVEL: Mapping[str, Setting] = {
    PUBLISHED: _DARTS,
    "nasbench201": _ON_NB201,
    "imagenet": {**_DARTS, **_STEM, "batch_size": 360, "held_out": 0.0},
}
# Table 1, whose control it is: SGD for both (algorithms E.2)
OTHER_BATCH: Mapping[str, Setting] = {
    **SINGLE_LEVEL,
    "nasbench201": {
        **_ON_NB201,
        "architecture_optimizer": "sgd",
        "architecture_weight_decay": 0.0,
    },
}

# algorithms D.6: 100 epochs, batch 96, and what the retraining has: cutout, drop path, auxiliary
# head. The spaces S2 at the depth and width of the final network.
_CONSISTENT: Setting = {
    **_DARTS,
    "epochs": 100,
    "batch_size": 96,
    "cutout": 16,
    "drop_path": 0.2,
    "auxiliary_weight": 0.4,
}
_FULL_SIZE: Setting = {**_CONSISTENT, "cells": 20, "channels": 36}
AMENDED: Mapping[str, Setting] = {
    PUBLISHED: _CONSISTENT,
    "amended-s2": _FULL_SIZE,
    "amended-s2-fixed": _FULL_SIZE,
    # the retraining's weight decay and dropout; a step without clipping; until the genotype stands
    # still (algorithms D.6)
    "recurrent": {
        **_PTB,
        "epochs": 200,
        "unchanged": 10,
        "objective": LanguageModel(word_dropout=0.1),
        "weight_decay": 8e-7,
        "unroll_clip": 0.0,
    },
}

GDAS: Mapping[str, Setting] = {name: {**s, "epochs": 250} for name, s in DARTS.items()}
# PC-DARTS's paper and code, from memory but for batch and rate
PC_DARTS: Mapping[str, Setting] = {
    PUBLISHED: {**_DARTS, "batch_size": 256, "learning_rate": 0.1, "final_learning_rate": 0.0}
}
# P-DARTS's paper and code, from memory: per stage
P_DARTS: Mapping[str, Setting] = {
    PUBLISHED: {
        "epochs": 25,
        "batch_size": 96,
        "held_out": 0.5,
        "final_learning_rate": 0.0,
        "cells": 5,
        "stage_cells": (5, 11, 17),
        "channels": 16,
    }
}

# algorithms C.4 to C.6; the batch and rates of the search on ImageNet are not printed
_STACNAS: Setting = {
    "epochs": 80,
    "batch_size": 64,
    "held_out": 0.0,
    "clip": 3.0,
    "cells": 14,
    "stage_cells": (14, 20),
    "channels": 16,
}
STACNAS: Mapping[str, Setting] = {
    PUBLISHED: _STACNAS,
    "imagenet": {**_STACNAS, **_STEM, "cells": 11, "stage_cells": (11, 14), "channels": 22},
}
# 2019: 100 epochs; its third stage trains the final network
STACNAS_2019: Mapping[str, Setting] = {
    PUBLISHED: {
        **_STACNAS,
        "epochs": 100,
        "stage_cells": (14, 20, 20),
        "stage_channels": (16, 16, 36),
    },
    "imagenet": {
        **STACNAS["imagenet"],
        "epochs": 100,
        "stage_cells": (11, 14, 14),
        "stage_channels": (22, 22, 48),
    },
}


def laid_under(given: T, usual: T, setting: Setting) -> T:
    """`given` with the values of `setting`, by option name, wherever it has the `usual` one. A part
    of another class than usual, such as another optimiser, stays as it is.
    """
    values = {}
    for name, mine, default in _options(given, usual):
        own = setting.get(name)
        if is_dataclass(own) and mine in (default, _bare(own)):
            values[name] = own
        elif is_dataclass(mine) and type(mine) is type(default):
            values[name] = laid_under(mine, default, setting)
        elif name in setting and mine == default:
            values[name] = setting[name]
    return replace(given, **values)  # type: ignore[type-var]


def departures(given: Any, usual: Any, setting: Setting) -> dict[str, Any]:
    """The options in which `given` is not as `setting` has them, with its values."""
    found: dict[str, Any] = {}
    for name, mine, default in _options(given, usual):
        if is_dataclass(mine) and type(mine) is type(default):
            found |= departures(mine, default, setting)
        elif is_dataclass(mine):
            own = setting.get(name)
            if is_dataclass(own) and mine in (own, _bare(own)):
                continue
            found[name] = getattr(mine, "name", type(mine).__name__)
        elif name in setting and mine not in (default, setting[name]):
            found[name] = mine
    return found


def _bare(part: Any) -> Any:
    """A part of that class that says nothing."""
    return type(part)()


def option_names(given: Any) -> Iterator[str]:
    """Of all options that a setting may have."""
    for name, mine, _ in _options(given, given):
        yield name
        if is_dataclass(mine):
            yield from option_names(mine)


def _options(given: Any, usual: Any) -> Iterator[tuple[str, Any, Any]]:
    """Name, value and usual value of each field."""
    for field in fields(given):
        yield field.name, getattr(given, field.name), getattr(usual, field.name)
