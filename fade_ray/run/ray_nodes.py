"""Every node of a Ray cluster is asked whether trials can run on it, before they do."""

import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fade_ray.run import node_answer
from fade_ray.run.doctor import Answer, Examined, Fault, as_text, complaints, faults
from fade_ray.run.folder import note_nodes
from spaces.errors import InvalidInput, upheld

PATIENCE = 120.0
"""Seconds that all nodes together have for their answers: a cold import of torch takes a while."""


@dataclass(frozen=True)
class Question:
    """What trials need of a node: a run directory to write in, data to read (absolute paths), GPUs
    that torch sees where Ray has some.
    """

    folder: Path | None = None
    data: tuple[str, ...] = ()
    gpus: bool = True


def alive(ray: Any) -> list[Mapping[str, Any]]:
    """Ray's account of the nodes that are up."""
    return [node for node in ray.nodes() if node["Alive"]]


def examine(ray: Any, question: Question, nodes: Sequence[Mapping[str, Any]]) -> list[Examined]:
    """Ask `nodes`. The only node of a cluster of this process's own is this machine as this process
    finds it, and is not asked.
    """
    with _marked(question.folder) as mark:
        asked = (None if question.folder is None else str(question.folder), mark, question.data)
        ours = node_answer.answer(*asked)
        if len(nodes) == 1 and _own(ray):
            answers: dict[str, Answer | Fault] = {nodes[0]["NodeID"]: ours}
        else:
            answers = _asked(ray, [node["NodeID"] for node in nodes], asked)
    return [_examined(node, answers[node["NodeID"]], ours, question) for node in nodes]


def _examined(
    node: Mapping[str, Any], answer: Answer | Fault, ours: Answer, question: Question
) -> Examined:
    resources = node["Resources"]
    about = node["NodeID"], node["NodeManagerAddress"], resources
    if isinstance(answer, Fault):
        return Examined(*about, None, (answer,))
    gpus = resources.get("GPU", 0) if question.gpus else 0
    return Examined(*about, answer, faults(answer, ours, gpus))


@contextmanager
def _marked(folder: Path | None) -> Iterator[str]:
    """A run directory with a mark in it, by which a node knows that it sees the same one."""
    mark = secrets.token_hex(8)
    if folder is None:
        yield mark
        return
    probe = folder / ".probe"
    with upheld("The run directory must be writable", "Choose another with --out.", OSError):
        probe.write_text(mark)
    try:
        yield mark
    finally:
        probe.unlink(missing_ok=True)


def _own(ray: Any) -> bool:
    """Whether this process started the cluster. Ray has no public word for it."""
    node = getattr(ray._private.worker, "_global_node", None)
    return node is not None and bool(node.is_head())


def _asked(ray: Any, ids: Sequence[str], asked: tuple[Any, ...]) -> dict[str, Answer | Fault]:
    """What each node says, or why it says nothing."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ray.cloudpickle.register_pickle_by_value(node_answer)
    try:
        # its process ends with it: what it loaded and saw of the GPUs is not what a trial may
        task = ray.remote(num_cpus=0, max_calls=1, max_retries=0)(
            node_answer.answer_with_all_devices
        )
        asking = {
            task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(id, soft=False)).remote(
                *asked, id[:12]
            ): id
            for id in ids
        }
    finally:
        ray.cloudpickle.unregister_pickle_by_value(node_answer)
    answered, silent = ray.wait(list(asking), num_returns=len(asking), timeout=PATIENCE)
    answers: dict[str, Answer | Fault] = {asking[ref]: _got(ray, ref) for ref in answered}
    for ref in silent:
        with suppress(Exception):  # a node that does not answer need not listen either
            ray.cancel(ref, force=True)
        answers[asking[ref]] = Fault(f"gave no answer within {PATIENCE:g} s", _LOOK)
    return answers


_LOOK = "See whether it is up and its disks answer; if not, take it out of the cluster."


def _got(ray: Any, ref: Any) -> Answer | Fault:
    try:
        answer: Answer = ray.get(ref)
        return answer
    except Exception as error:
        words = str(getattr(error, "cause", None) or error).strip().splitlines()
        return Fault(f"gave no answer: {type(error).__name__}: {words[0] if words else '-'}", _LOOK)


@dataclass(frozen=True)
class Placement:
    """Where trials run: on the nodes of a cluster that can, and on those that join later."""

    nodes: tuple[Examined, ...]

    @property
    def good(self) -> list[Examined]:
        return [node for node in self.nodes if not node.faults]

    @property
    def selector(self) -> dict[str, str]:
        """The labels of nodes, in Ray's words, that keeps trials off the others; {} for all."""
        bad = [node.id for node in self.nodes if node.faults]
        return {"ray.io/node-id": f"!in({', '.join(bad)})"} if bad else {}

    def request(self, cpus: float, gpus: float) -> Any:
        """What a trial asks of Ray."""
        from ray.tune import PlacementGroupFactory

        labels = {"bundle_label_selector": [self.selector]} if self.selector else {}
        return PlacementGroupFactory([{"CPU": cpus, "GPU": gpus}], **labels)


def placement(ray: Any, question: Question, warn: Callable[[str], None]) -> Placement:
    """Ask all nodes, note them in the run's environment.json, and `warn` of those that trials are
    kept off. Raises InvalidInput with a table where no node is left.
    """
    found = Placement(tuple(examine(ray, question, alive(ray))))
    if question.folder is not None:
        note_nodes(question.folder, {node.name: node.description() for node in found.nodes})
    if not any(node.amount("CPU") for node in found.good):
        raise InvalidInput(
            "Trials need a node on which they can run, but this cluster has none "
            f"(`fade-ray doctor` asks again):\n{as_text(found.nodes)}"
        )
    for complaint in complaints(found.nodes):
        warn(f"without {complaint}")
    return found


def autoscaler(ray: Any) -> Any:
    """What Ray's autoscaler says, a `ClusterStatus`; without one, it is about nothing."""
    from ray.autoscaler.v2.sdk import get_cluster_status

    return get_cluster_status(ray.get_runtime_context().gcs_address)


def coming(status: Any) -> list[str]:
    """Which nodes the autoscaler is starting and failed to start, in words."""
    starting = Counter(node.ray_node_type_name for node in status.pending_nodes)
    for launch in status.pending_launches:
        starting[launch.ray_node_type_name] += launch.count
    failed = Counter(node.ray_node_type_name for node in status.failed_nodes)
    for launch in status.failed_launches:
        failed[launch.ray_node_type_name] += launch.count
    return [
        *(f"waiting for {n} node(s) of type {kind}" for kind, n in starting.items()),
        *(f"{n} node(s) of type {kind} could not be started" for kind, n in failed.items()),
    ]
