"""Relaxations of cells: what all of them promise, and the closed forms of each."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fade_ray.nn.relaxations import (
    EDGE_RELAXATIONS,
    RELAXATIONS,
    edge_pairs,
    edge_weights,
    pair_factors,
)
from spaces.cell import CellSpace

OPS = ("none", "skip_connect", "sep_conv_3x3", "max_pool_3x3")
DARTS = CellSpace.create(2, 6, OPS, keep=2)
seeds = st.integers(0, 2**31 - 1)


def masked(seed: int) -> CellSpace:
    """A part of DARTS's cell, with edges that allow everything, something and nothing."""
    keep = (
        torch.rand(len(DARTS.edges), len(OPS), generator=torch.Generator().manual_seed(seed)) < 0.6
    )
    return DARTS.narrowed(keep.numpy())


def drawn(name: str, cell: CellSpace, seed: int, temperature: float = 1.0) -> tuple[Tensor, object]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(len(cell.edges), len(cell.ops), generator=generator, requires_grad=True)
    found = edge_weights(
        RELAXATIONS[name],
        EDGE_RELAXATIONS["none"],
        logits,
        torch.empty(0),
        torch.from_numpy(cell.mask),
        cell,
        temperature,
        generator,
    )
    return logits, found


@pytest.mark.parametrize("name", RELAXATIONS)
@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_what_is_not_allowed_has_weight_zero_and_no_gradient(name: str, seed: int) -> None:
    cell = masked(seed)
    mask = torch.from_numpy(cell.mask)
    logits, found = drawn(name, cell, seed)
    assert (found.operations[~mask] == 0).all()  # type: ignore[attr-defined]
    ((found.operations * torch.randn(mask.shape)).sum()).backward()  # type: ignore[attr-defined]
    assert logits.grad.isfinite().all()
    assert (logits.grad[~mask] == 0).all()
    if found.used is not None:  # type: ignore[attr-defined]
        run = torch.zeros_like(mask)
        for edge, numbers in enumerate(found.used):  # type: ignore[attr-defined]
            run[edge, list(numbers)] = True
        assert (run <= mask).all()
        assert (run.sum(dim=1) == mask.any(dim=1)).all()
        assert (found.operations[~run] == 0).all()  # type: ignore[attr-defined]
        assert (found.operations[run] == 1).all()  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["softmax", "gumbel-softmax"])
def test_a_softmax_adds_up_to_one_on_every_edge(name: str) -> None:
    _, found = drawn(name, DARTS, 1, temperature=3.0)
    torch.testing.assert_close(found.operations.sum(dim=1), torch.ones(14))  # type: ignore[attr-defined]


def test_the_sigmoid_starts_at_one_over_n() -> None:
    """-ln(n - 1): n = 5 gives -1.386294, .2; n = 8 gives -1.945910, .125 (algorithms E.1)."""
    for n, logit in ((5, -1.386294), (8, -1.945910)):
        mask = torch.ones(3, n, dtype=torch.bool)
        start = RELAXATIONS["sigmoid"].start(mask, 1e-3, torch.Generator())
        torch.testing.assert_close(start, torch.full((3, n), logit))
        torch.testing.assert_close(
            RELAXATIONS["sigmoid"].expected(start, mask), torch.full((3, n), 1 / n)
        )


def test_the_sampled_operation_is_drawn_by_the_softmax_whatever_the_temperature() -> None:
    """P(drawn = j) = softmax(alpha)_j for every tau; chi-square over 4,000 draws, alpha 0.001."""
    logits = torch.tensor([[0.5, -0.3, 1.0, 0.0]])
    expected = 4000 * logits.softmax(dim=1)[0]
    for temperature in (0.1, 10.0):
        generator = torch.Generator().manual_seed(7)
        counts = torch.zeros(4)
        for _ in range(4000):
            _, used = RELAXATIONS["gumbel-softmax-sampled"].weights(
                logits, torch.ones(1, 4, dtype=torch.bool), temperature, generator
            )
            counts[used[0][0]] += 1  # type: ignore[index]
        assert float(((counts - expected) ** 2 / expected).sum()) < 16.27  # 3 degrees of freedom


def test_pairs_of_a_darts_cell() -> None:
    pairs = edge_pairs(DARTS)
    per_node = [sum(DARTS.edges[first][1] == node for first, _ in pairs) for node in range(2, 6)]
    assert per_node == [1, 3, 6, 10]


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_the_factors_of_pairs_add_up_to_two_at_every_node(seed: int) -> None:
    """Amended-DARTS eq. 16 (algorithms D.4): sum_i q_i = 2, and sum_pairs p (y_i + y_j) = sum_i q_i
    y_i.
    """
    generator = torch.Generator().manual_seed(seed)
    pairs = edge_pairs(DARTS)
    logits = torch.randn(len(pairs), generator=generator, dtype=torch.float64)
    q = pair_factors(logits, DARTS)
    y = torch.randn(len(DARTS.edges), generator=generator, dtype=torch.float64)
    for node in range(2, 6):
        torch.testing.assert_close(
            q[list(DARTS.incoming(node))].sum(), torch.tensor(2.0, dtype=torch.float64)
        )
        into = [n for n, (first, _) in enumerate(pairs) if DARTS.edges[first][1] == node]
        p = logits[into].softmax(dim=0)
        direct = sum(p[k] * (y[pairs[n][0]] + y[pairs[n][1]]) for k, n in enumerate(into))
        torch.testing.assert_close((q * y)[list(DARTS.incoming(node))].sum(), direct)


def test_a_node_with_one_edge_keeps_it_whole() -> None:
    chain = CellSpace.create(1, 3, ("skip_connect",), edges=[(0, 1), (1, 2)])
    assert pair_factors(torch.empty(0), chain).tolist() == [1.0, 1.0]


def test_edge_normalisation_adds_up_to_one_at_every_node() -> None:
    factors = EDGE_RELAXATIONS["softmax"].factors(torch.randn(14), DARTS)
    assert factors is not None
    for node in range(2, 6):
        assert math.isclose(float(factors[list(DARTS.incoming(node))].sum()), 1.0, rel_tol=1e-6)
