"""Depthwise convolutions, and pointwise convolutions with BatchNorm, in forms whose gradients are fast on CPUs.

On other devices both are torch's own. Values and gradients (of any order) are the same within rounding.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F
from torch.nn.grad import conv2d_weight


def depthwise(x: Tensor, weight: Tensor, stride: int = 1, dilation: int = 1) -> Tensor:
    """Depthwise convolution of x [N, C, H, W] with weight [C, 1, k, k], k odd; zero padding keeps the side (ceil(side / stride))."""
    if stride == dilation and stride > 1:
        # a dilated convolution with the same stride reads every stride-th pixel only
        return depthwise(x[:, :, ::stride, ::stride], weight)
    if x.device.type != "cpu" or stride > 1:
        return _convolution(x, weight, stride, dilation)
    return _Depthwise.apply(x, weight, dilation)  # type: ignore[no-any-return]


def _convolution(x: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
    return F.conv2d(x, weight, None, stride, dilation * (weight.shape[-1] // 2), dilation, x.shape[1])


class _Depthwise(Function):
    """The gradients of torch's depthwise convolution fall back to dense convolutions where it is dilated or the kernel wider than 3.

    Here the gradient of the input is a forward convolution with the turned kernel, that of the weight is put together from pieces that
    are not dilated and at most 3 columns wide: 2 to 10 times faster, measured.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, dilation: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.dilation = dilation
        return _convolution(x, weight, 1, dilation)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (x, weight), (g,) = ctx.saved_tensors, gradients
        to_x = depthwise(g, weight.flip(2, 3), 1, ctx.dilation) if ctx.needs_input_grad[0] else None
        to_weight = None
        if ctx.needs_input_grad[1]:
            if ctx.dilation > 1:
                x, g = _phases(x, ctx.dilation), _phases(g, ctx.dilation)
            to_weight = _weight_gradient(x, g, weight.shape[-1])
        return to_x, to_weight, None


def _weight_gradient(x: Tensor, g: Tensor, kernel: int) -> Tensor:
    """The weight gradient [C, 1, k, k] of a depthwise convolution with stride 1: the three middle columns, then one by one the others."""
    C, pad = x.shape[1], kernel // 2
    if kernel <= 3 or x.shape[-1] < pad:
        return conv2d_weight(x, (C, 1, kernel, kernel), g, padding=pad, groups=C)  # type: ignore[no-any-return,no-untyped-call]

    def columns(x: Tensor, count: int) -> Tensor:
        return conv2d_weight(x, (C, 1, kernel, count), g, padding=(pad, count // 2), groups=C)  # type: ignore[no-any-return,no-untyped-call]

    sides = [[columns(F.pad(x, (-s, s)), 1) for s in shifts] for shifts in (range(-pad, -1), range(2, pad + 1))]
    return torch.cat([*sides[0], columns(x, 3), *sides[1]], 3)


def _phases(x: Tensor, d: int) -> Tensor:
    """The d * d maps of every d-th pixel of x [N, C, H, W] as a batch [d d N, C, ceil(H / d), ceil(W / d)], padded with zeros."""
    N, C, H, W = x.shape
    x = F.pad(x, (0, -W % d, 0, -H % d)).permute(0, 2, 3, 1)
    h, w = x.shape[1] // d, x.shape[2] // d
    return x.reshape(N, h, d, w, d, C).permute(2, 4, 0, 1, 3, 5).reshape(d * d * N, h, w, C).permute(0, 3, 1, 2)


def rows(x: Tensor) -> Tensor:
    """The pixels of x [N, C, H, W] as rows [N H W, C]; a view where x is channels-last."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def _rows_of(x: Tensor) -> Tensor:
    """`rows` for writing: always a view. Raises RuntimeError where x is not channels-last."""
    return x.permute(0, 2, 3, 1).view(-1, x.shape[1])


class PointwiseNorm(Function):
    """scale * (P x - mean) / sqrt(variance + eps) of a pointwise convolution P x under batch statistics, without computing P x first.

    The moments of P x follow from the mean m and the covariance S of x: mean P m, variance diag(P S P^T). So the result is A x + shift
    with A = diag(scale / sqrt(variance + eps)) P and shift = -A m: one matrix product, which can be added to a `total` in place.

    `apply(total, x, P, scale, eps)`: total [N, O, H, W] or None, x [N, C, H, W], P [O, C], scale [O]. Returns total + A x (total itself,
    changed, where given), shift [O], and for running statistics mean and variance of P x [O], through which no gradient flows.
    """

    @staticmethod
    def forward(
        ctx: Any, total: Tensor | None, x: Tensor, P: Tensor, scale: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        X = rows(x)
        m, PS, variance, inverse = _moments(X, P, eps)
        ratio = scale * inverse
        A = ratio[:, None] * P
        if total is None:
            N, _, H, W = x.shape
            total = torch.empty(N, len(P), H, W, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
            torch.mm(X, A.t(), out=_rows_of(total))
        else:
            ctx.mark_dirty(total)
            _rows_of(total).addmm_(X, A.t())
        mean = P @ m
        ctx.mark_non_differentiable(mean, variance)
        ctx.save_for_backward(x, P, scale, m, PS, inverse)
        ctx.eps = eps
        return total, -ratio * mean, mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, P, scale, m, PS, inverse = ctx.saved_tensors
        G, X, to_shift = rows(gradients[0]), rows(x), gradients[1]
        if torch.is_grad_enabled():  # for a second derivative: the moments depend on x and P
            m, PS, _, inverse = _moments(X, P, ctx.eps)
        ratio = scale * inverse
        to_A = torch.addmm(torch.outer(to_shift, m), G.t(), X, beta=-1)
        to_ratio = torch.linalg.vecdot(to_A, P)
        to_variance = to_ratio * ratio * inverse.square() * -0.5
        to_x = to_P = None
        if ctx.needs_input_grad[1]:
            # by A: to_A; by the variance, through S: x C with C = 2/n P^T diag(to_variance) P; by m: the constant
            A, C = ratio[:, None] * P, (to_variance[:, None] * P).t() @ P * (2 / len(X))
            constant = torch.addmv(C @ m, A.t(), to_shift, beta=-1, alpha=-1 / len(X))
            N, _, H, W = x.shape
            to_x = torch.addmm(constant, X, C).addmm_(G, A).view(N, H, W, -1).permute(0, 3, 1, 2)
        if ctx.needs_input_grad[2]:
            to_P = torch.addcmul(ratio[:, None] * to_A, to_variance[:, None], PS, value=2)
        return gradients[0] if ctx.needs_input_grad[0] else None, to_x, to_P, to_ratio * inverse, None


def _moments(X: Tensor, P: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of rows X [n, C] and P [O, C]: the mean m of X, P S with its covariance S, the variance of P x and 1 / sqrt(variance + eps)."""
    m = X.mean(0)
    S = torch.addmm(torch.outer(m, m), X.t(), X, beta=-1, alpha=1 / len(X))
    PS = P @ S
    variance = torch.linalg.vecdot(PS, P).clamp_min(0)
    return m, PS, variance, (variance + eps).rsqrt()
