"""Nodes and workers that are lost, and nodes that come, on several loopback nodes: each time the
record says what an undisturbed run's says.
"""

import json
import logging
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from processes import children_of

from fade_ray.records.journal import read_events
from fade_ray.run.run_config import RunConfig
from fade_ray.run.watcher import Watcher
from fade_ray.trials.job import Event, Job, checkpoint_path

pytestmark = [pytest.mark.slow, pytest.mark.ray]
Toy, ToyConfigs = Callable[..., Path], Callable[..., Any]
Story = Callable[[Path], dict[str, Any]]


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A head without processors, and this process connected to it; its nodes end with the test."""
    import ray
    from ray.cluster_utils import Cluster

    nodes = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    try:
        nodes.add_node(num_cpus=1)
        ray.init(address=nodes.address, log_to_driver=False, logging_level=logging.CRITICAL)
        yield nodes
    finally:
        ray.shutdown()
        nodes.shutdown()


class At(Watcher):
    """Does something at the n-th epoch that is shown."""

    def __init__(self, **deeds: Callable[[], Any]) -> None:
        self.deeds = {int(name.removeprefix("epoch_")): deed for name, deed in deeds.items()}
        self.seen = 0

    def epoch(self, plan: Any, epoch: int, metrics: Mapping[str, Any]) -> None:
        self.seen += 1
        if self.seen in self.deeds:
            self.deeds[self.seen]()


def signal_workers(number: int) -> list[int]:
    """Send the workers of this process's clusters a signal."""
    pids = [pid for pid, line in children_of(os.getpid()).items() if "ray::FadeTrial" in line]
    for pid in pids:
        os.kill(pid, number)
    return pids


def events(folder: Path, name: str) -> list[dict[str, Any]]:
    return [event for event in read_events(folder / "records.jsonl") if event["event"] == name]


def restarts(folder: Path) -> list[tuple[str, str]]:
    """(kind, reason) of each."""
    return [tuple(event["failure"].values()) for event in events(folder, "restarted")]


def undisturbed(story: dict[str, Any]) -> dict[str, Any]:
    """A story without the names of the nodes."""
    return json.loads(
        json.dumps({k: {str(i): v for i, v in part.items()} for k, part in story.items()}),
        object_hook=lambda each: {k: v for k, v in each.items() if k != "node"},
    )


def test_nodes_are_lost_without_end_and_others_join(
    cluster: Any, tmp_path: Path, toy: Toy, toy_config: ToyConfigs, story: Story
) -> None:
    """Four times the only node goes, hard, and another one comes; at last two are there."""
    plain = toy(toy_config(tmp_path / "plain", trials=6, breaking=()))

    def exchange() -> None:
        workers = list(cluster.worker_nodes)
        cluster.add_node(num_cpus=1)
        for node in workers:
            cluster.remove_node(node, allow_graceful=False)

    watcher = At(
        epoch_1=exchange,
        epoch_2=exchange,
        epoch_3=exchange,
        epoch_4=exchange,
        epoch_5=lambda: cluster.add_node(num_cpus=1),
    )
    config = toy_config(tmp_path / "run", trials=6, breaking=(), run=RunConfig())
    folder = toy(config, watchers=[watcher])
    assert undisturbed(story(folder)) == undisturbed(story(plain))
    lost = restarts(folder)
    assert lost
    assert all(kind == "node lost" for kind, _ in lost), lost
    epochs = [(event["id"], event["epoch"]) for event in events(folder, "epoch")]
    assert len(epochs) == len(set(epochs))


def test_a_worker_that_is_killed_and_some_that_are_told_to_leave(
    cluster: Any, tmp_path: Path, toy: Toy, toy_config: ToyConfigs, story: Story
) -> None:
    """Between two epochs: they take no time here. Ray's own words for it are often those of a
    crash.
    """
    plain = toy(toy_config(tmp_path / "plain"))
    terminate = partial(signal_workers, signal.SIGTERM)
    watcher = At(
        epoch_1=lambda: signal_workers(signal.SIGKILL), epoch_3=terminate, epoch_5=terminate
    )
    folder = toy(toy_config(tmp_path / "run", run=RunConfig()), watchers=[watcher])
    assert undisturbed(story(folder)) == undisturbed(story(plain))
    (killed, why), *left = restarts(folder)
    assert killed == "worker lost"
    assert "killed or crashed" in why
    assert left
    assert all(kind == "node lost" and "told to leave" in reason for kind, reason in left), left


def leaver() -> Job[Any]:
    """Trials whose process is told to leave in each of their epochs."""

    # made in here so that it reaches the workers of Ray by value: they cannot import tests
    class Leaver:
        def run(self, plan: Mapping[str, Any], data: Any, folder: Path) -> Iterator[Event]:
            saved = checkpoint_path(folder, plan["id"])
            reached = int(saved.read_text()) if saved.exists() else 0
            for epoch in range(reached + 1, plan["epochs"] + 1):
                with (folder / "begun").open("a") as begun:
                    begun.write(f"{plan['id']} {epoch}\n")
                os.kill(os.getpid(), signal.SIGTERM)
                saved.write_text(str(epoch))
                yield {"epoch": epoch, "metrics": {}}
            yield {"outcome": {"score": 0.5}, "metrics": {}, "warnings": []}

    return Leaver()


def test_a_worker_that_is_told_to_leave_ends_its_epoch(
    cluster: Any, tmp_path: Path, toy: Toy, toy_config: ToyConfigs
) -> None:
    config = toy_config(tmp_path / "run", trials=1, breaking=(), run=RunConfig())
    folder = toy(config, job=leaver())
    begun = (folder / "begun").read_text().split("\n")[:-1]
    assert begun == ["00000 1", "00000 2"]
    assert [kind for kind, _ in restarts(folder)] == ["node lost"] * 2
