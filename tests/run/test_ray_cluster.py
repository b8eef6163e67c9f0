"""The cluster that a run starts is closed to others, and one that is closed to us says so."""

import logging
import os
import socket
import stat
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from processes import children_of

from fade_ray.run.marks import taken_back
from fade_ray.run.ray_cluster import keep_token_private, ray_cluster
from fade_ray.run.run_config import RunConfig
from fade_ray.run.watcher import Watcher
from spaces.errors import InvalidInput

pytestmark = pytest.mark.ray

WILD = {"0.0.0.0", "::"}
CALL = [sys.executable, "-P", "-m", "fade_ray.cli", "search", "--limit", "120"]
CALL += ["--baselines", "off", "--out"]


def test_the_token_is_readable_for_its_user_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    token = tmp_path / ".ray" / "auth_token"
    keep_token_private()
    made = token.read_text()
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert len(made) == 64
    token.chmod(0o644)  # as Ray makes it with the usual umask
    keep_token_private()
    assert token.read_text() == made
    assert stat.S_IMODE(token.stat().st_mode) == 0o600


class Neighbour(Watcher):
    """Looks at a run from outside, once: where its processes listen, and what its cluster says to
    somebody without the token.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.listening, self.said = folder, set[str](), ""

    def epoch(self, plan: Any, epoch: int, metrics: Any) -> None:
        import ray

        if self.said:
            return
        self.listening = set(_listening([os.getpid(), *children_of(os.getpid())]))
        address = ray.get_runtime_context().gcs_address
        stranger = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
        stranger |= {"HOME": str(self.folder)}
        self.said = _refusal([*CALL, str(self.folder / "run"), "--address", address], stranger)


@pytest.mark.slow
def test_a_place_too_long_for_sockets_is_named_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / ("long" * 25)))
    cluster = ray_cluster(RunConfig(address="local"))
    told = pytest.raises(InvalidInput, match=r"cannot exceed .* Set RAY_TMPDIR=/tmp")
    with told, taken_back(), cluster:
        pass


CLUSTERS = """
import os, ray
from fade_ray.run.marks import taken_back
from fade_ray.run.ray_cluster import ray_cluster
from fade_ray.run.run_config import RunConfig

@ray.remote
class Actor:
    def answer(self):
        return 42

def answered():
    actor = Actor.remote()
    assert ray.get(actor.answer.remote(), timeout=60) == 42

with taken_back(), ray_cluster(RunConfig(address="local")):
    answered()
os.environ["RAY_AUTH_MODE"] = "disabled"
ray.init(address="local", include_dashboard=False, num_cpus=1)
answered()
ray.shutdown()
del os.environ["RAY_AUTH_MODE"]
with taken_back(), ray_cluster(RunConfig(address="local")):
    answered()
"""


@pytest.mark.slow
def test_a_users_own_clusters_may_be_open_ones() -> None:
    """Ray keeps in a process whether its first one asked for a token."""
    around = {k: v for k, v in os.environ.items() if k != "RAY_AUTH_MODE"}
    call = [sys.executable, "-c", CLUSTERS]
    ended = subprocess.run(call, env=around, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="reads Linux's table of sockets")
def test_a_cluster_of_a_run_is_closed_to_others(
    tmp_path: Path, toy: Any, toy_config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it import what lies around, or leave anything behind in this process."""
    import ray

    monkeypatch.chdir(tmp_path)
    for name in ("spaces", "profile"):
        Path(f"{name}.py").write_text("raise RuntimeError('of somebody else')")
    before = set(os.environ.items()), logging.getLogger("ray").level
    neighbour = Neighbour(tmp_path)
    run = RunConfig(address="local", concurrency=1)
    toy(toy_config(tmp_path / "toy", run=run), watchers=[neighbour])
    assert not before[0] ^ set(os.environ.items())
    assert logging.getLogger("ray").level == before[1]
    assert not ray.is_initialized()
    assert neighbour.listening
    assert not neighbour.listening & WILD
    assert all("127.0.0.1" in address for address in neighbour.listening)
    assert "asks for its token" in neighbour.said


def _refusal(call: list[str], environment: dict[str, str]) -> str:
    ended = subprocess.run(call, env=environment, capture_output=True, text=True, timeout=240)
    assert ended.returncode == 2, ended.stderr
    return ended.stderr


def _listening(pids: Iterable[int]) -> Iterable[str]:
    """The addresses at which processes take connections."""
    inodes = set()
    for pid in pids:
        for file in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                inodes.add(os.readlink(file).removeprefix("socket:[").removesuffix("]"))
            except OSError:  # closed meanwhile
                continue
    families: dict[str, Callable[[bytes], str]] = {
        "tcp": lambda raw: socket.inet_ntop(socket.AF_INET, raw),
        "tcp6": lambda raw: socket.inet_ntop(socket.AF_INET6, raw),
    }
    for table, text in families.items():
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == "0A" and rest[5] in inodes:  # listening
                words = bytes.fromhex(local.partition(":")[0])
                numbers = struct.unpack(f">{len(words) // 4}I", words)
                yield text(struct.pack(f"={len(numbers)}I", *numbers))  # of this machine's order
