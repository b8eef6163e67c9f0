"""Spaces of cells of one's own: every recipe, training from scratch, export, refusals."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from stopper import Stopper

import fade_ray
from fade_ray.cells.cell_recipes import RECIPES
from fade_ray.cells.cells_config import CellsConfig, GridConfig
from fade_ray.cells.cells_run import CELLS
from fade_ray.cli import main
from fade_ray.export import check_texts
from fade_ray.nn import OPERATIONS
from fade_ray.nn.layers import Build
from fade_ray.records.additions import LOADED
from fade_ray.run.lifecycle import Interrupted
from fade_ray.training import SGD, TrainConfig
from spaces import SPACES, InvalidInput, load_cells, read_genotype

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "own_cells.py"
OPS = ("none", "skip_connect", "bottleneck", "bottleneck-expansion4", "Gated")
ONE_INPUT = """
from torch import nn
import fade_ray

def conv(channels, stride):
    return nn.Sequential(nn.ReLU(), nn.Conv2d(channels, channels, 3, stride, 1))

space = fade_ray.cell_space(
    operations={"none": "none", "nor_conv_1x1": "nor_conv_1x1", "own": conv},
    nodes=2, inputs=1, keep=None, cells=3, channels=4,
)
"""


@pytest.fixture(autouse=True)
def apart() -> Iterator[None]:
    """What a test enters is gone behind it."""
    tables: list[dict[str, Any]] = [OPERATIONS, SPACES]
    before = [dict(table) for table in tables]
    yield
    for table, known in zip(tables, before, strict=True):
        table.clear()
        table.update(known)


def searched(out: Path, *recipes: str, space: str = str(EXAMPLE), **grid: Any) -> CellsConfig:
    sizes = {"epochs": 1, "cells": 3, "channels": 4, "lower_rate": False} | grid
    return CellsConfig(
        data=fade_ray.DataConfig(limit=96),
        grid=GridConfig(recipes=recipes, spaces=(space,), **sizes),
        train=TrainConfig(batch_size=24, optimiser=SGD()),
        run=fade_ray.RunConfig(engine="local"),
        out=str(out),
    )


def makes_sense(recipe: str) -> bool:
    """On a space that is no published one."""
    try:
        searched(Path("x"), recipe)
    except InvalidInput:
        return False
    return True


def test_most_recipes_make_sense_on_it() -> None:
    known = {name for name in RECIPES if makes_sense(name)}
    assert known >= {"darts-1st", "darts-2nd", "single-level", "amended", "gdas", "pc-darts"}
    assert known >= {"stacnas", "random", "darts-es"}


@pytest.mark.slow
def test_every_recipe_that_makes_sense_ends_with_cells_of_it(tmp_path: Path) -> None:
    names = [name for name in RECIPES if makes_sense(name)]
    config = searched(tmp_path / "run", *names, channels=8)
    folder = fade_ray.cells(config, watchers=()).folder
    rows = json.loads((folder / "cells.json").read_text())["trials"]
    assert {row["method"] for row in rows if row["state"] == "done"} == set(names)
    for row in rows:
        macro = load_cells(folder / "genotypes" / f"{row['id']}.json")
        assert macro <= SPACES["own_cells"].macro.at_depth(macro.depth)


def test_what_is_found_is_trained_exported_and_loaded_elsewhere(tmp_path: Path) -> None:
    found = fade_ray.cells(searched(tmp_path / "cells", "random"), watchers=())
    assert found.run.config.grid.spaces == ("own_cells",)
    assert found.run.config.use == (str(EXAMPLE),)
    options = ["--cells", "3", "--channels", "4", "--epochs", "1", "--batch-size", "24"]
    main(["retrain", str(found.folder), "--trial", "000", *options, "--out", str(tmp_path / "r")])
    main(["export", str(tmp_path / "r"), "--onnx"])
    folder, x = tmp_path / "r" / "architectures", torch.rand(3, 1, 8, 8)
    assert (folder / EXAMPLE.name).read_text() == EXAMPLE.read_text()
    elsewhere = shutil.copytree(folder, tmp_path / "elsewhere")
    torch.save(x, elsewhere / "x.pt")
    program = (
        "import sys\n"
        "for name in ('fade_ray', 'spaces', 'searchers'): sys.modules[name] = None\n"
        "import torch, architecture\n"
        "scores = architecture.load()(torch.load('x.pt', weights_only=True))\n"
        "torch.save(scores, 'y.pt')\n"
    )
    run = [sys.executable, "-c", program]
    subprocess.run(run, cwd=elsewhere, check=True, timeout=120)
    theirs = torch.load(elsewhere / "y.pt", weights_only=True)
    torch.testing.assert_close(theirs, fade_ray.open_run(tmp_path / "r").model()(x))
    macro = load_cells(tmp_path / "cells" / "genotypes" / "000.json")
    again = read_genotype(macro.notation)
    assert [cell.genes for cell in again.cells.values()] == [
        cell.genes for cell in macro.cells.values()
    ]


def test_one_input_and_all_edges(tmp_path: Path) -> None:
    file = tmp_path / "single.py"
    file.write_text(ONE_INPUT)
    folder = fade_ray.cells(
        searched(tmp_path / "run", "darts-1st", space=str(file)), watchers=()
    ).folder
    (row,) = json.loads((folder / "cells.json").read_text())["trials"]
    assert row["genotype"].startswith("cell: ")
    assert row["genotype"].count(">") == 3
    main(["describe", "--space", str(file)])


@pytest.mark.slow
def test_stopped_it_goes_on_with_its_copy_and_not_with_another_file(tmp_path: Path) -> None:
    file = tmp_path / "moving.py"
    file.write_text(EXAMPLE.read_text())
    whole, half = (
        searched(tmp_path / part, "darts-1st", "random", space=str(file)) for part in ("a", "b")
    )
    wanted = fade_ray.cells(whole, watchers=()).folder / "cells.json"
    with pytest.raises(Interrupted):
        fade_ray.cells(half, watchers=[Stopper(1)])
    file.write_text(EXAMPLE.read_text().replace("expansion=4", "expansion=3"))
    LOADED.pop(str(file))  # as a process of its own
    with pytest.raises(InvalidInput, match="has changed since"):
        fade_ray.cells(half, watchers=())
    file.unlink()
    LOADED.pop(str(file), None)
    main(["cells", "--out", str(tmp_path / "b")])
    both = (json.loads(path.read_text())["trials"] for path in (wanted, tmp_path / "b/cells.json"))
    ours, theirs = ([row["genotype"] for row in rows] for rows in both)
    assert ours == theirs


def test_batchnorms_of_a_search_are_as_all_of_the_cell() -> None:
    searched(Path("x"), "random")
    generator = torch.Generator().manual_seed(3)
    for affine, running in ((False, False), (True, True)):
        build = Build(4, 2, affine, running, False, generator)
        operation = OPERATIONS["Gated"](build)
        names = {name.rpartition(".")[2] for name in operation.state_dict()}
        assert ("running_mean" in names, "bias" in names) == (running, affine)
        before = torch.get_rng_state()
        OPERATIONS["Gated"](build)
        assert torch.equal(before, torch.get_rng_state())


def test_cells_without_their_file_ask_for_it() -> None:
    macro = CellsConfig(grid=GridConfig(("random",), (str(EXAMPLE),))).macro("own_cells")
    del OPERATIONS["bottleneck"], OPERATIONS["bottleneck-expansion4"], OPERATIONS["Gated"]
    genes = [(0, 2, "bottleneck"), (1, 2, "Gated")]
    found = macro.with_cells({kind: cell.genotype(genes) for kind, cell in macro.cells.items()})
    with pytest.raises(InvalidInput, match=r"Gated, bottleneck are not.*with --use"):
        check_texts(found)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("space = ", "cells = ", "must hold `space = fade_ray.cell_space"),
        ('"skip_connect"', '"skip_conect"', "Did you mean 'skip_connect'"),
        ("partial(bottleneck, expansion=4)", "bottleneck", "names of operations differ"),
        ("3, stride, 1, bias", "3, 1, 1, bias", r"Operation 'Gated' .* must map .* to .*4, 4\]"),
        ("class Gated", "class gate", "does not: NameError"),
        ("Gated]", 'Gated, {"a": 1}]', "must be called to make a module"),
        ("operations=[", "inputs=3, operations=[", "inputs is 1 or 2"),
        ("operations=[", "edges=[(4, 2)], operations=[", "source < target"),
    ],
)
def test_mistakes_are_told_before_anything_is_trained(
    old: str, new: str, words: str, tmp_path: Path
) -> None:
    text, file = EXAMPLE.read_text(), tmp_path / "wrong.py"
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(InvalidInput, match=words):
        CELLS.prepare(searched(tmp_path / "run", "darts-1st", space=str(file)))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("darts", ONE_INPUT, "a name of its own.*space='darts'"),
        ("mine", ONE_INPUT.replace('"own"', '"sep_conv_3x3"'), "operation='sep_conv_3x3'"),
        ("mine", ONE_INPUT.replace('"own"', '"keys"'), "operation='keys'"),
        ("mine", ONE_INPUT.replace('"own"', '"a.b"'), "name is"),
    ],
)
def test_names_that_are_taken_are_refused(name: str, text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / f"{name}.py"
    file.write_text(text)
    with pytest.raises(InvalidInput, match=words):
        searched(tmp_path / "run", "random", space=str(file))


def test_two_files_with_operations_of_one_name_are_run_apart(tmp_path: Path) -> None:
    others = tmp_path / "others.py"
    others.write_text(EXAMPLE.read_text().replace("expansion=2", "expansion=3"))
    alone = [searched(tmp_path, "random", space=str(file)) for file in (EXAMPLE, others)]
    with pytest.raises(InvalidInput, match="operation='bottleneck', spaces="):
        replace(alone[1], grid=replace(alone[1].grid, spaces=(str(EXAMPLE), str(others))))
    again = searched(tmp_path, "random", space=str(EXAMPLE))
    assert again == alone[0]
    asked = OPERATIONS["bottleneck"].asked(2, 1).make()  # type: ignore[attr-defined]
    assert asked[1].out_channels == 2 * 2
