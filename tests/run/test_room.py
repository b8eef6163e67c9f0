"""How many trials run at once, on clusters that are said rather than started."""

from typing import Any

import pytest

from fade_ray.run.doctor import Examined, Fault
from fade_ray.run.resources import Resources
from fade_ray.run.room import Room, nodes_to_come, trial_resources
from fade_ray.run.run_config import RunConfig, WorkersConfig
from fade_ray.run.train_workers import worker_resources
from spaces.errors import InvalidInput

GPUS, SMALL = [{"CPU": 16.0, "GPU": 2.0}], [{"CPU": 2.0}, {"CPU": 2.0}]


@pytest.mark.parametrize(
    ("cpus", "gpus", "nodes", "fitting"),
    [
        (1, 0, SMALL, 4),
        (2, 0, SMALL, 2),
        (4, 0, SMALL, 0),  # four in all, but on two nodes
        (1, 0.25, GPUS, 8),
        (1, 0.3, GPUS, 6),
        (1, 0.4, GPUS, 4),  # two on each; 0.2 of each are left
        (1, 0.6, GPUS, 2),
        (4, 0.1, GPUS, 4),
        (1, 2, GPUS, 1),
        (1, 1, [*GPUS, *SMALL], 2),
    ],
)
def test_how_many_fit(
    cpus: float, gpus: float, nodes: list[dict[str, float]], fitting: int
) -> None:
    assert Resources(cpus, gpus).fitting(nodes) == fitting


def test_what_a_trial_is_given() -> None:
    assert trial_resources(RunConfig(), SMALL) == Resources(1, 0)
    assert trial_resources(RunConfig(), GPUS) == Resources(1, 1)
    assert trial_resources(RunConfig(gpus_per_trial=0.25), GPUS) == Resources(1, 0.25)
    assert trial_resources(RunConfig(device="cpu"), GPUS) == Resources(1, 0)
    for run in (RunConfig(gpus_per_trial=1), RunConfig(device="cuda")):
        with pytest.raises(InvalidInput, match="GPU"):
            trial_resources(run, SMALL)
    with pytest.raises(InvalidInput, match="CPU"):
        trial_resources(RunConfig(cpus_per_trial=4), SMALL)


def test_workers_take_what_is_up_or_may_come() -> None:
    """A cluster that has only its head yet is made to grow, and never a CPU taken for a GPU."""
    two, to_come = WorkersConfig(workers=2), [{"CPU": 8.0, "GPU": 1.0}] * 2
    assert worker_resources(two, SMALL, []) == Resources(1, 0)
    assert worker_resources(two, [{"CPU": 4.0}], to_come) == Resources(1, 1)
    with pytest.raises(InvalidInput, match=r"8 workers of 1 CPU\(s\) and 1 GPU.*but 2 do"):
        worker_resources(WorkersConfig(workers=8), [], to_come)
    with pytest.raises(InvalidInput, match="no node of the Ray cluster has a GPU"):
        worker_resources(WorkersConfig(workers=2, device="cuda"), SMALL, [])


class Cluster:
    """A survey of nodes that come and go; `answered` are those that were asked."""

    def __init__(self, up: list[dict[str, float]]) -> None:
        self.ray, self.examined = self, dict[str, Examined]()
        self.up = dict[str, dict[str, float]]()
        self.join(up)

    def join(self, nodes: list[dict[str, float]], *faults: Fault, answered: bool = True) -> None:
        for node in nodes:
            id = str(len(self.up))
            self.up[id] = node
            if answered:
                self.examined[id] = Examined(id, "-", node, None, faults)

    @property
    def good(self) -> list[Examined]:
        return [node for node in self.examined.values() if not node.faults]

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": bool(node), "NodeID": id} for id, node in self.up.items()]

    def look(self) -> None: ...

    def hear(self, seconds: float) -> None: ...


def test_nodes_that_join_and_those_to_come_make_room() -> None:
    cluster: Any = Cluster(SMALL[:1])

    def rooms() -> tuple[int, ...]:
        made = (
            Room(cluster, Resources(1)),
            Room(cluster, Resources(1), most=3),
            Room(cluster, Resources(1), growth=[{"CPU": 8.0}] * 2),
        )
        return tuple(room() for room in made)

    assert rooms() == (2, 2, 16)
    cluster.join(SMALL[1:])
    assert rooms() == (4, 3, 16)
    cluster.join([{"CPU": 99.0}], Fault("no package", "install it"))
    assert rooms() == (4, 3, 16)
    cluster.up = {id: {} for id in cluster.up}  # a lost node is not the end: others may come
    assert rooms() == (1, 1, 16)
    cluster.join(SMALL[:1], answered=False)  # what waited now would be kept off it for good
    assert rooms() == (0, 0, 0)


def test_the_nodes_that_an_autoscaler_may_start() -> None:
    config = {
        "max_workers": 3,
        "head_node_type": "head",
        "available_node_types": {
            "head": {"resources": {"CPU": 4}, "max_workers": 0},
            "cpu": {"resources": {"CPU": 8}, "max_workers": 9},
            "gpu": {"resources": {"CPU": 8, "GPU": 4}, "max_workers": 2},
        },
    }
    gpu = {"CPU": 8, "GPU": 4}
    assert nodes_to_come(config) == [gpu, gpu, {"CPU": 8}]
    assert nodes_to_come({}) == []
    # on a head without a GPU, before a worker is up: not on the CPU, and not refused
    assert trial_resources(RunConfig(), [{"CPU": 0.0}, *nodes_to_come(config)]).gpus == 1
