"""Trials on a real Ray: the same search as the plain loop, side by side, and through the death of a
worker or of the driver.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from loopback import own_ray
from processes import children_of, end_by_id, told, wait_for

from fade_ray.records.journal import read_events
from fade_ray.records.json_form import as_json
from fade_ray.results import search
from fade_ray.run.run_config import RunConfig
from fade_ray.run.watcher import Watcher
from fade_ray.search.search_config import Config
from searchers import Proposal

pytestmark = pytest.mark.ray

Small = Callable[..., Config]
Story = Callable[[Path], dict[str, Any]]
WORKER = "ray::FadeTrial"


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    with own_ray(num_cpus=2):
        yield


@pytest.fixture(scope="module")
def plain_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plain") / "run"


@pytest.fixture
def plain(plain_folder: Path, small: Small) -> Path:
    """The folder of one run in the plain loop, made once."""
    search(small(plain_folder), watchers=())
    return plain_folder


class WorkerKiller(Watcher):
    """A watcher that kills the worker processes of this process's cluster once, after the n-th
    epoch it is shown.
    """

    def __init__(self, epochs: int) -> None:
        self.left, self.killed = epochs, 0

    def epoch(self, proposal: Proposal, epoch: int, metrics: Mapping[str, Any]) -> None:
        self.left -= 1
        if self.left == 0:
            for pid, command in children_of(os.getpid()).items():
                if command.startswith(WORKER):
                    os.kill(pid, signal.SIGKILL)
                    self.killed += 1


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("at_once", [1, 2])
def test_tune_gives_the_same_search_as_the_plain_loop(
    at_once: int, tmp_path: Path, plain: Path, small: Small, story: Story
) -> None:
    result = search(small(tmp_path / "run", engine="ray", concurrency=at_once), watchers=())
    assert story(tmp_path / "run") == story(plain)
    assert result.summary["training_share"] > 0
    assert not list((tmp_path / "run").rglob("*.pkl"))


@pytest.mark.usefixtures("cluster")
def test_trials_really_overlap(tmp_path: Path, small: Small) -> None:
    # long enough that the second actor has started before the first one is through
    search(
        small(tmp_path / "run", epochs=300, iterations=1, engine="ray", concurrency=2), watchers=()
    )
    ids = [
        event["id"]
        for event in read_events(tmp_path / "run" / "records.jsonl")
        if event["event"] == "epoch"
    ]
    first, second = "00000", "00001"  # the hyper-architectures of the two walks
    assert ids.index(second) < len(ids) - 1 - ids[::-1].index(first)
    assert ids.index(first) < len(ids) - 1 - ids[::-1].index(second)


@pytest.mark.usefixtures("cluster")
def test_a_killed_worker_costs_at_most_the_epoch_it_was_in(
    tmp_path: Path, plain: Path, small: Small, story: Story
) -> None:
    killer = WorkerKiller(2)
    search(small(tmp_path / "run", engine="ray", concurrency=1), watchers=[killer])
    assert killer.killed >= 1
    assert story(tmp_path / "run") == story(plain)
    epochs = [
        (e["id"], e["epoch"])
        for e in read_events(tmp_path / "run" / "records.jsonl")
        if e["event"] == "epoch"
    ]
    repeated = len(epochs) - len(set(epochs))
    assert repeated <= killer.killed


@pytest.mark.usefixtures("cluster")
def test_trials_read_the_images_in_place() -> None:
    """From the object store, without a copy: read-only arrays, and a tensor on the same memory."""
    import ray

    from fade_ray.data import load

    def look(splits: Any) -> tuple[bool, bool]:
        import torch

        from fade_ray.data import Batches

        images = splits.weights.images
        batches = Batches(
            splits.weights,
            batch_size=8,
            device=torch.device("cpu"),
            mean=splits.mean,
            std=splits.std,
        )
        return images.flags.writeable, batches.images.data_ptr() == images.ctypes.data

    writeable, in_place = ray.get(ray.remote(look).remote(ray.put(load("digits"))), timeout=120)
    assert not writeable
    assert in_place


@pytest.mark.usefixtures("cluster")
def test_trials_of_another_kind_run_alike(
    tmp_path: Path, toy: Callable[..., Path], toy_config: Callable[..., Any], story: Story
) -> None:
    """A grid, some of whose trials raise: two at once on Ray as one after the other in the plain
    loop.
    """
    plain_toy = toy(toy_config(tmp_path / "plain"))
    on_ray = toy(toy_config(tmp_path / "ray", run=RunConfig(concurrency=2)))
    assert story(on_ray) == story(plain_toy)
    cluster = json.loads((on_ray / "environment.json").read_text())["cluster"]
    ((name, node),) = cluster.items()
    assert (node["resources"]["CPU"], node["faults"]) == (2, [])
    told = [e for e in read_events(on_ray / "records.jsonl") if e["event"] in ("epoch", "finished")]
    assert {event["metrics"]["node"] for event in told} == {name}
    assert json.loads((on_ray / "result.json").read_text()) == json.loads(
        (plain_toy / "result.json").read_text()
    )


class ActorNames(Watcher):
    """What Ray's dashboard says of the actors that live after an epoch: class and repr."""

    def __init__(self) -> None:
        self.seen: set[tuple[str, str]] = set()

    def epoch(self, plan: Any, epoch: int, metrics: Mapping[str, Any]) -> None:
        from ray._private.state import state
        from ray.core.generated import gcs_pb2

        rows = state._connect_and_get_accessor().get_actor_table(None, None)
        tables = map(gcs_pb2.ActorTableData.FromString, rows)
        alive = gcs_pb2.ActorTableData.ALIVE
        self.seen |= {(row.class_name, row.repr_name) for row in tables if row.state == alive}


@pytest.mark.usefixtures("cluster")
def test_trial_actors_have_telling_names(
    tmp_path: Path, toy: Callable[..., Path], toy_config: Callable[..., Any]
) -> None:
    names = ActorNames()
    toy(toy_config(tmp_path / "mine", run=RunConfig(concurrency=1)), watchers=[names])
    assert ("FadeTrial", "mine trial 00000") in names.seen


def driver(config: Config, folder: Path) -> subprocess.Popen[bytes]:
    """`search(config)` in a process of its own, with a Ray of its own."""
    program = (
        "import json, sys\n"
        "from fade_ray import Config, search\nfrom fade_ray.records.json_form import from_json\n"
        "search(from_json(Config, json.loads(sys.argv[1])), watchers=())\n"
    )
    log = (folder.parent / "driver.log").open("ab")
    return subprocess.Popen(
        [sys.executable, "-c", program, json.dumps(as_json(config))], stdout=log, stderr=log
    )


@pytest.mark.slow
def test_a_killed_driver_is_resumed_to_the_same_search(
    tmp_path: Path, plain: Path, small: Small, story: Story
) -> None:
    """Twice."""
    folder = tmp_path / "run"
    config = small(folder, engine="ray", address="local", concurrency=2)
    records = folder / "records.jsonl"
    for epochs in (3, 9):
        process = driver(config, folder)
        wait_for(partial(told, records, '"epoch"', epochs), 180, process)
        started = list(children_of(process.pid))
        process.kill()
        process.wait(30)
        end_by_id(started)  # Ray's own processes outlive their driver by seconds
        assert not (folder / "result.json").exists()
    resumed = driver(config, folder)
    assert resumed.wait(240) == 0, (tmp_path / "driver.log").read_text()[-2000:]
    assert story(folder) == story(plain)
