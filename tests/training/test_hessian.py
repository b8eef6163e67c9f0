"""The dominant eigenvalue on spectra that are known."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fade_ray.training.hessian import dominant_eigenvalue
from spaces.errors import InvalidInput


class Bowl:
    """1/2 a' H a + b' a + noise' a, H with the given eigenvalues in a random basis; the batch
    scales it.
    """

    def __init__(
        self,
        spectrum: Sequence[float],
        seed: int = 0,
        noise: float = 0.0,
        dtype: torch.dtype = torch.float64,
    ):
        generator = torch.Generator().manual_seed(seed)
        n = len(spectrum)
        basis, _ = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64))
        self.hessian = (
            basis @ torch.diag(torch.tensor(spectrum, dtype=torch.float64)) @ basis.T
        ).to(dtype)
        start = torch.randn(n, generator=generator, dtype=torch.float64).to(dtype)
        self.logits = [part.clone().requires_grad_() for part in torch.split(start, [1, n - 1])]
        self.weights = [torch.ones(2, dtype=dtype, requires_grad=True)]
        self.generators = [torch.Generator().manual_seed(seed)]
        self.noise = noise

    def loss(self, batch: float) -> Tensor:
        a = torch.cat(self.logits)
        shake = self.noise * torch.rand(a.shape, generator=self.generators[0], dtype=a.dtype)
        return (
            batch * (a @ self.hessian @ a / 2 + a.sum() + (shake * a).sum())
            + self.weights[0].square().sum()
        )


def found(
    problem: Any,
    iterations: int = 30,
    tolerance: float = 1e-6,
    batch: float = 1.0,
) -> Any:
    generator = torch.Generator().manual_seed(7)
    return dominant_eigenvalue(problem, batch, iterations, generator, tolerance)


@pytest.mark.parametrize(
    ("spectrum", "expected"),
    [
        ([3.0, 1.0, 0.5, -2.0], 3.0),
        ([-5.0, 4.9, 1.0, 0.0, 0.0], -5.0),
        ([1e-3, 1e-4, -1e-4], 1e-3),
        ([2.0, 2.0, 2.0], 2.0),
        ([0.0, 0.0], 0.0),
        ([7.0, 1.0], 7.0),
    ],
)
def test_known_spectra(spectrum: list[float], expected: float) -> None:
    result = found(Bowl(spectrum))
    assert result.value == pytest.approx(expected, rel=1e-6, abs=1e-10)
    assert 1 <= result.iterations <= len(spectrum)


@settings(max_examples=15, deadline=None)
@given(spectrum=st.lists(st.floats(-10, 10), min_size=2, max_size=12), seed=st.integers(0, 1000))
def test_any_spectrum(spectrum: list[float], seed: int) -> None:
    # the error of a Ritz value is bounded by the residual; over the whole space it is the
    # eigenvalue
    result = found(Bowl(spectrum, seed))
    assert abs(result.value) == pytest.approx(max(map(abs, spectrum)), rel=1e-5, abs=1e-6)
    assert min(abs(result.value - value) for value in spectrum) <= result.error + 1e-6


def test_opposite_signs_of_one_size_do_not_deceive_it() -> None:
    # plain power iteration alternates here and its Rayleigh quotient stands still at a value that
    # is no eigenvalue
    assert abs(found(Bowl([1.0, -1.0, 0.1])).value) == pytest.approx(1.0)


def test_it_needs_few_products_and_its_error_bounds() -> None:
    spectrum = [4.0, *torch.linspace(-1, 1, 99).tolist()]
    result = found(Bowl(spectrum), tolerance=1e-3)
    assert result.iterations < 15
    assert abs(result.value - 4.0) <= result.error <= 1e-3 * 4.0
    short = found(Bowl(spectrum), iterations=2, tolerance=1e-3)
    assert short.iterations == 2
    assert short.error > 1e-3 * abs(short.value)


def test_nothing_is_changed_and_all_passes_share_their_noise() -> None:
    problem = Bowl([3.0, 1.0, -1.0], noise=100.0, dtype=torch.float32)
    tensors = [*problem.weights, *problem.logits]
    problem.weights[0].grad = torch.ones(2)
    problem.logits[0].requires_grad_(False)
    before, state = [t.detach().clone() for t in tensors], problem.generators[0].get_state()
    result = found(problem)
    assert result.value == pytest.approx(3.0, rel=1e-5)
    assert all(torch.equal(old, new) for old, new in zip(before, tensors, strict=True))
    assert torch.equal(problem.generators[0].get_state(), state)
    assert [t.requires_grad for t in tensors] == [True, False, True]
    assert torch.equal(problem.weights[0].grad, torch.ones(2))
    assert problem.logits[0].grad is None


def test_softmax_mixture_against_the_full_hessian() -> None:
    class Mixture(Bowl):
        def loss(self, batch: float) -> Tensor:
            return (torch.cat(self.logits).softmax(dim=0) @ self.hessian[0] - batch).square()

    problem = Mixture([1.0, 2.0, 3.0, 4.0, 5.0])
    a = torch.cat(problem.logits).detach()
    full = torch.autograd.functional.hessian(
        lambda a: (a.softmax(dim=0) @ problem.hessian[0] - 2.0).square(), a
    )
    values = torch.linalg.eigvalsh(full)
    expected = float(values[values.abs().argmax()])
    assert found(problem, batch=2.0).value == pytest.approx(expected, rel=1e-3)


def test_a_loss_without_curvature_or_without_logits() -> None:
    class Linear(Bowl):
        def loss(self, batch: float) -> Tensor:
            return torch.cat(self.logits).sum() * batch

    class Deaf(Bowl):
        def loss(self, batch: float) -> Tensor:
            return self.weights[0].sum() * batch

    for kind in (Linear, Deaf):
        assert found(kind([1.0, 2.0])).value == pytest.approx(0.0, abs=1e-9)


def test_a_loss_that_is_not_finite_gives_nan() -> None:
    result = found(Bowl([1.0, 2.0]), batch=float("inf"))
    assert result.value != result.value
    assert result.iterations == 1


def test_wrong_values_are_refused() -> None:
    with pytest.raises(InvalidInput, match="iterations >= 1"):
        found(Bowl([1.0, 2.0]), iterations=0)
