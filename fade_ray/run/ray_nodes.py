"""Every node of a Ray cluster is asked whether trials can run on it, before they do."""

import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from fade_ray.records import fingerprint
from fade_ray.records.atomic import writable, write_atomically
from fade_ray.records.remote import address, remove
from fade_ray.run import node_answer
from fade_ray.run.doctor import Answer, Examined, Fault, as_text, complaints, faults, node_name
from fade_ray.run.folder import RUN, note_nodes
from spaces.errors import InvalidInput

SENT = (node_answer, fingerprint)
"""What a node needs to be asked: its own package may be missing or another one."""
PATIENCE = 120.0
"""Seconds in which a node must have answered: a cold import of torch takes a while."""
SOON = 15.0
"""Seconds behind which those that have not answered are named."""
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Question:
    """What trials need of a node: a run directory to write in, data to read (absolute paths), GPUs
    that torch sees where Ray has some.
    """

    folder: Path | None = None
    data: tuple[str, ...] = ()
    gpus: bool = True


RayNode = Mapping[str, Any]
"""Ray's account of a node."""


def alive(ray: Any) -> list[RayNode]:
    """The nodes that are up."""
    return [node for node in ray.nodes() if node["Alive"]]


class Survey:
    """The nodes of a cluster and what each of them answered: those that are up when it begins, and
    whoever joins later.

    `tell` is told what was found, as it is. Raises InvalidInput for a run directory that cannot be
    written.
    """

    def __init__(
        self,
        ray: Any,
        question: Question,
        tell: Callable[[Sequence[Examined]], None] = lambda nodes: None,
    ) -> None:
        self.ray, self.question, self.tell = ray, question, tell
        self.examined: dict[str, Examined] = {}  # by Ray's id
        self._asked: dict[Any, _Asked] = {}
        folder = None if question.folder is None else address(question.folder)
        self._words = folder, secrets.token_hex(8), question.data
        self._mark()
        self._ours = node_answer.answer(*self._words)
        self._unmark()

    @property
    def nodes(self) -> list[Examined]:
        return sorted(self.examined.values(), key=lambda node: node.name)

    @property
    def good(self) -> list[Examined]:
        return [node for node in self.nodes if not node.faults]

    @property
    def source(self) -> str:
        """The digest of the driver's own."""
        return node_answer.digest(self._ours["source"])

    def complete(self) -> "Survey":
        """Ask whoever was not asked, and wait for the answers."""
        self.look()
        self.hear(SOON)
        if self._asked:
            silent = (asked.node for asked in self._asked.values())
            names = sorted(node_name(node["NodeManagerAddress"], node["NodeID"]) for node in silent)
            LOG.info("Ray: waiting for the answer of %s", ", ".join(names))
            self.hear(PATIENCE - SOON)
        return self

    def look(self) -> None:
        """Ask whoever was not asked. The node of this process, where it started the cluster, is
        this machine as this process finds it.
        """
        known = {*self.examined, *(asked.node["NodeID"] for asked in self._asked.values())}
        new = [node for node in alive(self.ray) if node["NodeID"] not in known]
        own = _own_node(self.ray)
        self._take([(node, self._ours) for node in new if node["NodeID"] == own])
        others = [node for node in new if node["NodeID"] != own]
        if others:
            self._mark()
            until = time.monotonic() + PATIENCE
            refs = _asked(self.ray, [node["NodeID"] for node in others], self._words)
            self._asked |= {
                ref: _Asked(node, until) for ref, node in zip(refs, others, strict=True)
            }

    def hear(self, seconds: float) -> None:
        """Take the answers that come within so many seconds, or before."""
        if not self._asked:
            return
        told, silent = self.ray.wait(
            list(self._asked), num_returns=len(self._asked), timeout=seconds
        )
        heard = [(self._asked.pop(ref).node, _got(self.ray, ref)) for ref in told]
        for ref in silent:
            if time.monotonic() >= self._asked[ref].until:
                with suppress(Exception):  # a node that does not answer need not listen either
                    self.ray.cancel(ref, force=True)
                heard.append((self._asked.pop(ref).node, _SILENT))
        if not self._asked:
            self._unmark()
        self._take(heard)

    def _take(self, heard: Sequence[tuple[RayNode, Answer | Fault]]) -> None:
        new = [self._judged(node, answer) for node, answer in heard]
        self.examined |= {node.id: node for node in new}
        _GOOD.update(node.id for node in new if not node.faults)
        if new:
            self.tell(new)

    def _judged(self, node: RayNode, answer: Answer | Fault) -> Examined:
        resources = node["Resources"]
        about = node["NodeID"], node["NodeManagerAddress"], resources
        if isinstance(answer, Fault):
            return Examined(*about, None, (answer,))
        gpus = resources.get("GPU", 0) if self.question.gpus else 0
        return Examined(*about, answer, faults(answer, self._ours, gpus))

    def _mark(self) -> None:
        """Mark the run directory, by which a node knows that it sees the same one."""
        if self.question.folder is not None:
            with writable(*RUN):
                write_atomically(self.question.folder / ".probe", self._words[1].encode())

    def _unmark(self) -> None:
        if self.question.folder is not None:
            remove(self.question.folder / ".probe")


def survey(
    ray: Any, folder: Path, warn: Callable[[str], None], gpus: bool, data: Sequence[str] = ()
) -> Survey:
    """That of a run in `folder`, whose environment.json tells of the nodes; `warn` is told of those
    that trials are kept off.

    Raises InvalidInput with a table where trials can run on none of the nodes that have CPUs, or
    GPUs if they use them: the others would be used without a word.
    """

    def note(nodes: Sequence[Examined]) -> None:
        note_nodes(folder, {node.name: node.description() for node in nodes})

    def tell(nodes: Sequence[Examined]) -> None:
        note(nodes)
        for complaint in complaints(nodes):
            warn(f"without {complaint}")

    found = Survey(ray, Question(folder, tuple(data), gpus), note).complete()
    for resource in ("CPU", "GPU") if gpus else ("CPU",):
        having = [node for node in found.nodes if node.amount(resource)]
        if having and all(node.faults for node in having):
            raise InvalidInput(
                f"Trials need a node with {resource}s on which they can run, but this cluster has "
                f"none (`fade-ray doctor` asks again):\n{as_text(found.nodes)}"
            )
    tell(found.nodes)
    found.tell = tell
    return found


_GOOD: set[str] = set()
"""Ray's ids of the nodes that answered well. An id is never used for another node."""


def avoiding(ray: Any) -> dict[str, str]:
    """The labels, in Ray's words, that keep trials off all nodes that are up and have not answered
    well; {} for none. Nodes that join later are not kept out by them.
    """
    others = [node["NodeID"] for node in alive(ray) if node["NodeID"] not in _GOOD]
    # without spaces: Ray 2.60 takes them for parts of the values
    return {"ray.io/node-id": f"!in({','.join(others)})"} if others else {}


class _Asked(NamedTuple):
    node: RayNode
    until: float  # by the monotonic clock


def _own_node(ray: Any) -> str | None:
    """The id of this process's node if this process started the cluster, which Ray has no public
    word for.
    """
    node = getattr(ray._private.worker, "_global_node", None)
    started = node is not None and node.is_head()
    return str(ray.get_runtime_context().get_node_id()) if started else None


def _asked(ray: Any, ids: Sequence[str], words: tuple[Any, ...]) -> list[Any]:
    """The answers to come, one from each node."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    for module in SENT:
        ray.cloudpickle.register_pickle_by_value(module)
    try:
        # its process ends with it: what it loaded and saw of the GPUs is not what a trial may
        task = ray.remote(num_cpus=0, max_calls=1, max_retries=0)(
            node_answer.answer_with_all_devices
        )
        there = [NodeAffinitySchedulingStrategy(id, soft=False) for id in ids]
        return [
            task.options(scheduling_strategy=node).remote(*words, id[:12])
            for id, node in zip(ids, there, strict=True)
        ]
    finally:
        for module in SENT:
            ray.cloudpickle.unregister_pickle_by_value(module)


_LOOK = "See whether it is up and its disks answer; if not, take it out of the cluster."
_SILENT = Fault(f"gave no answer within {PATIENCE:g} s", _LOOK)


def _got(ray: Any, ref: Any) -> Answer | Fault:
    try:
        answer: Answer = ray.get(ref)
        return answer
    except Exception as error:
        words = str(getattr(error, "cause", None) or error).strip().splitlines()
        return Fault(f"gave no answer: {type(error).__name__}: {words[0] if words else '-'}", _LOOK)


def autoscaler(ray: Any) -> Any:
    """What Ray's autoscaler says, a `ClusterStatus`; without one, it is about nothing."""
    from ray.autoscaler.v2.sdk import get_cluster_status

    return get_cluster_status(ray.get_runtime_context().gcs_address)


def coming(status: Any) -> list[str]:
    """Which nodes the autoscaler is starting and failed to start, in words."""
    starting = Counter(node.ray_node_type_name for node in status.pending_nodes)
    for launch in status.pending_launches:
        starting[launch.ray_node_type_name] += launch.count
    failed = Counter[str]()
    for launch in status.failed_launches:
        failed[launch.ray_node_type_name] += launch.count
    return [
        *(f"waiting for {n} node(s) of type {kind}" for kind, n in starting.items()),
        *(f"{n} node(s) of type {kind} could not be started" for kind, n in failed.items()),
    ]
