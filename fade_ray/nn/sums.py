"""What the forward pass of a cell is made of: values with what is shared of them, sums in place."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fade_ray.nn.kernels import PointwiseNorm, special
from fade_ray.nn.norms import Norm


class Source:
    """The value of a node [batch, channels, side, side], and what is made of it once."""

    def __init__(self, value: Tensor) -> None:
        self.value = value
        self._known: dict[Hashable, Tensor] = {}

    def once(self, name: Hashable, make: Callable[[], Tensor]) -> Tensor:
        """What `make` gives; the second time the same tensor."""
        if name not in self._known:
            self._known[name] = make()
        return self._known[name]

    @property
    def relu(self) -> Tensor:
        return self.once("relu", lambda: F.relu(self.value))


class Sum:
    """A sum of maps, accumulated in place as soon as it holds a tensor that nobody else reads."""

    def __init__(self) -> None:
        self._total: Tensor | None = None
        self._own = False
        self._shifts: list[Tensor] = []

    def add(self, y: Tensor, weight: Tensor | None = None, *, fresh: bool = False) -> None:
        """Add weight * y; `weight` broadcasts. `fresh`: y was made for this sum alone."""
        if self._total is None:
            self._total, self._own = (y, fresh) if weight is None else (y * weight, True)
            return
        total = self._owned(self._total)
        self._total = total.add_(y) if weight is None else total.addcmul_(y, weight)

    def add_pointwise_norm(
        self, x: Tensor, pointwise: nn.Conv2d, norm: Norm, scale: Tensor | None
    ) -> None:
        """Add scale * norm(pointwise(x)), `pointwise` 1x1 without bias."""
        if not (norm.by_batch and special(x)):
            self.add(norm(pointwise(x), scale), fresh=True)
            return
        gain, offset, P = norm.gain(scale), norm.offset(scale), pointwise.weight.flatten(1)
        total = None if self._total is None else _channels_last(self._owned(self._total))
        self._total, shift, mean, variance = PointwiseNorm.apply(
            total, x, P, P.new_ones(len(P)) if gain is None else gain, norm.eps
        )
        self._own = True
        self._shifts += [shift] if offset is None else [shift, offset]
        norm.track(mean, variance, x.numel() // x.shape[1])

    def value(self) -> Tensor | None:
        """The sum, None of nothing; then it is closed."""
        if self._total is None or not self._shifts:
            return self._total
        shift = self._shifts[0] if len(self._shifts) == 1 else torch.stack(self._shifts).sum(0)
        return self._total.add_(shift[:, None, None])

    def _owned(self, total: Tensor) -> Tensor:
        if not self._own:
            total, self._own = total.clone(), True
        return total


@dataclass(slots=True)
class Term:
    """Where an output y goes: weight (scalar) * mask [batch, 1, 1, 1] * y is added to `total`."""

    total: Sum
    weight: Tensor | None = None
    mask: Tensor | None = None

    def add(self, y: Tensor) -> None:
        self.total.add(y if self.mask is None else y * self.mask, self.weight)

    def add_weighted(self, y: Tensor) -> None:
        """Of a y that is multiplied by the weight already, and that nobody else reads."""
        self.total.add(y if self.mask is None else y * self.mask, fresh=True)

    def add_pointwise_norm(self, x: Tensor, pointwise: nn.Conv2d, norm: Norm) -> None:
        """Of y = norm(pointwise(x)); see `Sum`."""
        if self.mask is None:
            self.total.add_pointwise_norm(x, pointwise, norm, self.weight)
            return
        unmasked = Sum()
        unmasked.add_pointwise_norm(x, pointwise, norm, self.weight)
        self.total.add(cast(Tensor, unmasked.value()), self.mask)


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)
