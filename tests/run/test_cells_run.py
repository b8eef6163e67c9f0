"""`fade-ray cells` from configuration to table: carried out, stopped, killed, refused."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from processes import children_of, end_by_id, told, wait_for
from runs import run_cells, status
from stopper import Stopper

import fade_ray
from fade_ray.cells.cell_trials import best_row, trials_of
from fade_ray.cells.cells_config import CellsConfig, GridConfig, RetrainingOptions
from fade_ray.cli import main
from fade_ray.data.data_config import DataConfig
from fade_ray.kinds import kind_of_run
from fade_ray.run.lifecycle import Interrupted
from fade_ray.run.run_config import RunConfig
from fade_ray.training import SGD, TrainConfig
from spaces.errors import InvalidInput

pytestmark = pytest.mark.ray

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
    for _, metrics in told["finished"].values():
        metrics.pop("latency_ms", None)
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
    assert len(list((whole / "tensorboard").iterdir())) == 6 + 1  # the run
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


RETRAINED = RetrainingOptions(
    retrain=True, retrain_epochs=(2,), retrain_cells=(3,), retrain_channels=(2,)
)


@pytest.fixture(scope="module")
def retrained(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run, which had ended, with what it found trained from scratch."""
    folder = tmp_path_factory.mktemp("retrained") / "run"
    shutil.copytree(whole, folder)
    return run_cells(replace(grid(folder), retraining=RETRAINED), watchers=())


def test_a_run_that_has_ended_grows_by_retrainings(
    whole: Path, retrained: Path, story: Story
) -> None:
    before, now = story(whole), story(retrained)
    for part in ("proposed", "finished", "epoch"):
        assert {id: now[part][id] for id in before[part]} == before[part]
    assert "6 of 6 cell searches and 12 of 12 retrainings" in status(retrained)
    rows = rows_of(retrained)
    measured = {
        id: outcome["measures"] for id, (outcome, _) in now["finished"].items() if "-" in id
    }
    both = [measured[f"000-quick-3x2-2-{seed}"]["test_accuracy"] for seed in (0, 1)]
    assert rows[0]["retrained_accuracy"] == pytest.approx(sum(both) / 2)
    assert all(row["retrained_accuracy"] is not None for row in rows)
    methods = fade_ray.open_run(retrained).table("methods").to_pylist()
    assert [row["method"] for row in methods] == ["darts-1st", "single-level", "random"]
    assert all(row["searches"] == 2 and row["parameters"] > 0 for row in methods)
    assert [row["search_images"] > 0 for row in methods] == [True, True, False]
    told = json.loads((retrained / "methods.json").read_text())
    assert "no difference can be shown" in told["verdict"][0]
    assert "Methods, retrained: quick-3x2-2" in (retrained / "report.html").read_text()


def test_retrainings_that_were_stopped_go_on_as_if_nothing_had_been(
    whole: Path, retrained: Path, tmp_path: Path, story: Story
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    config = replace(grid(folder), retraining=RETRAINED)
    for epochs in (3, 4):
        with pytest.raises(Interrupted):
            run_cells(config, watchers=[Stopper(epochs)])
    run_cells(config, watchers=())
    assert without_memory(story(folder)) == without_memory(story(retrained))


def test_what_was_retrained_may_be_added_to_and_not_taken_away(tmp_path: Path) -> None:
    kind, before = kind_of_run("cells"), replace(grid(tmp_path), retraining=RETRAINED)

    def grown(seeds: tuple[int, ...] = (0, 1), **options: Any) -> bool:
        now = replace(before, retraining=replace(RETRAINED, **options))
        return kind.grows(before, replace(now, grid=replace(now.grid, seeds=seeds)))

    assert grown(retrain_channels=(4, 2))
    assert grown(retrain_settings=("nasbench201-cifar10", "quick"))
    assert grown(retrain_seeds=3, seeds=(0, 1, 7))
    for fewer in ({"retrain": False}, {"retrain_channels": (4,)}, {"retrain_seeds": 1}):
        assert not grown(**fewer)
    assert not grown(seeds=(1, 0, 2))  # the first seeds are those that were
    assert not kind.grows(before, replace(before, data=DataConfig(limit=99)))


@pytest.mark.slow
def test_a_run_grows_by_seeds_and_settings(retrained: Path, tmp_path: Path, story: Story) -> None:
    folder = tmp_path / "run"
    shutil.copytree(retrained, folder)
    more = replace(grid(folder), retraining=replace(RETRAINED, retrain_channels=(2, 4)))
    run_cells(replace(more, grid=replace(more.grid, seeds=(0, 1, 2))), watchers=())
    assert "9 of 9 cell searches and 36 of 36 retrainings" in status(folder)
    before, now = story(retrained), story(folder)
    assert {id: now["finished"][id] for id in before["finished"]} == before["finished"]
    told = json.loads((folder / "methods.json").read_text())
    assert told["settings"] == ["quick-3x2-2", "quick-3x4-2"]


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
        (["--recipes", "stacnas", "--setting", "publishd"], "Did you mean 'published'"),
        (["--recipes", "stacnas", "--groups", "missing.json"], "missing.json"),
        (["--recipes", "stacnas", "--cells", "2", "--spaces", "s1"], "two reduction cells"),
        (["--held-out", "0"], "use --held-out 0.5"),
        (["--learning-rate", "0.0001"], "final_learning_rate"),
        (["--auxiliary-weight", "0.4"], "auxiliary"),
        (["--cells", "4", "--spaces", "nasbench201"], "multiple of 3"),
        (["--retrain", "--retrain-settings", "quik"], "Did you mean 'quick'"),
        (["--retrain", "--retrain-settings", "darts-imagenet"], "reads a folder"),
        (["--retrain", "--retrain-settings", "darts-cifar10"], "normalisation"),
        (["--retrain", "--spaces", "nasbench201", "--retrain-cells", "4"], "multiple of 3"),
        (["--retrain", "--retrain-seeds", "0"], "retrain_seeds"),
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


TRAINED = ["--retrain", "--retrain-epochs", "2", "--retrain-cells", "3", "--retrain-channels", "2"]
SEEN = {"search": '"event": "epoch"', "retraining": '-quick-3x2-2-0", "epoch": 1'}
"""What stands in the record twice when the driver is killed, while such trials run: each once."""


@pytest.mark.slow
def test_a_killed_driver_is_continued_on_ray_to_the_same_record(
    retrained: Path, tmp_path: Path, story: Story
) -> None:
    folder, log = tmp_path / "run", (tmp_path / "log").open("ab")
    call = [sys.executable, "-m", "fade_ray.cli", "cells", *GRID, *SMALL, *TRAINED]
    call += ["--address", "local", "--out", str(folder)]
    for seen in SEEN.values():
        process = subprocess.Popen(call, stdout=log, stderr=log)
        wait_for(partial(told, folder / "records.jsonl", seen, 2), 240, process)
        started = list(children_of(process.pid))
        process.kill()
        process.wait(30)
        end_by_id(started)  # Ray's own processes outlive their driver by seconds
        assert not (folder / "result.json").exists()
    again = subprocess.run(call, stdout=log, stderr=log, timeout=280)
    said = (tmp_path / "log").read_text()
    assert again.returncode == 0, said[-2000:]
    assert without_memory(story(folder)) == without_memory(story(retrained))
    assert "Traceback" not in said
