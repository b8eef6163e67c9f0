"""A cluster that grows: only its head is up, and what waits makes Ray's autoscaler, by either of
its versions, start nodes.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from growing import growing_cluster, identity
from loopback import HEAD, Loopback, free_port
from runs import parse

from fade_ray.kinds import kind_of_run
from fade_ray.records.journal import read_events
from fade_ray.run.lifecycle import run

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(900)]
ROOT = Path(__file__).resolve().parents[2]
SEARCH = (
    *("--limit", "240", "--depth", "2", "--final-channels", "4", "--kernel", "3", "--lockstep"),
    *("--searcher", "random", "--iterations", "1", "--batch", "1", "--evaluations", "2"),
    *("--evaluation-epochs", "2", "--retrain-epochs", "1", "--device", "cpu"),
    *("--confirmed", "0", "--baselines", "off"),
)
RETRAIN = (
    *("DARTS_V2", "--limit", "60", "--batch-size", "12", "--cells", "3", "--channels", "4"),
    *("--epochs", "2", "--device", "cpu"),
)


@pytest.fixture(params=["0", "1"], ids=["autoscaler 1", "autoscaler 2"])
def folder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The home of such a cluster and of who uses it: two nodes of one processor may come."""
    with TemporaryDirectory(prefix="fg", dir="/tmp", ignore_cleanup_errors=True) as name:
        described, config = Path(name) / "ray_bootstrap_config.yaml", growing_cluster(Path(name), 2)
        described.write_text(json.dumps(config))
        environment = identity(HEAD, "head") | {
            "RAY_enable_autoscaler_v2": request.param,
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
            "AUTOSCALER_METRIC_PORT": str(free_port()),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)]),
        }
        flags = ["--include-dashboard=false", f"--autoscaling-config={described}"]
        port = int(config["provider"]["address"].rpartition(":")[2])
        around = {"HOME": name, "PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "disabled"}
        for key, value in around.items():
            monkeypatch.setenv(key, value)
        with Loopback(Path(name), 0, environment, flags, port) as cluster:
            cluster.wait()
            monkeypatch.setenv("RAY_ADDRESS", cluster.address)
            yield Path(name)


def carried_out(folder: Path, *arguments: str) -> tuple[int, str]:
    """How a command ends, and what it says."""
    call = [sys.executable, "-m", "fade_ray.cli", *arguments]
    ended = subprocess.run(call, cwd=folder, capture_output=True, text=True)
    return ended.returncode, ended.stdout + ended.stderr


def nodes(folder: Path) -> set[str]:
    """Where the epochs of a run were trained."""
    events = [event for event in read_events(folder / "records.jsonl") if event["event"] == "epoch"]
    return {event["metrics"]["node"].partition(" ")[0] for event in events}


def test_what_waits_makes_a_cluster_grow(
    folder: Path, story: Callable[[Path], dict[str, Any]]
) -> None:
    """By a node for the trials of a search, one at a time; by a second one for two workers."""
    grown, alone, shared = folder / "grown", folder / "alone", folder / "shared"
    code, said = carried_out(folder, "search", *SEARCH, "--concurrency", "1", "--out", str(grown))
    assert code == 0, said
    assert HEAD not in nodes(grown)
    run(kind_of_run("search"), parse("search", [*SEARCH, "--engine", "local", "--out", str(alone)]))
    assert story(grown) == story(alone)

    code, said = carried_out(folder, "retrain", *RETRAIN, "--workers", "2", "--out", str(shared))
    assert code == 0, said
    epochs = [e["epoch"] for e in read_events(shared / "records.jsonl") if e["event"] == "epoch"]
    assert epochs == [0, 1, 2]
    assert HEAD not in nodes(shared)
    code, said = carried_out(folder, "retrain", *RETRAIN, "--workers", "3", "--out", "many")
    assert code == 2
    assert "must fit into the Ray cluster, but 2 do" in said
