"""The images of a retraining: trained on is what the search saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from fade_ray.data import Feed, ImageBatches, Splits
from fade_ray.data.data_config import load_images
from fade_ray.data.imagenet import FolderBatches, ImageFolders, ImageTransforms
from fade_ray.data.images import channel_statistics
from fade_ray.nn import CellNetwork
from fade_ray.retraining.fitted_network import fitted_network
from fade_ray.retraining.retrain_config import NORMALISATIONS, RetrainConfig
from fade_ray.retraining.retrain_examples import Examples, Opener
from fade_ray.training import Placement
from fade_ray.training.sums import Workers
from spaces.cell import Macro
from spaces.errors import require

IMAGENET_SIDE = 224


@dataclass(frozen=True, eq=False)
class Images(Examples):
    """`side` in pixels, `channels` 1 or 3, `mean` and `std` per channel."""

    side: int
    channels: int
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @staticmethod
    def opened(config: RetrainConfig) -> Images:
        """See `Examples`; refused are also too few for a batch of several workers."""
        images = LOADERS[config.data.loader](config)
        size, workers = config.train.batch_size, config.workers.workers
        require(
            workers == 1 or images.counts[0] >= size,
            "batch_size <= training images with several workers",
            "Lower --batch-size.",
            batch_size=size,
            images=images.counts[0],
        )
        return images

    @staticmethod
    def of(data: Splits, config: RetrainConfig) -> Images:
        return images_of(data, config)

    def network(
        self, macro: Macro, config: RetrainConfig, generator: torch.Generator
    ) -> CellNetwork:
        sizes = {"side": self.side, "channels": self.channels, "classes": len(self.classes)}
        return fitted_network(macro, config, **sizes, generator=generator)


def _statistics(
    config: RetrainConfig, channels: int, own: Callable[[], tuple[Sequence[float], Sequence[float]]]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    published = NORMALISATIONS.get(config.data.normalisation)
    mean, std = own() if published is None else published
    require(
        len(mean) == channels,
        "normalisation has one entry per channel",
        "Use `--normalisation own`.",
        normalisation=config.data.normalisation,
        channels=channels,
    )
    return tuple(mean), tuple(std)


def images_of(splits: Splits, config: RetrainConfig) -> Images:
    """Of images that are in memory already. Raises InvalidInput where the published normalisation
    is of other channels.
    """
    training = splits.all_but_test
    mean, std = _statistics(config, splits.channels, lambda: channel_statistics(training.images))
    splits = replace(splits, mean=mean, std=std)
    augment = config.data.augmentation(splits.augment)

    def feed(placement: Placement, workers: Workers, batch_size: int) -> Feed:
        return Feed(splits, placement, batch_size, augment, workers.rank, workers.size)

    return Images(
        side=splits.side,
        channels=splits.channels,
        classes=splits.classes,
        mean=mean,
        std=std,
        counts=(len(training), len(splits.test)),
        description=f"{splits.name}: {len(training):,} training and {len(splits.test):,} test "
        f"images of {splits.side}x{splits.side}; augmentation: {augment}",
        train=lambda *where: feed(*where).augmented(training),
        test=lambda *where: feed(*where).plain(splits.test),
    )


def _from_folders(config: RetrainConfig) -> Images:
    data = config.data
    require(
        data.test_data is None,
        "test_data with loader memory",
        "The test part is val/.",
        test_data=data.test_data,
    )
    root = Path(data.data).expanduser()
    folders = ImageFolders.read(
        root, limit=data.limit, test_limit=data.test_limit, seed=data.split_seed
    )
    side = IMAGENET_SIDE if data.image_side is None else data.image_side
    transforms = ImageTransforms(side, data.flip is not False, data.jitter)
    # its own would take a pass over all
    mean, std = _statistics(config, 3, lambda: NORMALISATIONS["imagenet"])

    def batches(samples: Any, transform: Any) -> Opener:
        def build(placement: Placement, workers: Workers, batch_size: int) -> ImageBatches:
            return FolderBatches(
                samples,
                transform,
                batch_size=batch_size,
                device=placement.device,
                mean=mean,
                std=std,
                channels_last=placement.channels_last,
                rank=workers.rank,
                size=workers.size,
                loader_workers=config.workers.loader_workers,
            )

        return build

    return Images(
        side=side,
        channels=3,
        classes=folders.classes,
        mean=mean,
        std=std,
        counts=(len(folders.train), len(folders.val)),
        description=f"{root.resolve().name}: {len(folders.train):,} training and "
        f"{len(folders.val):,} test images at {side}x{side}",
        train=batches(folders.train, transforms.training()),
        test=batches(folders.val, transforms.test()),
    )


LOADERS: dict[str, Callable[[RetrainConfig], Images]] = {
    "memory": lambda config: images_of(load_images(config.data), config),
    "folder": _from_folders,
}
