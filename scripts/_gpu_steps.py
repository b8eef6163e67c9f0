"""Small trainings of every kind of step, on any device."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from fade_ray.data.batches import Batches
from fade_ray.data.images import Augment, LabelledImages
from fade_ray.nn import CellNetwork, CellNetworkConfig, ChainNetwork, NetworkConfig
from fade_ray.training.device import Placement
from fade_ray.training.edge_architecture import CellArchitectureConfig, EdgeArchitecture
from fade_ray.training.estimators import ESTIMATORS
from fade_ray.training.loop import Training
from fade_ray.training.objectives import Classification
from fade_ray.training.optimisers import ASGD, SGD
from fade_ray.training.row_architecture import ArchitectureConfig, RowArchitecture
from fade_ray.training.train_config import TrainConfig
from fade_ray.training.updates import UPDATES
from spaces import NONE, SKIP, CellSpace, HyperArchitecture, enumerate_dags
from spaces.darts import published

SIDE, CLASSES = 16, 10


@dataclass(frozen=True)
class Size:
    """`channels` of the first cells and of the last row; images per batch."""

    channels: int = 8
    batch: int = 6


def images(count: int) -> LabelledImages:
    drawn = np.random.RandomState(0)
    pixels = drawn.randint(0, 256, (count, 3, SIDE, SIDE)).astype(np.uint8)
    return LabelledImages(pixels, drawn.randint(0, CLASSES, count))


def batches(place: Placement, size: Size, count: int) -> Batches:
    """`count` augmented batches an epoch."""
    return Batches(
        images(count * size.batch),
        device=place.device,
        augment=Augment(crop=2, flip=True, cutout=4),
        batch_size=size.batch,
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
        channels_last=place.channels_last,
    )


def hyper() -> HyperArchitecture:
    return HyperArchitecture((tuple(enumerate_dags(4)[-3:]),) * 3)


def chain(size: Size, config: NetworkConfig | None = None) -> ChainNetwork:
    config = config or NetworkConfig(depth=3, final_channels=size.channels)
    made = torch.Generator().manual_seed(0)
    return ChainNetwork(hyper(), config, side=SIDE, channels=3, classes=CLASSES, generator=made)


def cells(size: Size, partial: int = 1) -> CellNetwork:
    """DARTS's stack of small cells: 5 edges, 4 operations beside none."""
    cell = CellSpace.create(2, 4, (NONE, "max_pool_3x3", SKIP, "sep_conv_3x3", "dil_conv_3x3"))
    macro = published("darts").macro.with_cells({"normal": cell, "reduce": cell}).at_depth(3)
    made = torch.Generator().manual_seed(0)
    config = CellNetworkConfig(channels=size.channels, partial=partial).for_search(macro.stack)
    return CellNetwork(macro, config, side=SIDE, classes=CLASSES, generator=made)


def chain_training(
    place: Placement, size: Size, count: int, config: ArchitectureConfig | None, train: TrainConfig
) -> Training:
    """A hyper-architecture; without `config` one path of it, its weights alone."""
    network, architecture = chain(size), None
    if config is not None:
        held_out, drawn = batches(place, size, count), torch.Generator().manual_seed(1)
        architecture = RowArchitecture(network, held_out, config, drawn)
    return Training(network, batches(place, size, count), train, 2, place, 3, architecture)


def cell_training(
    place: Placement,
    size: Size,
    count: int,
    config: CellArchitectureConfig,
    train: TrainConfig,
    partial: int = 1,
) -> Training:
    network, drawn = cells(size, partial), torch.Generator().manual_seed(1)
    held_out = batches(place, size, count) if config.held_out else None
    architecture = EdgeArchitecture(network.macro, config, drawn, place.device, held_out)
    return Training(network, batches(place, size, count), train, 2, place, 3, architecture)


@dataclass(frozen=True)
class StepKind:
    """`training(place, size, batches of an epoch)`; `reads`: how often a step may read the device,
    and what for.
    """

    training: Callable[[Placement, Size, int], Training]
    reads: int = 0
    what_for: str = ""
    simulated: bool = True
    """Whether torch computes it on a device that stands for any (`_crossings.py`)."""


ADAM = TrainConfig()
MOMENTUM = TrainConfig(optimiser=SGD())
REGULARISED = TrainConfig(
    optimiser=SGD(), drop_path=0.3, ema=0.9, objective=Classification(label_smoothing=0.1)
)
PATH = "the next path is drawn on the host from the logits, which are there"
LENGTH = "the length of a direction, once for each difference's step"
OPERATIONS = "which operations run, for each kind of cell in both passes"


def _rows(
    config: ArchitectureConfig | None, train: TrainConfig = ADAM, simulated: bool = True
) -> StepKind:
    made = lambda place, size, count: chain_training(place, size, count, config, train)  # noqa: E731
    return StepKind(made, *((0, "") if config is None else (1, PATH)), simulated)


def _edges(
    config: CellArchitectureConfig,
    train: TrainConfig = MOMENTUM,
    reads: int = 0,
    what_for: str = "",
    partial: int = 1,
) -> StepKind:
    made = lambda place, size, count: cell_training(  # noqa: E731
        place, size, count, config, train, partial
    )
    return StepKind(made, reads, what_for)


CELLS = CellArchitectureConfig()
STEPS: dict[str, StepKind] = {
    "one path": _rows(None),
    "one path, asgd": _rows(None, TrainConfig(optimiser=ASGD()), simulated=False),
    **{f"rows, {name}": _rows(ArchitectureConfig(name, draw="weighted")) for name in ESTIMATORS},
    "rows, penalty": _rows(
        ArchitectureConfig("straight-through-exact", "weighted", penalty="max-norm")
    ),
    "rows, split weight batch": _rows(ArchitectureConfig(weight_paths=2)),
    **{f"cells, {name}": _edges(replace(CELLS, update=name)) for name in UPDATES},
    "cells, second-order": _edges(replace(CELLS, update="second-order"), MOMENTUM, 1, LENGTH),
    "cells, amended": _edges(replace(CELLS, update="amended"), MOMENTUM, 1, LENGTH),
    "cells, sigmoid": _edges(replace(CELLS, relaxation="sigmoid", update="joint")),
    "cells, noise": _edges(replace(CELLS, relaxation="gumbel-softmax")),
    "cells, sampled": _edges(
        replace(CELLS, relaxation="gumbel-softmax-sampled"), MOMENTUM, 4, OPERATIONS
    ),
    "cells, pairs of edges": _edges(replace(CELLS, edges="pairs")),
    "cells, partial channels": _edges(replace(CELLS, edges="softmax"), partial=4),
    "cells, regularised": _edges(replace(CELLS, skip_dropout=0.3), REGULARISED),
    "cells, logits by sgd": _edges(replace(CELLS, optimizer="sgd"), ADAM),
}
"""Of every estimator, update and relaxation."""
