"""What is added up over an epoch, on the device, and over the workers that share it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor


def _alone(values: Tensor) -> None:
    """The sum over one worker."""


@dataclass(frozen=True)
class Workers:
    """This process among those that train one network: each takes its slice of every batch. `total`
    adds a tensor up over all, in place.
    """

    rank: int = 0
    size: int = 1
    total: Callable[[Tensor], None] = _alone

    def slice(self, batch_size: int) -> slice:
        """Which images of a batch are this worker's; all workers' slices have the same length."""
        share = batch_size // self.size
        return slice(self.rank * share, (self.rank + 1) * share)


ALONE = Workers()


class Sums:
    """The loss and the measures `names` over an epoch; one synchronisation reads them. A measure
    may be several numbers.
    """

    def __init__(
        self, names: Iterable[str], device: torch.device, workers: Workers = ALONE
    ) -> None:
        self.names, self.workers = ("loss", *names), workers
        self.values = torch.zeros(len(self.names) + 1, device=device)  # and at last the count
        self.sizes = [1] * len(self.names)

    @torch.no_grad()
    def add(self, loss: Tensor, measures: Mapping[str, Tensor], count: int) -> None:
        """The mean `loss` of `count` examples, and the sums of their measures."""
        each = [measures[name].float().flatten() for name in self.names[1:]]
        summed = torch.cat([(loss.detach().float() * count).flatten(), *each])
        if len(summed) != len(self.values) - 1:  # the first of measures of several numbers
            self.values = self.values.new_zeros(len(summed) + 1)
        self.sizes = [1, *map(len, each)]
        self.values[:-1] += summed
        self.values[-1] += count

    def state_dict(self) -> dict[str, Any]:
        return {"names": self.names[1:], "sizes": self.sizes, "values": self.values}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Also of measures of several numbers, which are as many as were added."""
        self.names, self.sizes = ("loss", *state["names"]), [*state["sizes"]]
        self.values = state["values"].to(self.values.device)

    def read(self) -> dict[str, Any]:
        """The means over all workers, to be called once; NaN where there was no example."""
        self.workers.total(self.values)
        *sums, count = self.values.tolist()
        means = iter([value / count if count else float("nan") for value in sums])
        parts = [[*islice(means, size)] for size in self.sizes]
        read = (part[0] if len(part) == 1 else part for part in parts)
        return dict(zip(self.names, read, strict=True))
