"""The chain network: sizes that are known, the dense form as the reference, what each option must
not change.
"""

import pytest
import torch
from _dense import DenseChain
from hypothesis import given, settings
from hypothesis import strategies as st

from fade_ray.nn import ChainNetwork, Draw, NetworkConfig, chain_layout, row_strides, still
from spaces import Dag, HyperArchitecture, catalogue, enumerate_dags
from spaces.errors import InvalidInput

SEVEN = [dag for dag in enumerate_dags(5) if dag.operations == 7]
ALL = catalogue(1, 4)


def chain(
    hyper: HyperArchitecture, *, side: int = 8, seed: int = 0, **options: object
) -> ChainNetwork:
    config = NetworkConfig(
        depth=hyper.depth,
        **({"final_channels": 8, "kernel": 3, "norm": "none", "share": False} | options),
    )
    generator = torch.Generator().manual_seed(seed)
    return ChainNetwork(hyper, config, side=side, channels=3, classes=10, generator=generator)


def hyper_of(*rows: tuple[Dag, ...]) -> HyperArchitecture:
    return HyperArchitecture(rows)


def test_weight_counts_of_the_paper() -> None:
    one = HyperArchitecture(((SEVEN[0],),) * 4)
    assert (
        sum(p.numel() for p in chain(one, side=32, final_channels=32, kernel=5).parameters())
        == 256_870
    )
    five = HyperArchitecture((tuple(SEVEN[:5]),) * 4)
    network = chain(five, side=32, final_channels=32, kernel=5)
    assert sum(p.numel() for p in network.parameters()) == 1_210_550
    cells = sum(
        p.numel()
        for row in chain(one, side=32, final_channels=32, kernel=5).places
        for p in row.mixed.parameters()
    )
    assert cells == 238_420


def test_multiply_adds_count_the_convolutions_that_run() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    hyper = HyperArchitecture((tuple(SEVEN[:2]), tuple(SEVEN[2:4])))
    network = chain(hyper, side=28)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, 28, 28), Draw([1, 0]))
    assert counter.get_total_flops() == 2 * network.multiply_adds([1, 0])
    everything = network.multiply_adds([0, 0]) + network.multiply_adds_beside([0, 0])
    assert everything == network.multiply_adds([1, 1]) + network.multiply_adds_beside([1, 1])


@pytest.mark.parametrize(
    ("side", "depth", "strides"),
    [
        (32, 1, (4,)),
        (32, 2, (4, 4)),
        (32, 3, (4, 2, 2)),
        (32, 4, (2, 2, 2, 2)),
        (28, 4, (2, 2, 2, 2)),
        (8, 4, (2, 1, 1, 2)),
    ],
)
def test_strides_of_the_paper_and_of_small_images(
    side: int, depth: int, strides: tuple[int, ...]
) -> None:
    assert row_strides(side, depth) == strides


def test_channels_of_the_paper() -> None:
    assert [row.channels for row in chain_layout(32, 4, 3, 32)] == [4, 8, 16, 32]
    assert [row.channels for row in chain_layout(32, 4, 3, 16)] == [2, 4, 8, 16]


@given(side=st.integers(8, 300), depth=st.integers(1, 12))
def test_any_side_and_depth_leave_a_small_map(side: int, depth: int) -> None:
    rows = chain_layout(side, depth, 1, 256)
    last = -(-rows[-1].side // rows[-1].stride)
    assert len(rows) == depth
    assert last >= 1
    # a stride of 4 per row is the most that is pooled
    assert last <= 2 or all(row.stride == 4 for row in rows)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"side": 7, "depth": 2}, "side"),
        ({"side": 32, "depth": 0}, "depth"),
        ({"side": 32, "depth": 4, "final_channels": 12}, "final_channels"),
        ({"side": 8, "depth": 2, "strides": (4, 4)}, "too small for the depth"),
        ({"side": 8, "depth": 2, "strides": (2,)}, "strides"),
    ],
)
def test_layouts_that_cannot_be(arguments: dict[str, object], word: str) -> None:
    values = {"channels_in": 3, "final_channels": 32, "strides": ()} | arguments
    with pytest.raises(InvalidInput, match=word):
        chain_layout(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("norm", ["none", "row", "operation"])
@pytest.mark.parametrize("activation", ["vertex", "edge"])
@pytest.mark.parametrize("pool", ["max", "average"])
@pytest.mark.parametrize("share", [False, True])
def test_each_candidate_is_the_dense_form_at_its_one_hot(
    norm: str, activation: str, pool: str, share: bool
) -> None:
    hyper = hyper_of((ALL[3], ALL[7], ALL[30]), (ALL[20], ALL[20], ALL[0]))
    network = chain(hyper, norm=norm, activation=activation, pool=pool, share=share).double()
    dense = DenseChain(network)
    x = torch.randn(4, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for path in ([0, 0], [1, 1], [2, 0]):
        gates = torch.eye(3, dtype=torch.float64)[path]
        torch.testing.assert_close(
            network(x, Draw(path)).main, dense(x, gates), rtol=1e-10, atol=1e-12
        )


@given(index=st.integers(0, len(ALL) - 1), edge=st.booleans())
@settings(max_examples=40, deadline=None)
def test_fused_convolutions_equal_one_per_edge(index: int, edge: bool) -> None:
    network = chain(hyper_of((ALL[index],)), activation="edge" if edge else "vertex").double()
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(index))
    dense = DenseChain(network)(x, torch.ones(1, 1, dtype=torch.float64))
    torch.testing.assert_close(network(x).main, dense, rtol=1e-10, atol=1e-12)


def test_memory_layout_does_not_matter() -> None:
    network = chain(hyper_of((ALL[30],), (ALL[12],))).double()
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    expected = network(x).main
    last = network.to(memory_format=torch.channels_last)(
        x.contiguous(memory_format=torch.channels_last)
    ).main
    torch.testing.assert_close(last, expected, rtol=1e-10, atol=1e-12)


def test_duplicates_are_built_once_and_hyper_cells_share() -> None:
    twice = chain(hyper_of((ALL[5], ALL[5], ALL[6])))
    assert len(twice.places[0].mixed.cells) == 2
    shared = chain(hyper_of((ALL[5], ALL[30])), share=True)
    names = list(shared.places[0].mixed.cells[0].operations)
    assert len(shared.places[0].mixed.cells) == 1
    assert len(names) == 6 + 4  # every edge of G_max on four vertices, and each vertex into OUTPUT


def test_paths_with_a_common_beginning_give_the_same_scores() -> None:
    hyper = hyper_of((ALL[3], ALL[7]), (ALL[20], ALL[9]), (ALL[30], ALL[31]))
    network = chain(hyper, norm="row").double()
    x = torch.randn(4, 3, 8, 8, dtype=torch.float64)
    paths = [[0, 1, 1], [0, 1, 0], [1, 1, 0], [0, 1, 1]]
    with still(network):
        for path, scores in zip(paths, network.forward_paths(x, paths), strict=True):
            torch.testing.assert_close(scores, network(x, Draw(path)).main, rtol=1e-12, atol=1e-12)


def test_still_leaves_buffers_and_flags_alone() -> None:
    network = chain(hyper_of((ALL[3], ALL[7])), norm="row").train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with still(network):
        network(torch.randn(4, 3, 8, 8), Draw([1]))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(p.requires_grad for p in network.parameters())
    network(torch.randn(4, 3, 8, 8), Draw([1]))
    assert not torch.equal(
        network.places[0].norm.running_mean, before["places.0.norm.running_mean"]
    )


def test_a_dead_candidate_that_is_not_drawn_does_no_harm() -> None:
    network = chain(hyper_of((ALL[3], ALL[7])))
    with torch.no_grad():
        for operation in network.places[0].mixed.cells[1].operations.values():
            operation.weight.fill_(float("nan"))
    assert torch.isfinite(network(torch.randn(2, 3, 8, 8), Draw([0])).main).all()


@pytest.mark.parametrize(("name", "value"), [("depth", 0), ("kernel", 4), ("final_channels", 0)])
def test_configurations_that_cannot_be(name: str, value: int) -> None:
    with pytest.raises(InvalidInput, match=name):
        NetworkConfig(**{name: value})  # type: ignore[arg-type]
