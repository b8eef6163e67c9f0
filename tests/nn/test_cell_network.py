"""Networks of cells: published counts, the plain form as the reference, what is left out, what
cannot be built.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
import torch
from _plain_cells import PlainCells, plain_name
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from fade_ray.nn import CellNetwork, CellNetworkConfig, Draw, DropPath, EdgeWeights, still
from spaces import nasbench201
from spaces.cell import CellSpace, Macro
from spaces.darts import DARTS_OPS, published
from spaces.errors import InvalidInput
from spaces.genotype import GENOTYPES

DARTS = CellSpace.create(2, 6, DARTS_OPS, keep=2)
SMALL = Macro(
    {"normal": CellSpace.create(2, 4, DARTS_OPS), "reduce": CellSpace.create(2, 4, DARTS_OPS)},
    "darts",
    3,
)
WIDE = Macro(
    {
        kind: CellSpace.create(
            2, 4, ("max_pool_5x5", "avg_pool_5x5", "sep_conv_7x7", "skip_connect")
        )
        for kind in ("normal", "reduce")
    },
    "darts",
    3,
)
SMALL201 = nasbench201.macro(3)
CELL201 = "|nor_conv_1x1~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|avg_pool_3x3~1|none~2|"
STEM201 = CellNetworkConfig(channels=4, stem="nasbench201")


def network(
    macro: Macro,
    config: CellNetworkConfig,
    *,
    side: int = 8,
    channels: int = 3,
    classes: int = 10,
    seed: int = 0,
):
    generator = torch.Generator().manual_seed(seed)
    return CellNetwork(
        macro, config, side=side, channels=channels, classes=classes, generator=generator
    )


def size(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def images(
    count: int = 4,
    side: int = 8,
    channels: int = 3,
    seed: int = 1,
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    return torch.randn(
        count, channels, side, side, dtype=dtype, generator=torch.Generator().manual_seed(seed)
    )


# published counts
# --------------------------------------------------------------------------------------------------

# weights, with auxiliary head, multiply-adds in millions; CIFAR-100; ImageNet: weights,
# multiply-adds by both conventions
PUBLISHED = {
    "DARTS_V1": (3_169_414, 3_645_840, 500.99, 3_221_344, 4_510_432, 505.86, 519.15),
    "DARTS_V2": (3_349_342, 3_825_768, 528.36, 3_401_272, 4_718_752, 529.91, 543.99),
    "PC_DARTS_cifar": (3_634_678, 4_111_104, 556.67, 3_686_608, 5_270_560, 571.14, 585.95),
    "all-skip": (1_580_950, 2_057_376, 248.51, 1_632_880, 2_800_480, 294.30, 301.03),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_genotypes_have_their_published_sizes(name: str) -> None:
    weights, with_head, adds, weights100, imagenet, imagenet_adds, imagenet_adds_all = PUBLISHED[
        name
    ]
    macro, cifar = GENOTYPES[name].at_depth(20), CellNetworkConfig(channels=36)
    plain = network(macro, cifar, side=32)
    assert size(plain) == weights
    assert round(plain.multiply_adds() / 1e6, 2) == adds
    assert size(network(macro, replace(cifar, auxiliary=True), side=32)) == with_head
    assert size(network(macro, cifar, side=32, classes=100)) == weights100
    mobile = CellNetworkConfig(channels=48, stem="imagenet")
    large = network(macro.at_depth(14), mobile, side=224, classes=1000)
    assert size(large) == imagenet
    assert round(large.multiply_adds() / 1e6, 2) == imagenet_adds
    assert round(large.multiply_adds((), "conv+fc+2bn+relu") / 1e6, 2) == imagenet_adds_all


# genotype -> initial channels in 20 cells, million weights, million multiply-adds (0: not printed)
ELSEWHERE = {
    "PDARTS": (36, 3.43, 532),  # P-DARTS (3.4 M); multiply-adds as its followers count them
    "SNAS": (36, 2.66, 422),
    "GDAS_V1": (36, 3.37, 519),  # GDAS says 3.4 M, its followers 3.36 M
    "PC_DARTS_image": (36, 3.72, 0),  # ours: PC-DARTS prints it for ImageNet alone
    "NASNET_A": (32, 3.06, 0),  # 3.1 M in the table of DARTS, at a width that it does not tell
    "AMOEBANET_A": (36, 3.15, 0),  # 3.1 M there
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_other_published_genotypes_have_about_their_published_sizes(name: str) -> None:
    channels, weights, adds = ELSEWHERE[name]
    model = network(GENOTYPES[name].at_depth(20), CellNetworkConfig(channels=channels), side=32)
    assert round(size(model) / 1e6, 2) == weights
    assert adds in (0, round(model.multiply_adds() / 1e6))


def test_two_operations_between_the_same_nodes_are_added() -> None:
    space = CellSpace.create(2, 3, DARTS_OPS, edges=[(0, 2)] * 2, keep=2)
    parts = []
    for times in (1, 2):
        cell = space.genotype([(0, 2, "avg_pool_3x3")] * times)
        macro = Macro({"reduce": cell, "normal": cell}, "darts", 3)
        model = network(macro, CellNetworkConfig(channels=4)).double().eval()
        parts.append(model(images()).main - model.head.classifier.bias)
    # the last cell sees the first one alone
    torch.testing.assert_close(parts[1], 2 * 2 * parts[0])


def test_auxiliary_heads_have_their_published_sizes() -> None:
    macro = GENOTYPES["all-skip"]
    cifar = CellNetworkConfig(channels=36, auxiliary=True)
    assert size(network(macro.at_depth(20), cifar, side=32).auxiliary) == 476_426
    mobile = CellNetworkConfig(channels=48, stem="imagenet", auxiliary=True, auxiliary_norm=False)
    heads = [
        network(
            macro.at_depth(14), replace(mobile, auxiliary_norm=norm), side=224, classes=1000
        ).auxiliary
        for norm in (False, True)
    ]
    assert [size(head) for head in heads] == [1_260_776, 1_260_776 + 2 * 768]


@pytest.mark.parametrize(
    ("macro", "channels", "weights"),
    [
        (Macro({"normal": DARTS, "reduce": DARTS}, "darts", 8), 16, 1_930_618),
        (Macro({"normal": DARTS, "reduce": DARTS}, "darts", 14), 16, 3_239_674),
        (Macro({"normal": DARTS, "reduce": DARTS}, "darts", 20), 36, 19_932_310),
        (published("amended-s2").macro, published("amended-s2").channels, 7_304_086),
        (published("amended-s2-fixed").macro, published("amended-s2-fixed").channels, 4_769_110),
        (published("amended-s3").macro, published("amended-s3").channels, 665_466),
    ],
)
def test_search_networks_have_their_published_sizes(
    macro: Macro, channels: int, weights: int
) -> None:
    assert (
        size(network(macro, CellNetworkConfig(channels=channels).for_search(SMALL.stack), side=32))
        == weights
    )


def test_first_stage_of_stacnas_has_its_published_size() -> None:
    ops = ("max_pool_3x3", "skip_connect", "sep_conv_3x3", "dil_conv_3x3", "none")
    cell = CellSpace.create(2, 6, ops, keep=2)
    macro = Macro({"normal": cell, "reduce": cell}, "darts", 14)
    assert (
        size(network(macro, CellNetworkConfig(channels=16).for_search(SMALL.stack), side=32))
        == 1_550_266
    )


def test_nasbench201_has_its_published_sizes() -> None:
    config = CellNetworkConfig(channels=16, stem="nasbench201")
    search = network(nasbench201.macro(15), config.for_search(SMALL201.stack), side=32)
    assert size(search) == 1_692_826
    assert len(search.places) == 17
    space = nasbench201.space()
    convolutions = space.genotype([(*edge, "nor_conv_3x3") for edge in space.edges])
    found = network(nasbench201.macro(15, convolutions), config, side=32)
    assert size(found) == 1_531_546
    assert found.multiply_adds() == 220_119_680


@pytest.mark.parametrize(
    ("macro", "config", "side"),
    [
        (GENOTYPES["PC_DARTS_cifar"].at_depth(4), CellNetworkConfig(channels=4), 9),
        (GENOTYPES["DARTS_V1"].at_depth(3), CellNetworkConfig(channels=4, stem="imagenet"), 40),
        (nasbench201.macro(3, nasbench201.decode(CELL201)), STEM201, 10),
    ],
)
def test_multiply_adds_count_what_runs(macro: Macro, config: CellNetworkConfig, side: int) -> None:
    model = network(macro, config, side=side).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(images(1, side, dtype=torch.float32))
    assert counter.get_total_flops() == 2 * model.multiply_adds()


# the plain form
# --------------------------------------------------------------------------------------------------


def logits_of(macro: Macro, dtype: torch.dtype = torch.float64) -> dict[str, tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(2)
    return {
        kind: tuple(  # of operations, of edges
            torch.randn(shape, generator=generator).to(dtype).requires_grad_()
            for shape in ((len(cell.edges), len(cell.ops)), (len(cell.edges),))
        )
        for kind, cell in macro.cells.items()
    }


def mixed(logits: Mapping[str, tuple[Tensor, Tensor]], edges: bool) -> dict[str, EdgeWeights]:
    return {
        k: EdgeWeights(op.softmax(1), edge.sigmoid() if edges else None)
        for k, (op, edge) in logits.items()
    }


def gradients(
    model: CellNetwork | PlainCells, names: Sequence[str], x: Tensor, edges: bool
) -> tuple[Tensor, list[Tensor]]:
    """Loss; its gradients in the logits and in the weights `names`."""
    logits = logits_of(model.macro, x.dtype)
    weights = mixed(logits, edges)
    plain = isinstance(model, PlainCells)
    scores = model(x, weights) if plain else model(x, Draw(edges=weights)).main
    loss = F.cross_entropy(scores, torch.arange(len(x)) % 10)
    parameters = dict(model.named_parameters())
    wanted = [pair[i] for pair in logits.values() for i in range(1 + edges)] + [
        parameters[name] for name in names
    ]
    return loss, list(torch.autograd.grad(loss, wanted))


def both(
    macro: Macro, config: CellNetworkConfig, side: int, edges: bool
) -> tuple[CellNetwork, PlainCells, list[str], list[str]]:
    model = network(macro, config, side=side).double()
    names = [name for name, _ in model.named_parameters()]
    return model, PlainCells(model), names, [plain_name(name, model) for name in names]


@pytest.mark.parametrize("edges", [False, True])
@pytest.mark.parametrize(
    ("macro", "config", "side"),
    [
        (SMALL, CellNetworkConfig(channels=4).for_search(SMALL.stack), 8),
        (SMALL, CellNetworkConfig(channels=8, partial=4).for_search(SMALL.stack), 8),
        (SMALL, replace(CellNetworkConfig(channels=4).for_search(SMALL.stack), affine=True), 8),
        (WIDE, CellNetworkConfig(channels=4).for_search(SMALL.stack), 12),
        (SMALL201, STEM201.for_search(SMALL201.stack), 8),
    ],
)
def test_loss_and_gradients_are_those_of_the_plain_form(
    macro: Macro, config: CellNetworkConfig, side: int, edges: bool
) -> None:
    model, plain, names, plain_names = both(macro, config, side, edges)
    x = images(4, side)
    loss, ours = gradients(model, names, x, edges)
    expected, theirs = gradients(plain, plain_names, x, edges)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
    # a bias before a BatchNorm has gradient 0 but for rounding
    largest = max(float(g.abs().max()) for g in theirs)
    torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-12 * largest)


def test_float32_is_as_close_to_the_plain_form_as_its_layouts_are_to_each_other() -> None:
    config, side = CellNetworkConfig(channels=8).for_search(SMALL.stack), 16
    model, plain, names, plain_names = both(SMALL, config, side, False)
    x = images(8, side, dtype=torch.float32)
    _, ours = gradients(model.float(), names, x, False)
    _, nchw = gradients(plain.float(), plain_names, x, False)
    last = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    _, nhwc = gradients(last, plain_names, x.contiguous(memory_format=torch.channels_last), False)

    def distance(a: list[Tensor], b: list[Tensor]) -> float:
        return sum(float((p - q).double().square().sum()) for p, q in zip(a, b, strict=True)) ** 0.5

    assert 0 < distance(ours, nchw) <= 2 * distance(nhwc, nchw)


def test_logits_alone_cost_no_weight_gradients_and_get_the_same() -> None:
    model, _, _, _ = both(SMALL, CellNetworkConfig(channels=4).for_search(SMALL.stack), 8, True)
    _, expected = gradients(model, [], images(), True)
    with still(model):
        _, found = gradients(model, [], images(), True)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-15)


# what is left out
# --------------------------------------------------------------------------------------------------


def test_operations_that_are_not_used_do_not_run() -> None:
    model = network(SMALL, CellNetworkConfig(channels=4).for_search(SMALL.stack)).double()
    x, generator = images(), torch.Generator().manual_seed(3)
    one_hot, used = {}, {}
    for kind, cell in SMALL.cells.items():
        picks = torch.randint(0, len(cell.ops), (len(cell.edges),), generator=generator)
        one_hot[kind] = F.one_hot(picks, len(cell.ops)).double()
        used[kind] = tuple((int(k),) for k in picks)
    dense = model(x, Draw(edges={k: EdgeWeights(w) for k, w in one_hot.items()})).main
    for index, place in enumerate(SMALL.layout):
        cell = SMALL.cells[place.kind]
        for (source, target), (k,) in zip(cell.edges, used[place.kind], strict=True):
            operations = model.places[index].edges[f"{source}-{target}"]
            for name in set(operations) - {cell.ops[k]}:
                for parameter in operations[name].parameters():
                    nn.init.constant_(parameter, float("nan"))
    weights = {k: EdgeWeights(w.requires_grad_(), used=used[k]) for k, w in one_hot.items()}
    sampled = model(x, Draw(edges=weights)).main
    torch.testing.assert_close(sampled, dense, rtol=1e-12, atol=1e-14)
    for (kind, w), g in zip(
        one_hot.items(), torch.autograd.grad(sampled.sum(), list(one_hot.values())), strict=True
    ):
        assert (g[w == 0] == 0).all(), kind


def test_a_genotype_is_the_search_network_at_its_one_hot() -> None:
    space = SMALL.cells["normal"]
    cell = space.genotype(
        [
            (0, 2, "sep_conv_3x3"),
            (1, 2, "max_pool_3x3"),
            (0, 3, "skip_connect"),
            (2, 3, "dil_conv_5x5"),
        ]
    )
    genotype = SMALL.with_cells({"normal": cell, "reduce": cell})
    config = CellNetworkConfig(channels=4).for_search(SMALL.stack)
    search, found = network(SMALL, config).double(), network(genotype, config).double()
    found.load_state_dict({k: v for k, v in search.state_dict().items() if k in found.state_dict()})
    weights = {kind: EdgeWeights(torch.tensor(cell.mask).double()) for kind in SMALL.cells}
    torch.testing.assert_close(
        found(images()).main, search(images(), Draw(edges=weights)).main, rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize("config", [STEM201, STEM201.for_search(SMALL201.stack)])
def test_a_cell_of_nothing_gives_zeros(config: CellNetworkConfig) -> None:
    space = nasbench201.space()
    model = network(
        nasbench201.macro(3, space.genotype([(*edge, "none") for edge in space.edges])), config
    )
    scores = model(images(dtype=torch.float32)).main
    assert torch.isfinite(scores).all()
    assert scores.std(0).max() < 1e-6  # no image reaches the classifier


def test_estimating_leaves_running_statistics_alone() -> None:
    model = network(GENOTYPES["DARTS_V2"].at_depth(3), CellNetworkConfig(channels=4))
    before = {name: value.clone() for name, value in model.named_buffers()}
    with still(model):
        model(images(dtype=torch.float32))
    assert all(torch.equal(value, before[name]) for name, value in model.named_buffers())
    model(images(dtype=torch.float32))
    assert not any(
        torch.equal(v, before[n]) for n, v in model.named_buffers() if n.endswith("running_mean")
    )
    search = network(SMALL, CellNetworkConfig(channels=4).for_search(SMALL.stack))
    assert not list(search.buffers())


# images, heads, drop path
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stem", ["cifar", "imagenet", "imagenet-search"])
@pytest.mark.parametrize(
    ("side", "channels", "width", "partial"),
    [(8, 1, 8, 1), (7, 3, 8, 2), (33, 1, 8, 4), (1, 3, 8, 1), (9, 1, 3, 1)],
)
def test_any_image_side_will_do(
    stem: str, side: int, channels: int, width: int, partial: int
) -> None:
    config = CellNetworkConfig(channels=width, stem=stem, partial=partial).for_search(SMALL.stack)
    model = network(SMALL, config, side=side, channels=channels)
    weights = mixed(logits_of(SMALL, torch.float32), True)
    drop = DropPath(0.3, torch.Generator().manual_seed(0))
    draw = Draw(edges=weights, drop_path=drop)
    scores, auxiliary = model(images(3, side, channels, dtype=torch.float32), draw)[:2]
    scores.sum().backward()
    assert scores.shape == (3, 10)
    assert auxiliary is None
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


def test_batch_layout_does_not_matter() -> None:
    model, _, _, _ = both(SMALL, CellNetworkConfig(channels=4).for_search(SMALL.stack), 8, False)
    draw = Draw(edges=mixed(logits_of(SMALL), False))
    last = model(images().contiguous(memory_format=torch.channels_last), draw).main
    torch.testing.assert_close(model(images(), draw).main, last, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("stem", "smallest"), [("cifar", 8), ("imagenet", 7)])
def test_the_auxiliary_head_speaks_in_training_and_needs_room(stem: str, smallest: int) -> None:
    factor = 32 if stem == "imagenet" else 4  # from the image to the head
    config = CellNetworkConfig(channels=4, stem=stem, auxiliary=True)
    for side in (factor * smallest, factor * (smallest + 3)):
        model = network(GENOTYPES["DARTS_V1"].at_depth(3), config, side=side)
        x = images(2, side, dtype=torch.float32)
        scores, auxiliary = model(x)[:2]
        assert scores.shape == auxiliary.shape == (2, 10)
        assert model.eval()(x)[1] is None
    with pytest.raises(InvalidInput, match=f"a side of {smallest} or more"):
        network(GENOTYPES["DARTS_V1"].at_depth(3), config, side=factor * (smallest - 1))


def test_drop_path_spares_identities_rests_in_evaluation_and_repeats_with_its_generator() -> None:
    space = nasbench201.space()

    def scores(op: str, seed: int | None, training: bool = True) -> Tensor:
        model = network(
            nasbench201.macro(3, space.genotype([(*edge, op) for edge in space.edges])), STEM201
        )
        drop = None if seed is None else DropPath(0.5, torch.Generator().manual_seed(seed))
        draw = Draw(drop_path=drop)
        return model.train(training)(images(dtype=torch.float32), draw).main

    assert torch.equal(scores("skip_connect", 0), scores("skip_connect", None))
    assert torch.equal(scores("nor_conv_1x1", 0), scores("nor_conv_1x1", 0))
    assert not torch.equal(scores("nor_conv_1x1", 0), scores("nor_conv_1x1", 1))
    assert not torch.equal(scores("nor_conv_1x1", 0), scores("nor_conv_1x1", None))
    assert torch.equal(
        scores("nor_conv_1x1", 0, training=False), scores("nor_conv_1x1", None, training=False)
    )


# what cannot be
# --------------------------------------------------------------------------------------------------


def test_mistakes_are_named() -> None:
    config = CellNetworkConfig(channels=4)
    odd = CellSpace.create(2, 4, ("sep_conv_3x4", "none"))
    with pytest.raises(InvalidInput, match=r"sep_conv_3x4.*Did you mean 'sep_conv_3x3'"):
        network(Macro({"normal": odd, "reduce": odd}, "darts", 3), config)
    with pytest.raises(InvalidInput, match="nasbench201"):
        network(SMALL201, config)
    with pytest.raises(InvalidInput, match="nasbench201"):
        network(SMALL, STEM201)
    with pytest.raises(InvalidInput, match="auxiliary"):
        network(SMALL201, replace(STEM201, auxiliary=True))
    with pytest.raises(InvalidInput, match="inputs == 2"):
        network(
            Macro({"normal": nasbench201.space(), "reduce": nasbench201.space()}, "darts", 3),
            config,
        )
    with pytest.raises(InvalidInput, match="side"):
        network(SMALL, config, side=0)
    with pytest.raises(InvalidInput, match="partial"):
        CellNetworkConfig(channels=6, partial=4)
    with pytest.raises(InvalidInput, match="channels"):
        CellNetworkConfig(channels=1)
    with pytest.raises(InvalidInput, match="stem"):
        CellNetworkConfig(stem="cifar100")  # type: ignore[arg-type]
    model = network(SMALL, config)
    with pytest.raises(InvalidInput, match="weights"):
        model(images(dtype=torch.float32))
    with pytest.raises(InvalidInput, match="images"):
        model(images(side=9, dtype=torch.float32))
    with pytest.raises(InvalidInput, match="convention"):
        model.multiply_adds((), "flops")
