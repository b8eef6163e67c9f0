"""A task of one's own from data to export, stopped and resumed, killed on Ray, refused in words."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from processes import wait_for
from stopper import Stopper

import fade_ray
from fade_ray.cli import main
from fade_ray.export.task_words import TASK_WORDS
from fade_ray.records.additions import module_at
from fade_ray.run.lifecycle import Interrupted
from spaces.errors import InvalidInput

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "examples" / "own_task.py"
IMAGES, MAPS = module_at(str(EXAMPLE)).shapes(90)
DATA: dict[str, Any] = {
    "overlap": MAPS,
    "segmentation": MAPS,
    "regression": (MAPS > 0).mean((1, 2)),
    "multi-label": np.stack([(k == MAPS).any((1, 2)) for k in (1, 2)], 1).astype(int),
}
OUTPUTS = {"overlap": (3, 16, 16), "segmentation": (3, 16, 16), "regression": (1,)}
OUTPUTS["multi-label"] = (2,)
TWO, SLOW = ("segmentation", "multi-label"), pytest.mark.slow
MEASURES = {"overlap": "mean IoU", "segmentation": "mean IoU", "regression": "RMSE"}
MEASURES["multi-label"] = "F1"


def config(out: Path, **given: Any) -> fade_ray.Config:
    """A search of seconds."""
    parts: dict[str, Any] = {
        "network": fade_ray.NetworkConfig(depth=2, final_channels=8),
        "train": fade_ray.TrainConfig(batch_size=30),
        "searcher": fade_ray.AnchorWalk(iterations=1, walks=1, finalists=1),
        "outer": fade_ray.OuterConfig(rank_epochs=1, evaluation_epochs=1, retrain_epochs=1),
        "finish": fade_ray.FinishConfig(confirmed=0, baselines=()),
        "run": fade_ray.RunConfig(engine="local"),
        "out": str(out),
    }
    return fade_ray.Config(**parts | given)


def searched(asked: fade_ray.Config, name: str, *watchers: Any) -> fade_ray.Result:
    objective = module_at(str(EXAMPLE)).Overlap(0.5) if name == "overlap" else name
    data = IMAGES, DATA[name]
    return fade_ray.search(asked, data=data, objective=objective, watchers=watchers)


@pytest.fixture(
    scope="module",
    params=["overlap", "regression", *(pytest.param(n, marks=SLOW) for n in TWO)],
)
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Beside baselines: (name, run)."""
    folder, before = tmp_path_factory.mktemp("task"), Path.cwd()
    finish = fade_ray.FinishConfig(confirmed=1, confirmations=1, retrain_seeds=2)
    os.chdir(folder)  # arrays are written to runs/data
    try:
        yield request.param, searched(config(folder / "run", finish=finish), request.param)
    finally:
        os.chdir(before)


def test_scores_are_told_by_their_measure(found: Any, capsys: pytest.CaptureFixture[str]) -> None:
    name, run = found
    measure, key = MEASURES[name], MEASURES[name].replace(" ", "_").lower()
    assert 0 <= run.summary[f"test_{key}"] <= 1
    assert 0 <= run.summary["chance"] <= 1
    page = (run.folder / "report.html").read_text()
    assert f"test {measure}" in page
    assert "the same answer for all images reaches" in page
    assert "accuracy on" not in page
    baselines = {network["name"]: network for network in run.summary["beside"]["networks"]}
    assert [*baselines] == ["found", "plain-chain", "random", "resnet-18"]
    signs = {score <= 0 for each in baselines.values() for score in each["scores"].values()}
    assert signs == {name == "regression"} or name == "multi-label"
    trials = run.table("trials")
    told = [value for value in trials.column(f"test_{key}").to_pylist() if value is not None]
    assert len(told) == 8
    assert min(told) >= 0
    main(["status", str(run.folder)])
    assert f"test {measure} 0." in capsys.readouterr().out
    environment = json.loads((run.folder / "environment.json").read_text())
    assert [*environment["use"]] == [str(EXAMPLE)] * (name == "overlap")


def test_every_form_of_export_gives_the_scores(found: Any, tmp_path: Path) -> None:
    name, run = found
    runtime = pytest.importorskip("onnxruntime")
    x = torch.rand(3, 1, 16, 16)
    scores = run.model()(x)
    assert scores.shape == (3, *OUTPUTS[name])
    slow = name in TWO  # to compile a program takes seconds
    main(["export", str(run.folder), "--onnx", *["--pt2"] * slow])
    folder = run.folder / "architectures"
    (of_onnx,) = runtime.InferenceSession(folder / "architecture.onnx").run(
        None, {"images": x.numpy()}
    )
    torch.testing.assert_close(torch.tensor(of_onnx), scores, rtol=1e-3, atol=1e-4)
    if slow:
        program = torch.export.load(folder / "architecture.pt2").module()
        torch.testing.assert_close(program(x), scores, rtol=1e-3, atol=1e-4)
    text = (folder / "architecture.py").read_text()
    assert ("classifier" in text.split("\n", 1)[0]) == (name == "multi-label")
    assert ("class" in text.partition("Parameters")[0].lower()) == (name != "regression")
    use = TASK_WORDS[fade_ray.Objective.member(name).target].use
    assert f"    {use}\n" in text
    torch.save(x, tmp_path / "x.pt")
    code = (
        "import sys, torch\n"
        "sys.modules['fade_ray'] = None\n"
        f"sys.path.insert(0, {str(folder)!r})\n"
        "from architecture import *\n"
        "scores = load()(torch.load('x.pt', weights_only=True))\n"
        f"{use}\n"
        "torch.save(scores.detach(), 'y.pt')\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=120)
    assert torch.allclose(torch.load(tmp_path / "y.pt", weights_only=True), scores, atol=1e-6)


def test_a_search_that_is_stopped_goes_on_as_if_it_had_not_been(
    tmp_path: Path, story: Callable[[Path], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    searched(config(tmp_path / "whole"), "overlap")
    with pytest.raises(Interrupted):
        searched(config(tmp_path / "half"), "overlap", Stopper(2))
    searched(config(tmp_path / "half"), "overlap")
    assert story(tmp_path / "whole") == story(tmp_path / "half")


MODULES = """
from torch import nn
import fade_ray

def conv(c_in, c_out, stride):
    return nn.Conv2d(c_in, c_out, 3, stride, 1)

def wide(c_in, c_out, stride):
    return nn.Conv2d(c_in, c_out, 5, stride, 2)

class Task(fade_ray.Objective, name="pixels"):
    target = "map"
    higher_is_better = {"pixels_right": True}

    def loss(self, scores, batch, *, training):
        return nn.functional.cross_entropy(scores.main, batch[1].long(), ignore_index=255)

    def measured(self, scores, batch):
        right = scores.main.detach().argmax(1) == batch[1]
        return {"pixels_right": right.float().mean((1, 2)).sum()}

space = fade_ray.choices(rows=[[conv, wide]] * 2, HEAD)
"""


OWN_HEAD = "head=lambda c, k: nn.Conv2d(c, k, 3, 1, 1)"


@pytest.mark.parametrize("head", [pytest.param("head=None", marks=SLOW), OWN_HEAD])
def test_modules_and_a_task_in_one_file(head: str, tmp_path: Path) -> None:
    file, out = tmp_path / "mine.py", tmp_path / "run"
    task = f"pixels-{len(head)}"  # a name is of one file
    file.write_text(MODULES.replace("HEAD", head).replace('"pixels"', f'"{task}"'))
    data = fade_ray.write_images(tmp_path / "a.parquet", IMAGES, MAPS)
    words = f"search --space {file} --objective {task} --data {data} --engine local --out {out}"
    options = "--iterations 1 --walks 1 --rank-epochs 1 --evaluation-epochs 1 --retrain-epochs 1"
    rest = "--finalists 1 --confirmed 0 --baselines off --final-channels 4"
    main([*words.split(), *options.split(), *rest.split()])
    run = fade_ray.open_run(out)
    assert "test_pixels_right" in run.summary
    assert run.model()(torch.rand(2, 1, 16, 16)).shape == (2, 3, 16, 16)
    code = (
        "import sys, torch\n"
        "sys.modules['fade_ray'] = None\n"
        f"sys.path.insert(0, {str(out / 'architectures')!r})\n"
        "import architecture\n"
        "print([*architecture.load()(torch.rand(2, 1, 16, 16)).shape])\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert told.stdout == "[2, 3, 16, 16]\n", told.stderr


FAULTS: dict[str, tuple[str, str]] = {
    "digits have no maps": ("--objective segmentation", "a class for each pixel"),
    "digits have no labels": ("--objective multi-label", "0 or 1 for each label"),
    "no such objective": ("--objective regresion", "Did you mean 'regression'|regression"),
    "a text is no image": ("--objective language-model", "an objective of images"),
    "no measure": ("--use {own} --objective empty", "an objective has a measure"),
    "a score that is no number": ("--use {own} --objective nan", "its score is nan"),
}
OWN = """
from fade_ray.training import Classification

class Empty(Classification, name="empty"):
    higher_is_better = {}

class Nan(Classification, name="nan"):
    def score(self, means):
        return float("nan")
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("own") / "own.py"
    file.write_text(OWN)
    return file


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_trained_is_one_message(
    fault: str, own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options, said = FAULTS[fault]
    words = options.format(own=own).split()
    with pytest.raises(SystemExit) as left:
        main(["search", *words, "--limit", "120", "--out", str(tmp_path / "run")])
    assert left.value.code == 2
    message = " ".join(capsys.readouterr().err.split())
    assert any(part in message for part in said.split("|")), message
    assert "Traceback" not in message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("words", ["cells --epochs 1", "retrain DARTS_V2 --limit 60"])
def test_cells_are_for_classes(
    words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([*words.split(), "--objective", "regression", "--out", str(tmp_path / "run")])
    message = " ".join(capsys.readouterr().err.split())
    assert "an objective of classes" in message
    assert "search, compare and rank-study" in message


def test_an_objective_made_at_a_prompt_has_no_file() -> None:
    prompt: dict[str, Any] = {}
    exec(OWN.replace("empty", "e").replace('"nan"', '"n"'), prompt)
    with pytest.raises(InvalidInput, match="%%writefile"):
        fade_ray.search(objective=prompt["Nan"]())


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_example_goes_on_after_a_kill_on_ray(tmp_path: Path) -> None:
    """Its objective reaches the workers from the script that defines it."""
    around = os.environ | {"RAY_ADDRESS": "local", "PYTHONPATH": str(ROOT)}
    call, record = [sys.executable, str(EXAMPLE)], tmp_path / "runs" / "shapes" / "records.jsonl"
    with (tmp_path / "log").open("wb") as log:
        told: Any = {"cwd": tmp_path, "env": around, "stdout": log, "stderr": subprocess.STDOUT}
        driver = subprocess.Popen(call, start_new_session=True, **told)
        try:
            wait_for(lambda: record.exists() and '"finished"' in record.read_text(), 300, driver)
        finally:
            print((tmp_path / "log").read_text())
            with suppress(ProcessLookupError):
                os.killpg(driver.pid, signal.SIGKILL)
            driver.wait(30)
        again = subprocess.run(call, timeout=300, check=False, **told)
    text = (tmp_path / "log").read_text()
    assert again.returncode == 0, text[-3000:]
    assert "mean IoU 0." in text
    exported = fade_ray.open_run(tmp_path / "runs" / "shapes").model()
    assert exported(torch.rand(2, 1, 16, 16)).shape == (2, 3, 16, 16)
