"""Hierarchical neural architecture search on Ray.

    import fade_ray
    result = fade_ray.search(fade_ray.Config(...))
    result.model(), result.architecture, result.table("trials"), result.figure("accuracy")

These are the names that others may rely on; they are loaded when they are first used, so that the
command line answers at once.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fade_ray.cells.cells_config import (
        ArchitectureOptions,
        CellsConfig,
        GridConfig,
        RetrainingOptions,
    )
    from fade_ray.compare.compare_config import CompareConfig, ContestConfig
    from fade_ray.data.data_config import DataConfig
    from fade_ray.data.parquet import write_images
    from fade_ray.nn.chain import NetworkConfig
    from fade_ray.nn.choices import choices
    from fade_ray.nn.own_cells import cell_space
    from fade_ray.ranks.rank_config import RankStudyConfig, StudyConfig
    from fade_ray.replay.replay_config import ReplayConfig
    from fade_ray.results import (
        Result,
        cells,
        compare,
        open_run,
        rank_study,
        replay,
        retrain,
        search,
        use,
    )
    from fade_ray.retraining.retrain_config import RetrainConfig
    from fade_ray.run.kind import RunKind
    from fade_ray.run.lifecycle import Interrupted
    from fade_ray.run.run_config import RunConfig
    from fade_ray.run.watcher import Watcher
    from fade_ray.search.search_config import (
        RECIPES,
        Config,
        FinishConfig,
        OuterConfig,
        SpaceConfig,
    )
    from fade_ray.training.objectives import Objective
    from fade_ray.training.optimisers import Optimiser
    from fade_ray.training.row_architecture import ArchitectureConfig
    from fade_ray.training.train_config import TrainConfig
    from searchers import AnchorWalk, BayesPoints, Evolution, RandomPoints, Searcher
    from spaces.choices import Choice
    from spaces.errors import InvalidInput

_MODULES = {
    "fade_ray.results": (
        *("search", "cells", "compare", "rank_study", "replay", "retrain"),
        *("open_run", "use", "Result"),
    ),
    "fade_ray.search.search_config": (
        *("RECIPES", "Config", "FinishConfig", "OuterConfig", "SpaceConfig"),
    ),
    "fade_ray.cells.cells_config": (
        *("ArchitectureOptions", "CellsConfig", "GridConfig", "RetrainingOptions"),
    ),
    "fade_ray.compare.compare_config": ("CompareConfig", "ContestConfig"),
    "fade_ray.ranks.rank_config": ("RankStudyConfig", "StudyConfig"),
    "fade_ray.replay.replay_config": ("ReplayConfig",),
    "fade_ray.retraining.retrain_config": ("RetrainConfig",),
    "fade_ray.data.data_config": ("DataConfig",),
    "fade_ray.data.parquet": ("write_images",),
    "fade_ray.nn.chain": ("NetworkConfig",),
    "fade_ray.nn.choices": ("choices",),
    "fade_ray.nn.own_cells": ("cell_space",),
    "fade_ray.training.train_config": ("TrainConfig",),
    "fade_ray.training.row_architecture": ("ArchitectureConfig",),
    "fade_ray.training.objectives": ("Objective",),
    "fade_ray.training.optimisers": ("Optimiser",),
    "fade_ray.run.run_config": ("RunConfig",),
    "fade_ray.run.kind": ("RunKind",),
    "fade_ray.run.lifecycle": ("Interrupted",),
    "fade_ray.run.watcher": ("Watcher",),
    "searchers": ("AnchorWalk", "BayesPoints", "Evolution", "RandomPoints", "Searcher"),
    "spaces.choices": ("Choice",),
    "spaces.errors": ("InvalidInput",),
}
_WHERE = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "RECIPES",
    "AnchorWalk",
    "ArchitectureConfig",
    "ArchitectureOptions",
    "BayesPoints",
    "CellsConfig",
    "Choice",
    "CompareConfig",
    "Config",
    "ContestConfig",
    "DataConfig",
    "Evolution",
    "FinishConfig",
    "GridConfig",
    "Interrupted",
    "InvalidInput",
    "NetworkConfig",
    "Objective",
    "Optimiser",
    "OuterConfig",
    "RandomPoints",
    "RankStudyConfig",
    "ReplayConfig",
    "Result",
    "RetrainConfig",
    "RetrainingOptions",
    "RunConfig",
    "RunKind",
    "Searcher",
    "SpaceConfig",
    "StudyConfig",
    "TrainConfig",
    "Watcher",
    "cell_space",
    "cells",
    "choices",
    "compare",
    "open_run",
    "rank_study",
    "replay",
    "retrain",
    "search",
    "use",
    "write_images",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


class _Door(ModuleType):
    """This package, in which the folder `search` does not take the place of the function."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _WHERE and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Door
