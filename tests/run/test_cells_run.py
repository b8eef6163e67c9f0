"""`fade-ray cells` from configuration to table: carried out, stopped, killed, refused."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from processes import children_of, end_by_id, wait_for
from runs import run_cells, status
from stopper import Stopper

from fade_ray.cells.cell_trials import trials_of
from fade_ray.cells.cells_config import CellsConfig, GridConfig
from fade_ray.cells.cells_run import best_row
from fade_ray.cli import main
from fade_ray.data.data_config import DataConfig
from fade_ray.kinds import kind_of_run
from fade_ray.run.lifecycle import Interrupted
from fade_ray.run.run_config import RunConfig
from fade_ray.training import SGD, TrainConfig
from spaces.errors import InvalidInput

Story = Callable[[Path], dict[str, Any]]
GRID = [
    "--recipes",
    "darts-1st",
    "single-level",
    "random",
    "--spaces",
    "nasbench201",
    "--seeds",
    "0",
    "1",
]
SMALL = [
    "--cells",
    "3",
    "--channels",
    "2",
    "--limit",
    "120",
    "--epochs",
    "2",
    "--batch-size",
    "24",
    "--no-lower-rate",
]


def grid(out: Path, **run: Any) -> CellsConfig:
    return CellsConfig(
        data=DataConfig(limit=120),
        grid=GridConfig(
            recipes=("darts-1st", "single-level", "random"),
            spaces=("nasbench201",),
            seeds=(0, 1),
            epochs=2,
            cells=3,
            channels=2,
            lower_rate=False,
        ),
        train=TrainConfig(batch_size=24, optimiser=SGD()),
        run=RunConfig(**({"engine": "local"} | run)),
        out=str(out),
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run that nothing disturbed."""
    return run_cells(grid(tmp_path_factory.mktemp("cells") / "run"), watchers=())


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [trial.row for trial in trials_of(kind_of_run("cells").read(folder))]


def without_memory(told: dict[str, Any]) -> dict[str, Any]:
    for metrics in told["epoch"].values():
        metrics.pop("step_memory_mib", None)
    return told


def test_a_run_directory_holds_everything(whole: Path) -> None:
    rows = json.loads((whole / "cells.json").read_text())["trials"]
    assert [(row["method"], row["seed"]) for row in rows] == [
        (name, seed) for seed in (0, 1) for name in ("darts-1st", "single-level", "random")
    ]
    assert all(row["state"] == "done" and row["genotype"].count("~") == 6 for row in rows)
    assert all((row["proxy_accuracy"] is None) == (row["method"] == "random") for row in rows)
    assert all(row["retrained_accuracy"] is None for row in rows)
    assert {path.stem for path in (whole / "genotypes").iterdir()} == {row["id"] for row in rows}
    assert (whole / "report.html").exists()
    assert len(list((whole / "tensorboard").iterdir())) == 6
    assert not list((whole / "checkpoints").iterdir())
    assert not list(whole.rglob("*.pkl"))
    best = best_row(rows)
    assert best is not None
    assert best["proxy_accuracy"] == max(row["proxy_accuracy"] or 0 for row in rows)


def test_a_stopped_run_goes_on_as_if_nothing_had_been(
    whole: Path, tmp_path: Path, story: Story
) -> None:
    config = grid(tmp_path / "run")
    for epochs in (2, 3):
        with pytest.raises(Interrupted) as stopped:
            run_cells(config, watchers=[Stopper(epochs)])
        assert stopped.value.command == "cells"
    assert "not finished" in status(tmp_path / "run")
    assert [row["state"] for row in rows_of(tmp_path / "run")][-1].startswith("epoch")
    run_cells(config, watchers=())
    assert without_memory(story(tmp_path / "run")) == without_memory(story(whole))
    assert "6 of 6 cell searches" in status(tmp_path / "run")


def test_a_retraining_shows_up_in_the_table(whole: Path) -> None:
    folder = whole / "retrain" / "000"
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps({"test_accuracy_last": 0.5}))
    assert [row["retrained_accuracy"] for row in rows_of(whole)] == [0.5, *[None] * 5]
    (folder / "result.json").unlink()


def test_a_run_that_only_draws_cells_ends_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    where = ["--engine", "local", "--device", "cpu", "--spaces", "s5", "--out", str(folder)]
    main(["cells", "--recipes", "random", "--limit", "120", "--cells", "3", *where])
    assert f"train the first fade-ray retrain {folder} --trial 000" in capsys.readouterr().out


def test_another_grid_in_the_same_directory_is_refused(whole: Path, tmp_path: Path) -> None:
    config = grid(whole)
    with pytest.raises(InvalidInput, match=r"grid\.held_out: 0\.5 -> 0\.25"):
        run_cells(replace(config, grid=replace(config.grid, held_out=0.25)))
    with pytest.raises(SystemExit):
        main(["search", "--out", str(whole)])


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--recipes", "dart-1st"], "Did you mean 'darts-1st'"),
        (["--spaces", "s55"], "s5"),
        (["--spaces", "nasbench201", "--recipes", "amended-edges"], "makes no sense"),
        (["--channels", "10", "--recipes", "pc-darts"], "multiple of 4"),
        (["--table", "missing.parquet", "--spaces", "nasbench201"], "missing.parquet"),
        (["--table", "missing.parquet"], "belongs to the space nasbench201"),
        (["--seeds", "0", "0"], "seeds differ"),
        (["--learning-rate", "0.0001"], "final_learning_rate"),
        (["--auxiliary-weight", "0.4"], "auxiliary"),
        (["--cells", "4", "--spaces", "nasbench201"], "multiple of 3"),
    ],
)
def test_wrong_input_is_one_message(
    flags: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(
            ["cells", "--engine", "local", "--limit", "120", "--out", str(tmp_path / "run"), *flags]
        )
    assert ended.value.code == 2
    error = " ".join(capsys.readouterr().err.split())
    assert said in error
    assert "Traceback" not in error
    assert not (tmp_path / "run" / "records.jsonl").exists()


@pytest.mark.slow
def test_a_killed_driver_is_continued_on_ray_to_the_same_record(
    whole: Path, tmp_path: Path, story: Story
) -> None:
    folder = tmp_path / "run"
    call = [
        sys.executable,
        "-m",
        "fade_ray.cli",
        "cells",
        *GRID,
        *SMALL,
        "--address",
        "local",
        "--out",
        str(folder),
    ]
    log = (tmp_path / "log").open("ab")
    process = subprocess.Popen(call, stdout=log, stderr=log)
    records = folder / "records.jsonl"
    wait_for(lambda: records.exists() and records.read_text().count('"epoch"') >= 4, 240, process)
    started = list(children_of(process.pid))
    process.kill()
    process.wait(30)
    end_by_id(started)  # Ray's own processes outlive their driver by seconds
    assert not (folder / "result.json").exists()
    again = subprocess.run(call, stdout=log, stderr=log, timeout=280)
    said = (tmp_path / "log").read_text()
    assert again.returncode == 0, said[-2000:]
    assert without_memory(story(folder)) == without_memory(story(whole))
    assert "Traceback" not in said
