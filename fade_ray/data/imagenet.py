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
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from fade_ray.data.batches import Batch, ImageBatches
from fade_ray.data.decode import Pictures, picture, survey
from fade_ray.data.images import IntArray
from fade_ray.data.splits import stratified_limit
from spaces.errors import InvalidInput, require_text, upheld

PARTS = ("train", "val")
LOOKED_AT = 1024
"""Pictures of each part whose headers are read before work starts, evenly spread: at most."""

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

    Both parts must have the same class folders. Raises InvalidInput for a folder of another form,
    and for a picture of another depth than 8 bits among those that are `LOOKED_AT`.
    """

    classes: tuple[str, ...]
    train: tuple[tuple[str, int], ...]
    val: tuple[tuple[str, int], ...]

    @staticmethod
    def read(
        root: Path, *, limit: int | None = None, test_limit: int | None = None, seed: int = 0
    ) -> ImageFolders:
        """At most `limit` and `test_limit` pictures, drawn by `seed` in proportion to classes."""
        found = {part: _image_folder(root, part) for part in PARTS}
        train, val = (tuple(found[part].classes) for part in PARTS)
        if train != val:
            differing = sorted(set(train) ^ set(val))[:5]
            raise InvalidInput(
                f"train/ and val/ must hold the same class folders, but in {str(root)!r} only one "
                f"of them has {differing}. Bring the pictures of val/ into class folders."
            )
        if len(train) < 2:
            raise InvalidInput(
                f"Pictures must be of two classes or more, but {str(root)!r} has {train}. Add "
                "class folders."
            )
        require_text(*train)
        kept = {
            part: _limited(found[part], size, np.random.default_rng([seed, number]))
            for number, (part, size) in enumerate(zip(PARTS, (limit, test_limit), strict=True))
        }
        for samples in kept.values():
            survey(_named([path for path, _ in samples[:: len(samples) // LOOKED_AT + 1]]))
        return ImageFolders(train, kept["train"], kept["val"])


def _image_folder(root: Path, part: str) -> Any:
    from torchvision.datasets import ImageFolder

    try:
        return ImageFolder(str(root / part))
    except OSError as error:
        raise InvalidInput(
            f"The folder loader needs {root}/train/<class>/<picture> and "
            f"{root}/val/<class>/<picture>, but {part}: {error} Name the folder that holds train "
            "and val, or use `--loader memory`."
        ) from error


def _limited(
    found: Any, limit: int | None, rng: np.random.Generator
) -> tuple[tuple[str, int], ...]:
    labels: IntArray = np.asarray(found.targets, np.int64)
    return tuple(found.samples[i] for i in stratified_limit(labels, len(found.classes), limit, rng))


class _Pictures(Dataset[Any]):
    """By (number, seed), all that chance depends on: picture and label, or what is wrong."""

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
            image = picture(_named([path]), 0, "RGB")
        except InvalidInput as error:
            return str(error)
        # the process that decodes may be the one that trains
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.transform(image), label


def _named(paths: Sequence[str]) -> Pictures:
    return Pictures([Path(path) for path in paths], lambda i: paths[i])


def _joined(items: list[tuple[Tensor, int] | str]) -> tuple[Tensor, Tensor] | str:
    wrong = [item for item in items if isinstance(item, str)]
    if wrong:
        return wrong[0]
    images, labels = zip(*items, strict=True)
    return torch.stack(images), torch.tensor(labels)


class _Order:
    """Keys [images, 2] (number, seed) of each batch of an epoch, for the loader to read."""

    def __init__(self) -> None:
        self.batches: list[Tensor] = []

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for keys in self.batches:
            yield [(number, seed) for number, seed in keys.tolist()]

    def __len__(self) -> int:
        return len(self.batches)


class FolderBatches(ImageBatches):
    """One part of `ImageFolders`, of which this worker decodes its own run of each batch alone.

    Order and augmentation depend on nothing but the generator: not on the number of loader
    processes or workers. Raises InvalidInput, when it comes to it, for a picture that cannot be
    read.
    """

    def __init__(
        self,
        samples: Sequence[tuple[str, int]],
        transform: Transform,
        *,
        device: torch.device,
        loader_workers: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(len(samples), 3, device=device, **options)
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

    def epoch(self, generator: torch.Generator) -> Iterator[Batch]:
        order = torch.randperm(self.count, generator=generator)[: self._used]
        seeds = torch.randint(2**62, (self._used,), generator=generator)
        return self._read(torch.stack([order, seeds], dim=1), self._runs())

    def _plain(self, runs: list[slice]) -> Iterator[Batch]:
        numbers = torch.arange(self.count)
        return self._read(torch.stack([numbers, torch.zeros_like(numbers)], dim=1), runs)

    def _read(self, keys: Tensor, runs: list[slice]) -> Iterator[Batch]:
        self._order.batches = [keys[run] for run in runs]
        for read in self._handed_over() if self._loader.num_workers else self._loader:
            if isinstance(read, str):
                raise InvalidInput(read)
            images, labels = (tensor.to(self.device, non_blocking=True) for tensor in read)
            yield self._laid_out(self._normalised(images)), labels

    def _handed_over(self) -> Iterator[tuple[Tensor, Tensor] | str]:
        """What other processes decode. It comes through shared memory and open files."""
        rule = "Loader processes must be able to hand their images over"
        remedy = "Enlarge /dev/shm, raise `ulimit -n`, or use --loader-workers 0."
        with upheld(rule, remedy, RuntimeError, OSError):
            yield from self._loader
