"""Depthwise, and pointwise convolutions with BatchNorm, whose gradients are fast on CPUs.

Values and gradients, second ones too, are those of torch's own operations within rounding;
`special` says where these forms are used.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F
from torch.nn.grad import conv2d_weight


def special(x: Tensor) -> bool:
    """Whether these forms serve x: on CPUs, without autocast; GPUs have kernels for torch's own."""
    return x.device.type == "cpu" and not torch.is_autocast_enabled("cpu")


def depthwise(x: Tensor, weight: Tensor, stride: int = 1, dilation: int = 1) -> Tensor:
    """Depthwise convolution of x [N, C, H, W] with weight [C, 1, k, k], k odd, zeros around."""
    if stride == dilation and stride > 1:
        # a dilated convolution with the same stride reads every stride-th pixel only
        return depthwise(x[:, :, ::stride, ::stride], weight)
    if stride > 1 or not special(x):
        return _convolution(x, weight, stride, dilation)
    return _Depthwise.apply(x, weight, dilation)  # type: ignore[no-any-return]


def _convolution(x: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
    return F.conv2d(
        x, weight, None, stride, dilation * (weight.shape[-1] // 2), dilation, x.shape[1]
    )


class _Depthwise(Function):
    """The gradients of torch's depthwise convolution fall back to dense convolutions where it is
    dilated or the kernel wider than 3.

    Here the gradient of the input is a forward convolution with the turned kernel, and that of the
    weight comes from narrow convolutions that are not dilated: 2 to 10 times faster, measured.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, dilation: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.dilation = dilation
        return _convolution(x, weight, 1, dilation)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (x, weight), (g,) = ctx.saved_tensors, gradients
        to_x = to_weight = None
        if ctx.needs_input_grad[0]:
            to_x = depthwise(g, weight.flip(2, 3), 1, ctx.dilation)
        if ctx.needs_input_grad[1]:
            to_weight = _weight_gradient(x, g, weight.shape[-1], ctx.dilation)
        return to_x, to_weight, None


def _weight_gradient(x: Tensor, g: Tensor, kernel: int, dilation: int) -> Tensor:
    """The weight gradient [C, 1, k, k] of a depthwise convolution with stride 1, by torch's own
    with at most 3 columns and no dilation.

    Rows that lie `dilation` apart become images of their own. Pixels of a row that lie q = s *
    dilation apart, s = 1 .. k // 2, become neighbours when q pixels side by side are read as the
    channels of one: a view. Each such view gives the columns -s, 0 and s.
    """
    C, reach = x.shape[1], kernel // 2
    if kernel == 1 or (kernel == 3 and dilation == 1):
        return conv2d_weight(x, (C, 1, kernel, kernel), g, padding=reach, groups=C)  # type: ignore[no-any-return,no-untyped-call]
    x, g = _rows_apart(x, dilation, kernel), _rows_apart(g, dilation, kernel)
    columns = {0: x.new_zeros(C, 1, kernel, 1)}
    for s in range(1, reach + 1):
        q = s * dilation
        X, G, shape = _side_by_side(x, q), _side_by_side(g, q), (q * C, 1, kernel, 3)
        beside: Tensor = conv2d_weight(X, shape, G, padding=(reach, 1), groups=q * C)  # type: ignore[no-untyped-call]
        three = beside.view(q, C, 1, kernel, 3).sum(0).tensor_split(3, 3)
        columns[-s], columns[0], columns[s] = three
    return torch.cat([columns[s] for s in range(-reach, reach + 1)], 3)


def _rows_apart(x: Tensor, d: int, least: int) -> Tensor:
    """x as d images of every d-th row [d N, C, max(ceil(H / d), least), W]: fewer are slow."""
    N, C, H, W = x.shape
    X = _padded(x, 0, max(-H % d, d * least - H)).permute(0, 2, 3, 1)
    return X.reshape(N, -1, d, W, C).transpose(1, 2).reshape(d * N, -1, W, C).permute(0, 3, 1, 2)


def _side_by_side(x: Tensor, q: int) -> Tensor:
    """x with q pixels of a row as channels [N, q C, H, ceil(W / q)], a view if q divides W."""
    N, C, H, W = x.shape
    return _padded(x, -W % q, 0).permute(0, 2, 3, 1).reshape(N, H, -1, q * C).permute(0, 3, 1, 2)


def _padded(x: Tensor, right: int, below: int) -> Tensor:
    return F.pad(x, (0, right, 0, below)) if right or below else x  # F.pad by nothing copies


def rows(x: Tensor) -> Tensor:
    """The pixels of x [N, C, H, W] as rows [N H W, C]; a view where x is channels-last."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def _rows_of(x: Tensor) -> Tensor:
    """`rows` for writing: always a view. Raises RuntimeError where x is not channels-last."""
    return x.permute(0, 2, 3, 1).view(-1, x.shape[1])


class PointwiseNorm(Function):
    """scale * (P x - mean) / sqrt(variance + eps) of a pointwise convolution P x under batch
    statistics, without computing P x first.

    The moments of P x follow from the mean m and the covariance S of x: mean P m, variance diag(P S
    P^T). So the result is A x + shift with A = diag(scale / sqrt(variance + eps)) P and shift = -A
    m: one matrix product, which can be added to a `total` in place.

    `apply(total, x, P, scale, eps)`: total [N, O, H, W] or None, x [N, C, H, W], P [O, C], scale
    [O]. Returns total + A x (total itself, changed, where given), shift [O], and for running
    statistics mean and variance of P x [O], through which no gradient flows.
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
            shape, form = (N, len(P), H, W), torch.channels_last
            total = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=form)
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
            # by A; by the variance, through S: x C, C = 2/n P^T diag(to_variance) P; by m: constant
            A, C = ratio[:, None] * P, (to_variance[:, None] * P).t() @ P * (2 / len(X))
            constant = torch.addmv(C @ m, A.t(), to_shift, beta=-1, alpha=-1 / len(X))
            N, _, H, W = x.shape
            to_x = torch.addmm(constant, X, C).addmm_(G, A).view(N, H, W, -1).permute(0, 3, 1, 2)
        if ctx.needs_input_grad[2]:
            to_P = torch.addcmul(ratio[:, None] * to_A, to_variance[:, None], PS, value=2)
        to_total = gradients[0] if ctx.needs_input_grad[0] else None
        return to_total, to_x, to_P, to_ratio * inverse, None


def _moments(X: Tensor, P: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of rows X [n, C], P [O, C]: mean m, P S, variance of P x, 1 / sqrt(variance + eps)."""
    m = X.mean(0)
    S = torch.addmm(torch.outer(m, m), X.t(), X, beta=-1, alpha=1 / len(X))
    PS = P @ S
    variance = torch.linalg.vecdot(PS, P).clamp_min(0)
    return m, PS, variance, (variance + eps).rsqrt()
