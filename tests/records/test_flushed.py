"""What an event names is on the disk before the event is: watched in a process of its own, through
the calls that it makes.
"""

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import json, os, sys

def place(file):
    return os.path.realpath(f"/proc/self/fd/{file}")

def note(*what):
    calls.append(what)

calls = []
fsync, replace, write = os.fsync, os.replace, os.write

def noted_fsync(file):
    note("flush", place(file))
    fsync(file)

def noted_replace(old, new):
    note("replace", os.path.realpath(old), os.path.realpath(new))
    replace(old, new)

def noted_write(file, data):
    if place(file).endswith("records.jsonl"):
        note("event", data.decode())
    return write(file, data)

os.fsync, os.replace, os.write = noted_fsync, noted_replace, noted_write
from fade_ray.cli import main
main(sys.argv[2:])
open(sys.argv[1], "w").write(json.dumps(calls))
"""
SEARCH = "search --engine local --limit 120 --depth 2 --final-channels 4 --kernel 3 --iterations 1"
SEARCH += " --rank-epochs 2 --evaluation-epochs 1 --retrain-epochs 1 --baselines off"


def test_a_checkpoint_is_flushed_before_its_epoch_is_recorded(tmp_path: Path) -> None:
    calls, out = tmp_path / "calls.json", tmp_path / "run"
    command = [sys.executable, "-c", PROGRAM, str(calls), *SEARCH.split(), "--out", str(out)]
    subprocess.run(command, check=True, timeout=120, capture_output=True)
    noted = json.loads(calls.read_text())
    events = [
        (at, json.loads(what)) for at, (name, what, *_) in enumerate(noted) if name == "event"
    ]
    epochs = [(at, event["id"]) for at, event in events if event["event"] == "epoch"]
    assert len(epochs) > 5
    for at, id in epochs:
        assert_on_disk(noted[:at], out / "checkpoints" / f"{id}.pt")
    ended = {event["id"]: at for at, event in events if event["event"] == "finished"}
    kept = [path for path in (out / "weights").iterdir() if path.stem in ended]
    assert kept
    for path in kept:
        assert_on_disk(noted[: ended[path.stem]], path)


def assert_on_disk(before: list[list[str]], path: Path) -> None:
    """The last time that `path` was written, its content was flushed before and its name after."""
    written = max(
        i for i, call in enumerate(before) if call[0] == "replace" and call[2] == str(path)
    )
    temporary = before[written][1]
    assert ["flush", temporary] in before[:written]
    assert ["flush", str(path.parent)] in before[written:]
