"""Loopback nodes for Ray's autoscaler, which makes this provider in a process of its own. A node's
id is its address: the first autoscaler knows a node by that, the second by the id it was made with.
"""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loopback import HEAD, free_port, start_node
from processes import children_of, end_by_id
from ray.autoscaler.node_provider import NodeProvider
from ray.autoscaler.tags import (
    NODE_KIND_HEAD,
    STATUS_UP_TO_DATE,
    TAG_RAY_NODE_KIND,
    TAG_RAY_NODE_STATUS,
    TAG_RAY_USER_NODE_TYPE,
)

EMPTY = ("setup_commands", "head_setup_commands", "worker_setup_commands", "cluster_synced_files")


def growing_cluster(folder: Path, most: int) -> dict[str, Any]:
    """What `ray up` would leave on a head without processors, of a cluster that may start `most`
    nodes of one processor. For `Loopback`: its port is that of the provider's address.
    """
    provider = {
        "type": "external",
        "module": f"{__name__}.{LoopbackNodes.__name__}",
        "folder": str(folder),
        "address": f"{HEAD}:{free_port()}",
        "disable_node_updaters": True,
        "disable_launch_config_check": True,
        "worker_liveness_check": False,  # of the first: 30 s for a node to come up
    }
    worker = {"resources": {"CPU": 1}, "node_config": {}, "min_workers": 0, "max_workers": most}
    head = {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0}
    return {
        **{key: [] for key in (*EMPTY, "worker_start_ray_commands")},
        "cluster_name": folder.name,
        "provider": provider,
        "available_node_types": {"head": head, "worker": worker},
        "head_node_type": "head",
        "max_workers": most,
        "idle_timeout_minutes": 5,
        "auth": {},
        "file_mounts": {},
    }


def identity(host: str, kind: str) -> dict[str, str]:
    """The variables by which the second autoscaler knows a node."""
    return {"RAY_CLOUD_INSTANCE_ID": host, "RAY_NODE_TYPE_NAME": kind}


class LoopbackNodes(NodeProvider):  # type: ignore[misc]
    def __init__(self, provider_config: dict[str, Any], cluster_name: str) -> None:
        super().__init__(provider_config, cluster_name)
        self.started = dict[str, subprocess.Popen[bytes]]()
        self.tags: dict[str, dict[str, str]] = {
            HEAD: {TAG_RAY_NODE_KIND: NODE_KIND_HEAD, TAG_RAY_USER_NODE_TYPE: "head"}
        }

    def non_terminated_nodes(self, tag_filters: Mapping[str, str]) -> list[str]:
        tags = [(host, own) for host, own in dict(self.tags).items() if self.is_running(host)]
        return [host for host, own in tags if tag_filters.items() <= own.items()]

    def is_running(self, node_id: str) -> bool:
        """Not where it gave up, as Ray does on a busy machine: another one is started then."""
        up = node_id == HEAD or self.started[node_id].poll() is None
        return up and node_id in self.tags

    def is_terminated(self, node_id: str) -> bool:
        return not self.is_running(node_id)

    def node_tags(self, node_id: str) -> dict[str, str]:
        return self.tags[node_id]

    def internal_ip(self, node_id: str) -> str:
        return node_id

    def create_node(self, node_config: Any, tags: dict[str, str], count: int) -> None:
        folder, kind = Path(self.provider_config["folder"]), tags[TAG_RAY_USER_NODE_TYPE]
        for _ in range(count):
            host = f"127.0.0.{3 + len(self.started)}"
            flags = [f"--address={self.provider_config['address']}", f"--node-ip-address={host}"]
            self.started[host] = start_node(folder, flags, 1, identity(host, kind))
            self.tags[host] = tags | {TAG_RAY_NODE_STATUS: STATUS_UP_TO_DATE}

    def terminate_node(self, node_id: str) -> None:
        del self.tags[node_id]
        pid = self.started[node_id].pid
        end_by_id([pid, *children_of(pid)])
