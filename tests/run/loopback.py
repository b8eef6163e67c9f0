"""Ray clusters on this machine: of several nodes, each in an environment of its own, or of one."""

import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from processes import children_of, end_by_id

HEAD = "127.0.0.2"
ALIVE = 0  # in Ray's account of a node
AGENTS = ("dashboard-agent-grpc", "dashboard-agent-listen", "runtime-env-agent", "metrics-export")
"""Whose ports are named: a node that has to learn them from its agents gives up after 15 seconds,
which a busy machine needs to start them.
"""
RAY = [sys.executable, "-c", "from ray.scripts.scripts import main; main()"]
PATIENCE = {"RAY_agent_register_timeout_ms": "120000", "RAY_raylet_start_wait_time_s": "120"}
"""Ray gives its own processes 30 s to start, which a busy machine may take for one of them."""


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def own_ray(**options: Any) -> Iterator[None]:
    """This process is connected to a cluster that it started."""
    import ray

    quiet = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    ray.init(address="local", include_dashboard=False, **quiet, **options)
    try:
        yield
    finally:
        ray.shutdown()


def start_node(
    folder: Path,
    flags: Sequence[str],
    cpus: int = 1,
    environment: Mapping[str, str] = {},
    within: Sequence[str] = (),
) -> subprocess.Popen[bytes]:
    """One node of the cluster in `folder`, which says there what it says."""
    ports = [f"--{name}-port={free_port()}" for name in AGENTS]
    call = [
        *(*within, *RAY, "start", *ports, *flags, "--block", "--disable-usage-stats"),
        f"--num-cpus={cpus}",
        f"--temp-dir={folder / 'ray'}",
        "--object-store-memory=100000000",
    ]
    around = {**os.environ, "RAY_AUTH_MODE": "disabled", **PATIENCE, **environment}
    with (folder / "nodes.log").open("ab") as log:
        return subprocess.Popen(call, env=around, cwd=folder, stdout=log, stderr=log)


class Loopback:
    """`with Loopback(folder) as cluster`: a head, and `add` for further nodes; all of it has ended
    behind the block.

    `folder` should have a short name: sockets lie in it.
    """

    def __init__(
        self,
        folder: Path,
        cpus: int = 1,
        environment: Mapping[str, str] = {},
        flags: Sequence[str] = ("--include-dashboard=false",),
        port: int = 0,
        again: int = 0,
    ) -> None:
        self.folder, self.nodes = folder, list[subprocess.Popen[bytes]]()
        self._calls = dict[int, Callable[[], subprocess.Popen[bytes]]]()
        self._hosts, self._again = 2, again
        port = port or free_port()
        self.address = f"{HEAD}:{port}"
        here = [f"--node-ip-address={HEAD}", f"--port={port}"]
        self._start(["--head", *flags, *here], cpus, environment, [])

    def add(
        self,
        cpus: int = 1,
        environment: Mapping[str, str] = {},
        within: Sequence[str] = (),
        flags: Sequence[str] = (),
    ) -> subprocess.Popen[bytes]:
        """A node on an address of its own; `within`: the command that starts it in another setting,
        such as `unshare -m`.
        """
        self.wait()  # one that finds no whole cluster gives up
        self._hosts += 1
        here = f"--node-ip-address=127.0.0.{self._hosts}"
        return self._start([f"--address={self.address}", here, *flags], cpus, environment, within)

    def _start(
        self, flags: Sequence[str], cpus: int, environment: Mapping[str, str], within: Sequence[str]
    ) -> subprocess.Popen[bytes]:
        start = partial(start_node, self.folder, flags, cpus, environment, within)
        self.nodes.append(start())
        self._calls[self.nodes[-1].pid] = start
        return self.nodes[-1]

    def lose(self, node: subprocess.Popen[bytes]) -> None:
        """End a node without a word."""
        below = list(children_of(node.pid))
        node.kill()
        node.wait(30)
        end_by_id(below)
        self.nodes.remove(node)

    def wait(self, seconds: float = 300) -> None:
        """Until as many nodes are up as were started. One that has given up is started again, as
        often as was said: of the ports that were free somebody may have taken one since.
        """
        import ray

        end = time.monotonic() + seconds
        client = None
        while time.monotonic() < end:
            try:
                client = client or ray._raylet.GcsClient(address=self.address)
                nodes = client.get_all_node_info(timeout=5).values()
                if sum(node.state == ALIVE for node in nodes) >= len(self.nodes):
                    return
            except Exception:
                client = None
            for node in [node for node in self.nodes if node.poll() is not None]:
                assert self._again, self.said()
                self._again -= 1
                print(f"a node gave up: {self.said()}")
                self.nodes[self.nodes.index(node)] = again = self._calls[node.pid]()
                self._calls[again.pid] = self._calls.pop(node.pid)
            time.sleep(0.2)  # polling other processes
        raise AssertionError(f"the nodes did not come up: {self.said()}")

    def said(self) -> str:
        return (self.folder / "nodes.log").read_text()[-3000:]

    def __enter__(self) -> "Loopback":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for node in reversed(list(self.nodes)):
            self.lose(node)
