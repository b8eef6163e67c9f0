"""What the files of finished runs promise, on a grey data set whose classes need care."""

import json
import runpy
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from older_python import newer_parts

import fade_ray
from fade_ray.cli import main

MODULES = """
from torch import nn
import fade_ray

def smooth(c_in, c_out, stride):
    return nn.Conv2d(c_in, c_out, 3, stride, 1)

def sharp(c_in, c_out, stride):
    return nn.Conv2d(c_in, c_out, 1, stride)

space = fade_ray.choices(rows=[[smooth, sharp]] * 2)
"""
NAMES = ["'c'", "a|b", "\u00fc\t"]
SHORT = "--engine local --evaluation-epochs 1 --retrain-epochs 1 --batch-size 8 --confirmed 0"
SHORT += " --searcher random --iterations 1 --batch 1 --evaluations 1 --baselines off"
RUNS = {
    "search": f"search {SHORT} --depth 2 --final-channels 4 --kernel 3",
    "own": f"search {SHORT} --final-channels 4 --space MODULES",
    "retrain": "retrain SNAS --cells 3 --channels 2 --epochs 1 --batch-size 8",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("grey")
    (place / "modules.py").write_text(MODULES)
    images = np.random.default_rng(0).integers(0, 256, (36, 9, 9), dtype=np.uint8)
    labels = [NAMES[number % 3] for number in range(36)]
    return Path(fade_ray.write_images(place / "grey.parquet", images, labels))


@pytest.mark.parametrize("run", RUNS)
def test_files_run_where_torch_runs_and_say_what_they_classify(
    run: str, data: Path, tmp_path: Path
) -> None:
    modules = str(data.with_name("modules.py"))
    words = [modules if word == "MODULES" else word for word in RUNS[run].split()]
    main([*words, "--data", str(data), "--out", str(tmp_path / "run")])
    main(["export", str(tmp_path / "run"), "--onnx"])
    file = tmp_path / "run" / "architectures" / "architecture.py"
    assert not newer_parts(file.read_text())
    module = runpy.run_path(str(file))
    assert module["CLASSES"] == NAMES
    preprocess = module["preprocess"]
    about = {"classes": NAMES, "mean": module["MEAN"], "std": module["STD"]}
    told = onnx.load(file.with_suffix(".onnx")).metadata_props
    assert {entry.key: json.loads(entry.value) for entry in told} == about
    levels = torch.arange(81, dtype=torch.uint8).view(1, 1, 9, 9)
    for shares in (levels.double() / 255, levels.half() / 255):
        torch.testing.assert_close(
            preprocess(shares).float(), preprocess(levels), rtol=0, atol=5e-3
        )
    with pytest.raises(ValueError, match="from -1"):
        preprocess(levels.float() - 1)
