"""`fade-ray describe`: the published figures come out, of names and files of every form; one clear
message for what is not there.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from fade_ray.describe.describe_command import describe, describe_command, find
from fade_ray.describe.describe_text import as_text
from fade_ray.describe.subjects import MACROS, Options
from fade_ray.export import export_module
from fade_ray.nn import ChainNetwork, NetworkConfig
from fade_ray.nn.cell_network import CellNetwork, CellNetworkConfig
from fade_ray.retrain.origin import find_genotype
from spaces import HyperArchitecture
from spaces.cell import Macro
from spaces.errors import InvalidInput
from spaces.genotype import GENOTYPES
from spaces.notation import write_genotype

ALL_CONVOLUTIONS = "|{0}~0|+|{0}~0|{0}~1|+|{0}~0|{0}~1|{0}~2|".format("nor_conv_3x3")

# algorithms F.1: genotype, CIFAR-10 parameters, with the auxiliary head, multiply-adds in millions,
# CIFAR-100 parameters, ImageNet parameters, multiply-adds and those with 2 per BatchNorm and 1 per
# ReLU output
PUBLISHED = [
    ("DARTS_V1", 3_169_414, 3_645_840, 500.99, 3_221_344, 4_510_432, 505.86, 519.15),
    ("DARTS_V2", 3_349_342, 3_825_768, 528.36, 3_401_272, 4_718_752, 529.91, 543.99),
    ("PC_DARTS_cifar", 3_634_678, 4_111_104, 556.67, 3_686_608, 5_270_560, 571.14, 585.95),
    ("all-skip", 1_580_950, 2_057_376, 248.51, 1_632_880, 2_800_480, 294.30, 301.03),
]


def told(what: str | None = None, **options: Any) -> dict[str, Any]:
    chosen = Options(what, **options)
    found = describe(find(chosen), chosen)
    assert json.loads(json.dumps(found)) == found, "JSON-able"
    return found


@pytest.mark.parametrize("row", PUBLISHED, ids=[row[0] for row in PUBLISHED])
def test_published_figures(row: tuple[Any, ...]) -> None:
    name, cifar10, with_head, millions, cifar100, imagenet, macs, macs_all = row
    first, second, third = (
        told(name, macro=macro) for macro in ("cifar10", "cifar100", "imagenet")
    )
    assert (first["parameters"], first["parameters_with_auxiliary"]) == (cifar10, with_head)
    assert round(first["multiply_adds"]["conv+fc"] / 1e6, 2) == millions
    assert second["parameters"] == cifar100
    assert third["parameters"] == imagenet
    assert third["parameters_with_auxiliary"] - imagenet == 1_260_776
    assert [round(value / 1e6, 2) for value in third["multiply_adds"].values()] == [macs, macs_all]


def test_search_networks_and_space_sizes() -> None:
    """algorithms F.2 and F.3."""
    s1 = told(space="s1", search=True)
    assert (s1["parameters"], s1["logits"], s1["size"]) == (
        3_239_674,
        224,
        1_076_746_950_455_072_400,
    )
    assert told(space="darts", search=True)["parameters"] == 1_930_618
    assert told(space="amended-s2-fixed", search=True)["parameters"] == 4_769_110
    benchmark = told(space="nasbench201", search=True)
    assert (benchmark["parameters"], benchmark["logits"], benchmark["size"]) == (
        1_692_826,
        30,
        15_625,
    )
    assert [stage["stage"] for stage in benchmark["stages"]].count("5 residual (reduction)") == 1
    assert told(space="s5")["size"] == 2_123_366_400
    assert told(space="amended-s2-fixed")["size"] == 2**160
    assert "parameters" not in told(space="s5")


def test_a_cell_of_nasbench201() -> None:
    found = told(ALL_CONVOLUTIONS)
    assert (found["cells"], found["channels"], found["parameters"]) == (15, 16, 1_531_546)
    assert found["multiply_adds"]["conv+fc"] == 220_119_680
    assert found["parameters_with_auxiliary"] is None


def test_a_recurrent_cell() -> None:
    found = told("RNN_DARTS_V2")
    assert (found["vocabulary"], found["units"], found["parameters"]) == (10_000, 850, 22_960_000)
    for name in ("parameters", "multiply_adds"):
        whole = found[name] if name == "parameters" else found[name]["conv+fc"]
        assert sum(stage[name] for stage in found["stages"]) == whole
    assert "ptb: 850 units, 10,000 words" in as_text(found)
    with pytest.raises(InvalidInput, match="where the cells are for text, must be one of ptb"):
        told("RNN_DARTS_V2", macro="cifar10")


@pytest.mark.parametrize("macro", [name for name, each in MACROS.items() if each.task == "images"])
def test_shapes_are_those_of_a_forward_pass(macro: str) -> None:
    options = {"cells": 4, "channels": 4}
    found = told("DARTS_V2", macro=macro, **options)
    setting = MACROS[macro]
    config = CellNetworkConfig(channels=4, stem=setting.stem)  # type: ignore[arg-type]
    shape = {"side": setting.side, "classes": setting.classes}
    network = CellNetwork(
        GENOTYPES["DARTS_V2"].at_depth(4), config, generator=torch.Generator(), **shape
    ).eval()
    outputs: list[list[int]] = []
    for cell in network.places:
        cell.register_forward_hook(
            lambda module, inputs, output: outputs.append(list(output.shape[1:]))
        )
    with torch.no_grad():
        network(torch.zeros(1, 3, setting.side, setting.side))
    cells = [stage["shape"] for stage in found["stages"] if stage["stage"][0].isdigit()]
    assert cells == outputs
    assert found["stages"][-1]["shape"] == [setting.classes]


def test_every_form_of_a_genotype_is_the_same(tmp_path: Path) -> None:
    macro = GENOTYPES["DARTS_V1"]
    notation = write_genotype(macro)
    (tmp_path / "notation.txt").write_text(f"DARTS = {notation}\n")
    (tmp_path / "cells.json").write_text(json.dumps(macro.to_dict()))
    (tmp_path / "found.json").write_text(
        json.dumps(macro.at_depth(8).to_dict() | {"found": {"recipe": "darts-1st"}})
    )
    network = CellNetwork(
        macro.at_depth(3),
        CellNetworkConfig(channels=4),
        side=8,
        classes=2,
        generator=torch.Generator(),
    )
    export_module(network, tmp_path, "exported", classes=["a", "b"], mean=[0.5] * 3, std=[0.2] * 3)
    line = f"07/24 05:06:07 PM | epoch 49 | genotype = {notation}, 97.2 %\n"
    (tmp_path / "train.log").write_text(f"07/24 05:06:07 PM args = Namespace(lr=0.1)\n{line}{line}")
    names = ("notation.txt", "cells.json", "found.json", "exported.json", "train.log")
    files = [str(tmp_path / name) for name in names]
    expected = told("DARTS_V1", cells=8, channels=4)
    for form in (notation, line, *files):
        assert told(form, cells=8, channels=4) == expected | {"name": form}
        trained = find_genotype(form).macro
        assert trained.at_depth(8) == macro.at_depth(8), "retraining reads what is described"


def test_an_architecture_of_the_outer_search(tmp_path: Path) -> None:
    hyper = HyperArchitecture.from_code("4.3/2.1")
    options = {
        "side": 9,
        "channels": 1,
        "classes": 2,
        "generator": torch.Generator().manual_seed(0),
    }
    network = ChainNetwork(
        hyper, NetworkConfig(depth=2, final_channels=8, kernel=1, share=False), **options
    )
    path = export_module(
        network, tmp_path, "architecture", classes=["a", "b"], mean=[0.5], std=[0.2]
    )
    found = told(str(path.with_suffix(".json")))
    with pytest.raises(InvalidInput, match="a chain of graphs"):
        find_genotype(str(path.with_suffix(".json")))
    described = json.loads(path.with_suffix(".json").read_text())
    saved = described["folded"]  # what was found is described, with more than is left in the files
    assert found["parameters"] == described["parameters"] + saved["parameters_saved"]
    assert found["multiply_adds"]["conv+fc"] == network.multiply_adds()
    assert (found["input_shape"], found["macro"]) == ([1, 9, 9], "as exported")
    by_code = told("4.3/2.1", macro="cifar100")
    assert by_code["graph"] == found["graph"]
    assert (by_code["input_shape"], by_code["stages"][-1]["shape"]) == ([3, 32, 32], [100])
    # one entry per vertex value that is not a source's, one for the sources, one for OUTPUT;
    # BatchNorm behind the rows
    per_row = [
        (row.channels * row.side**2, row.channels * (-(-row.side // row.stride)) ** 2)
        for row in network.layout
    ]
    extra = sum(
        (2 + dag.n - len(dag.sources)) * inside
        for (dag,), (inside, _) in zip(hyper.rows, per_row, strict=True)
    )
    extra += 2 * sum(behind for _, behind in per_row)
    assert found["multiply_adds"]["conv+fc+2bn+relu"] - found["multiply_adds"]["conv+fc"] == extra


def test_the_command_prints_and_draws(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    describe_command(["DARTS_V1", "--cells", "3", "--channels", "4", "--draw=~/cells.svg"])
    text = capsys.readouterr().out
    assert str(tmp_path / "cells.svg") in text
    assert "├─ sep_conv_3x3  c_{k-2}" in text
    assert "multiply-adds, conv+fc+2bn+relu" in text
    assert "with auxiliary head" in text
    assert "sep_conv_3x3" in (tmp_path / "cells.svg").read_text()
    describe_command(["--json", "--cells", "3", "all-skip"])
    assert json.loads(capsys.readouterr().out)["kind"] == "genotype"
    describe_command(["4.3/2.1", "--draw", str(tmp_path / "chain.png")])
    assert "INPUT" in capsys.readouterr().out
    assert (tmp_path / "chain.png").read_bytes().startswith(b"\x89PNG")
    describe_command(["--space", "amended-s2"])
    assert "cell0 to cell19: 14 edges" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.json"], "no such file"),
        (["DARTS_V3"], "Did you mean 'DARTS_V2'"),
        (["DARTS_V1", "--macro", "cifar-100"], "Did you mean 'cifar100'"),
        (["--space", "s9"], "Did you mean"),
        ([], "got neither"),
        (["DARTS_V1", "--space", "s1"], "got both"),
        (["4.3/2.1", "--cells", "3"], "cells=3, rows=2"),
        (["4.3,4.1"], "width=2"),
        (["Genotype(normal=[('sep_conv_3x4', 0)])"], "fields"),
        (["DARTS_V1", "--draw", "cells.pdf"], "svg"),
        (["--space", "s1", "--draw", "cells.svg"], "Discretise"),
        (["DARTS_V1", "--channels", "-1"], "channels"),
        (["DARTS_V1", "--cells", "0"], "depth"),
    ],
)
def test_mistakes_are_one_clear_message(arguments: list[str], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        describe_command(arguments)


def test_files_that_are_something_else(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    for content in (
        "{}",
        "[1]",
        "{",
        "hello",
        json.dumps({"code": "4.3"}),
        json.dumps({"code": 1, "cells": {}}),
    ):
        path.write_text(content)
        with pytest.raises(InvalidInput):
            told(str(path))
    wide = Macro.from_dict(GENOTYPES["all-skip"].to_dict() | {"depth": 3})
    cells = {kind: type(cell).create(2, 6, cell.ops, keep=2) for kind, cell in wide.cells.items()}
    path.write_text(json.dumps(wide.with_cells(cells).to_dict()))
    with pytest.raises(InvalidInput, match="--search"):
        told(str(path))
    assert told(str(path), search=True, channels=4)["kind"] == "search network"
