"""The process is the user's: what a run, or the command, sets in it is taken back."""

import errno
import io
import logging
import os
import random
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from fade_ray.cli import main
from fade_ray.records.atomic import writable
from fade_ray.records.journal import read_events
from fade_ray.records.remote import directory
from fade_ray.run.ending import SIGNALS, Ending, heed
from fade_ray.run.folder import RUN
from fade_ray.run.lifecycle import Interrupted
from fade_ray.run.marks import set_level, taken_back
from fade_ray.run.ray_cluster import _Folders, ending_as_before
from fade_ray.run.watcher import Watcher
from spaces.errors import InvalidInput


def test_variables_and_levels_are_those_of_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNE_MINE", "mine")
    monkeypatch.delenv("RAY_OURS", raising=False)
    log = logging.getLogger("fade_ray.test_marks")
    log.setLevel(logging.INFO)
    with suppress(KeyError), taken_back():
        os.environ |= {"TUNE_MINE": "ours", "RAY_OURS": "1", "OTHER_OF_MINE": "kept"}
        with taken_back():
            set_level(log.name, logging.ERROR)
        assert log.level == logging.INFO
        set_level(log.name, logging.ERROR)
        set_level(log.name, logging.CRITICAL)
        raise KeyError
    assert log.level == logging.INFO
    assert os.environ["TUNE_MINE"] == "mine"
    assert "RAY_OURS" not in os.environ
    assert os.environ.pop("OTHER_OF_MINE") == "kept"


def test_what_a_user_draws_does_not_depend_on_the_runs_before() -> None:
    def drawn() -> tuple[float, float]:
        return random.random(), float(torch.rand(()))

    random.seed(3), torch.manual_seed(3)
    expected = drawn()
    random.seed(3), torch.manual_seed(3)
    with taken_back():
        drawn()
    assert drawn() == expected


@pytest.fixture
def hang_up_ignored() -> Iterator[None]:
    """As under `nohup`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGHUP, before)


def test_signals_mean_what_they_meant_before(hang_up_ignored: None) -> None:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    with Ending() as ending:
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    assert ending.number == signal.SIGTERM
    assert {number: signal.getsignal(number) for number in SIGNALS} == before


def test_what_ends_the_start_of_ray_ends_it_as_everywhere_else() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Ending() as ending, suppress(KeyboardInterrupt), ending_as_before():
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))  # as Ray's does
        signal.raise_signal(signal.SIGTERM)
    assert ending.number == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_interrupt_that_was_lost_is_heeded_once() -> None:
    with Ending():
        heed()
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            heed()
        heed()


class Swallowing(Watcher):
    """Loses an interrupt, as a callback out of C may."""

    def epoch(self, proposal: Any, epoch: int, metrics: Mapping[str, Any]) -> None:
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_run_whose_interrupt_was_lost_ends_at_the_next_event(
    tmp_path: Path, toy: Any, toy_config: Any
) -> None:
    with Ending(), pytest.raises(Interrupted):
        toy(toy_config(tmp_path / "run"), watchers=[Swallowing()])
    events = read_events(tmp_path / "run" / "records.jsonl")
    assert [event["event"] for event in events if event["event"] != "begun"] == [
        *("start", "proposed", "epoch")
    ]


class FullDisk(Watcher):
    """Has no room for what it is shown from the second epoch on."""

    def __init__(self) -> None:
        self.shown = 0

    def epoch(self, proposal: Any, epoch: int, metrics: Mapping[str, Any]) -> None:
        self.shown += 1
        if self.shown > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_watching_never_ends_a_run(tmp_path: Path, toy: Any, toy_config: Any, story: Any) -> None:
    alone, watched, full = tmp_path / "alone", tmp_path / "watched", FullDisk()
    toy(toy_config(alone))
    boards = watched / "tensorboard"
    boards.mkdir(parents=True)
    (boards / "run").write_text("in the way of TensorBoard's folder")
    toy(toy_config(watched), watchers=[full])
    assert story(watched) == story(alone)
    assert full.shown == 2
    events = read_events(watched / "records.jsonl")
    told = [event["message"] for event in events if event["event"] == "warning"]
    assert sum("FullDisk is shown no more of this run: " in message for message in told) == 1
    assert sum("RunBoard is shown no more of this run: " in message for message in told) == 1


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "No space left on device. Free space, or choose"),
        (errno.EMFILE, "Too many open files. Raise the limit of open files"),
        (errno.EROFS, "Read-only file system. Mount it for writing, or choose"),
        (errno.EACCES, "Permission denied. Free space or set the permissions, or choose"),
    ],
)
def test_what_the_system_refused_is_told_apart(number: int, words: str) -> None:
    with pytest.raises(InvalidInput, match=words), writable(*RUN):
        raise OSError(number, os.strerror(number))


def test_output_is_printed_in_whatever_the_terminal_has(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    main(["describe", "DARTS_V2"])
    stream.flush()
    assert b"parameters" in written.getvalue()
    assert b"?" in written.getvalue()


def test_paths_that_are_no_text_are_refused_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = os.fsdecode(b"\xf6ut")
    pictures = tmp_path / "pictures"
    for name in ("a", odd):
        (pictures / name).mkdir(parents=True)
    run = tmp_path / "run"
    for flags in (["--out", str(tmp_path / odd)], ["--out", str(run), "--data", str(pictures)]):
        with pytest.raises(SystemExit) as ended:
            main(["search", "--engine", "local", *flags])
        assert ended.value.code == 2
        assert "names and paths are UTF-8" in capsys.readouterr().err
    assert not run.exists()


def test_a_home_is_found_wherever_a_path_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A shell leaves `--draw=~/x.svg` as it is."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cells.txt").write_text("|none~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|")
    main(["describe", "~/cells.txt", "--draw=~/drawn/cells.svg"])
    assert (tmp_path / "drawn" / "cells.svg").exists()
    assert directory("~/run") == tmp_path / "run"
    for command in ("status", "report", "export", "watch"):
        with pytest.raises(SystemExit):
            main([command, "~/run"])
        assert f"{tmp_path}/run holds none" in capsys.readouterr().err.replace("\n", " ")
    assert not (tmp_path / "~").exists()


def test_workers_import_from_no_folder_that_the_driver_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path / "script"), "/usr/lib"])
    folders = _Folders()
    folders.extend([str(tmp_path / "script"), str(tmp_path)])
    assert folders == [str(tmp_path / "script")]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", "/usr/lib"])  # as in a notebook
    folders.extend([str(tmp_path)])
    assert folders == [str(tmp_path / "script"), str(tmp_path)]
