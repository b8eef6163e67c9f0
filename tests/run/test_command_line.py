"""The command line as a user meets it: one message for a mistake, no traceback, exit code 2."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import parse

from fade_ray.cli import main
from fade_ray.records.journal import read_events
from fade_ray.results import search
from fade_ray.run.watcher import Watcher
from fade_ray.search.search_config import RECIPES, Config
from fade_ray.training import SGD, Adam
from spaces.errors import InvalidInput

SEARCH = ["search", "--engine", "local", "--limit", "240", "--out"]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    assert left.value.code == 2
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err + printed.out
    return printed.err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--data", "mnist9"], "mnist9"),
        (["--data", "missing.parquet"], "missing.parquet"),
        (["--depth", "0"], "depth"),
        (["--gamma", "0.01"], "gamma"),
        (["--features", "prettiness"], "prettiness"),
        (["--final-channels", "7"], "final_channels"),
        (["--strides", "4", "4", "4", "4"], "too small for the depth"),
        (["--batch-size", "0"], "batch_size"),
        (["--iterations", "0"], "iterations"),
        (["--limit", "15"], "class"),
        (["--no-share"], "--share"),
        (["--seed", "-1"], "seed"),
        (["--recipe", "soup"], "soup"),
        (["--recipe"], "--recipe"),
        (["--gpus-per-trial", "1"], "gpus_per_trial"),
    ],
)
def test_a_mistake_is_one_message(
    flags: list[str], words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    message = refused(capsys, *SEARCH, str(tmp_path / "run"), *flags)
    assert words in message
    assert not (tmp_path / "run").exists()  # said before any work


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA GPU")
def test_a_gpu_that_is_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "CUDA" in refused(capsys, *SEARCH, str(tmp_path), "--device", "cuda")


@pytest.mark.parametrize("command", ["status", "report", "export"])
def test_commands_on_a_directory_that_is_no_run(
    command: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert str(tmp_path) in refused(capsys, command, str(tmp_path))
    assert "Its directory" in refused(capsys, command)


def test_an_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    far = refused(capsys, "dance")
    assert "status" in far
    assert "Did you mean" not in far
    assert "Did you mean `fade-ray search`?" in refused(capsys, "serch")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("help", 0, "rank-study"),
        ("help status", 0, "--follow"),
        ("status --help-all", 0, "--follow"),
        ("analyse -h", 0, "analyse confusion  [SOURCE]: "),
        ("analyse", 2, "analyse confusion  [SOURCE]: "),
    ],
)
def test_help_is_where_one_looks_for_it(
    words: str, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(words.split())
    assert left.value.code == code
    assert said in capsys.readouterr().out


def test_messages_speak_of_flags_alone(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Of none of the classes and unions behind them."""
    with pytest.raises(SystemExit):
        main(["search", "--help"])
    shown = capsys.readouterr().out
    assert "--limit INT" in shown
    assert "{None}" not in shown
    wrong = refused(capsys, *SEARCH, str(tmp_path), "--gpus-per-trial", "x")
    assert "Error parsing --gpus-per-trial: could not convert string to float: 'x'" in wrong
    empty = refused(capsys, "cells", "--recipes")
    assert empty.startswith("fade-ray: `len(recipes) >= 1` must hold")
    assert parse("search", ["--recipe", "paper", "--limit", "None"]).data.limit is None


def test_help_tells_what_most_people_set_and_names_the_rest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = {}
    for flags in (["--help"], ["--help-all"], ["--searcher", "evolution", "--help"]):
        with pytest.raises(SystemExit) as left:
            main(["search", *flags])
        assert left.value.code == 0
        shown[" ".join(flags)] = capsys.readouterr().out
    brief, whole, chosen = shown.values()
    assert len(brief.splitlines()) < len(whole.splitlines()) / 1.8
    assert set(re.findall(r"--[a-z0-9-]+", whole)) - {"--no-share"} <= {
        *re.findall(r"--[a-z0-9-]+", brief),
        *(f"--no-{name[2:]}" for name in re.findall(r"--[a-z0-9-]+", brief)),
        *("--threads", "--batch"),
    }
    assert "--gamma-rule STR" not in brief
    assert "--gamma-rule STR" in whole
    assert "--population INT" in chosen, "a searcher that was asked for tells all of its own"


def test_a_stray_word_and_a_directory_without_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert "takes flags, but got 'extra'" in refused(capsys, "search", "extra")
    assert "behind SOURCE, but got 'extra'" in refused(capsys, "retrain", "DARTS_V2", "extra")
    assert "--out" in refused(capsys, "search", "--out", "")


@pytest.mark.parametrize("command", [[], ["search"]])
def test_a_reader_that_has_seen_enough_ends_the_help_without_a_word(command: list[str]) -> None:
    call = [sys.executable, "-u", "-m", "fade_ray.cli", *command, "--help"]
    pipe = subprocess.PIPE
    with subprocess.Popen(call, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""


@pytest.mark.parametrize(
    ("around", "command", "code"),
    [
        (">&-", "--version", 0),
        ("<&- >&- 2>&-", "status nowhere", 2),
        ("2>/dev/full", "status nowhere", 2),
        (">/dev/full", "--version", 2),
    ],
)
def test_streams_that_are_closed_or_full_are_no_reason_for_a_traceback(
    around: str, command: str, code: int
) -> None:
    call = f"'{sys.executable}' -m fade_ray.cli {command} {around}"
    answer = subprocess.run(["sh", "-c", call], capture_output=True, text=True, timeout=60)
    assert answer.returncode == code
    assert "Traceback" not in answer.stderr


def test_a_working_directory_that_is_gone_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gone").mkdir()
    os.chdir("gone")
    (tmp_path / "gone").rmdir()
    assert "The working directory must be there" in refused(capsys, "describe", "DARTS_V2")


def test_a_directory_is_for_one_process_at_a_time(
    tmp_path: Path, toy: Callable[..., Path], toy_config: Callable[..., Any]
) -> None:
    """Whoever comes second is refused and changes nothing."""
    second = toy_config(tmp_path / "run")

    class Second(Watcher):
        def epoch(self, plan: Any, epoch: int, metrics: Any) -> None:
            before = (tmp_path / "run" / "records.jsonl").read_bytes()
            with pytest.raises(InvalidInput, match="One process at a time"):
                toy(second)
            assert (tmp_path / "run" / "records.jsonl").read_bytes() == before

    assert (toy(second, watchers=[Second()]) / "result.json").exists()


def test_flags_override_a_recipe() -> None:
    config = parse(
        "search", ["--recipe", "paper", "--iterations", "10", "--no-share", "--no-carry-weights"]
    )
    paper = RECIPES["paper"]
    assert config.architecture == paper.architecture
    assert config.searcher.iterations == 10
    assert not config.network.share
    assert parse("search", []) == Config()


def test_an_optimiser_has_its_own_flags_and_leaves_those_of_the_searcher_alone() -> None:
    flags = [
        "--optimiser",
        "sgd",
        "--optimiser-momentum",
        "0.5",
        "--nesterov",
        "--momentum",
        "0.25",
    ]
    config = parse("search", flags)
    assert config.train.optimiser == SGD(momentum=0.5, nesterov=True)
    assert type(config.train.optimiser) is SGD
    assert config.searcher.momentum == 0.25


def test_the_paper_recipe_is_what_the_paper_states() -> None:
    paper = RECIPES["paper"]
    assert (paper.network.depth, paper.network.kernel, paper.network.final_channels) == (4, 5, 32)
    assert (paper.network.norm, paper.network.pool) == ("none", "max")
    adam = Adam(learning_rate=1e-3, weight_decay=1e-4, epsilon=1e-8, clip=10, clip_by="value")
    assert (paper.train.batch_size, paper.train.optimiser) == (128, adam)
    assert (paper.architecture.temperature, paper.architecture.logit_std) == (10, 0.5)
    assert paper.architecture.estimator == "straight-through-exact"
    assert (paper.searcher.iterations, paper.outer.rank_epochs, paper.outer.evaluation_epochs) == (
        100,
        5,
        30,
    )
    assert (paper.space.max_vertices, len(paper.space.features)) == (5, 3)


def test_export_status_and_report_of_a_run(
    small: Callable[..., Config], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path / "run")
    search(small(Path(folder), epochs=1, iterations=1), watchers=())
    main(["status", folder])
    assert "finished" in capsys.readouterr().out
    (tmp_path / "run" / "report.html").unlink()
    main(["report", folder])
    assert (tmp_path / "run" / "report.html").exists()
    main(["export", folder, "--onnx"])
    paths = [Path(line) for line in capsys.readouterr().out.splitlines() if line.startswith(folder)]
    assert {path.suffix for path in paths} >= {".py", ".safetensors", ".json", ".onnx"}
    assert all(path.exists() for path in paths)


def test_the_script_that_ray_submit_sends_takes_the_same_arguments(tmp_path: Path) -> None:
    script = Path(__file__).resolve().parents[2] / "scripts" / "run_fade.py"
    call = [sys.executable, str(script), "--data", "nowhere", "--engine", "local"]
    answer = subprocess.run(call, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert answer.returncode == 2
    assert "nowhere" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_full_disk_ends_the_run_and_keeps_what_is_done(tmp_path: Path) -> None:
    # the largest file a process may write stands in for the disk: both refuse a write half-way
    folder = tmp_path / "run"
    flags = ["--engine", "local", "--limit", "240", "--out", str(folder)]
    program = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (40960, 40960)); "
        "from fade_ray.cli import main; main(sys.argv[1:])"
    )
    call = [sys.executable, "-c", program, "search", *flags]
    answer = subprocess.run(call, capture_output=True, text=True, timeout=200)
    assert answer.returncode == 2
    assert "must be writable" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert read_events(folder / "records.jsonl")
    assert not list((folder / "checkpoints").glob(".*"))  # no half-written file is left
