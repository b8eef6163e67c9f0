"""Images too many for memory: `root/train/<class>/<picture>` and `root/val/<class>/<picture>`,
decoded by processes as they are needed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from fade_ray.data.batches import Batch
from fade_ray.data.images import IntArray
from fade_ray.data.splits import stratified_limit
from spaces.errors import InvalidInput

PARTS = ("train", "val")

Transform = Callable[[Any], Tensor]  # a PIL picture -> uint8 [3, side, side]


@dataclass(frozen=True)
class ImageTransforms:
    """What is done to pictures of any size (DARTS for ImageNet, algorithms B.4), in units of
    torchvision.

    Training: a random part of 8 to 100 % of the area, scaled to `side` pixels, flip, colours varied
    by `jitter` (brightness, contrast, saturation, hue). Test: the shorter side scaled to 256/224 of
    `side`, the centre cut out.
    """

    side: int = 224
    flip: bool = True
    jitter: tuple[float, float, float, float] = (0.4, 0.4, 0.4, 0.2)

    def training(self) -> Transform:
        """Draws from torch's global generator."""
        # torchvision takes seconds to import, and most runs need none of it
        from torchvision.transforms import v2

        parts: list[Any] = [v2.RandomResizedCrop(self.side)]
        if self.flip:
            parts.append(v2.RandomHorizontalFlip())
        if any(self.jitter):
            parts.append(v2.ColorJitter(*self.jitter))
        made: Transform = v2.Compose([*parts, v2.PILToTensor()])
        return made

    def test(self) -> Transform:
        """Without chance."""
        from torchvision.transforms import v2

        larger = round(self.side * 256 / 224)
        made: Transform = v2.Compose(
            [v2.Resize(larger), v2.CenterCrop(self.side), v2.PILToTensor()]
        )
        return made


@dataclass(frozen=True)
class ImageFolders:
    """The two parts of a data set on disk: class names, and path and class number of every picture,
    at most `limit` of each part.

    Both parts must have the same class folders. Raises InvalidInput for a folder of another form.
    """

    classes: tuple[str, ...]
    train: tuple[tuple[str, int], ...]
    val: tuple[tuple[str, int], ...]

    @staticmethod
    def read(
        root: Path, *, limit: int | None = None, test_limit: int | None = None, seed: int = 0
    ) -> ImageFolders:
        """`limit`, `test_limit`: how many pictures to keep of train and val, in the proportions of
        the classes, drawn by `seed`.
        """
        found = {part: _image_folder(root, part) for part in PARTS}
        train, val = (tuple(found[part].classes) for part in PARTS)
        if train != val:
            differing = sorted(set(train) ^ set(val))[:5]
            raise InvalidInput(
                f"train/ and val/ must hold the same class folders, but in {str(root)!r} only one of them has {differing}. "
                "Bring the pictures of val/ into class folders."
            )
        if len(train) < 2:
            raise InvalidInput(
                f"Pictures must be of two classes or more, but {str(root)!r} has {train}. Add class folders."
            )
        kept = {
            part: _limited(found[part], size, np.random.default_rng([seed, number]))
            for number, (part, size) in enumerate(zip(PARTS, (limit, test_limit), strict=True))
        }
        return ImageFolders(train, kept["train"], kept["val"])


def _image_folder(root: Path, part: str) -> Any:
    from torchvision.datasets import ImageFolder

    try:
        return ImageFolder(str(root / part))
    except OSError as error:
        raise InvalidInput(
            f"The folder loader needs {root}/train/<class>/<picture> and {root}/val/<class>/<picture>, but {part}: {error} "
            "Name the folder that holds train and val, or use `--loader memory`."
        ) from error


def _limited(
    found: Any, limit: int | None, rng: np.random.Generator
) -> tuple[tuple[str, int], ...]:
    labels: IntArray = np.asarray(found.targets, np.int64)
    return tuple(found.samples[i] for i in stratified_limit(labels, len(found.classes), limit, rng))


class _Pictures(Dataset[Any]):
    """By (number, seed): uint8 [3, side, side] and label, or what is wrong with the picture. The
    seed is all that chance depends on.
    """

    def __init__(self, samples: Sequence[tuple[str, int]], transform: Transform) -> None:
        # arrays: every process that reads a Python object of another makes its own copy of the page
        # it is on
        self.paths = np.array([os.fsencode(path) for path, _ in samples])
        self.labels = np.array([label for _, label in samples], np.int64)
        self.transform = transform

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, int] | str:
        number, seed = key
        path, label = os.fsdecode(self.paths[number]), int(self.labels[number])
        try:
            image = _opened(path)
        # Pillow's for what is no picture, or broken
        except (OSError, SyntaxError, ValueError) as error:
            return f"Every file in a class folder must be a readable picture, but {path} is not: {error}. Remove it."
        # the process that decodes may be the one that trains
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.transform(image), label


def _opened(path: str) -> Any:
    with Image.open(path) as image:
        return image.convert("RGB")


def _joined(items: list[tuple[Tensor, int] | str]) -> tuple[Tensor, Tensor] | str:
    wrong = [item for item in items if isinstance(item, str)]
    if wrong:
        return wrong[0]
    images, labels = zip(*items, strict=True)
    return torch.stack(images), torch.tensor(labels)


class _Order:
    """The keys of each batch to come: set before an epoch, read by the loader. `keys`: int64
    [images, 2], number and seed.
    """

    def __init__(self) -> None:
        self.batches: list[Tensor] = []

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for keys in self.batches:
            yield [(number, seed) for number, seed in keys.tolist()]

    def __len__(self) -> int:
        return len(self.batches)


class FolderBatches:
    """One part of `ImageFolders` with the interface of `Batches`: images float32 [B, 3, side, side]
    and labels int64 [B] on `device`.

    `rank`, `size`: this worker among those that share every batch; it decodes its own run of each
    alone (see `SharedBatches`). Order and augmentation depend on nothing but the generator: not on
    the number of loader processes or workers. `mean`, `std`: per channel, in units of [0, 1].
    Raises InvalidInput for a batch size below 1, and, when it comes to it, for a picture that
    cannot be read.
    """

    def __init__(
        self,
        samples: Sequence[tuple[str, int]],
        transform: Transform,
        *,
        batch_size: int,
        device: torch.device,
        mean: Sequence[float],
        std: Sequence[float],
        channels_last: bool = False,
        rank: int = 0,
        size: int = 1,
        loader_workers: int = 0,
    ) -> None:
        if batch_size < 1:
            raise InvalidInput(f"`batch_size >= 1` must hold, but got {batch_size=}. Raise it.")
        self.images, self.batch_size, self.device = len(samples), batch_size, device
        self.rank, self.size = rank, size
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self._scale = torch.tensor([1 / (255 * s) for s in std], device=device).view(-1, 1, 1)
        self._shift = torch.tensor(
            [-m / s for m, s in zip(mean, std, strict=True)], device=device
        ).view(-1, 1, 1)
        self._order = _Order()
        self._loader = DataLoader(
            _Pictures(samples, transform),
            batch_sampler=self._order,
            num_workers=loader_workers,
            collate_fn=_joined,
            pin_memory=device.type == "cuda",
            persistent_workers=loader_workers > 0,
            # it draws seeds that nothing here uses: not from the global one
            generator=torch.Generator(),
        )

    def __len__(self) -> int:
        """Batches per epoch."""
        return max(1, self.images // self.batch_size)

    def epoch(self, generator: torch.Generator) -> Iterator[Batch]:
        """This worker's run of each batch, augmented, every picture in random order; an incomplete
        last batch only where it is the only one.

        All draws of the epoch are made in this call, on the host, from `generator` (a CPU
        generator).
        """
        used = min(self.images, len(self) * self.batch_size)
        keys = torch.stack(
            [
                torch.randperm(self.images, generator=generator)[:used],
                torch.randint(2**62, (used,), generator=generator),
            ],
            dim=1,
        )
        run = min(self.batch_size, used) // self.size
        starts = range(
            self.rank * run, used - self.size * run + self.rank * run + 1, self.batch_size
        )
        return self._read([keys[start : start + run] for start in starts])

    def cycle(self, generator: torch.Generator) -> Iterator[Batch]:
        """Epochs without end."""
        while True:
            yield from self.epoch(generator)

    def ordered(self, batch_size: int | None = None) -> Iterator[Batch]:
        """Every picture once, in order; of several workers each reads every `size`-th batch. The
        last batch may be incomplete.
        """
        step = self.batch_size if batch_size is None else batch_size
        if step < 1:
            raise InvalidInput(f"`batch_size >= 1` must hold, but got {batch_size=}. Raise it.")
        numbers = torch.arange(self.images)
        keys = torch.stack([numbers, torch.zeros_like(numbers)], dim=1)
        return self._read(
            [
                keys[start : start + step]
                for start in range(self.rank * step, self.images, self.size * step)
            ]
        )

    def _read(self, batches: list[Tensor]) -> Iterator[Batch]:
        self._order.batches = batches
        for found in self._loader:
            if isinstance(found, str):
                raise InvalidInput(found)
            images, labels = (tensor.to(self.device, non_blocking=True) for tensor in found)
            normalised = images.float().mul_(self._scale).add_(self._shift)
            yield normalised.contiguous(memory_format=self.memory_format), labels
