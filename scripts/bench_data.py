"""How fast are augmented batches? Ratios to torchvision's PIL transforms behind a DataLoader with
two workers.

Both sides take the same 32 x 32 colour images from memory and yield normalised float batches of
128, cropped (padding 4), flipped and cut out (16 x 16). A run is one whole pass; the DataLoader's
workers stay alive from pass to pass.

Threads that wait sleep (`OMP_WAIT_POLICY=passive`), unless the environment says otherwise: where
other processes want the cores, spinning ones made the contender's many short operations some fifty
times slower.

    python scripts/bench_data.py [--json FILE] [--repeats 7] [--threads 2] [--images 5120]
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read when torch is imported

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from _ratio import print_ratio, ratios, write_json
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from fade_ray.data import Augment, Batches, LabelledImages

SIDE, BATCH, WORKERS = 32, 128, 2
CROP, CUTOUT = 4, 16
MEAN, STD = (0.491, 0.482, 0.447), (0.247, 0.243, 0.262)


@dataclass(frozen=True)
class Bench:
    """Command line."""

    json: Path | None = None
    repeats: int = 7
    threads: int = 2
    images: int = 40 * BATCH


class PilImages(Dataset[tuple[Tensor, int]]):
    """What torchvision's CIFAR classes do: an array in memory, one PIL image per item, transforms
    on it.
    """

    def __init__(self, part: LabelledImages, transform: Callable[[Image.Image], Tensor]) -> None:
        self.images, self.labels, self.transform = (
            part.images.transpose(0, 2, 3, 1).copy(),
            part.labels,
            transform,
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), int(self.labels[index])


def cutout(image: Tensor) -> Tensor:
    """On the tensor, in place: cheaper than on the PIL image."""
    row, column = (int(i) for i in torch.randint(0, SIDE, (2,)))
    top, left = row - CUTOUT // 2, column - CUTOUT // 2
    image[:, max(top, 0) : top + CUTOUT, max(left, 0) : left + CUTOUT] = 0
    return image


def torchvision_loader(part: LabelledImages) -> DataLoader[tuple[Tensor, int]]:
    transform = transforms.Compose(
        [
            transforms.RandomCrop(SIDE, padding=CROP),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
            transforms.Lambda(cutout),
        ]
    )
    return DataLoader(
        PilImages(part, transform),
        batch_size=BATCH,
        shuffle=True,
        drop_last=True,
        num_workers=WORKERS,
        persistent_workers=True,
    )


def whole_pass(batches: Callable[[], Iterable[Any]]) -> Callable[[], None]:
    def run() -> None:
        for _ in batches():
            pass

    return run


def main(bench: Bench) -> None:
    torch.set_num_threads(bench.threads)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (bench.images, 3, SIDE, SIDE), dtype=np.uint8)
    part = LabelledImages(images, rng.integers(0, 10, bench.images))
    loader, generator = torchvision_loader(part), torch.Generator().manual_seed(0)
    baseline = whole_pass(lambda: loader)
    augment = Augment(crop=CROP, flip=True, cutout=CUTOUT)
    figures = {}
    for name, channels_last in {
        "augmented batches": False,
        "augmented batches, channels-last": True,
    }.items():
        batches = Batches(
            part,
            batch_size=BATCH,
            device=torch.device("cpu"),
            mean=MEAN,
            std=STD,
            augment=augment,
            channels_last=channels_last,
        )
        figures[name] = ratios(
            baseline, whole_pass(partial(batches.epoch, generator)), bench.repeats
        )
        print_ratio(name, figures[name])
    if bench.json:
        write_json(bench.json, figures)


if __name__ == "__main__":
    main(tyro.cli(Bench, description=__doc__))
