"""The images of one worker among several that train one network together."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from fade_ray.data.batches import Batch, Batches, Draws
from fade_ray.data.images import LabelledImages


class SharedBatches(Batches):
    """Of every batch of `Batches` the `rank`-th of `size` equal runs; `batch_size`, a multiple of
    `size`, is that of the whole batch.

    All workers draw for the whole batch, so their runs side by side are the batch that one worker
    would see, bit for bit.
    """

    def __init__(self, part: LabelledImages, *, rank: int, size: int, **options: Any) -> None:
        super().__init__(part, **options)
        self.rank, self.size = rank, size

    def ordered(self, batch_size: int | None = None) -> Iterator[Batch]:
        """Every `size`-th batch, from the `rank`-th on."""
        return islice(super().ordered(batch_size), self.rank, None, self.size)

    def _batches(self, draws: Draws) -> Iterator[Batch]:
        draws = draws.to(self.device)
        run = min(self.batch_size, len(draws.order)) // self.size
        for start in range(0, len(draws.order) - self.size * run + 1, self.batch_size):
            first = start + self.rank * run
            ours = draws.slice(first, first + run)
            yield self._augmented(ours), self.labels.index_select(0, ours.order)
