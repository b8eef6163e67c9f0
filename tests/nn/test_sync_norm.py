"""BatchNorm shared by workers is BatchNorm on the whole batch. The workers here are threads;
processes in tests/retrain.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from fade_ray.nn.norms import Norm
from fade_ray.nn.sync_norm import Reduction, SyncNorm, synchronised


class Meeting:
    """An all-reduce among threads."""

    def __init__(self, size: int) -> None:
        self.size, self.barrier = size, threading.Barrier(size, timeout=60)
        self.given: list[Tensor | None] = [None] * size

    def reduction(self, rank: int) -> Reduction:
        def total(tensor: Tensor) -> None:
            self.given[rank] = tensor.clone()
            self.barrier.wait()
            found = torch.stack([t for t in self.given if t is not None]).sum(0)
            self.barrier.wait()
            tensor.copy_(found)

        return Reduction(rank, self.size, total)

    def run(self, work: Callable[[int], None]) -> None:
        with ThreadPoolExecutor(self.size) as pool:
            for done in [pool.submit(work, rank) for rank in range(self.size)]:
                done.result()


def norm(channels: int, affine: bool, momentum: float | None, seed: int) -> Norm:
    made = Norm(channels, affine=affine, momentum=momentum).double()
    if affine:
        generator = torch.Generator().manual_seed(seed)
        for parameter in made.parameters():
            nn.init.normal_(parameter, 1.0, 0.5, generator=generator)
    return made


@given(
    size=st.integers(1, 3),
    share=st.integers(1, 4),
    channels=st.integers(1, 3),
    affine=st.booleans(),
    momentum=st.sampled_from([0.1, 0.3, None]),
    channels_last=st.booleans(),
    seed=st.integers(0, 1000),
)
@settings(max_examples=25, deadline=None)
def test_outputs_gradients_and_buffers_are_those_of_the_whole_batch(
    size: int,
    share: int,
    channels: int,
    affine: bool,
    momentum: float | None,
    channels_last: bool,
    seed: int,
) -> None:
    generator = torch.Generator().manual_seed(seed)
    shape = (size * share, channels, 3, 2)
    # a mean far from 0: sums would cancel
    x = torch.randn(shape, generator=generator, dtype=torch.float64) * 3 + 100
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    goal = torch.randn(shape, generator=generator, dtype=torch.float64)
    whole = norm(channels, affine, momentum, seed)
    inputs = x.clone().requires_grad_()
    for _ in range(2):
        inputs.grad = None
        whole.zero_grad()
        expected = whole(inputs)
        (expected * goal).sum().div(len(x)).backward()
    meeting = Meeting(size)
    outputs, gradients = [torch.empty(0)] * size, [torch.empty(0)] * size
    norms = [
        SyncNorm(norm(channels, affine, momentum, seed), meeting.reduction(rank))
        for rank in range(size)
    ]

    def work(rank: int) -> None:
        part = slice(rank * share, (rank + 1) * share)
        ours = x[part].clone().requires_grad_()
        for _ in range(2):
            ours.grad = None
            norms[rank].zero_grad()
            y = norms[rank](ours)
            (y * goal[part]).sum().div(share).backward()  # the mean over the worker's own images
        assert ours.grad is not None
        # data parallel averages the gradients
        outputs[rank], gradients[rank] = y.detach(), ours.grad / size

    meeting.run(work)
    close = {"rtol": 1e-9, "atol": 1e-9}
    assert inputs.grad is not None
    torch.testing.assert_close(torch.cat(outputs), expected.detach(), **close)
    torch.testing.assert_close(torch.cat(gradients), inputs.grad, **close)
    for mine in norms:
        torch.testing.assert_close(dict(mine.named_buffers()), dict(whole.named_buffers()), **close)
    for name, parameter in whole.named_parameters():
        averaged = torch.stack([mine.get_parameter(name).grad for mine in norms]).mean(0)  # type: ignore[arg-type]
        torch.testing.assert_close(averaged, parameter.grad, **close)


@pytest.mark.parametrize("affine", [True, False])
def test_gradients_are_those_of_the_function(affine: bool) -> None:
    alone = Reduction(0, 1, lambda tensor: None)
    x = torch.randn(
        3,
        2,
        2,
        2,
        dtype=torch.float64,
        generator=torch.Generator().manual_seed(0),
        requires_grad=True,
    )
    scale = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    mine = SyncNorm(norm(2, affine, 0.1, 0), alone)
    assert torch.autograd.gradcheck(mine, (x,))
    assert torch.autograd.gradcheck(mine, (x, scale))
    torch.testing.assert_close(mine(x, scale), 0.7 * mine(x))


def test_evaluation_and_standing_still_leave_the_buffers_alone() -> None:
    def refuse(tensor: Tensor) -> None:
        raise AssertionError("evaluation needs no other worker")

    mine = SyncNorm(norm(2, True, 0.1, 0), Reduction(0, 2, refuse)).eval()
    x = torch.ones(1, 2, 2, 2, dtype=torch.float64)
    torch.testing.assert_close(mine(x), norm(2, True, 0.1, 0).eval()(x))
    still = SyncNorm(norm(2, True, 0.1, 0), Reduction(0, 1, lambda tensor: None))
    still.updating = False
    still(x)
    assert still.running_mean is not None
    assert still.num_batches_tracked is not None
    assert still.running_mean.tolist() == [0, 0]
    assert int(still.num_batches_tracked) == 0


def test_a_network_keeps_its_tensors_and_their_names() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 2, 1), nn.Sequential(Norm(2), nn.ReLU()), Norm(2, affine=False)
    )
    before = {name: tensor.data_ptr() for name, tensor in network.state_dict().items()}
    made = synchronised(network, Reduction(0, 1, lambda tensor: None))
    assert {name: tensor.data_ptr() for name, tensor in made.state_dict().items()} == before
    assert sum(isinstance(module, SyncNorm) for module in made.modules()) == 2
    assert all(type(module) is not Norm for module in made.modules())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_input_keeps_its_type(dtype: torch.dtype) -> None:
    mine = SyncNorm(Norm(2), Reduction(0, 1, lambda tensor: None))
    x = (
        (torch.randn(8, 2, 4, 4, generator=torch.Generator().manual_seed(0)) + 3)
        .to(dtype)
        .requires_grad_()
    )
    y = mine(x)
    y.float().square().sum().backward()
    assert y.dtype == dtype
    assert x.grad is not None
    assert x.grad.dtype == dtype
    assert abs(float(y.detach().float().mean())) < 0.02
