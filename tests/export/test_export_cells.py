"""Exported networks of cells: the same scores where fade_ray does not exist, only the weights in
use, text one can read.
"""

import ast
import importlib.util
import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from fade_ray.export import export_module, export_onnx
from fade_ray.nn.cell_network import CellNetwork, CellNetworkConfig
from fade_ray.nn.operations import OPERATIONS
from spaces import nasbench201
from spaces.cell import CellSpace, Macro
from spaces.darts import darts_cell, published
from spaces.errors import InvalidInput
from spaces.genotype import GENOTYPES

ROOT = Path(__file__).resolve().parents[2]
MEAN, STD = (0.5, 0.25, 0.4), (0.2, 0.3, 0.25)
CLASSES = ["cat", "a \"quoted\" 'one'", "naïve"]
IMAGES: dict[str, Any] = {"classes": CLASSES, "mean": MEAN, "std": STD}
OPS = [op for op in OPERATIONS if not op.startswith("nor_conv")]
# node 2 is of no use
ALIKE = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|avg_pool_3x3~0|skip_connect~1|none~2|"

RUNNER = """
import json, sys
class Absent:
    def find_spec(self, name, *rest):
        if name.split(".")[0] in ("fade_ray", "spaces", "searchers"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import importlib.util
from pathlib import Path
import torch
from safetensors.torch import load_file, save_file
torch.set_num_threads(1)
try:
    import fade_ray
    sys.exit("fade_ray can be imported")
except ImportError:
    pass
for path in sorted(Path(sys.argv[1]).glob("*.py")):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    images = load_file(path.with_suffix(".inputs"))["images"]
    model = module.load()
    assert not model.training
    with torch.no_grad():
        normalised = module.preprocess(images)
        single, double = model(normalised), model.double()(normalised.double())
    outputs = {"normalised": normalised, "single": single, "double": double}
    save_file(outputs, path.with_suffix(".outputs"))
"""


def trained(macro: Macro, *, side: int = 16, seed: int = 0, **config: Any) -> CellNetwork:
    """A network in which every parameter and statistic matters: nothing is at its initial zero or
    one.
    """
    generator = torch.Generator().manual_seed(seed)
    stem = {"stem": "nasbench201"} if macro.stacking == "nasbench201" else {}
    options = CellNetworkConfig(**({"channels": 4} | stem | config))
    network = CellNetwork(
        macro, options, side=side, channels=3, classes=len(CLASSES), generator=generator
    )
    for name, value in network.state_dict().items():
        if value.dim() == 1 and value.is_floating_point():
            noise = torch.rand(value.shape, generator=generator)
            value.copy_(
                noise + 0.5 if name.endswith(("running_var", "norm.weight")) else noise - 0.5
            )
    return network


def every_operation() -> Macro:
    """Each operation at stride 1 and at stride 2, where it has two forms."""
    space = CellSpace.create(2, 2 + len(OPS), OPS, keep=2)
    genes = [gene for i, op in enumerate(OPS) for gene in ((0, 2 + i, op), (1, 2 + i, OPS[i - 1]))]
    cell = space.genotype(genes)
    return Macro({"normal": cell, "reduce": cell}, "darts", 3)


def holey() -> Macro:
    """A node without edges, which is zero, an output of few nodes, an input that nothing reads."""
    space = CellSpace.create(2, 6, ("skip_connect", "sep_conv_3x3"), outputs=(4, 5), keep=2)
    cell = space.genotype(
        [
            (1, 2, "sep_conv_3x3"),
            (2, 4, "skip_connect"),
            (3, 4, "sep_conv_3x3"),
            (1, 5, "sep_conv_3x3"),
        ]
    )
    blind = space.genotype([(1, 4, "skip_connect"), (1, 5, "sep_conv_3x3")])
    return Macro({"normal": blind, "reduce": cell}, "darts", 4)


def unshared() -> Macro:
    macro = published("amended-s2").macro.at_depth(5)
    genes = [
        (source, node, "skip_connect" if node % 2 else "sep_conv_3x3")
        for node in range(2, 6)
        for source in (0, 1)
    ]
    return macro.with_cells({f"cell{i}": macro.cells[f"cell{i}"].genotype(genes) for i in range(5)})


def single(text: str) -> Macro:
    return nasbench201.macro(3, nasbench201.decode(text))


CASES: dict[str, Callable[[], CellNetwork]] = {
    "case_darts": lambda: trained(GENOTYPES["DARTS_V1"].at_depth(4)),
    "case_pc_darts_odd": lambda: trained(
        GENOTYPES["PC_DARTS_cifar"].at_depth(5), side=13, seed=1, channels=3
    ),
    "case_auxiliary": lambda: trained(GENOTYPES["DARTS_V2"].at_depth(3), side=32, auxiliary=True),
    "case_two_on_one_edge": lambda: trained(GENOTYPES["NASNET_A"].at_depth(3), seed=7),
    "case_every_operation": lambda: trained(every_operation(), side=15, seed=2),
    "case_pool_norm": lambda: trained(every_operation(), side=8, seed=3, pool_norm=True),
    "case_holes": lambda: trained(holey(), side=9, seed=4),
    "case_unshared": lambda: trained(unshared(), seed=5),
    "case_imagenet": lambda: trained(
        GENOTYPES["DARTS_V2"].at_depth(4), side=63, seed=6, stem="imagenet"
    ),
    "case_imagenet_search": lambda: trained(
        GENOTYPES["DARTS_V1"].at_depth(4), side=64, stem="imagenet-search"
    ),
    "case_nasbench201": lambda: trained(single(ALIKE), side=9, seed=7),
    "case_nothing": lambda: trained(
        single("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"), side=8, seed=8
    ),
}


def export(network: CellNetwork, folder: Path, name: str = "architecture", **facts: Any) -> Path:
    return export_module(network, folder, name, **IMAGES, facts=facts)


def load_module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def scores(network: CellNetwork, images: Tensor) -> Tensor:
    with torch.no_grad():
        found: Tensor = network.eval().to(images.dtype)(images).main
    network.float()
    return found


def assert_same(first: Tensor, second: Tensor, tolerance: float) -> None:
    assert (first - second).abs().max() <= tolerance * max(1.0, float(first.abs().max()))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, CellNetwork]]:
    """All cases exported, and run in one process that has no fade_ray."""
    folder, networks = (
        tmp_path_factory.mktemp("exported"),
        {name: build() for name, build in CASES.items()},
    )
    generator = torch.Generator().manual_seed(1)
    for name, network in networks.items():
        path = export(network, folder, name)
        images = torch.randint(
            0, 256, (3, *network.input_shape), dtype=torch.uint8, generator=generator
        )
        save_file({"images": images}, path.with_suffix(".inputs"))
    command = [sys.executable, "-I", "-c", RUNNER, str(folder)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return folder, networks


@pytest.mark.parametrize("name", CASES)
def test_same_scores_without_fade_ray(name: str, exported: Any) -> None:
    folder, networks = exported
    outputs = load_file(folder / f"{name}.outputs")
    images = outputs["normalised"]
    assert_same(scores(networks[name], images), outputs["single"], 1e-5)
    assert_same(scores(networks[name], images.double()), outputs["double"], 1e-12)
    assert name == "case_nothing" or outputs["double"].std(dim=0).min() > 1e-6, (
        "the images make a difference"
    )


@pytest.mark.parametrize("name", CASES)
def test_the_weights_in_use_and_no_others(name: str, exported: Any) -> None:
    folder, networks = exported
    network, module = networks[name], load_module(folder / f"{name}.py")
    weights, described = (
        load_file(folder / f"{name}.safetensors"),
        json.loads((folder / f"{name}.json").read_text()),
    )
    assert weights.keys() == module.Network().state_dict().keys()
    count = sum(p.numel() for p in module.Network().parameters())
    assert described["parameters"] == count
    of_network = sum(
        p.numel() for key, p in network.named_parameters() if not key.startswith("auxiliary")
    )
    assert (count < of_network) == (name in ("case_holes", "case_nasbench201")), (
        "only there is something of no use"
    )


def test_every_weight_matters(exported: Any) -> None:
    folder, networks = exported
    for name in ("case_darts", "case_nasbench201", "case_holes"):
        model = load_module(folder / f"{name}.py").load()
        model(
            torch.randn(2, *networks[name].input_shape, generator=torch.Generator().manual_seed(0))
        ).sum().backward()
        assert all(parameter.grad is not None for parameter in model.parameters()), name


def test_the_files_import_torch_alone_and_are_clean(exported: Any) -> None:
    folder, networks = exported
    files = [folder / f"{name}.py" for name in networks]
    for file in files:
        nodes = [
            node
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        names = {
            (n.module or "") if isinstance(n, ast.ImportFrom) else n.names[0].name for n in nodes
        }
        roots = {name.split(".")[0] for name in names}
        assert roots == {"__future__", "pathlib", "torch", "safetensors"}
    for command in (["check", "--no-cache"], ["format", "--no-cache", "--diff"]):
        ruff = [
            sys.executable,
            "-m",
            "ruff",
            *command,
            "--config",
            str(ROOT / "pyproject.toml"),
            *map(str, files),
        ]
        done = subprocess.run(ruff, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


@settings(max_examples=12, deadline=None)
@given(data=st.data(), seed=st.integers(0, 2**31), side=st.integers(8, 12))
def test_any_genotype(
    data: st.DataObject, seed: int, side: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    def draw() -> CellSpace:
        genes = []
        for node in range(2, 5):
            sources = data.draw(st.lists(st.sampled_from(range(node)), max_size=2, unique=True))
            genes += [(source, node, data.draw(st.sampled_from(OPS))) for source in sources]
        outputs = data.draw(st.lists(st.sampled_from(range(2, 5)), min_size=1, unique=True))
        return CellSpace.create(2, 5, OPS, outputs=tuple(sorted(outputs)), keep=2).genotype(genes)

    network = trained(Macro({"normal": draw(), "reduce": draw()}, "darts", 3), side=side, seed=seed)
    module = load_module(export(network, tmp_path_factory.mktemp("any")))
    images = torch.randn(
        2, 3, side, side, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    with torch.no_grad():
        assert_same(scores(network, images), module.load().double()(images), 1e-12)


def test_the_untrained_module_is_drawn_as_in_the_search(tmp_path: Path) -> None:
    macro, config = GENOTYPES["DARTS_V2"].at_depth(3), CellNetworkConfig(channels=16)
    generator = torch.Generator().manual_seed(0)
    network = CellNetwork(macro, config, side=8, classes=3, generator=generator)
    path = export(network, tmp_path)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        untrained = load_module(path).Network().state_dict()
    for key, ours in load_file(path.with_suffix(".safetensors")).items():
        if ours.dim() > 1:  # uniform: the largest of many is near the bound in both
            bound = ours[0].numel() ** -0.5
            assert max(ours.abs().max(), untrained[key].abs().max()) <= bound
            assert (
                ours.numel() < 100
                or min(ours.abs().max(), untrained[key].abs().max()) > 0.9 * bound
            )
        elif not key.startswith("classifier"):
            assert torch.equal(ours, untrained[key])


def test_what_the_description_says(tmp_path: Path) -> None:
    network = trained(GENOTYPES["DARTS_V1"].at_depth(4))
    path = export(network, tmp_path, test_accuracy=0.9876, epochs=12, missing=float("nan"))
    described = json.loads(path.with_suffix(".json").read_text())
    assert Macro.from_dict(described["cells"]) == network.macro
    assert described["code"].startswith("Genotype(normal=[('sep_conv_3x3', 0)")
    assert CellNetworkConfig(**described["network"]) == network.config
    assert [place["channels"] for place in described["layout"]] == [
        place.out.channels for place in network.places
    ]
    assert described["multiply_adds"] == network.multiply_adds()
    assert described["multiply_adds_2bn_relu"] == network.multiply_adds((), "conv+fc+2bn+relu")
    assert (described["test_accuracy"], described["missing"]) == (0.9876, None)
    module = load_module(path)
    assert module.__doc__ is not None
    assert "test_accuracy: 0.9876\nepochs: 12\n" in module.__doc__
    assert described["code"] in " ".join(module.__doc__.split("\n"))
    assert module.CLASSES == CLASSES


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "my-network"}, "my-network"),
        ({"classes": ["one"]}, "classes=1"),
        ({"std": [0.1, 0.0, 0.1]}, "std"),
        ({"facts": {"code": "x"}}, "code"),
    ],
)
def test_wrong_input(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "name": "architecture",
        **IMAGES,
        "facts": {},
    } | change
    with pytest.raises(InvalidInput, match=words):
        export_module(trained(GENOTYPES["all-skip"].at_depth(3)), tmp_path, **given)
    assert not list(tmp_path.iterdir())


def test_only_a_network_for_retraining_is_exported(tmp_path: Path) -> None:
    cell = darts_cell(("skip_connect", "sep_conv_3x3"))
    wide = trained(Macro({"normal": cell, "reduce": cell}, "darts", 3))
    search = trained(GENOTYPES["all-skip"].at_depth(3), affine=False, running_statistics=False)
    for network, words in ((wide, "discretise"), (search, "running_statistics=False")):
        with pytest.raises(InvalidInput, match=words):
            export(network, tmp_path)
        with pytest.raises(InvalidInput, match=words):
            export_onnx(network, tmp_path / "network.onnx", **IMAGES)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["case_auxiliary", "case_imagenet", "case_nasbench201"])
def test_onnx_gives_the_same_scores_for_any_batch(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import onnx
    import onnxruntime

    network = CASES[name]()
    network.train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    capfd.readouterr()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        path = export_onnx(network, tmp_path / "network.onnx", **IMAGES)
    assert (caught, capfd.readouterr()) == ([], ("", ""))
    assert network.training
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for batch in (1, 3):
        images = torch.randn(
            batch, *network.input_shape, generator=torch.Generator().manual_seed(batch)
        )
        (found,) = session.run(["scores"], {"images": images.numpy()})
        assert_same(scores(network, images), torch.from_numpy(found), 1e-5)
    stored = sum(int(np.prod(weights.dims)) for weights in onnx.load(path).graph.initializer)
    used = sum(
        value.numel()
        for value in load_file(export(network, tmp_path).with_suffix(".safetensors")).values()
    )
    assert stored <= used + 100, "no auxiliary head, nothing unused; shapes are stored as constants"
