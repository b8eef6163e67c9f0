"""BatchNorm over several workers' batches, also on CPUs, which torch's own refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fade_ray.nn.norms import Norm


@dataclass(frozen=True)
class Reduction:
    """This worker among `size`; `total` adds a tensor up over all, in place, in one order."""

    rank: int
    size: int
    total: Callable[[Tensor], None]


class SyncNorm(Norm):
    """`Norm` whose training statistics are those of all workers' batches together, which must
    be equally large.

    With the loss of each worker a mean over its own images and the gradients averaged over the
    workers, as data parallel training does, outputs, buffers and gradients are those of one
    `Norm` on the whole batch. Parameters and buffers are those of `norm` itself.
    """

    def __init__(self, norm: nn.BatchNorm2d, reduction: Reduction) -> None:
        super().__init__(
            norm.num_features,
            norm.eps,
            norm.momentum,
            affine=norm.affine,
            track_running_stats=norm.track_running_stats,
            device="meta",  # everything is taken over below
        )
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var
        self.num_batches_tracked = norm.num_batches_tracked
        self.training, self.reduction = norm.training, reduction
        if isinstance(norm, Norm):
            self.updating = norm.updating

    @property
    def by_batch(self) -> bool:
        """Never by this worker's batch alone in training: no fused path does without `forward`."""
        return not self.training and super().by_batch

    def forward(self, input: Tensor, scale: Tensor | None = None) -> Tensor:
        if not self.training:
            return super().forward(input, scale)
        mean, var = _merged(input, self.reduction)
        gain, offset = self.gain(scale), self.offset(scale)
        weight = torch.ones_like(mean) if gain is None else gain
        bias = torch.zeros_like(mean) if offset is None else offset
        self.track(mean, var, self.reduction.size * input.numel() // self.num_features)
        parts = (input, weight, bias, mean, var, self.eps, self.reduction)
        return _Normalise.apply(*parts)  # type: ignore[no-any-return]


def synchronised(network: nn.Module, reduction: Reduction) -> nn.Module:
    """`network`, changed in place: a `SyncNorm` for every BatchNorm, with its tensors."""
    for name, child in network.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(network, name, SyncNorm(child, reduction))
        else:
            synchronised(child, reduction)
    return network


@torch.no_grad()
def _merged(x: Tensor, reduction: Reduction) -> tuple[Tensor, Tensor]:
    """Mean and (biased) variance per channel over all workers' x [N, C, H, W], in float32 at least.

    Each worker's own are put beside each other and merged (Chan et al., 1979): no difference of
    large sums.
    """
    wide = x.dtype if x.dtype == torch.float64 else torch.float32
    table = torch.zeros(reduction.size, 2, x.shape[1], dtype=wide, device=x.device)
    var, mean = torch.var_mean(x.to(wide), (0, 2, 3), correction=0)
    table[reduction.rank, 0], table[reduction.rank, 1] = mean, var
    reduction.total(table)
    means, variances = table[:, 0], table[:, 1]
    mean = means.mean(0)
    return mean, (variances + (means - mean) ** 2).mean(0)


class _Normalise(torch.autograd.Function):
    """(x - mean) / sqrt(var + eps) * weight + bias; mean and var depend on all workers' x."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        var: Tensor,
        eps: float,
        reduction: Reduction,
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, var)
        ctx.eps, ctx.reduction = eps, reduction
        return F.batch_norm(x, mean, var, weight, bias, False, 0.0, eps)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, var = ctx.saved_tensors
        # with mean and var held still: dx = dy weight / sigma, and the sums of dy xhat and of dy,
        # which weight and bias get
        dx, dweight, dbias = torch.ops.aten.native_batch_norm_backward(
            dy, x, weight, mean, var, None, None, False, ctx.eps, [True, True, True]
        )
        sums = torch.stack([dweight, dbias])
        ctx.reduction.total(sums)
        count = ctx.reduction.size * x.numel() // x.shape[1]
        scale = torch.rsqrt(var + ctx.eps)
        # Ioffe & Szegedy (2015), section 3, means over all workers:
        # dx = weight / sigma (dy - mean(dy) - xhat mean(dy xhat))
        slope = -weight * scale * scale * sums[0] / count
        shift = -weight * scale * sums[1] / count - slope * mean
        shape = (1, -1, 1, 1)
        dx = dx + (x * slope.view(shape) + shift.view(shape)).to(dx.dtype)
        return dx, dweight, dbias, None, None, None, None
