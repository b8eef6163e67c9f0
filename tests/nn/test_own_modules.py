"""A space of modules of one's own: what is refused of it, what is counted, how it trains."""

from copy import deepcopy
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

import fade_ray
from fade_ray.data import Batches, load
from fade_ray.nn import ModuleNetwork, NetworkConfig, still
from fade_ray.nn.choices import Choices
from fade_ray.nn.costs import Map
from fade_ray.nn.counting import counted
from fade_ray.nn.norms import by_batch
from fade_ray.training import (
    ArchitectureConfig,
    RowArchitecture,
    TrainConfig,
    Training,
    evaluate,
    place,
)
from fade_ray.training.estimators import ESTIMATORS
from searchers import AnchorWalk, TrialLengths
from spaces import HyperArchitecture
from spaces.candidates import Candidate
from spaces.errors import InvalidInput
from spaces.module_cell import ModuleCell

CONFIG, IMAGE = NetworkConfig(final_channels=8), Map(1, 8)


class Conv(nn.Module):
    """With a BatchNorm and a dropout that are torch's own."""

    def __init__(self, c_in: int, c_out: int, stride: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2)
        self.norm, self.dropout = nn.BatchNorm2d(c_out), nn.Dropout(0.2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dropout(self.norm(self.conv(x)).relu())


def small(c_in: int, c_out: int, stride: int) -> nn.Module:
    return nn.Conv2d(c_in, c_out, 1, stride)


def pool(c_in: int, c_out: int, stride: int) -> nn.Module:
    return nn.Sequential(nn.AvgPool2d(stride, ceil_mode=True), nn.Conv2d(c_in, c_out, 1))


LARGE = partial(Conv, kernel=5)
SPACE = fade_ray.choices(rows=[[Conv, small], [Conv, LARGE, pool]], stem=partial(small, stride=1))


def rows(*names: str) -> tuple[tuple[ModuleCell, ...], ...]:
    return tuple(tuple(map(ModuleCell, row.split())) for row in names)


ALL = HyperArchitecture(rows("Conv small Conv", "Conv Conv-kernel5 pool"))


def network(hyper: HyperArchitecture = ALL, seed: int = 0, space: Choices = SPACE) -> ModuleNetwork:
    generator = torch.Generator().manual_seed(seed)
    return ModuleNetwork(hyper, space, CONFIG, side=8, channels=1, classes=10, generator=generator)


def same(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().items(), second.state_dict().items(), strict=True)
    return all(name == other and torch.equal(a, b) for (name, a), (other, b) in pairs)


def test_candidates_go_by_their_names_and_arguments() -> None:
    assert [*map(list, SPACE.rows)] == [["Conv", "small"], ["Conv", "Conv-kernel5", "pool"]]
    assert SPACE.file == __file__
    nested = fade_ray.choices(rows=[{"wide": LARGE, "odd": lambda *sizes: small(*sizes)}])
    assert list(nested.rows[0]) == ["wide", "odd"]
    cell = ModuleCell("Conv-kernel5", ("Conv", "Conv-kernel5"))
    assert Candidate.from_code(cell.code) == cell == ModuleCell("Conv-kernel5")
    assert cell.edits() == {"swap": (ModuleCell("Conv"),)}


def test_features_are_those_at_the_place_and_the_search_walks_their_order() -> None:
    space, layouts = SPACE.space(CONFIG, IMAGE, 6), SPACE.layouts(CONFIG, IMAGE)
    assert [(row.channels_in, row.channels, row.stride) for row in layouts] == [
        (4, 4, 2),
        (4, 8, 2),
    ]
    measured = SPACE.measured(1, "Conv-kernel5", layouts[1])
    # 5x5 to 2x2 pixels
    assert (measured.parameters, measured.multiply_adds) == (4 * 8 * 25 + 8 + 16, 4 * 8 * 25 * 4)
    assert measured.depth == 1
    second = space.at(1)
    assert second.feature_map.names == ("parameters", "multiply_adds", "depth")
    order = sorted(second.cells, key=lambda cell: second.embed(cell)[0])
    assert [cell.code for cell in order] == ["own.pool", "own.Conv", "own.Conv-kernel5"]
    assert [second.embed(cell)[0] for cell in order] == [0, 0.5, 1]
    rng = np.random.default_rng(0)
    drawn = {second.sample(second.uniform_point(rng), rng) for _ in range(60)}
    assert drawn == set(second.cells)


def test_a_hyper_architecture_leaves_something_to_choose_in_each_row() -> None:
    """Most boxes of so few candidates are empty: the stencil is widened until its sides differ."""
    space = SPACE.space(CONFIG, IMAGE, 6)
    for seed in range(20):
        asked = AnchorWalk(walks=1).build(space, 2, TrialLengths(), seed).ask()
        assert asked is not None
        assert min(map(len, asked.hyper.distinct())) > 1


def test_features_of_ones_own_take_their_place() -> None:
    kernels = {"Conv": 3, "small": 1, "Conv-kernel5": 5, "pool": 1}
    space = fade_ray.choices(
        rows=[[Conv, small], [Conv, LARGE, pool]], features={"kernel": kernels}
    )
    row = space.space(CONFIG, Map(1, 8), 6).at(1)
    assert [float(row.embed(ModuleCell(n))[0]) for n in ("pool", "Conv", "Conv-kernel5")] == [
        *(0, 0.5, 1)
    ]


def test_what_is_counted_is_what_runs() -> None:
    """Of two ways the longer one; of attention its products, too."""
    x = torch.rand(2, 4, 8, 8)
    depthwise = nn.Conv2d(8, 8, 3, 2, 1, groups=8)
    chain = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(inplace=True), depthwise)
    _, counting = counted(chain, x)
    assert counting.multiply_adds == 2 * (64 * 4 * 8 * 9 + 16 * 8 * 9)
    assert counting.deepest == 2
    attention = nn.MultiheadAttention(4, 2, batch_first=True)
    layer = nn.Module()
    layer.forward = lambda x: attention(*[x.flatten(2).mT] * 3, need_weights=False)[0]  # type: ignore[method-assign]
    _, counting = counted(layer, x)
    assert counting.multiply_adds == 2 * (64 * 4 * 12 + 2 * 64 * 64 * 4 + 64 * 16)
    assert counting.deepest == 4


def test_a_network_counts_its_path_and_is_built_again_the_same() -> None:
    before, torch_state = network(), torch.get_rng_state()
    assert same(before, network())
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert not same(before, network(seed=1))
    layouts, stem, head = SPACE.layouts(CONFIG, IMAGE), 64 * 4, 80
    for path in ((0, 0), (1, 2)):
        names = [[*row][k] for row, k in zip((["Conv", "small"], SPACE.rows[1]), path, strict=True)]
        places = enumerate(zip(names, layouts, strict=True))
        own = sum(SPACE.measured(i, name, at).multiply_adds for i, (name, at) in places)
        assert before.multiply_adds(path) == stem + own + head
    alone = network(HyperArchitecture(rows("Conv", "pool")))
    alone.inherit(before.state_dict())
    for name, tensor in alone.state_dict().items():
        assert torch.equal(tensor, before.state_dict()[name])


def training(estimator: str, epochs: int = 2) -> Training:
    splits = load("digits", limit=90)
    parts = [
        Batches(
            getattr(splits, part),
            batch_size=20,
            device=torch.device("cpu"),
            mean=splits.mean,
            std=splits.std,
            augment=splits.augment,
            channels_last=True,
        )
        for part in ("architecture", "weights")
    ]
    made = network()
    config = ArchitectureConfig(estimator=estimator, paths=2)
    architecture = RowArchitecture(made, parts[0], config, torch.Generator().manual_seed(1))
    train = TrainConfig(batch_size=20)
    return Training(made, parts[1], train, epochs, place("cpu"), 0, architecture)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_restored_training_is_the_same_training(estimator: str) -> None:
    """Dropout draws from torch's own generator, whose state outside is left alone."""
    whole, state = training(estimator), torch.get_rng_state()
    first = whole.run_epoch()
    assert torch.equal(torch.get_rng_state(), state)
    half = training(estimator)
    half.load_state_dict(deepcopy(whole.state_dict()))
    torch.manual_seed(7)
    assert whole.run_epoch()["loss"] == half.run_epoch()["loss"] != first["loss"]
    assert same(whole.network, half.network)
    logits = [each.architecture.logits for each in (whole, half)]  # type: ignore[union-attr]
    assert torch.equal(*logits)
    assert logits[0].abs().max() > 0


def test_an_estimate_leaves_buffers_that_are_not_ours_alone() -> None:
    trained = training("score-function")
    before = {name: b.clone() for name, b in trained.network.named_buffers()}
    trained.network.train()
    with still(trained.network):
        trained.network(torch.rand(20, 1, 8, 8))
    for name, buffer in trained.network.named_buffers():
        assert torch.equal(buffer, before[name])
    trained.network(torch.rand(20, 1, 8, 8))
    name = "places.0.mixed.cells.own-Conv.norm.running_mean"
    assert not torch.equal(trained.network.state_dict()[name], before[name])


def test_batch_statistics_leave_dropout_off() -> None:
    trained = training("score-function")
    batches, objective = trained.batches, trained.config.objective
    told = [
        evaluate(trained.network, batches, objective, place("cpu"), batch_statistics=True)
        for _ in range(2)
    ]
    assert told[0] == told[1]
    assert told[0] != evaluate(trained.network, batches, objective, place("cpu"))
    by_batch(trained.network)
    modes = {type(module): module.training for module in trained.network.modules()}
    assert (modes[nn.BatchNorm2d], modes[nn.Dropout]) == (True, False)


class Narrow(Conv):
    """One channel short."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__(c_in, c_out - 1, stride)


class Counted(Conv):
    """Another name of its weights each time."""

    made = 0

    def __init__(self, *sizes: int) -> None:
        super().__init__(*sizes)
        Counted.made += 1
        self.add_module(f"layer{Counted.made}", nn.Linear(1, 1))


def broken(c_in: int, c_out: int, stride: int) -> nn.Module:
    raise ZeroDivisionError("by nothing")


def flat(c_in: int, c_out: int, stride: int) -> nn.Module:
    return nn.Flatten()


def no_module(c_in: int, c_out: int, stride: int) -> str:
    return "a module"


def bare(c_in: int, c_out: int, stride: int) -> nn.Module:
    return nn.AvgPool2d(stride)


PLACED = {
    "shape": (Narrow, r"'Narrow' of row 2 must map \[2, 8, 4, 4\] to \[2, 8, 2, 2\].*gives \[2, 7"),
    "rank": (flat, r"'flat' of row 2 must map .* gives \[2, 128\]"),
    "raises": (broken, r"'broken' of row 2 must be made by .*by nothing"),
    "arguments": (lambda: None, r"'x' of row 2 must be made by .*positional argument"),
    "channels": (lambda i, o, s: nn.Conv2d(i + 1, o, 1), r"'x' of row 2 must take maps .*expected"),
    "no module": (no_module, "'no_module' of row 2 must be made by .* as a torch.nn.Module, but"),
    "names": (Counted, "'Counted' of row 2 has the same parameters each time.*layer1"),
}


@pytest.mark.parametrize("fault", PLACED)
def test_one_pass_before_the_start_names_row_and_candidate(fault: str) -> None:
    factory, said = PLACED[fault]
    name = {"arguments": "x", "channels": "x"}.get(fault, getattr(factory, "__name__", ""))
    space = fade_ray.choices(rows=[[Conv, small], {"Conv": Conv, name: factory}], channels=(8, 8))
    with pytest.raises(InvalidInput, match=said):
        space.check(CONFIG, IMAGE, 10)


def test_stem_head_and_a_space_without_weights_are_checked() -> None:
    two = [[Conv, small]] * 2
    with pytest.raises(InvalidInput, match=r"The stem must map .*\[2, 4, 8, 8\].*\[2, 1, 8, 8\]"):
        fade_ray.choices(rows=two, stem=lambda i, o: nn.Identity()).check(CONFIG, IMAGE, 10)
    with pytest.raises(InvalidInput, match=r"The head must map .* to \[2, 10\]"):
        fade_ray.choices(rows=two, head=lambda i, n: nn.Identity()).check(CONFIG, IMAGE, 10)
    space = fade_ray.choices(rows=[{"a": bare, "b": bare}], channels=(1,))
    with pytest.raises(InvalidInput, match="a candidate has a parameter"):
        space.check(CONFIG, IMAGE, 10)
    with pytest.raises(InvalidInput, match="tells candidates of a row apart"):
        fade_ray.choices(rows=[{"a": Conv, "b": Conv}]).space(CONFIG, IMAGE, 6)
    with pytest.raises(InvalidInput, match=r"'Conv-kernel5' of row 1 must be one of Conv, small"):
        network(HyperArchitecture(rows("Conv-kernel5", "Conv")))


REFUSED = {
    "nothing to choose": ({"rows": [[Conv], [small]]}, "there is something to choose"),
    "no rows": ({"rows": []}, "there is something to choose"),
    "an empty row": ({"rows": [[Conv, small], []]}, "a row has candidates.*row=2"),
    "a module": ({"rows": [{"a": Conv, "b": nn.Identity()}]}, "'b' of row 1 must be called"),
    "no factory": ({"rows": [{"a": Conv, "b": 3}]}, "'b' of row 1 must be called"),
    "a stem": ({"rows": [[Conv, small]], "stem": nn.Identity()}, "The stem must be called"),
    "a name twice": ({"rows": [[Conv, Conv]]}, "names in row 1 differ.*Conv"),
    "a lambda": ({"rows": [[Conv, lambda i, o, s: None]]}, "name=.*dictionary"),
    "channels": ({"rows": [[Conv, small]], "channels": (1, 2)}, "channels are one number >= 1"),
    "strides": ({"rows": [[Conv, small]], "strides": (0,)}, "strides are one number >= 1"),
    "a feature": (
        {"rows": [[Conv, small]], "features": {"size": {"Conv": 1.0, "small": float("nan")}}},
        "features are numbers by name.*size.*small",
    ),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_what_is_no_space_is_one_message(fault: str) -> None:
    given, said = REFUSED[fault]
    with pytest.raises(InvalidInput, match=said):
        fade_ray.choices(**given)  # type: ignore[arg-type]
