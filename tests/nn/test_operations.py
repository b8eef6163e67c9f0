"""Operations: the fast forms against torch's own, what sharing and summing in place must not
change.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from fade_ray.nn.draw import DropPath
from fade_ray.nn.kernels import PointwiseNorm, depthwise
from fade_ray.nn.layers import Build, FactorizedReduce
from fade_ray.nn.norms import Norm
from fade_ray.nn.operations import OPERATIONS
from fade_ray.nn.sums import Source, Sum, Term
from spaces.errors import InvalidInput


def maps(*shape: int, seed: int = 0) -> Tensor:
    x = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return x.contiguous(memory_format=torch.channels_last) if len(shape) == 4 else x


def build(
    channels: int = 4,
    stride: int = 1,
    *,
    affine: bool = False,
    running: bool = False,
    pool_norm: bool = True,
):
    return Build(channels, stride, affine, running, pool_norm, torch.Generator().manual_seed(0))


def output(
    operation: nn.Module, x: Tensor, weight: Tensor | None = None, mask: Tensor | None = None
) -> Tensor:
    total = Sum()
    operation(Source(x), Term(total, weight, mask))
    return total.value()


@given(
    kernel=st.sampled_from([1, 3, 5, 7]),
    dilation=st.sampled_from([1, 2, 3]),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_depthwise_is_torchs_convolution(
    kernel: int, dilation: int, height: int, width: int, seed: int
) -> None:
    for stride in {1, 2, dilation}:
        x, weight = (
            maps(2, 3, height, width, seed=seed).requires_grad_(),
            maps(3, 1, kernel, kernel).requires_grad_(),
        )
        expected = F.conv2d(x, weight, None, stride, dilation * (kernel // 2), dilation, 3)
        found = depthwise(x, weight, stride, dilation)
        torch.testing.assert_close(found, expected)
        g = maps(*expected.shape, seed=seed + 1)
        ours, theirs = (torch.autograd.grad(y, [x, weight], g) for y in (found, expected))
        torch.testing.assert_close(ours, theirs)


def test_depthwise_has_second_derivatives() -> None:
    x, weight = maps(1, 2, 4, 3).requires_grad_(), maps(2, 1, 5, 5).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x, w: depthwise(x, w, 1, 2), (x, weight))


def pointwise_norm(total: Tensor | None, x: Tensor, P: Tensor, scale: Tensor) -> Tensor:
    y, shift, _, _ = PointwiseNorm.apply(None if total is None else total * 1, x, P, scale, 1e-5)
    return y + shift[:, None, None]


def plain_pointwise_norm(total: Tensor | None, x: Tensor, P: Tensor, scale: Tensor) -> Tensor:
    y = F.batch_norm(F.conv2d(x, P[:, :, None, None]), None, None, scale, None, True)
    return y if total is None else total + y


@pytest.mark.parametrize("given_total", [False, True])
def test_pointwise_norm_is_convolution_and_batch_norm(given_total: bool) -> None:
    x, P, scale = (t.requires_grad_() for t in (maps(2, 3, 4, 5) + 2, maps(4, 3), maps(4)))
    total = maps(2, 4, 4, 5, seed=1).requires_grad_() if given_total else None
    expected = plain_pointwise_norm(total, x, P, scale)
    found = pointwise_norm(total, x, P, scale)
    torch.testing.assert_close(found, expected)
    g, wanted = maps(2, 4, 4, 5, seed=2), [x, P, scale] + ([] if total is None else [total])
    ours, theirs = (torch.autograd.grad(y, wanted, g) for y in (found, expected))
    torch.testing.assert_close(ours, theirs)


def test_pointwise_norm_has_second_derivatives() -> None:
    inputs = [
        t.requires_grad_()
        for t in (maps(2, 2, 2, 2, seed=1), maps(2, 3, 2, 2), maps(2, 3), maps(2))
    ]
    assert torch.autograd.gradgradcheck(pointwise_norm, inputs)
    assert torch.autograd.gradgradcheck(lambda *rest: pointwise_norm(None, *rest), inputs[1:])


def test_pointwise_norm_of_a_dead_channel_is_zero() -> None:
    x = torch.zeros(2, 3, 4, 4).contiguous(memory_format=torch.channels_last).requires_grad_()
    y = pointwise_norm(None, x, torch.randn(3, 3), torch.ones(3))
    y.sum().backward()
    assert (y == 0).all()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("affine", [False, True])
def test_cell_norm_carries_a_scale(affine: bool) -> None:
    norm = Norm(3, affine=affine).double()
    plain = nn.BatchNorm2d(3, affine=affine).double()
    if affine:
        for parameter in norm.parameters():
            nn.init.normal_(parameter)
        plain.load_state_dict(norm.state_dict())
    x, scale = maps(4, 3, 5, 5).requires_grad_(), maps(1)[0].requires_grad_()
    for training in (True, False):
        norm.train(training)
        plain.train(training)
        found, expected = norm(x, scale), plain(x) * scale
        torch.testing.assert_close(found, expected)
        wanted, g = [x, scale, *norm.parameters()], maps(4, 3, 5, 5, seed=1)
        theirs = torch.autograd.grad(expected, [x, scale, *plain.parameters()], g)
        torch.testing.assert_close(torch.autograd.grad(found, wanted, g), theirs)
        torch.testing.assert_close(dict(norm.named_buffers()), dict(plain.named_buffers()))


def test_fused_pointwise_norm_moves_the_running_statistics_like_batch_norm() -> None:
    norm, plain = Norm(4).double(), nn.BatchNorm2d(4).double()
    conv = build(4).conv(4, 4, 1).double()
    for step in range(3):
        x = maps(2, 4, 3, 3, seed=step) + step
        total = Sum()
        total.add_pointwise_norm(x, conv, norm, None)
        torch.testing.assert_close(total.value(), plain(conv(x)))
        torch.testing.assert_close(dict(norm.named_buffers()), dict(plain.named_buffers()))
    norm.updating, before = False, norm.running_mean.clone()
    Sum().add_pointwise_norm(maps(2, 4, 3, 3), conv, norm, None)
    assert torch.equal(norm.running_mean, before)


def test_sums_leave_their_terms_alone() -> None:
    first, second, third = (maps(2, 3, 4, 4, seed=seed) for seed in range(3))
    before = [first.clone(), second.clone(), third.clone()]
    total = Sum()
    total.add(first)
    total.add(second, torch.tensor(2.0, dtype=torch.float64))
    total.add(third, fresh=True)
    torch.testing.assert_close(total.value(), before[0] + 2 * before[1] + before[2])
    assert all(torch.equal(x, y) for x, y in zip((first, second, third), before, strict=True))
    assert Sum().value() is None


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [1, 4, 5])
def test_every_operation_gives_the_rounded_up_side(name: str, stride: int, side: int) -> None:
    operation = OPERATIONS[name](build(4, stride)).double()
    y = output(operation, maps(3, 4, side, side))
    assert y.shape == (3, 4, -(-side // stride), -(-side // stride))
    assert torch.isfinite(y).all()


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("running", [False, True])
def test_weight_and_mask_multiply_every_operation(name: str, stride: int, running: bool) -> None:
    operation = OPERATIONS[name](build(4, stride, affine=running, running=running)).double()
    x, weight = maps(3, 4, 6, 6), torch.tensor(0.3, dtype=torch.float64)
    mask = torch.tensor([0.0, 2.0, 2.0], dtype=torch.float64).view(3, 1, 1, 1)
    for training in (True, False):
        operation.train(training)
        y = output(operation, x)
        torch.testing.assert_close(output(operation, x, weight), 0.3 * y)
        kept = torch.ones_like(mask) if name == "skip_connect" and stride == 1 else mask
        torch.testing.assert_close(output(operation, x, weight, mask), 0.3 * kept * y)


def test_average_pooling_leaves_the_padding_out() -> None:
    for name in ("avg_pool_3x3", "avg_pool_5x5"):
        ones = torch.ones(1, 4, 5, 5, dtype=torch.float64)
        assert torch.equal(output(OPERATIONS[name](build(pool_norm=False)), ones), ones)


def test_pooling_is_computed_once_for_all_edges_of_a_source() -> None:
    source, first, second = (
        Source(maps(2, 4, 6, 6)),
        *(OPERATIONS["max_pool_3x3"](build()).double() for _ in range(2)),
    )
    known = []
    for operation in (first, second):
        total = Sum()
        operation(source, Term(total))
        known.append(total.value())
    assert known[0] is known[1]
    # its BatchNorm has weights of its own
    own = OPERATIONS["max_pool_3x3"](build(affine=True)).double()
    total = Sum()
    own(source, Term(total))
    assert total.value() is not known[0]


def test_factorized_reduce_sees_every_pixel_of_both_diagonals() -> None:
    reduce = FactorizedReduce(build(), 1, 2).double()
    x = maps(2, 1, 5, 5).requires_grad_()
    y = torch.cat([reduce.conv_1(x), reduce.conv_2(F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:])], 1)
    (g,) = torch.autograd.grad(y.sum(), x)
    seen = (g[0, 0] != 0).nonzero().tolist()
    assert seen == [[i, j] for i in range(5) for j in range(5) if i % 2 == j % 2]


def test_weights_come_from_the_generator_alone() -> None:
    torch.manual_seed(1)
    first = OPERATIONS["sep_conv_3x3"](build()).state_dict()
    torch.manual_seed(2)
    second = OPERATIONS["sep_conv_3x3"](build()).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


@given(
    rate=st.sampled_from([0.0, 0.2, 0.5]),
    outputs=st.integers(1, 5),
    share=st.integers(1, 9),
    size=st.integers(1, 3),
    seed=st.integers(0, 99),
)
@settings(deadline=None)
def test_drop_path_masks_do_not_depend_on_the_split(
    rate: float, outputs: int, share: int, size: int, seed: int
) -> None:
    def masks(shard: slice | None, samples: int) -> Tensor:
        like = torch.empty(samples, 1, 1, 1)
        return DropPath(rate, torch.Generator().manual_seed(seed), shard).masks(outputs, like)

    whole = masks(None, share * size)
    parts = [masks(slice(rank * share, (rank + 1) * share), share) for rank in range(size)]
    assert torch.equal(torch.cat(parts, 1), whole)
    assert set(whole.unique().tolist()) <= {0.0, torch.tensor(1 / (1 - rate)).item()}


def test_drop_path_keeps_the_mean_and_draws_anew() -> None:
    drop = DropPath(0.3, torch.Generator().manual_seed(0))
    first, second = (drop.masks(20, torch.empty(500, 1, 1, 1)) for _ in range(2))
    assert not torch.equal(first, second)
    assert abs(first.mean().item() - 1) < 3 * (0.3 / 0.7 / first.numel()) ** 0.5
    with pytest.raises(InvalidInput, match="rate"):
        DropPath(1.0, torch.Generator())
