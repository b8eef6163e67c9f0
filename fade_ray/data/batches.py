"""Device-resident images, normalised and augmented as whole batches."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from fade_ray.data.images import Augment, LabelledImages
from fade_ray.data.targets import IGNORED, Array
from spaces.errors import require

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
        """The first `used` of `total` shuffled images; drawn as order, flip, crop, cutout."""
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

    def slice(self, run: slice) -> Draws:
        return Draws(*(None if t is None else t[run] for t in self._parts()))  # type: ignore[arg-type]

    def _parts(self) -> tuple[Tensor | None, ...]:
        return self.order, self.flip, self.crop, self.cutout


class AnyBatches(ABC):
    """Examples as batches (inputs, targets) on a device; `batch_size` of them, or fewer."""

    batch_size: int

    @abstractmethod
    def __len__(self) -> int:
        """Batches per epoch; of batches cut at random, about as many."""

    @abstractmethod
    def epoch(self, generator: torch.Generator) -> Iterator[Batch]:
        """All examples once, as they are trained on.

        All draws of the epoch are made in this call, on the host, and depend on nothing but the
        state of `generator` (a CPU generator): the same batches on every device, and a state saved
        between two calls is enough to go on.
        """

    def cycle(self, generator: torch.Generator) -> Iterator[Batch]:
        """Epochs without end. The draws of an epoch are made when its first batch is asked for."""
        while True:
            yield from self.epoch(generator)

    @abstractmethod
    def ordered(self, batch_size: int | None = None) -> Iterator[Batch]:
        """All examples once, in order and unchanged, for evaluation."""


class ImageBatches(AnyBatches):
    """Labelled images as batches: images float32 [B, C, H, W], normalised by `mean` and `std` (per
    channel, in units of [0, 1]), and labels int64 [B], both on `device`.

    `rank`, `size`: this worker among those that share every batch, of which each has an equal run;
    `batch_size`, a multiple of `size`, is that of the whole batch. All workers draw for the whole
    one, so that their runs side by side are what one worker would see, bit for bit. `channels_last`
    sets the memory format of the batches, not their shape. Raises InvalidInput for a batch size
    below 1 or wrong channels.
    """

    def __init__(
        self,
        count: int,
        channels: int,
        *,
        batch_size: int,
        device: torch.device,
        mean: Sequence[float],
        std: Sequence[float],
        channels_last: bool = False,
        rank: int = 0,
        size: int = 1,
    ) -> None:
        require(batch_size >= 1, "batch_size >= 1", "Raise it.", batch_size=batch_size)
        rule = "mean and std have one entry per channel"
        remedy, given = "Use those of this data set.", {"mean": mean, "std": std}
        require(len(mean) == len(std) == channels, rule, remedy, **given, channels=channels)
        self.count, self.batch_size, self.device = count, batch_size, device
        self.rank, self.size = rank, size
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        # (x / 255 - mean) / std = x * scale + shift
        self._scale = torch.tensor([1 / (255 * s) for s in std], device=device).view(-1, 1, 1)
        shift = [-m / s for m, s in zip(mean, std, strict=True)]
        self._shift = torch.tensor(shift, device=device).view(-1, 1, 1)

    def __len__(self) -> int:
        """Batches per epoch."""
        return max(1, self.count // self.batch_size)

    @abstractmethod
    def epoch(self, generator: torch.Generator) -> Iterator[Batch]:
        """Augmented batches of every image once, in random order; an incomplete last batch only
        where it is the only one. See `AnyBatches`.
        """

    def ordered(self, batch_size: int | None = None) -> Iterator[Batch]:
        """Every image once, in order, without augmentation, for evaluation; of several workers each
        has every `size`-th batch. The last batch may be incomplete.
        """
        step = self.batch_size if batch_size is None else batch_size
        require(step >= 1, "batch_size >= 1", "Raise it.", batch_size=step)
        starts = range(self.rank * step, self.count, self.size * step)
        return self._plain([slice(start, min(start + step, self.count)) for start in starts])

    @abstractmethod
    def _plain(self, runs: list[slice]) -> Iterator[Batch]:
        """The images of these numbers, without augmentation."""

    @property
    def _used(self) -> int:
        """Images of an epoch."""
        return min(self.count, len(self) * self.batch_size)

    def _runs(self) -> list[slice]:
        """This worker's run of each batch of an epoch."""
        run = min(self.batch_size, self._used) // self.size
        starts = range(0, self._used - self.size * run + 1, self.batch_size)
        first = self.rank * run
        return [slice(start + first, start + first + run) for start in starts]

    def _normalised(self, images: Tensor) -> Tensor:
        return images.float().mul_(self._scale).add_(self._shift)

    def _laid_out(self, images: Tensor) -> Tensor:
        return images.contiguous(memory_format=self.memory_format)


class Batches(ImageBatches):
    """One part of a data set that is kept on the device as one uint8 tensor; on the CPU it shares
    the memory of the given array, which may be read-only (nothing here writes to it).

    Augmentation, in this order: flip, crop (padding is black, 0 before the normalisation, as
    torchvision's `RandomCrop` before `Normalize`), normalisation, cutout (filled with 0 after it,
    the mean). A cutout of side s around row y covers the rows y - s // 2 up to but without y - s //
    2 + s, clipped at the border; columns likewise.
    """

    def __init__(
        self,
        part: LabelledImages,
        *,
        device: torch.device,
        augment: Augment = Augment(),  # noqa: B008, frozen
        **options: Any,
    ) -> None:
        channels, height, width = part.images.shape[1:]
        super().__init__(len(part), channels, device=device, **options)
        self.images, self.labels = _shared(part.images).to(device), _shared(part.labels).to(device)
        self.augment = augment
        self._rows = torch.arange(height, device=device)
        self._outside_rows = _outside(self._rows, augment.cutout)
        self._outside_columns = _outside(torch.arange(width, device=device), augment.cutout)

    def epoch(self, generator: torch.Generator) -> Iterator[Batch]:
        height, width = self.images.shape[2:]
        draws = Draws.draw(self.count, self._used, height, width, self.augment, generator)
        return self._drawn(draws)

    def _plain(self, runs: list[slice]) -> Iterator[Batch]:
        for run in runs:
            yield self._laid_out(self._normalised(self.images[run])), self.labels[run]

    def _drawn(self, draws: Draws) -> Iterator[Batch]:
        draws = draws.to(self.device)
        for run in self._runs():
            chosen = draws.slice(run)
            yield self._augmented(chosen), self._targets(chosen)

    def _targets(self, draws: Draws) -> Tensor:
        """Maps move with their images; what a crop brings in from outside counts nowhere."""
        if self.labels.ndim < 3:
            return self.labels.index_select(0, draws.order)
        return self._moved(self.labels.unsqueeze(1), draws, IGNORED).squeeze(1)

    def _augmented(self, draws: Draws) -> Tensor:
        """Cheap in this order: whole rows of bytes are moved while they are bytes, NHWC last."""
        batch = self._normalised(self._moved(self.images, draws))
        if draws.cutout is not None:
            batch.mul_(self._kept(draws.cutout))
        return self._laid_out(batch)

    def _moved(self, images: Tensor, draws: Draws, outside: int = 0) -> Tensor:
        """Those that were drawn, flipped and cropped; `outside`: what lies around them."""
        images = images.index_select(0, draws.order)
        if draws.flip is not None:
            images = self._flipped(images, draws.flip)
        return images if draws.crop is None else self._cropped(images, draws.crop, outside)

    def _flipped(self, images: Tensor, flip: Tensor) -> Tensor:
        """Each image whole from all, or from all flipped: faster than `torch.where`."""
        count = len(images)
        return torch.cat([images, images.flip(3)]).index_select(
            0, torch.arange(count, device=self.device) + count * flip
        )

    def _cropped(self, images: Tensor, offsets: Tensor, outside: int) -> Tensor:
        """Pad [B, C, H, W] on all sides and cut one window [H, W] out of each image.

        A row of a window is W neighbouring bytes of the padded batch. Seen as a matrix [bytes, W]
        of all such runs (a view), the windows are a selection of its rows. The batch is padded, not
        the data set, which would cost memory.
        """
        (B, C, H, W), p = images.shape, self.augment.crop
        padded = F.pad(images, (p, p, p, p), value=outside)
        runs = padded.view(-1).as_strided((padded.numel() - W + 1, W), (1, 1))
        height, width = H + 2 * p, W + 2 * p
        first = (
            torch.arange(B * C, device=self.device).view(B, C, 1) * (height * width)
            + self._rows * width
        )
        corner = offsets[:, 0] * width + offsets[:, 1]
        return runs.index_select(0, (first + corner[:, None, None]).view(-1)).view(B, C, H, W)

    def _kept(self, centres: Tensor) -> Tensor:
        """float [B, 1, H, W]: 0 inside of each image's square, 1 outside."""
        rows = self._outside_rows.index_select(0, centres[:, 0])
        columns = self._outside_columns.index_select(0, centres[:, 1])
        return torch.maximum(rows[:, None, :, None], columns[:, None, None, :])


def _outside(positions: Tensor, side: int) -> Tensor:
    """[centre, position]: 0 for the `side` positions around `centre`, else 1."""
    distance = positions - (positions[:, None] - side // 2)
    return ((distance < 0) | (distance >= side)).float()


def _shared(array: Array) -> Tensor:
    """A tensor on the array's own memory. Read-only is fine, since it is never written to."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def _send(tensor: Tensor, device: torch.device) -> Tensor:
    """Small tensors to `device` without waiting for it (CUDA can do so from pinned memory only)."""
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
