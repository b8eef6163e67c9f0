"""A run that is ended by a signal keeps what is done, and says how to go on."""

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from forked import signals_as_usual
from processes import wait_for

from fade_ray.records.journal import read_events

pytestmark = pytest.mark.ray

LONG = ["--limit", "240", "--final-channels", "8", "--kernel", "3", "--baselines", "off"]
CALL = [sys.executable, "-m", "fade_ray.cli", "search", *LONG, "--out"]


def at_work(folder: Path, process: subprocess.Popen[bytes]) -> Path:
    """The record of a run that has done some epochs."""
    records = folder / "records.jsonl"
    wait_for(lambda: records.exists() and records.read_text().count('"epoch"') >= 3, 180, process)
    return records


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_keeps_what_is_done_and_says_how_to_go_on(
    number: signal.Signals, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    log = (tmp_path / "log").open("wb")
    process = subprocess.Popen(
        [*CALL, str(folder), "--address", "local"],
        stdout=log,
        stderr=log,
        preexec_fn=signals_as_usual,
    )
    records = at_work(folder, process)
    process.send_signal(number)
    assert process.wait(180) == 128 + number
    said = (tmp_path / "log").read_text()
    assert f"fade-ray search --out {folder}" in said
    assert "Traceback" not in said
    assert read_events(records)


def with_terminal() -> None:
    """In a session whose terminal is stdin."""
    os.setsid()
    signals_as_usual()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.mark.slow
def test_a_terminal_that_goes_away_ends_a_run_that_can_be_continued(tmp_path: Path) -> None:
    """As a dropped SSH connection does: whatever is written from then on is an error."""
    folder = tmp_path / "run"
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*CALL, str(folder), "--engine", "local"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        preexec_fn=with_terminal,
    )
    reader = subprocess.Popen(["cat"], stdin=ours, stdout=subprocess.DEVNULL)
    os.close(theirs)
    os.close(ours)
    records = at_work(folder, process)
    reader.kill()  # the last who held the other end
    assert process.wait(180) == 128 + signal.SIGHUP
    reader.wait()
    assert read_events(records)
    assert not (folder / "result.json").exists()
