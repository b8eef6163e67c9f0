"""One driver per run directory, also where the file lock does not reach: real processes, of which
those that are "elsewhere" put the lock aside first.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from processes import end_by_id, wait_for
from runs import TINY_SEARCH

from fade_ray.records.journal import read_events
from fade_ray.records.remote import directory
from fade_ray.run import lease
from fade_ray.run.ending import Ending, ended_by, heed
from fade_ray.run.ends_when import ends_when
from fade_ray.run.folder import opened
from spaces.errors import InvalidInput

DRIVER = """
import logging, sys
from fade_ray.records.journal import Journal
from fade_ray.records.remote import directory
from fade_ray.run import ends_when, lease
from fade_ray.run.folder import opened
from spaces.errors import InvalidInput

folder, name, expires = directory(sys.argv[1]), sys.argv[2], float(sys.argv[3])
lease.RENEWED, lease.EXPIRES, lease.LOOK, ends_when.GRACE = 0.2, expires, 0.1, 1.0
logging.getLogger("fade_ray").addHandler(logging.StreamHandler())
logging.getLogger("fade_ray").setLevel(logging.INFO)
if "elsewhere" in sys.argv:
    (folder / ".lock").unlink(missing_ok=True)
try:
    with opened(folder, ()) as held, Journal(folder / "records.jsonl", held.check) as journal:
        print("holds", flush=True)
        for line in sys.stdin:
            journal.append("warning", message=name)
            print("wrote", flush=True)
except InvalidInput as error:
    print(error, file=sys.stderr, flush=True)
    sys.exit(2)
"""

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """`start(name, *words)`: a driver of `tmp_path`, or of what is `at` an address, that writes an
    event for each line it gets.
    """
    begun = list[subprocess.Popen[str]]()
    around = os.environ | {"TMPDIR": str(tmp_path_factory.mktemp("copies"))}

    def driver(
        name: str, *words: str, expires: float = 3.0, at: object = tmp_path
    ) -> subprocess.Popen[str]:
        call = [sys.executable, "-c", DRIVER, str(at), name, str(expires), *words]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        begun.append(subprocess.Popen(call, text=True, env=around, **pipes))  # type: ignore[call-overload]
        return begun[-1]

    yield driver
    for process in begun:
        with suppress(ProcessLookupError):
            process.kill()
        process.communicate()


def says(process: subprocess.Popen[str]) -> str:
    """Its next line; "" when it has ended."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def write(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def written(place: Path | str) -> list[str]:
    return [event["message"] for event in read_events(directory(place) / "records.jsonl")]


@pytest.mark.parametrize(("asked", "scheme"), [(True, ""), (False, ""), (True, "file://")], ids=str)
def test_a_frozen_driver_finds_its_lease_taken_and_ends(
    tmp_path: Path, start: Start, asked: bool, scheme: str
) -> None:
    at = f"{scheme}{tmp_path}"
    first = start("first", at=at)
    assert says(first) == "holds"
    write(first)
    assert says(first) == "wrote"
    first.send_signal(signal.SIGSTOP)
    second = start("second", "elsewhere", at=at)
    assert says(second) == "holds"
    write(second)
    assert says(second) == "wrote"
    if asked:
        write(first)
    first.send_signal(signal.SIGCONT)
    assert first.wait(60) == 2
    assert first.stderr is not None
    assert f"process {second.pid} on" in first.stderr.read()
    assert says(first) == ""
    write(second)
    assert says(second) == "wrote"
    assert written(at) == ["first", "second", "second"]


def test_a_driver_elsewhere_is_refused_while_the_first_one_lives(
    tmp_path: Path, start: Start
) -> None:
    first = start("first")
    assert says(first) == "holds"
    second = start("second", "elsewhere", expires=1e6)
    _, refusal = second.communicate(timeout=60)
    assert second.returncode == 2
    assert f"process {first.pid} on" in refusal
    assert "renewed" in refusal
    write(first)
    assert says(first) == "wrote"
    first.communicate(timeout=60)
    assert first.returncode == 0
    assert not (tmp_path / ".lease").exists()


def test_one_that_was_killed_here_is_followed_at_once(tmp_path: Path, start: Start) -> None:
    first = start("first")
    assert says(first) == "holds"
    first.kill()
    first.wait(60)
    second = start("second", expires=1e6)
    assert says(second) == "holds"
    _, said = second.communicate(timeout=60)
    assert said == ""


@pytest.mark.slow
def test_of_two_that_take_over_one_does(tmp_path: Path, start: Start) -> None:
    (tmp_path / ".lease").write_text(json.dumps({"pid": 1, "host": "gone", "since": "long ago"}))
    both = [start(name, "elsewhere") for name in ("second", "third")]
    for process in both:
        write(process)
    said = {process.args[4]: process.communicate(timeout=60) for process in both}  # type: ignore[index]
    won = [name for name, (out, _) in said.items() if "wrote" in out]
    assert len(won) == 1, said
    assert written(tmp_path) == won
    assert all("process 1 on gone (since long ago by its clock)" in err for _, err in said.values())


SEARCH = """
from fade_ray.run import lease
from fade_ray.cli import main
lease.EXPIRES = 6.0
main()
"""
SMALL = (*TINY_SEARCH, "--engine", "local")


@pytest.mark.slow
def test_a_search_that_was_frozen_leaves_its_record_to_the_next_one(
    tmp_path: Path, story: Callable[[Path], dict[str, Any]]
) -> None:
    def search(out: str) -> subprocess.Popen[bytes]:
        call = [sys.executable, "-c", SEARCH, "search", *SMALL, "--out", str(tmp_path / out)]
        with (tmp_path / f"{out}.log").open("ab") as log:
            return subprocess.Popen(call, stdout=log, stderr=log)

    assert search("plain").wait(300) == 0
    frozen, record = search("run"), tmp_path / "run" / "records.jsonl"
    wait_for(lambda: record.exists() and '"epoch"' in record.read_text(), 180, frozen)
    frozen.send_signal(signal.SIGSTOP)
    (tmp_path / "run" / ".lock").unlink()
    next_one = search("run")
    try:
        wait_for(lambda: record.read_text().count('"start"') == 2, 180, next_one)
        frozen.send_signal(signal.SIGCONT)
        assert frozen.wait(60) == 2
        assert next_one.wait(300) == 0
    finally:
        end_by_id([frozen.pid, next_one.pid])
    assert f"process {next_one.pid} on" in (tmp_path / "run.log").read_text()
    assert story(tmp_path / "run") == story(tmp_path / "plain")


def test_what_ends_by_itself_has_no_signal() -> None:
    """Though the main thread is interrupted as by one: words and code are those of an error."""

    def go_on() -> None:
        for _ in range(6000):
            threading.Event().wait(0.01)

    with Ending():
        with pytest.raises(InvalidInput, match="gone") as raised, ends_when(lambda: "gone", 0.01):
            go_on()
        assert not ended_by(raised.value)
        heed()


def test_the_lock_names_who_has_it(tmp_path: Path) -> None:
    with (
        opened(tmp_path, ()),
        pytest.raises(InvalidInput, match=f"process {os.getpid()} on"),
        opened(tmp_path, ()),
    ):
        pass


def test_a_torn_lease_is_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EXPIRES", "LOOK", "SETTLED"):
        monkeypatch.setattr(lease, name, 0.0)
    (tmp_path / ".lease").write_bytes(b"")
    with opened(tmp_path, ()) as held:
        held.check()
        (tmp_path / ".lease").unlink()
        with pytest.raises(InvalidInput, match="removed"):
            held.check()
