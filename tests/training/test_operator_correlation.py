"""Streamed correlations of operations: against two passes over everything, merged, in any order."""

import itertools
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from fade_ray.nn import CellNetwork, CellNetworkConfig, Draw, EdgeWeights
from fade_ray.nn.cell import Cell
from fade_ray.nn.sums import Source, Sum, Term
from fade_ray.training import place
from fade_ray.training.operator_correlation import (
    CORRELATIONS,
    PUBLISHED,
    OperatorCorrelations,
    groups_of,
    mean_matrix,
    operator_correlation,
)
from spaces import NONE, SKIP, SPACES, InvalidInput

untimed = settings(deadline=None, max_examples=25)
S1 = SPACES["s1"].macro.at_depth(3)
OPS = SPACES["s1"].ops[1:]


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def outputs(images: int, seed: int = 0) -> Tensor:
    """Of four operations [O, N, C, H, W], the second like the first, far from 0."""
    values = torch.randn(4, images, 2, 3, 3, generator=generator(seed), dtype=torch.float64)
    values[1] = 0.5 * values[0] + 0.2 * values[1]
    return values + 100


def in_two_passes(values: Tensor) -> Tensor:
    """Means of every coordinate first, then products (algorithms C.2)."""
    centred = (values - values.mean(dim=1, keepdim=True)).flatten(1)
    return torch.corrcoef(torch.cat([centred, -centred], 1))


def by_sample(values: Tensor) -> Tensor:
    return torch.stack([torch.corrcoef(each.flatten(1)) for each in values.unbind(1)]).mean(0)


DENSE = {"fields": in_two_passes, "samples": by_sample}


def streamed(name: str, values: Tensor, sizes: Any) -> Any:
    moments = CORRELATIONS[name]()
    for part in torch.split(values, list(sizes), dim=1):
        moments.update(part)
    return moments


@pytest.mark.parametrize("name", CORRELATIONS)
@untimed
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.randoms())
def test_batches_merge_to_the_two_passes_in_any_order_and_from_workers(
    name: str, sizes: list[int], random: Any
) -> None:
    values = outputs(sum(sizes) + 2)
    dense = DENSE[name](values)
    whole = streamed(name, values, [*sizes, 2])
    assert torch.allclose(whole.correlation, dense, rtol=0, atol=1e-10)
    parts = list(torch.split(values, [*sizes, 2], dim=1))
    random.shuffle(parts)
    workers = [
        CORRELATIONS[name](),
        CORRELATIONS[name](),
        CORRELATIONS[name](),
    ]  # the last has nothing
    for number, part in enumerate(parts):
        workers[number % 2].update(part)
    first = workers[2]
    first.merge(workers[0])
    first.merge(workers[1])
    first.merge(CORRELATIONS[name]())
    assert torch.allclose(first.correlation, dense, rtol=0, atol=1e-10)


def test_the_two_readings_differ_where_samples_have_something_in_common() -> None:
    pattern = torch.randn(1, 1, 2, 3, 3, generator=generator(5), dtype=torch.float64)
    values = outputs(50) + 10 * pattern
    fields, samples = (DENSE[name](values) for name in ("fields", "samples"))
    assert abs(fields[2, 3]) < 0.1
    assert samples[2, 3] > 0.9


@pytest.mark.parametrize("name", CORRELATIONS)
def test_what_is_held_does_not_grow_with_the_images(name: str) -> None:
    few, many = (streamed(name, outputs(n), [5] * (n // 5)).held for n in (5, 100))
    assert few == many <= 4 * 4 + max(4 * 18, 4 * 4)


@pytest.mark.parametrize("name", CORRELATIONS)
def test_an_operation_without_variance_is_not_a_number(name: str) -> None:
    values = outputs(7)
    values[2] = 0.1
    found = streamed(name, values, [3, 4]).correlation
    assert found[2].isnan().all()
    assert found[:, 2].isnan().all()
    assert torch.allclose(found[:2, :2], DENSE[name](values)[:2, :2])


class Measured:
    """A search network of S1 in float64, and some batches of images."""

    def __init__(self, depth: int = 3, dtype: torch.dtype = torch.float64) -> None:
        macro = SPACES["s1"].macro.at_depth(depth)
        config = CellNetworkConfig(channels=2).for_search(macro.stack)
        self.network = CellNetwork(
            macro, config, side=8, channels=1, classes=3, generator=generator(0)
        ).to(dtype)
        self.weights = {
            kind: EdgeWeights(
                torch.rand(cell.mask.shape, generator=generator(1), dtype=torch.float64).to(dtype)
            )
            for kind, cell in macro.cells.items()
        }
        self.batches = [
            (torch.randn(4, 1, 8, 8, generator=generator(n), dtype=dtype), torch.zeros(4))
            for n in range(3)
        ]

    def correlation(self, **options: Any) -> dict[Any, Any]:
        return operator_correlation(
            self.network, self.weights, self.batches, place("cpu"), **options
        )


def stored(measured: Measured) -> Iterator[tuple[int, int, list[Tensor]]]:
    """Place, edge, and the outputs of every operation but none and skip there, of all batches, each
    computed by itself from the values of the nodes.
    """
    inputs: dict[int, list[Any]] = {}
    for number, cell in enumerate(measured.network.places):
        seen = inputs.setdefault(number, [])
        for module in cell.modules():
            module.register_forward_pre_hook(
                lambda m, args, seen=seen: (
                    seen.append((m, args[0].value.clone()))
                    if len(args) == 2 and isinstance(args[0], Source)
                    else None
                )
            )
    with torch.no_grad():
        for images, _ in measured.batches:
            measured.network(images, Draw(edges=measured.weights))
    for place_, cell in enumerate(measured.network.places):
        assert isinstance(cell, Cell)
        for edge, (source, target) in enumerate(cell.space.edges):
            values = []
            for name, operation in cast(nn.ModuleDict, cell.edges[f"{source}-{target}"]).items():
                mine = [value for module, value in inputs[place_] if module is operation]
                if name != SKIP:
                    parts = [alone(operation, value) for value in mine]
                    values.append(torch.cat(parts))
            yield place_, edge, values


def alone(operation: Any, value: Tensor) -> Tensor:
    term = Term(Sum())
    with torch.no_grad():
        operation.forward(Source(value), term)
    out = term.total.value()
    assert out is not None
    return out.clone()


def test_of_a_network_as_of_everything_that_its_operations_gave() -> None:
    measured = Measured()
    found = measured.correlation()
    assert found.keys() == set(itertools.product(range(3), range(14)))
    assert PUBLISHED in found
    shown = [OPS.index(op) for op in OPS if op != SKIP]
    for place_, edge, values in stored(measured):
        dense = in_two_passes(torch.stack(values)).numpy()
        assert np.allclose(found[place_, edge][np.ix_(shown, shown)], dense, rtol=0, atol=1e-9)


def test_skip_connects_are_measured_when_asked_for() -> None:
    without, with_them = Measured().correlation(), Measured().correlation(skips=True)
    skip = OPS.index(SKIP)
    assert NONE not in OPS
    assert np.isnan(without[PUBLISHED][skip]).all()
    assert np.isfinite(with_them[PUBLISHED]).all()
    rest = np.delete(np.arange(len(OPS)), skip)
    same = np.ix_(rest, rest)
    assert np.allclose(without[PUBLISHED][same], with_them[PUBLISHED][same], rtol=0, atol=1e-12)


def test_measuring_leaves_the_network_as_it_was() -> None:
    measured = Measured()
    before = {name: value.clone() for name, value in measured.network.state_dict().items()}
    measured.network.train()
    measured.correlation()
    assert measured.network.training
    assert not any(module._forward_hooks for module in measured.network.modules())
    assert all(torch.equal(v, before[k]) for k, v in measured.network.state_dict().items())


def test_what_is_held_of_a_network_grows_with_its_depth_and_not_with_the_images() -> None:
    held = {}
    for depth, passes in itertools.product((3, 6), (1, 4)):
        measured = Measured(depth, torch.float32)
        correlations = OperatorCorrelations(measured.network)
        for images, _ in measured.batches[:1] * passes:
            correlations.update(measured.weights, images)
        held[depth, passes] = correlations.held
    assert held[3, 1] == held[3, 4] < held[6, 1] == held[6, 4]


def test_interrupted_and_merged_as_without() -> None:
    measured = Measured()
    whole = measured.correlation()
    first, second = (OperatorCorrelations(measured.network) for _ in range(2))
    first.update(measured.weights, measured.batches[0][0])
    second.load_state_dict(first.state_dict())
    for images, _ in measured.batches[1:]:
        second.update(measured.weights, images)
    assert all(np.array_equal(m, whole[e], equal_nan=True) for e, m in second.matrices().items())
    others = OperatorCorrelations(measured.network)
    for images, _ in measured.batches[1:]:
        others.update(measured.weights, images)
    first.merge(others)
    for edge, matrix in first.matrices().items():
        assert np.allclose(matrix, whole[edge], rtol=0, atol=1e-10, equal_nan=True)


def test_means_over_edges_are_of_the_edges_that_know() -> None:
    one, other = np.array([[1.0, 0.2], [0.2, 1.0]]), np.array([[1.0, np.nan], [np.nan, np.nan]])
    assert np.array_equal(mean_matrix([one, other]), one)
    assert np.isnan(mean_matrix([other, other])[0, 1])


def test_an_unknown_estimator_is_met_with_the_nearest() -> None:
    with pytest.raises(InvalidInput, match="'samples'"):
        OperatorCorrelations(Measured().network, "sample")


def test_groups_are_of_one_edge_or_of_the_mean() -> None:
    like, apart = np.ones((3, 3)), np.eye(3)
    matrices = {PUBLISHED: like, (0, 1): apart, (0, 2): apart}
    ops = (NONE, SKIP, "sep_conv_3x3", "sep_conv_5x5")
    together: Any = ((SKIP,), ("sep_conv_3x3", "sep_conv_5x5"))
    assert groups_of(matrices, ops) == groups_of(matrices, ops, 0.3, edge=None) == together
    assert groups_of(matrices, ops, 0.4, edge=None) == tuple((op,) for op in ops[1:])
