"""Exported architectures: the same scores where fade_ray does not exist, exactly the weights in
use, text one can read.
"""

import ast
import copy
import importlib.util
import inspect
import itertools
import json
import random
import subprocess
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from older_python import newer_parts
from safetensors.torch import load_file, save_file
from torch import Tensor

from fade_ray.data.batches import Batches
from fade_ray.data.images import LabelledImages
from fade_ray.export import export_module, export_onnx, folded_text, plain_layers
from fade_ray.export.fold import folded
from fade_ray.export.text import literal
from fade_ray.nn import ChainNetwork, NetworkConfig
from spaces import Dag, HyperArchitecture, catalogue, complete_dag
from spaces.errors import InvalidInput

ROOT = Path(__file__).resolve().parents[2]
OWN = ("fade_ray", "spaces", "searchers")
MEAN, STD = (0.5, 0.25, 0.4), (0.2, 0.3, 0.25)
CLASSES = ["cat", "a \"quoted\" 'one'", "back\\slash", "line\nbreak", "naïve", "lone \udce9"]
IMAGES: dict[str, Any] = {"classes": CLASSES, "mean": MEAN, "std": STD}
ALL = catalogue(1, 5)

RUNNER = """
import json, sys
OWN, folder = sys.argv[1].split(","), sys.argv[2]

class Absent:
    names = set(OWN)
    def find_spec(self, name, *rest):
        if name.split(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}")

sys.meta_path.insert(0, Absent())
import importlib.util
from pathlib import Path
import torch
from safetensors.torch import load_file, save_file
torch.set_num_threads(1)

def run(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    inputs = load_file(path.with_suffix(".inputs"))
    model = module.load()
    assert not model.training
    with torch.no_grad():
        single = model(module.preprocess(inputs["images"]))
        double = model.double()(inputs["normalised"].double())
    save_file({"single": single, "double": double}, path.with_suffix(".outputs"))
    return module

errors, module = {}, None
for path in sorted(Path(folder).glob("*.py")):
    try:
        module = run(path)
    except ImportError as error:
        errors[path.stem] = str(error)
assert not [name for name in sys.modules if name.split(".")[0] in OWN]

Absent.names.add("safetensors")
for name in [name for name in sys.modules if name.split(".")[0] == "safetensors"]:
    del sys.modules[name]
try:
    module.load()
except ImportError as error:
    errors["without safetensors"] = str(error)
print(json.dumps(errors))
"""


def architecture(*dags: Dag) -> HyperArchitecture:
    return HyperArchitecture(tuple((dag,) for dag in dags))


def trained(
    hyper: HyperArchitecture, *, side: int = 8, seed: int = 0, classes: int = 6, **options: Any
) -> ChainNetwork:
    """A network in which every parameter and statistic matters: nothing is at its initial zero or
    one.
    """
    generator = torch.Generator().manual_seed(seed)
    config = NetworkConfig(
        depth=hyper.depth, **({"final_channels": 8, "kernel": 3, "share": False} | options)
    )
    network = ChainNetwork(
        hyper, config, side=side, channels=3, classes=classes, generator=generator
    )
    for name, value in network.state_dict().items():
        if value.dim() == 1:
            noise = torch.rand(value.shape, generator=generator)
            value.copy_(
                noise + 0.5 if name.endswith(("running_var", "norm.weight")) else noise - 0.5
            )
    return network


def export(network: ChainNetwork, folder: Path, name: str = "architecture", **facts: Any) -> Path:
    return export_module(network, folder, name, **IMAGES, facts=facts)


def load_module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def scores(network: ChainNetwork, images: Tensor) -> Tensor:
    with torch.no_grad():
        return copy.deepcopy(network).to(images.dtype).eval()(images).main


def operations(dag: Dag, config: NetworkConfig) -> int:
    """In the files: those of all sources to one vertex are one, where they are linear."""
    if config.activation == "edge" or config.norm == "operation":
        return dag.operations
    edges = [*dag.edges, *((sink, -1) for sink in dag.sinks)]
    return len({("sources" if u in dag.sources else u, v) for u, v in edges})


def exact(network: ChainNetwork) -> float:
    """How well files read in float64 agree: sums of weights are rounded to float32 in them."""
    rows = network.hyper.graphs()
    whole = all(operations(dag, network.config) == dag.operations for (dag,) in rows)
    return 1e-12 if whole else 1e-5


def assert_same(ours: Tensor, theirs: Tensor, rtol: float) -> None:
    """Relative to the largest score: a score near zero is a difference of large numbers."""
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    torch.testing.assert_close(theirs, ours, rtol=rtol, atol=rtol * float(ours.abs().max()))


def cases() -> dict[str, ChainNetwork]:
    """Every combination of the options that change the text, each with other graphs, sizes and
    kernels.
    """
    chosen: dict[str, ChainNetwork] = {}
    rng = random.Random(0)
    layouts = [(8, ()), (9, (2, 4)), (13, (3, 1, 2)), (28, (2, 2, 2, 2)), (15, (4,)), (11, (1, 2))]
    options = itertools.product(
        ("max", "average"), ("row", "operation", "none"), ("vertex", "edge"), (False, True)
    )
    for number, (pool, norm, activation, share) in enumerate(options):
        side, strides = layouts[number % len(layouts)]
        dags = rng.choices(ALL, k=len(strides) or 5)
        chosen[f"case_{pool}_{norm}_{activation}_{'shared' if share else 'own'}"] = trained(
            architecture(*dags),
            side=side,
            seed=number,
            strides=strides,
            kernel=(1, 3, 5)[number % 3],
            **{"pool": pool, "norm": norm, "activation": activation, "share": share},
        )
    for activation in ("vertex", "edge"):
        chosen[f"case_long_{activation}"] = trained(
            architecture(complete_dag(10), Dag(10)), activation=activation
        )
    chosen["case_no_pooling"] = trained(
        architecture(Dag(1)), strides=(1,), norm="none", activation="edge"
    )
    return chosen


NAMES = sorted(cases())


@pytest.fixture(scope="module")
def exported(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, dict[str, ChainNetwork], dict[str, str]]:
    """All cases exported and run in one process that has no fade_ray: the folder, the networks and
    the errors by name.
    """
    folder = tmp_path_factory.mktemp("exported")
    networks = cases()
    generator = torch.Generator().manual_seed(1)
    for name, network in networks.items():
        path = export(network, folder, name)
        images = torch.randint(
            0, 256, (3, *network.input_shape), dtype=torch.uint8, generator=generator
        )
        part = LabelledImages(images.numpy(), np.zeros(3, np.int64))
        (batch, _), *_ = Batches(
            part, batch_size=3, device=torch.device("cpu"), mean=MEAN, std=STD
        ).ordered()
        save_file({"images": images, "normalised": batch.contiguous()}, path.with_suffix(".inputs"))
    for own in OWN:
        (folder / f"uses_{own}.py").write_text(path.read_text() + f"\nimport {own}\n")
    command = [sys.executable, "-I", "-c", RUNNER, ",".join(OWN), str(folder)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return folder, networks, json.loads(done.stdout)


@pytest.mark.parametrize("name", NAMES)
def test_same_scores_without_fade_ray(name: str, exported: Any) -> None:
    folder, networks, errors = exported
    assert name not in errors
    images = load_file(folder / f"{name}.inputs")["normalised"]
    outputs = load_file(folder / f"{name}.outputs")
    assert_same(scores(networks[name], images), outputs["single"], 1e-5)
    assert_same(scores(networks[name], images.double()), outputs["double"], exact(networks[name]))


def test_the_other_process_has_no_fade_ray(exported: Any) -> None:
    _, _, errors = exported
    assert {f"uses_{own}": f"No module named {own!r}" for own in OWN}.items() <= errors.items()


def test_without_safetensors_the_error_names_it(exported: Any) -> None:
    _, _, errors = exported
    assert "pip install safetensors" in errors["without safetensors"]


@pytest.mark.parametrize("name", NAMES)
def test_exactly_the_weights_in_use(name: str, exported: Any) -> None:
    folder, networks, _ = exported
    network, config = networks[name], networks[name].config
    weights = load_file(folder / f"{name}.safetensors")
    module = load_module(folder / f"{name}.py")
    assert weights.keys() == module.Network().state_dict().keys()
    expected = network.head.classifier.weight.numel() + network.classes
    for row, (dag,) in zip(network.layout, network.hyper.rows, strict=True):
        area = config.kernel**2
        per_operation = area * row.channels**2 + row.channels * (
            2 if config.norm == "operation" else 1
        )
        expected += (
            area * row.channels_in * row.channels
            + row.channels
            + operations(dag, config) * per_operation
        )
        expected += 2 * row.channels if config.norm == "row" else 0
    assert sum(p.numel() for p in module.Network().parameters()) == expected
    described = json.loads((folder / f"{name}.json").read_text())
    assert described["parameters"] == expected
    saved = described.get("folded", {}).get("parameters_saved", 0)
    if not config.share:
        assert sum(p.numel() for p in network.parameters()) == expected + saved


def test_the_files_import_torch_alone(exported: Any) -> None:
    folder, networks, _ = exported
    for name in networks:
        tree = ast.parse((folder / f"{name}.py").read_text())
        top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        every = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        assert {imported(node) for node in top} == {"__future__", "pathlib", "torch"}
        assert {imported(node) for node in every} - {"__future__"} == {
            *("pathlib", "torch", "safetensors")
        }


def test_the_files_run_on_every_python_of_their_torch(exported: Any) -> None:
    """PyTorch 2.1 runs on 3.8, which does without `X | Y` but in annotations that stay text."""
    folder, networks, _ = exported
    texts = [inspect.getsource(plain_layers)]  # of which exported cells hold copies
    for name in networks:
        texts.append((folder / f"{name}.py").read_text())
        assert "from __future__ import annotations" in texts[-1].splitlines()
    for text in texts:
        assert not newer_parts(text)
    assert newer_parts("isinstance(1, int | str)")
    assert newer_parts("zip(a, b, strict=True)")
    assert not newer_parts("def f(a: int | str) -> int | None: ...")


def imported(node: ast.Import | ast.ImportFrom) -> str:
    return (node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name).split(
        "."
    )[0]


def test_the_files_are_clean_for_ruff(exported: Any) -> None:
    folder, networks, _ = exported
    files = [str(folder / f"{name}.py") for name in networks]
    for command in (["check", "--no-cache"], ["format", "--no-cache", "--diff"]):
        ruff = [
            sys.executable,
            "-m",
            "ruff",
            *command,
            "--config",
            str(ROOT / "pyproject.toml"),
            *files,
        ]
        done = subprocess.run(ruff, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


@st.composite
def dags(draw: st.DrawFn) -> Dag:
    n = draw(st.integers(1, 7))
    pairs = [(u, v) for v in range(n) for u in range(v)]
    return Dag(n, tuple(draw(st.lists(st.sampled_from(pairs)))) if pairs else ())


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(dags(), min_size=1, max_size=3),
    seed=st.integers(0, 2**31),
    pool=st.sampled_from(["max", "average"]),
    norm=st.sampled_from(["row", "operation", "none"]),
    activation=st.sampled_from(["vertex", "edge"]),
    share=st.booleans(),
)
def test_any_graph(
    rows: list[Dag], seed: int, tmp_path_factory: pytest.TempPathFactory, **options: Any
) -> None:
    network = trained(architecture(*rows), seed=seed, **options)
    module = load_module(export(network, tmp_path_factory.mktemp("any")))
    images = torch.randn(
        2, 3, 8, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    with torch.no_grad():
        assert_same(scores(network, images), module.load().double()(images), exact(network))


@settings(deadline=None)
@given(st.lists(dags(), min_size=1, max_size=2), st.booleans(), st.integers(0, 2**31))
def test_a_folded_network_has_the_same_scores(rows: list[Dag], share: bool, seed: int) -> None:
    network = trained(architecture(*rows), side=8, share=share, seed=seed).double()
    fewer = folded(network)
    images = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    assert_same(scores(network, images), scores(fewer, images), 1e-12)
    left = [dag.operations for (dag,) in fewer.hyper.graphs()]
    assert left == [operations(dag, network.config) for dag in rows]
    assert folded(fewer) is fewer


def test_five_convolutions_of_one_value_are_exported_as_one(tmp_path: Path) -> None:
    """A found row of five vertices without an edge is one convolution, whose weights are a sum."""
    network = trained(architecture(Dag(5), Dag(4, ((0, 3), (1, 3), (2, 3)))), side=8)
    path = export(network, tmp_path)
    weights = load_file(path.with_suffix(".safetensors"))
    assert {key.split(".")[0] for key in weights if key.startswith("cell")} == {
        *("cell1_0_out", "cell2_0_1", "cell2_1_out")
    }
    described = json.loads(path.with_suffix(".json").read_text())
    first, second = (layout.channels for layout in network.layout)
    saved = 4 * first * (9 * first + 1) + 2 * second * (9 * second + 1)
    assert described["folded"]["parameters_saved"] == saved
    assert described["parameters"] == sum(p.numel() for p in network.parameters()) - saved
    fewer = described["multiply_adds"] + described["folded"]["multiply_adds_saved"]
    assert fewer == network.multiply_adds()
    assert described["code"] == network.hyper.code()  # what was found
    assert described["folded"]["code"] == "1.0/2.1"
    assert f"{saved:,} parameters" in folded_text(described)


def test_a_shared_hyper_cell_larger_than_its_graph(tmp_path: Path) -> None:
    hyper = architecture(Dag(2, ((0, 1),)))
    options = {
        "side": 8,
        "channels": 3,
        "classes": 6,
        "generator": torch.Generator().manual_seed(0),
    }
    config = NetworkConfig(depth=1, final_channels=4, kernel=3, share=True)
    network = ChainNetwork(hyper, config, share_vertices=5, **options)
    path = export(network, tmp_path)
    cells = {
        key.split(".")[0]
        for key in load_file(path.with_suffix(".safetensors"))
        if key.startswith("cell")
    }
    assert cells == {"cell1_0_1", "cell1_1_out"}
    images = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        assert_same(scores(network, images), load_module(path).load()(images), 1e-5)


def test_preprocess_takes_bytes_and_their_shares_and_refuses_the_rest(tmp_path: Path) -> None:
    preprocess = load_module(export(trained(architecture(complete_dag(2))), tmp_path)).preprocess
    images = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8)
    normalised = (images / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    torch.testing.assert_close(preprocess(images), normalised, rtol=0, atol=0)
    torch.testing.assert_close(preprocess(images / 255), normalised, rtol=0, atol=0)
    for other in (images.float(), images.long(), images / 255 - 0.1, images / 0.0):
        with pytest.raises(
            ValueError, match=r"uint8, or floats in \[0, 1\], but are torch\.\w+ from"
        ):
            preprocess(other)


def test_what_the_description_says(tmp_path: Path) -> None:
    network = trained(architecture(Dag(3, ((0, 1), (0, 2))), Dag(2)), side=9)
    path = export(
        network, tmp_path, test_accuracy=0.9876, epochs=12, data="digits", missing=float("nan")
    )
    described = json.loads(path.with_suffix(".json").read_text())
    assert HyperArchitecture.from_code(described["code"]) == network.hyper
    cells = [Dag(cell["n"], tuple(map(tuple, cell["edges"]))) for cell in described["cells"]]
    assert [(cell,) for cell in cells] == list(network.hyper.rows)
    assert [cell["code"] for cell in described["cells"]] == [cell.code for cell in cells]
    assert [row["channels"] for row in described["layout"]] == [
        row.channels for row in network.layout
    ]
    assert NetworkConfig(**described["network"] | {"strides": ()}) == network.config
    assert described["input_shape"] == [3, 9, 9]
    assert described["multiply_adds"] == folded(network).multiply_adds()
    assert (described["classes"], described["mean"], described["std"]) == (
        CLASSES,
        list(MEAN),
        list(STD),
    )
    assert (described["test_accuracy"], described["data"], described["missing"]) == (
        0.9876,
        "digits",
        None,
    )
    module = load_module(path)
    assert module.CLASSES == CLASSES
    assert [list(MEAN), list(STD)] == [module.MEAN, module.STD]
    assert module.__doc__ is not None
    assert "test_accuracy: 0.9876\nepochs: 12\n" in module.__doc__
    assert sorted(file.name for file in tmp_path.iterdir() if file.is_file()) == [
        f"architecture{suffix}" for suffix in (".json", ".py", ".safetensors")
    ]


def test_the_untrained_module_starts_as_the_search_does(tmp_path: Path) -> None:
    hyper, options = (
        architecture(complete_dag(3)),
        {"final_channels": 32, "kernel": 5, "strides": (4,)},
    )
    fresh = ChainNetwork(
        hyper,
        NetworkConfig(depth=1, **options),
        side=32,
        channels=3,
        classes=6,
        generator=torch.Generator().manual_seed(0),
    )
    path = export(fresh, tmp_path)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        untrained = load_module(path).Network().state_dict()
    for key, ours in load_file(path.with_suffix(".safetensors")).items():
        assert ours.dim() < 2 or not torch.equal(ours, untrained[key])
        # n normal weights: the ratio of two standard deviations is 1 +- 1 / sqrt(n); 5 sigma
        if ours.dim() > 1:
            assert float(ours.std() / untrained[key].std()) == pytest.approx(
                1, abs=5 * ours.numel() ** -0.5
            )
        else:
            assert torch.equal(ours, untrained[key])


@pytest.mark.parametrize("to_onnx", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_export_leaves_the_network_alone(to_onnx: bool, training: bool, tmp_path: Path) -> None:
    network = trained(architecture(Dag(2))).train(training).to(memory_format=torch.channels_last)
    before = copy.deepcopy(network.state_dict())
    if to_onnx:
        export_onnx(network, tmp_path / "network.onnx", **IMAGES)
    else:
        export(network, tmp_path)
    assert network.training is training
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert all(parameter.requires_grad for parameter in network.parameters())


@given(st.text(alphabet=st.characters(exclude_categories=())) | st.text(alphabet="\"'\\nx\n"))
def test_literals_are_the_text(text: str) -> None:
    source = literal(text)
    assert ast.literal_eval(source) == text
    assert "\n" not in source
    source.encode()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "my-network"}, "my-network"),
        ({"name": "class"}, "class"),
        ({"classes": ["one"]}, "classes=1"),
        ({"mean": [0.5]}, "mean"),
        ({"std": [0.1, 0.0, 0.1]}, "std"),
        ({"std": [0.1, float("nan"), 0.1]}, "std"),
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
        export_module(trained(architecture(Dag(1))), tmp_path, **given)
    assert not list(tmp_path.iterdir())


def test_only_an_architecture_is_exported(tmp_path: Path) -> None:
    wide = trained(HyperArchitecture(((Dag(1), Dag(2)),)))
    with pytest.raises(InvalidInput, match=r"width=2.*HyperArchitecture\.architecture"):
        export(wide, tmp_path)
    with pytest.raises(InvalidInput, match="width=2"):
        export_onnx(wide, tmp_path / "network.onnx", **IMAGES)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="writable"):
        export(trained(architecture(Dag(1))), tmp_path / "file")


@pytest.mark.parametrize(
    "name",
    ["case_average_row_vertex_own", "case_average_operation_edge_shared", "case_max_none_edge_own"],
)
def test_onnx_gives_the_same_scores_for_any_batch(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import onnx
    import onnxruntime

    network = cases()[name]
    capfd.readouterr()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        path = export_onnx(network, tmp_path / "network.onnx", **IMAGES)
    assert not caught
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == [path], "one file, nothing beside it"
    told = {entry.key: json.loads(entry.value) for entry in onnx.load(path).metadata_props}
    assert told == {name: list(values) for name, values in IMAGES.items()}
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for batch in (1, 2, 5):
        images = torch.randn(
            batch, *network.input_shape, generator=torch.Generator().manual_seed(batch)
        )
        (found,) = session.run(["scores"], {"images": images.numpy()})
        assert_same(scores(network, images), torch.from_numpy(found), 1e-5)
    stored = sum(int(np.prod(weights.dims)) for weights in onnx.load(path).graph.initializer)
    used = load_file(export(network, tmp_path).with_suffix(".safetensors"))
    assert stored <= sum(value.numel() for value in used.values()), (
        "BatchNorm may be folded, but nothing unused is stored"
    )


def test_without_onnx_the_error_names_the_extra(tmp_path: Path) -> None:
    script = """
import sys
class Absent:
    def find_spec(self, name, *rest):
        if name.split(".")[0] == "onnx":
            raise ModuleNotFoundError(f"No module named {name!r}")
sys.meta_path.insert(0, Absent())
from pathlib import Path
import torch
from fade_ray.export import export_onnx
from fade_ray.nn import ChainNetwork, NetworkConfig
from spaces import Dag, HyperArchitecture
from spaces.errors import InvalidInput
options = {"side": 8, "channels": 1, "classes": 2, "generator": torch.Generator()}
network = ChainNetwork(HyperArchitecture(((Dag(1),),)), NetworkConfig(depth=1), **options)
try:
    export_onnx(network, Path(sys.argv[1]), classes="ab", mean=[0.5], std=[0.5])
except InvalidInput as error:
    print(error)
"""
    path = tmp_path / "network.onnx"
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, timeout=120
    )
    assert 'pip install "fade-ray[onnx]"' in done.stdout, done.stderr
    assert not path.exists()
