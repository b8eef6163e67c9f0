"""Gradient correlation and dL/dp, against the sums that define them."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from fade_ray.analyse.gradients import (
    Correlation,
    Node,
    OperationGradients,
    correlation,
    first_middle_last,
    node_gradients,
)
from fade_ray.nn import CellNetwork, CellNetworkConfig, Draw
from fade_ray.nn.draw import EdgeWeights
from fade_ray.training.updates import Problem, generator_states, gradients, rewind
from spaces.darts import published
from spaces.errors import InvalidInput
from spaces.nasbench201 import EDGES, OPS, macro

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "softmax": partial(torch.softmax, dim=-1),
    "sigmoid": torch.sigmoid,
}
PLACES = (0, 2, 4)
Batch = tuple[Tensor, Tensor]


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Toy:
    """A search network of 3 cells and 2 channels in float64 with the loss of its logits [6, 5]."""

    def __init__(self, relaxation: str = "softmax") -> None:
        config = CellNetworkConfig(channels=2, stem="nasbench201").for_search(macro(3).stack)
        self.network = CellNetwork(
            macro(3), config, side=8, channels=1, classes=3, generator=generator(0)
        ).double()
        self.weights: Sequence[Tensor] = list(self.network.parameters())
        self.logits: Sequence[Tensor] = [
            torch.randn(6, 5, generator=generator(1), dtype=torch.float64)
        ]
        self.noise = generator(2)
        self.generators: Sequence[torch.Generator] = [self.noise]
        self.activation = ACTIVATIONS[relaxation]

    def mixture(self) -> dict[str, EdgeWeights]:
        return {"cell": EdgeWeights(self.activation(self.logits[0]))}

    def loss_of(self, batch: Batch, mixture: dict[str, EdgeWeights]) -> Tensor:
        return F.cross_entropy(self.network(batch[0], Draw(edges=mixture)).main, batch[1])

    def loss(self, batch: Batch) -> Tensor:
        torch.rand(1, generator=self.noise)
        return self.loss_of(batch, self.mixture())


def batch(seed: int, size: int = 4) -> Batch:
    images = torch.randn(size, 1, 8, 8, generator=generator(seed), dtype=torch.float64)
    return images, torch.randint(3, (size,), generator=generator(seed + 100))


def softmax_logit_gradient(p: Tensor, s: Tensor) -> Tensor:
    """dL/da_i = p_i (s_i - sum_j p_j s_j) [..., O] of p = softmax(a), s = dL/dp (single-level eq.
    17).
    """
    return p * (s - (p * s).sum(-1, keepdim=True))


def sigmoid_logit_gradient(q: Tensor, s: Tensor) -> Tensor:
    """dL/da_i = q_i (1 - q_i) s_i [..., O] of q = sigmoid(a), s = dL/dq (algorithms E.3)."""
    return q * (1 - q) * s


LOGIT_GRADIENTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "softmax": softmax_logit_gradient,
    "sigmoid": sigmoid_logit_gradient,
}
"""Relaxation -> (weights [..., O], dL/dweights [..., O]) -> dL/dlogits [..., O]."""


def linear_correlation(
    g_val: Tensor, x_val: Tensor, g_train: Tensor, x_train: Tensor
) -> Correlation:
    """sum_j sum_k <g_val^j, g_train^k> <x_train^k, x_val^j> (single-level eq. 13), for g_val [N,
    D], x_val [N, E], g_train [M, D], x_train [M, E].

    It is the Frobenius inner product of the two gradients of a linear map, sum_j g_j x_j^T and
    sum_k g_k x_k^T [D, E] (algorithms E.3): one product of D x E instead of N x M x D. Gradients g
    of a batch's mean loss hold the 1 / N and 1 / M already.
    """
    return correlation(g_val.T @ x_val, g_train.T @ x_train)


def gradient_correlation(
    problem: Problem,
    network: CellNetwork,
    weights: Mapping[str, EdgeWeights],
    batch: Any,
    other: Any,
    places: Sequence[int],
) -> dict[Node, Correlation]:
    """Eq. 13 for every node that is computed in the cells at `places`, from `batch` and `other`;
    see `node_gradients`.

    The same batch twice: see the caveat of this module.
    """
    first = node_gradients(problem, network, weights, batch, places)
    second = node_gradients(problem, network, weights, other, places)
    return {node: correlation(first[node], second[node]) for node in first}


def operation_gradients(
    problem: Problem, network: CellNetwork, batch: Any, places: Sequence[int]
) -> dict[int, Tensor]:
    """Place -> dL/dp [E, O] of one batch; network and generators are left as they were. See
    `OperationGradients`.
    """
    states = generator_states(problem)
    with OperationGradients(network, places) as measured:
        gradients(problem, batch, problem.logits)
    rewind(problem, states)
    return measured.mean()


sizes = st.integers(1, 5)


@given(sizes, sizes, sizes, sizes, st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_the_correlation_is_the_double_sum_of_eq_13(
    n: int, m: int, d: int, e: int, seed: int
) -> None:
    draw = generator(seed)
    g_val, x_val, g_train, x_train = (
        torch.randn(rows, columns, generator=draw, dtype=torch.float64)
        for rows, columns in ((n, d), (n, e), (m, d), (m, e))
    )
    terms = [(g_val[j] @ g_train[k]) * (x_train[k] @ x_val[j]) for j in range(n) for k in range(m)]
    scale = float(sum(abs(term) for term in terms))
    found = linear_correlation(g_val, x_val, g_train, x_train)
    assert found.value == pytest.approx(float(sum(terms)), abs=1e-12 * scale)
    assert -1 - 1e-12 <= found.cosine <= 1 + 1e-12


def test_a_linear_maps_weight_gradients_give_the_double_sum_divided_by_the_numbers_of_images() -> (
    None
):
    """A 1x1 convolution: its positions are further samples (algorithms E.3)."""
    weight = torch.randn(
        3, 2, 1, 1, generator=generator(0), dtype=torch.float64, requires_grad=True
    )
    target = torch.randn(3, 1, 1, generator=generator(1), dtype=torch.float64)

    def parts(seed: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
        x = torch.randn(count, 2, 4, 4, generator=generator(seed), dtype=torch.float64)
        y = F.conv2d(x, weight)
        losses = (y.tanh() - target).square().sum((1, 2, 3))
        (slope,) = torch.autograd.grad(losses.mean(), weight, retain_graph=True)
        (g,) = torch.autograd.grad(losses.sum(), y)
        return slope, g.movedim(1, -1).reshape(-1, 3), x.movedim(1, -1).reshape(-1, 2)

    (ours, g_val, x_val), (theirs, g_train, x_train) = parts(2, 3), parts(3, 5)
    double_sum = linear_correlation(g_val, x_val, g_train, x_train)
    found = correlation(ours, theirs)
    assert found.value == pytest.approx(double_sum.value / (3 * 5), rel=1e-12)
    assert found.cosine == pytest.approx(double_sum.cosine, rel=1e-12)


def test_the_same_batch_gives_a_squared_norm() -> None:
    toy = Toy()
    found = gradient_correlation(toy, toy.network, toy.mixture(), batch(0), batch(0), PLACES)
    slopes = node_gradients(toy, toy.network, toy.mixture(), batch(0), PLACES)
    assert set(found) == {(place, node) for place in PLACES for node in (1, 2, 3)}
    for node, one in found.items():
        assert one.value == pytest.approx(float(slopes[node].square().sum()), rel=1e-12)
        assert one.value > 0
        assert one.cosine == pytest.approx(1, abs=1e-12)
    assert correlation(torch.zeros(3), torch.ones(3)).cosine == 0


def test_gradients_of_a_node_are_those_of_its_edges_weights_without_their_share() -> None:
    toy = Toy("sigmoid")
    found = node_gradients(toy, toy.network, toy.mixture(), batch(0), (2,))
    shares = toy.mixture()["cell"].operations
    named = dict(toy.network.named_parameters())
    loss = toy.loss_of(batch(0), toy.mixture())
    for node in (1, 2, 3):
        expected = []
        for number, (source, target) in enumerate(EDGES):
            for op in ("nor_conv_1x1", "nor_conv_3x3") if target == node else ():
                prefix = f"places.2.edges.{source}-{target}.{op}."
                (weight,) = [
                    p for name, p in named.items() if name.startswith(prefix) and p.dim() == 4
                ]
                (slope,) = torch.autograd.grad(loss, weight, retain_graph=True)
                expected.append(slope.flatten() / shares[number, OPS.index(op)])
        assert torch.allclose(found[2, node], torch.cat(expected), rtol=1e-12, atol=0)


@given(
    st.sampled_from(sorted(LOGIT_GRADIENTS)),
    st.lists(st.tuples(st.floats(-4, 4), st.floats(-4, 4)), min_size=2, max_size=8),
)
@settings(max_examples=60, deadline=None)
def test_closed_forms_are_autograds(relaxation: str, values: list[tuple[float, float]]) -> None:
    """Eq. 17 and its like for sigmoid."""
    logits, s = torch.tensor(values, dtype=torch.float64).T.clone()
    logits.requires_grad_()
    weights = ACTIVATIONS[relaxation](logits)
    (expected,) = torch.autograd.grad((weights * s).sum(), logits)
    assert torch.allclose(LOGIT_GRADIENTS[relaxation](weights, s), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("relaxation", sorted(LOGIT_GRADIENTS))
def test_the_cells_shares_give_the_gradient_of_the_logits(relaxation: str) -> None:
    toy = Toy(relaxation)
    shares = operation_gradients(toy, toy.network, batch(0), PLACES)
    together = torch.stack(list(shares.values())).sum(0)
    (expected,) = gradients(toy, batch(0), toy.logits)[1]
    found = LOGIT_GRADIENTS[relaxation](toy.mixture()["cell"].operations, together)
    assert torch.allclose(found, expected, rtol=1e-10, atol=1e-12)
    assert all(bool((one[:, OPS.index("none")] == 0).all()) for one in shares.values())
    assert not any(torch.allclose(one, other) for one, other in pairwise(shares.values()))


def test_dl_dp_of_one_cell_is_a_difference_of_its_weights_alone() -> None:
    toy, place, edge, op, step = Toy(), 2, 3, 2, 1e-5
    found = operation_gradients(toy, toy.network, batch(0), (place,))[place][edge, op]

    def moved(by: float) -> float:
        def move(cell: object, args: tuple[Any, ...]) -> tuple[Any, ...]:
            values, draw, number = args
            operations = draw.edges["cell"].operations.clone()
            operations[edge, op] += by
            return values, Draw(edges={"cell": EdgeWeights(operations)}), number

        handle = toy.network.places[place].register_forward_pre_hook(move)
        loss = float(toy.loss_of(batch(0), toy.mixture()).detach())
        handle.remove()
        return loss

    assert float(found) == pytest.approx((moved(step) - moved(-step)) / (2 * step), rel=1e-6)


def test_measuring_leaves_everything_as_it_was() -> None:
    toy = Toy()
    before = [tensor.clone() for tensor in (*toy.weights, *toy.logits)]
    noise = toy.noise.get_state()
    loss = toy.loss_of(batch(0), toy.mixture())
    node_gradients(toy, toy.network, toy.mixture(), batch(1), PLACES)
    operation_gradients(toy, toy.network, batch(1), PLACES)
    assert all(torch.equal(a, b) for a, b in zip(before, (*toy.weights, *toy.logits), strict=True))
    assert all(weight.grad is None and weight.requires_grad for weight in toy.weights)
    assert torch.equal(toy.noise.get_state(), noise)
    assert torch.equal(toy.loss_of(batch(0), toy.mixture()), loss)
    with OperationGradients(toy.network, PLACES) as measured:
        gradients(toy, batch(0), toy.logits)
    gradients(toy, batch(0), toy.logits)  # outside: not counted
    assert measured.passes == dict.fromkeys(PLACES, 1)
    with OperationGradients(toy.network, PLACES) as measured:
        toy.loss(batch(0)).backward()  # type: ignore[no-untyped-call] # of the weights: the logits do not ask
    with pytest.raises(InvalidInput, match="passes"):
        measured.mean()


@pytest.mark.parametrize(
    ("space", "depth", "places"),
    [
        ("nasbench201", 15, (0, 8, 16)),
        ("nasbench201", 3, (0, 2, 4)),
        ("darts", 8, (0, 4, 7)),
        ("darts", 3, (0, 1, 2)),
    ],
)
def test_first_middle_last(space: str, depth: int, places: tuple[int, ...]) -> None:
    assert first_middle_last(published(space).macro.at_depth(depth)) == places
