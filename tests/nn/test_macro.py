"""The network of NAS-Bench-Macro: the published counts of every architecture, and what holds for
any chain of rows.
"""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from fade_ray.nn import Draw, MacroNetwork, still
from fade_ray.nn.layout import RowLayout
from fade_ray.nn.macro import places
from fade_ray.nn.mixed import Mixed
from spaces import HyperArchitecture, catalogue
from spaces.errors import InvalidInput
from spaces.nasbench_macro import BLOCKS, DEPTH, codes

ALL = HyperArchitecture((BLOCKS,) * DEPTH)


def architecture(code: str) -> HyperArchitecture:
    return HyperArchitecture(tuple((BLOCKS[int(digit)],) for digit in code))


def macro(
    hyper: HyperArchitecture = ALL,
    base: int = 2,
    *,
    side: int = 16,
    channels: int = 3,
    seed: int = 0,
) -> MacroNetwork:
    generator = torch.Generator().manual_seed(seed)
    return MacroNetwork(hyper, base, side=side, channels=channels, classes=10, generator=generator)


def images(side: int = 16, count: int = 4) -> Tensor:
    return torch.randn(
        count, 3, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )


def size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.fixture(scope="module")
def table(real_data: Path) -> dict[str, tuple[int, int]]:
    columns = pq.read_table(
        real_data / "nasbench_macro.parquet", columns=["arch", "params", "flops"]
    ).to_pydict()
    return {
        a: (p, f)
        for a, p, f in zip(columns["arch"], columns["params"], columns["flops"], strict=True)
    }


def test_counts_that_were_published() -> None:
    found = {}
    for code in ("00000000", "00000001"):
        network = macro(architecture(code), 32, side=32)
        found[code] = (size(network), network.multiply_adds())
    assert found == {"00000000": (387_882, 7_713_280), "00000001": (791_594, 14_115_328)}


def test_counts_of_all_architectures_are_those_of_the_table(
    table: dict[str, tuple[int, int]],
) -> None:
    network = macro(ALL, 32, side=32)
    blocks = [[size(row.mixed.cells[str(b.number)]) for b in BLOCKS] for row in network.places]
    outside = size(network) - sum(map(sum, blocks))
    ours = {}
    for code in codes():
        path = [int(digit) for digit in code]
        weights = outside + sum(row[choice] for row, choice in zip(blocks, path, strict=True))
        ours[code] = (weights, network.multiply_adds(path))
    assert ours == table


@pytest.mark.parametrize("code", codes()[7::340])
def test_counts_of_architectures_that_are_built_alone(
    code: str, table: dict[str, tuple[int, int]]
) -> None:
    network = macro(architecture(code), 32, side=32)
    assert (size(network), network.multiply_adds()) == table[code]


@pytest.mark.parametrize(("base", "side"), [(1, 8), (8, 16), (3, 11)])
def test_multiply_adds_count_what_runs(base: int, side: int) -> None:
    network, path = macro(ALL, base, side=side), [0, 1, 2, 0, 1, 2, 0, 1]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(torch.zeros(1, 3, side, side), Draw(path))
    assert counter.get_total_flops() == 2 * network.multiply_adds(path)
    everything = network.multiply_adds(path) + network.multiply_adds_beside(path)
    assert everything == network.multiply_adds([2] * 8) + network.multiply_adds_beside([2] * 8)
    others = [path, path, [*path[:5], 1, 1, 1], [2] * 8]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.forward_paths(torch.zeros(1, 3, side, side), others)
    assert counter.get_total_flops() == 2 * network.multiply_adds_paths(others)


def test_all_channels_grow_with_the_stem() -> None:
    narrow, wide = macro(base=4).state_dict(), macro(base=8).state_dict()
    assert narrow.keys() == wide.keys()
    channels = {
        key: (value.shape[0], wide[key].shape[0])
        for key, value in narrow.items()
        if value.dim() == 4
    }
    assert all(2 * few == many for few, many in channels.values())
    assert channels["head.before.conv.weight"] == (160, 320)


def test_places_of_the_benchmark() -> None:
    found = places(32, 32)
    assert [place.stride for place in found] == [2, 1, 2, 1, 1, 2, 1, 1]
    assert [place.channels for place in found] == [64, 64, 128, 128, 128, 256, 256, 256]
    assert [place.side for place in found] == [32, 16, 16, 8, 8, 8, 4, 4]


def plain_block(weights: dict[str, Tensor], number: int, x: Tensor, place: RowLayout) -> Tensor:
    """A block written out with torch's own operations, batch statistics; `weights` without the
    prefix.
    """

    def norm(y: Tensor, name: str) -> Tensor:
        return F.batch_norm(
            y, None, None, weights[f"{name}.weight"], weights[f"{name}.bias"], training=True
        )

    same = place.stride == 1 and place.channels_in == place.channels
    if number == 0:
        return x if same else norm(F.conv2d(x, weights["conv.weight"], stride=2), "norm")
    y = F.relu6(norm(F.conv2d(x, weights["expand.conv.weight"]), "expand.norm"))
    kernel = weights["middle.conv.weight"]
    y = F.conv2d(y, kernel, stride=place.stride, padding=kernel.shape[-1] // 2, groups=len(kernel))
    y = F.relu6(norm(y, "middle.norm"))
    y = norm(F.conv2d(y, weights["project.conv.weight"]), "project.norm")
    return x + y if same else y


def plain(network: MacroNetwork, x: Tensor, path: list[int]) -> Tensor:
    weights = dict(network.named_parameters())

    def below(prefix: str) -> dict[str, Tensor]:
        return {
            key[len(prefix) :]: value for key, value in weights.items() if key.startswith(prefix)
        }

    def conv_norm(values: dict[str, Tensor], x: Tensor) -> Tensor:
        y = F.conv2d(x, values["conv.weight"], padding=values["conv.weight"].shape[-1] // 2)
        return F.relu6(
            F.batch_norm(y, None, None, values["norm.weight"], values["norm.bias"], training=True)
        )

    x = conv_norm(below("stem.blocks.0."), x)
    for index, place in enumerate(places(network.input_shape[1], 2)):
        number = path[index]
        x = plain_block(below(f"places.{index}.mixed.cells.{number}."), number, x, place)
    x = conv_norm(below("head.before."), x)
    return F.linear(
        x.flatten(2).mean(2), weights["head.classifier.weight"], weights["head.classifier.bias"]
    )


@pytest.mark.parametrize("side", [8, 16, 19])
def test_scores_and_gradients_are_those_of_the_network_written_out(side: int) -> None:
    network, path = macro(side=side).double().train(), [0, 1, 2, 0, 1, 2, 1, 2]
    x, weights = images(side), list(network.parameters())
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.fill_(4.0)  # so that values beyond 6 occur
    results = []
    for scores in (network(x, Draw(path)).main, plain(network, x, path)):
        gradients = torch.autograd.grad(scores.square().sum(), weights, allow_unused=True)
        results.append([scores, *(g for g in gradients if g is not None)])
    torch.testing.assert_close(results[0], results[1], rtol=1e-8, atol=1e-9)
    assert len(results[0]) > 40


def test_gates_give_the_straight_through_gradient() -> None:
    """dL/d gate of row i is <dL/d out_i, y_j> of every candidate j, against the sum of all outputs
    times the gates, written out.
    """
    network, path = macro().double().train(), [0, 1, 2, 0, 1, 2, 0, 1]
    x = images()
    with still(network):
        gates = torch.eye(3, dtype=torch.float64)[path].requires_grad_(True)
        scores = network(x, Draw(path, gates, others=True)).main
        torch.testing.assert_close(scores, network(x, Draw(path)).main, rtol=1e-12, atol=1e-12)
        (ours,) = torch.autograd.grad(scores.square().sum(), gates)
        y = network.begin(x)[-1].value
        for row, gate in zip(network.places, gates, strict=True):
            entered = row.entry(y)
            y = sum(g * row.mixed.candidate(entered, j, Draw()) for j, g in enumerate(gate))
        (dense,) = torch.autograd.grad(network.head(y).square().sum(), gates)
        (drawn,) = torch.autograd.grad(network(x, Draw(path, gates)).main.square().sum(), gates)
    torch.testing.assert_close(ours, dense, rtol=1e-8, atol=1e-9)
    torch.testing.assert_close(drawn, dense * torch.eye(3)[path], rtol=1e-8, atol=1e-9)


def test_paths_with_a_common_beginning_give_the_same_scores() -> None:
    network, x = macro().double().train(), images()
    paths = [[0] * 8, [0, 0, 0, 1, 2, 0, 1, 2], [0, 0, 0, 1, 2, 0, 1, 1], [2] * 8, [0] * 8]
    with still(network):
        for path, scores in zip(paths, network.forward_paths(x, paths), strict=True):
            torch.testing.assert_close(scores, network(x, Draw(path)).main, rtol=1e-12, atol=1e-12)


def test_an_identity_is_the_identity_but_where_the_shape_changes() -> None:
    network = macro(architecture("0" * 8))
    for row, place in zip(network.places, places(16, 2), strict=True):
        mixed: Mixed = row.mixed
        x = torch.randn(2, place.channels_in, place.side, place.side)
        if place.stride == 1:
            assert mixed.candidate(x, 0, Draw()) is x
            assert size(mixed) == 0
        else:
            assert mixed.candidate(x, 0, Draw()).shape == (
                2,
                place.channels,
                -(-place.side // 2),
                -(-place.side // 2),
            )


@pytest.mark.parametrize("training", [True, False])
def test_one_architecture_is_its_path_through_the_hyper_network(training: bool) -> None:
    shuffled = HyperArchitecture(tuple((BLOCKS[2], BLOCKS[0], BLOCKS[1]) for _ in range(DEPTH)))
    hyper = macro(shuffled, seed=3).double().train(training)
    alone = macro(architecture("01201212"), seed=4).double().train(training)
    kept = alone.state_dict().keys() & hyper.state_dict().keys()
    # equal blocks have equal names, wherever they stand in their row
    assert kept == alone.state_dict().keys()
    alone.inherit(hyper.state_dict())
    path = [[2, 0, 1].index(int(digit)) for digit in "01201212"]
    x = images()
    assert torch.equal(alone(x).main, hyper(x, Draw(path)).main)


def test_what_is_inherited_and_what_stays() -> None:
    few = HyperArchitecture((BLOCKS[1:],) * DEPTH)
    earlier, later = macro(few, seed=1), macro(ALL, seed=2)
    drawn = {key: value.clone() for key, value in later.state_dict().items()}
    later.inherit(earlier.state_dict())
    for key, value in later.state_dict().items():
        assert torch.equal(value, earlier.state_dict().get(key, drawn[key])), key


def test_still_leaves_buffers_and_flags_alone() -> None:
    network = macro().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with still(network):
        network(torch.randn(4, 3, 16, 16), Draw([1] * 8, torch.eye(3)[[1] * 8], others=True))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(p.requires_grad for p in network.parameters())
    network(torch.randn(4, 3, 16, 16), Draw([1] * 8))
    moved = {
        name for name, value in network.state_dict().items() if not torch.equal(value, before[name])
    }
    assert moved == {
        name
        for name in before
        if ("running" in name or "tracked" in name)
        and ".cells.0" not in name
        and ".cells.2" not in name
    }


def test_memory_layout_does_not_matter() -> None:
    network, x, path = macro().double(), images(), [1, 0, 2, 1, 0, 0, 2, 2]
    expected = network(x, Draw(path)).main
    last = network.to(memory_format=torch.channels_last)
    found = last(x.contiguous(memory_format=torch.channels_last), Draw(path)).main
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("hyper", "base", "side", "word"),
    [
        (HyperArchitecture((BLOCKS,) * 7), 2, 16, "8 rows"),
        (HyperArchitecture((catalogue(1, 3)[:2],) * 8), 2, 16, "blocks of NAS-Bench-Macro"),
        (ALL, 0, 16, "base_channels"),
        (ALL, 2, 7, "side"),
    ],
)
def test_networks_that_cannot_be(hyper: HyperArchitecture, base: int, side: int, word: str) -> None:
    with pytest.raises(InvalidInput, match=word):
        macro(hyper, base, side=side)
