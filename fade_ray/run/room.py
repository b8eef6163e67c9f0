"""How many trials run at once, on a cluster whose nodes come and go."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fade_ray.records.run_files import read_object
from fade_ray.run.ray_nodes import Survey, alive, autoscaler, coming
from fade_ray.run.resources import Amounts, Resources
from fade_ray.run.run_config import RunConfig
from spaces.errors import InvalidInput

GROWING = Path("~/ray_bootstrap_config.yaml")
"""What `ray up` leaves on a head: the nodes that its autoscaler may start."""
LOOK = 1.0  # seconds between looks at the nodes: Tune asks many times a second


def trial_resources(run: RunConfig, nodes: Sequence[Amounts]) -> Resources:
    """What a trial is given: as asked for, else one GPU if a node has one and the device allows it.

    Raises InvalidInput when more is asked for than any of the nodes has.
    """
    available = max((node.get("GPU", 0) for node in nodes), default=0)
    gpus = run.gpus_per_trial
    if gpus is None:
        wants = run.device == "auto" or run.device.startswith("cuda")
        gpus = 1.0 if wants and (available or run.device != "auto") else 0.0
    if gpus > available:
        raise InvalidInput(
            f"Each trial asks for {gpus:g} GPU(s), but no node of the Ray cluster has more than "
            f"{available:g}. Use `--gpus-per-trial 0 --device cpu`, a smaller share, or a cluster "
            "with GPUs."
        )
    resources = Resources(run.cpus_per_trial, gpus)
    if resources.fitting(nodes) < 1:
        largest = max((node.get("CPU", 0) for node in nodes), default=0)
        raise InvalidInput(
            f"Each trial asks for {run.cpus_per_trial} CPU(s) and {gpus:g} GPU(s), but no node has "
            f"both (the largest has {largest:g} CPUs). Lower --cpus-per-trial or --gpus-per-trial."
        )
    return resources


def nodes_to_come(config: Mapping[str, Any]) -> list[Amounts]:
    """The nodes, beside the head, that an autoscaler may start by its configuration (that of `ray
    up`), those with most GPUs first.
    """
    workers = [
        node["resources"]
        for name, node in config.get("available_node_types", {}).items()
        for _ in range(node.get("max_workers", 0) * (name != config.get("head_node_type")))
    ]
    workers.sort(key=lambda node: -node.get("GPU", 0))
    return workers[: config.get("max_workers", 2)]


def autoscaled() -> list[Amounts]:
    """`nodes_to_come` of this machine's cluster, where it is the head of one that grows."""
    return nodes_to_come(read_object(GROWING.expanduser()))


def wait_words(ray: Any, who: str, each: Resources) -> str:
    """What `who`, such as "3 trial(s) wait", wait for, what is free and what is coming."""
    amounts = ray.available_resources()
    free = f"{amounts.get('CPU', 0):g} CPU(s) and {amounts.get('GPU', 0):g} GPU(s)"
    told = [f"{who} for {each} each", f"all nodes together have {free} free"]
    return "; ".join([*told, *coming(autoscaler(ray))])


@dataclass
class Room:
    """Called, it says how many trials may run or wait for a node at present: as many as fit on the
    nodes that are up and answered well; where the cluster grows, as many as fit on it at its
    largest, since what waits makes it grow. At most `most`, at least one; but nothing is begun
    while a newcomer is being asked: what waits then would be kept off it for good.

    Whoever joins is asked on the way.
    """

    asked: Survey
    resources: Resources
    most: int | None = None
    growth: Sequence[Amounts] = ()
    _seen: tuple[float, int] = field(default=(-LOOK, 1), init=False)

    def __call__(self) -> int:
        now = time.monotonic()
        if now - self._seen[0] >= LOOK:
            self._seen = now, self._count()
        return self._seen[1]

    def _count(self) -> int:
        self.asked.look()
        self.asked.hear(0)
        ids, good = [node["NodeID"] for node in alive(self.asked.ray)], self.asked.good
        up = [node.resources for node in good if node.id in ids]
        if set(ids) - self.asked.examined.keys():
            return 0
        fitting = max(1, self.resources.fitting(up), self.resources.fitting(self.growth))
        return min(fitting, self.most or fitting)
