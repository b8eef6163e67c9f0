"""Gradient confusion by hand, and by blocks as by all gradients at once."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fade_ray.nn import CellNetwork, CellNetworkConfig
from fade_ray.training import Classification, TrainingFailed, place
from fade_ray.training.architecture import Architecture
from fade_ray.training.confusion import (
    Confusion,
    inner_products,
    measuring,
    network_confusion,
)
from fade_ray.training.edge_architecture import CellArchitectureConfig, EdgeArchitecture
from fade_ray.training.network_problem import NetworkProblem
from fade_ray.training.updates import gradients
from spaces.cell import Macro
from spaces.darts import published
from spaces.errors import InvalidInput
from spaces.genotype import GENOTYPES


class Linear:
    """batch . w, whose gradient is the batch; with `noise` times a random vector of each pass."""

    def __init__(self, sizes: Sequence[int], noise: float = 0.0) -> None:
        self.weights = [torch.ones(size, requires_grad=True) for size in sizes]
        self.logits: list[Tensor] = []
        self.generators = [torch.Generator().manual_seed(3)]
        self.noise, self.passes = noise, 0

    def loss(self, batch: Tensor) -> Tensor:
        self.passes += 1
        w = torch.cat(self.weights)
        return (batch + self.noise * torch.rand(w.shape, generator=self.generators[0])) @ w


def test_by_hand() -> None:
    batches = [torch.tensor(row) for row in ([1.0, 0, 0], [-1.0, 2, 0], [0.0, -1, 3])]
    problem = Linear((2, 1))
    products = inner_products(problem, batches)
    assert products.tolist() == [[1, -1, 0], [-1, 5, -2], [0, -2, 10]]
    found = Confusion.of(products)
    assert (found.zeta, found.raw, found.batches) == (2, 2, 3)  # of the second and the third
    assert found.cosine == pytest.approx(-1 / 5**0.5)  # of the first two: -1 / (1 sqrt 5)
    agreeing = Confusion.of(inner_products(problem, [torch.ones(3), 2 * torch.ones(3)]))
    assert (agreeing.zeta, agreeing.raw) == (0, -6)  # the floor, and what lies below it
    assert agreeing.cosine == pytest.approx(1)


@settings(max_examples=40, deadline=None)
@given(
    m=st.integers(2, 9),
    held=st.integers(1, 10),
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    noise=st.sampled_from([0.0, 2.0]),
    seed=st.integers(0, 99),
)
def test_blocks_give_what_all_gradients_at_once_give(
    m: int, held: int, sizes: list[int], noise: float, seed: int
) -> None:
    batches = list(torch.randn(m, sum(sizes), generator=torch.Generator().manual_seed(seed)))
    problem, dense = Linear(sizes, noise), Linear(sizes, noise)
    products = inner_products(problem, batches, held)
    rows = [torch.cat(gradients(dense, batch, dense.weights)[1]) for batch in batches]
    wanted = torch.stack(rows).double() @ torch.stack(rows).double().T
    torch.testing.assert_close(products, wanted, rtol=1e-12, atol=1e-12)
    assert problem.passes == sum(m - start for start in range(0, m, held))
    start = torch.Generator().manual_seed(3).get_state()
    assert torch.equal(problem.generators[0].get_state(), start)


def test_half_of_the_gradients_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    import weakref

    from fade_ray.training import confusion

    alive: set[int] = set()
    most = 0

    def counted(*arguments: Any) -> Any:
        nonlocal most
        loss, (gradient,) = gradients(*arguments)
        alive.add(number := id(gradient))
        weakref.finalize(gradient, alive.discard, number)
        most = max(most, len(alive))
        return loss, (gradient,)

    monkeypatch.setattr(confusion, "gradients", counted)
    batches = list(torch.randn(10, 4))
    inner_products(Linear((4,)), batches)
    assert most <= 10 // 2 + 2  # the one before is let go once the next is there


def test_one_batch_has_no_pair() -> None:
    with pytest.raises(InvalidInput, match=r"batches >= 2.*batches=1"):
        inner_products(Linear((2,)), [torch.ones(2)])


def test_infinite_gradients_are_told() -> None:
    with pytest.raises(TrainingFailed, match="infinite"):
        Confusion.of(inner_products(Linear((1,)), [torch.ones(1), torch.tensor([torch.inf])]))


def network_problem(macro: Macro, *, search: bool, auxiliary: float) -> NetworkProblem:
    config = CellNetworkConfig(channels=4, auxiliary=auxiliary > 0)
    network = CellNetwork(
        macro,
        config.for_search(macro.stack) if search else config,
        side=32,
        classes=3,
        generator=torch.Generator().manual_seed(0),
    )
    placement = place("cpu")
    drawn = torch.Generator().manual_seed(1)
    architecture: Architecture | None = None
    if search:
        options = CellArchitectureConfig(relaxation="gumbel-softmax-sampled")
        architecture = EdgeArchitecture(macro, options, drawn, placement.device)
    objective = Classification(auxiliary_weight=auxiliary)
    made = (network, network, objective, placement, architecture, drawn, lambda: None)
    return NetworkProblem(*made)


def images(count: int) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(5)
    return [
        (
            torch.randn(4, 3, 32, 32, generator=generator),
            torch.randint(3, (4,), generator=generator),
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("search", [True, False])
def test_the_network_is_left_as_it_was(search: bool) -> None:
    macro = (published("s5").macro if search else GENOTYPES["DARTS_V2"]).at_depth(3)
    problem = network_problem(macro, search=search, auxiliary=0.0)
    network = problem.network.eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    states = [generator.get_state() for generator in problem.generators]
    first = network_confusion(measuring(problem, auxiliary=True), images(3))
    assert network_confusion(measuring(problem, auxiliary=True), images(3)) == first
    assert not network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all(weight.grad is None and weight.requires_grad for weight in problem.weights)
    after = [generator.get_state() for generator in problem.generators]
    assert all(torch.equal(old, new) for old, new in zip(states, after, strict=True))
    assert problem.multiply_adds == 0
    assert first.zeta >= 0
    assert first.zeta >= first.raw


def test_with_the_auxiliary_head_and_without() -> None:
    macro = GENOTYPES["DARTS_V2"].at_depth(3)
    both = network_problem(macro, search=False, auxiliary=0.4)
    alone = network_problem(macro, search=False, auxiliary=0.0)
    matching = both.network.state_dict()
    alone.network.load_state_dict({name: matching[name] for name in alone.network.state_dict()})
    without = measuring(both, auxiliary=False)
    assert sum(w.numel() for w in without.weights) == sum(w.numel() for w in alone.weights)
    batches = images(3)
    assert network_confusion(without, batches) == network_confusion(alone, batches)
    assert network_confusion(measuring(both, auxiliary=True), batches) != network_confusion(
        without, batches
    )
