"""Device-resident images, normalised and augmented as whole batches."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from fade_ray.data.images import Augment, LabelledImages
from spaces.errors import InvalidInput

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Draws:
    """What is random about some training images: integers drawn on the host, one entry per image,
    None where switched off.

    `order` [N]: image numbers. `flip` [N]: 0 or 1. `crop` [N, 2]: row and column offset of the
    window in the padded image, 0..2 * crop. `cutout` [N, 2]: row and column of the centre, 0..side
    - 1.
    """

    order: Tensor
    flip: Tensor | None
    crop: Tensor | None
    cutout: Tensor | None

    @staticmethod
    def draw(
        total: int, used: int, height: int, width: int, augment: Augment, generator: torch.Generator
    ) -> Draws:
        """The first `used` of a permutation of `total` images; always in this sequence: order,
        flip, crop, cutout.
        """
        order = torch.randperm(total, generator=generator)[:used]
        flip = crop = cutout = None
        if augment.flip:
            flip = torch.randint(0, 2, (used,), generator=generator)
        if augment.crop:
            crop = torch.randint(0, 2 * augment.crop + 1, (used, 2), generator=generator)
        if augment.cutout:
            rows = torch.randint(0, height, (used,), generator=generator)
            columns = torch.randint(0, width, (used,), generator=generator)
            cutout = torch.stack([rows, columns], dim=1)
        return Draws(order, flip, crop, cutout)

    def to(self, device: torch.device) -> Draws:
        return Draws(*(None if t is None else _send(t, device) for t in self._parts()))  # type: ignore[arg-type]

    def slice(self, start: int, stop: int) -> Draws:
        return Draws(*(None if t is None else t[start:stop] for t in self._parts()))  # type: ignore[arg-type]

    def _parts(self) -> tuple[Tensor | None, ...]:
        return self.order, self.flip, self.crop, self.cutout


class Batches:
    """One part of a data set as float32 batches: images [B, C, H, W] and labels int64 [B], both on
    `device`.

    The images stay one uint8 tensor on the device; on the CPU it shares the memory of the given
    array, which may be read-only (nothing here writes to it). `mean`, `std`: per channel, in units
    of [0, 1]. `channels_last` sets the memory format of the batches, not their shape. Raises
    `InvalidInput` for a batch size below 1 or wrong channels.

    Augmentation, in this order: flip, crop (padding is black, 0 before the normalisation, as
    torchvision's `RandomCrop` before `Normalize`), normalisation, cutout (filled with 0 after it,
    the mean). A cutout of side s around row y covers the rows y - s // 2 up to but without y - s //
    2 + s, clipped at the border; columns likewise.
    """

    def __init__(
        self,
        part: LabelledImages,
        *,
        batch_size: int,
        device: torch.device,
        mean: Sequence[float],
        std: Sequence[float],
        augment: Augment = Augment(),  # noqa: B008, frozen
        channels_last: bool = False,
    ) -> None:
        if batch_size < 1:
            raise InvalidInput(f"`batch_size >= 1` must hold, but got {batch_size=}. Raise it.")
        self.images, self.labels = _shared(part.images).to(device), _shared(part.labels).to(device)
        channels, height, width = self.images.shape[1:]
        if not len(mean) == len(std) == channels:
            raise InvalidInput(
                f"Mean and standard deviation need one entry per channel, but got {mean=}, {std=} for {channels} "
                "channels. Use those of this data set."
            )
        self.batch_size, self.device, self.augment = batch_size, device, augment
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        # (x / 255 - mean) / std = x * scale + shift
        self._scale = torch.tensor([1 / (255 * s) for s in std], device=device).view(channels, 1, 1)
        self._shift = torch.tensor(
            [-m / s for m, s in zip(mean, std, strict=True)], device=device
        ).view(channels, 1, 1)
        self._rows, self._columns = (
            torch.arange(height, device=device),
            torch.arange(width, device=device),
        )
        self._outside_rows = _outside(self._rows, augment.cutout)
        self._outside_columns = _outside(self._columns, augment.cutout)

    def __len__(self) -> int:
        """Batches per epoch."""
        return max(1, len(self.labels) // self.batch_size)

    def epoch(self, generator: torch.Generator) -> Iterator[Batch]:
        """Augmented batches of every image once, in random order; an incomplete last batch only
        where it is the only one.

        All draws of the epoch are made in this call, on the host, and depend on nothing but the
        state of `generator` (a CPU generator): the same batches on every device, and a state saved
        between two calls is enough to go on.
        """
        return self._batches(self._draw(generator))

    def cycle(self, generator: torch.Generator) -> Iterator[Batch]:
        """Epochs without end. The draws of an epoch are made when its first batch is asked for."""
        while True:
            yield from self.epoch(generator)

    def ordered(self, batch_size: int | None = None) -> Iterator[Batch]:
        """Every image once, in order, without augmentation, for evaluation; the last batch may be
        incomplete.
        """
        size = self.batch_size if batch_size is None else batch_size
        if size < 1:
            raise InvalidInput(f"`batch_size >= 1` must hold, but got {batch_size=}. Raise it.")
        for start in range(0, len(self.labels), size):
            images = self._normalised(self.images[start : start + size])
            yield (
                images.contiguous(memory_format=self.memory_format),
                self.labels[start : start + size],
            )

    def _draw(self, generator: torch.Generator) -> Draws:
        total, (height, width) = len(self.labels), self.images.shape[2:]
        used = min(total, len(self) * self.batch_size)
        return Draws.draw(total, used, height, width, self.augment, generator)

    def _batches(self, draws: Draws) -> Iterator[Batch]:
        draws, used = draws.to(self.device), len(draws.order)
        for start in range(0, used, self.batch_size):
            chosen = draws.slice(start, min(start + self.batch_size, used))
            yield self._augmented(chosen), self.labels.index_select(0, chosen.order)

    def _augmented(self, draws: Draws) -> Tensor:
        """float32 [B, C, H, W]. Cheap in this order: whole rows of bytes are moved before they
        become floats, and NHWC last.
        """
        images = self.images.index_select(0, draws.order)
        if draws.flip is not None:
            images = self._flipped(images, draws.flip)
        if draws.crop is not None:
            images = self._cropped(images, draws.crop)
        batch = self._normalised(images)
        if draws.cutout is not None:
            batch.mul_(self._kept(draws.cutout))
        return batch.contiguous(memory_format=self.memory_format)

    def _flipped(self, images: Tensor, flip: Tensor) -> Tensor:
        """Flip all, then take each image [C, H, W] whole from one or the other: several times
        faster than `torch.where`.
        """
        count = len(images)
        return torch.cat([images, images.flip(3)]).index_select(
            0, torch.arange(count, device=self.device) + count * flip
        )

    def _cropped(self, images: Tensor, offsets: Tensor) -> Tensor:
        """Pad [B, C, H, W] on all sides and cut one window [H, W] out of each image.

        A row of a window is W neighbouring bytes of the padded batch. Seen as a matrix [bytes, W]
        of all such runs (a view), the windows are a selection of its rows. The batch is padded, not
        the data set, which would cost memory.
        """
        (B, C, H, W), p = images.shape, self.augment.crop
        padded = F.pad(images, (p, p, p, p))
        runs = padded.view(-1).as_strided((padded.numel() - W + 1, W), (1, 1))
        height, width = H + 2 * p, W + 2 * p
        first = (
            torch.arange(B * C, device=self.device).view(B, C, 1) * (height * width)
            + self._rows * width
        )
        corner = offsets[:, 0] * width + offsets[:, 1]
        return runs.index_select(0, (first + corner[:, None, None]).view(-1)).view(B, C, H, W)

    def _normalised(self, images: Tensor) -> Tensor:
        return images.float().mul_(self._scale).add_(self._shift)

    def _kept(self, centres: Tensor) -> Tensor:
        """float [B, 1, H, W]: 0 inside of each image's square, 1 outside."""
        rows = self._outside_rows.index_select(0, centres[:, 0])
        columns = self._outside_columns.index_select(0, centres[:, 1])
        return torch.maximum(rows[:, None, :, None], columns[:, None, None, :])


def _outside(positions: Tensor, side: int) -> Tensor:
    """float [centre, position]: 1 where `position` is not among the `side` ones around `centre`,
    else 0.
    """
    distance = positions - (positions[:, None] - side // 2)
    return ((distance < 0) | (distance >= side)).float()


def _shared(array: npt.NDArray[np.uint8] | npt.NDArray[np.int64]) -> Tensor:
    """A tensor on the array's own memory. Read-only is fine, since it is never written to."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def _send(tensor: Tensor, device: torch.device) -> Tensor:
    """Small tensors to `device` without waiting for it (CUDA can do so from pinned memory only)."""
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
