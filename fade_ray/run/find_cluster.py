"""The Ray cluster that a run is for, found within seconds: by its address or what it left here."""

import json
import logging
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from fade_ray.run.marks import set_level
from fade_ray.run.resources import Amounts
from fade_ray.run.run_config import RayOptions
from spaces.errors import InvalidInput, require

QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DEDUP_LOGS": "0",
}
ALWAYS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a trial without a GPU sees none
    # the run writes its own records and TensorBoard files
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C ends the run at once: nothing is lost by that
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "600",  # Tune's own snapshots are not what a run is resumed from
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_MAX_PENDING_TRIALS_PG": "1000000",  # the searcher says how many there are at once
}

NOTE = "ray_current_cluster"  # of its address, as `ray start` leaves it in its folder


def imported_ray(verbose: bool) -> Any:
    """Ray, as quiet as a run wants it, within `marks.taken_back` for so long."""
    for name, value in (ALWAYS if verbose else ALWAYS | QUIET).items():
        os.environ.setdefault(name, value)
    import ray  # which resets the levels of its loggers

    if not verbose:
        # a worker that dies is restarted, or told in the run's own words
        for name in ("ray", "ray.tune", "ray.train", "ray.air"):
            set_level(name, logging.CRITICAL)
    return ray


class Machine(NamedTuple):
    """A live one of a cluster: its address, and what Ray counts of it."""

    host: str
    resources: Amounts


@dataclass(frozen=True)
class Cluster:
    """A running one: where its head answers, and its nodes."""

    address: str
    nodes: Sequence[Machine]

    def __str__(self) -> str:
        cpus, gpus = (self._sum(kind) for kind in ("CPU", "GPU"))
        return f"{len(self.nodes)} node(s), {cpus:g} CPUs, {gpus:g} GPUs"

    def _sum(self, kind: str) -> float:
        return sum(node.resources.get(kind, 0) for node in self.nodes)


Found = tuple[Cluster | None, str]
"""The running cluster that a run is for, and how it was found; None where it is to start one of its
own, and why.
"""
_ANSWERS: ContextVar[dict[RayOptions, Found]] = ContextVar("_ANSWERS")


@contextmanager
def asking_once() -> Iterator[None]:
    """Inside, `find_cluster` keeps its answers: what a run learns before it starts, it joins."""
    token = _ANSWERS.set({})
    try:
        yield
    finally:
        _ANSWERS.reset(token)


def find_cluster(run: RayOptions) -> Found:
    """As `Found` says. Raises InvalidInput, within 20 seconds, where the cluster that is asked for
    does not answer or refuses our token.

    Not Ray's "auto": that also finds the private cluster of another run on this machine, and would
    end with it.
    """
    answers = _ANSWERS.get({})
    if run not in answers:
        answers[run] = _looked_for(run)
    return answers[run]


def _looked_for(run: RayOptions) -> Found:
    imported_ray(run.verbose)
    source = "--address" if run.address else "RAY_ADDRESS"
    named = run.address or os.environ.get("RAY_ADDRESS") or "auto"
    if named == "local":
        return None, f"{source} asks for it"
    if named != "auto":
        return _named_cluster(named, source), f"named by {source}"
    return noted_cluster(_node_folders(), anywhere=source == "--address")


def noted_cluster(folders: Iterable[Path], anywhere: bool) -> Found:
    """The cluster that `ray start` (or `ray up`) left running on this machine, and how it was
    found; `folders`: of nodes that run here, where they may have left a note too. A cluster that
    was started with another --temp-dir is somebody's for a purpose: it is joined where `anywhere`
    will do, and else not passed over in silence.
    """
    usual = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray" / NOTE
    reason = f"no {usual}"
    if usual.exists():
        address = usual.read_text().strip()
        if (cluster := _ask(address, ours=True)) is not None:
            return cluster, f"noted in {usual}"
        reason = f"{usual} names {address}, where none answers"
    others = {
        address: note
        for address, note in _notes(folders).items()
        if note != usual and listens(address)
    }
    if not others:
        require(not anywhere, "--address auto finds a cluster that runs here", REMEDY, here=reason)
        return None, reason
    address, note = next(iter(others.items()))
    if anywhere and len(others) == 1 and (cluster := _ask(address, ours=True)) is not None:
        return cluster, f"noted in {note}"
    running = " and ".join(f"{address} (noted in {note})" for address, note in others.items())
    raise InvalidInput(
        f"A Ray cluster runs on this machine at {running}, but is not noted in {usual}. Name it "
        "with --address to use it, or use `--address local` for one of this run's own."
    )


def check_keeps(run: RayOptions | None) -> None:
    """InvalidInput where a run without --out would lie in a place that vanishes, or that the nodes
    of its cluster do not see. `run`: what it asks of Ray, None of those that do without.
    """
    if "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ:
        place = "the copy that a Ray job works in"
    elif Path("~/ray_bootstrap_config.yaml").expanduser().exists():  # as `ray up` leaves it
        place = "the home of a cluster's head"
    elif run is not None and (nodes := _nodes(run)) > 1:
        place = f"one of the {nodes} nodes of a Ray cluster"
    else:
        return
    raise InvalidInput(
        "A run on a cluster must have a directory that stays and that all nodes see, but without "
        f"--out it has one in {place}. Name one on storage that they share: --out "
        "/shared/runs/mine."
    )


def _nodes(run: RayOptions) -> int:
    """How many the cluster of a run has, one that this process is connected to already if any."""
    ray = imported_ray(run.verbose)
    if ray.is_initialized():
        return sum(node["Alive"] for node in ray.nodes())
    cluster, _ = find_cluster(run)
    return len(cluster.nodes) if cluster else 1


REMEDY = "Start one with `ray start --head`, or use `--address local`."


def _node_folders() -> Iterator[Path]:
    """The --temp-dir of each node of a Ray cluster that this user runs on this machine."""
    import psutil  # which Ray brings

    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.uids().real == os.getuid():
                flags = [flag for flag in process.cmdline() if flag.startswith("--temp_dir=")]
                yield from (Path(flag.partition("=")[2]) for flag in flags)


def _notes(folders: Iterable[Path]) -> dict[str, Path]:
    """Address of a cluster -> where it is noted in one of `folders`."""
    notes = sorted({folder / NOTE for folder in folders})
    return {note.read_text().strip(): note for note in notes if note.exists()}


def _named_cluster(address: str, source: str) -> Cluster:
    """The cluster at an address that somebody gave by `source`."""
    if re.match(r"ray://", address):
        raise InvalidInput(
            f"{source} must be that of a cluster's head, HOST:6379, for a run that goes on where "
            f"it was started, but got Ray Client's {address}. Start it on the cluster: with "
            "`ray submit` or `ray job submit` and scripts/run_fade.py."
        )
    if re.match(r"https?://", address):
        raise InvalidInput(
            f"{source} must be that of a cluster's head, HOST:6379, but got its dashboard's "
            f"{address}. Use `ray job submit --address {address} --working-dir . -- python "
            "scripts/run_fade.py ...`, or HOST:6379."
        )
    if not re.fullmatch(r"[^/]+:\d+", address):
        raise InvalidInput(
            f'{source} must be HOST:PORT of a cluster\'s head, such as 10.0.0.1:6379, "auto" or '
            f'"local", but got {address!r}.'
        )
    cluster = _ask(address, ours=address in _notes(_node_folders()))
    if cluster is None:
        raise InvalidInput(f"No Ray cluster answers at {address}, named by {source}. {REMEDY}")
    if not any(_is_here(node.host) for node in cluster.nodes):
        raise InvalidInput(
            f"The Ray cluster at {address} must have a node on this machine, but it has "
            f"{', '.join(node.host for node in cluster.nodes) or 'none at all'}. Join it with "
            f"`ray start --address={address}`, or start the run there, with `ray submit` or "
            "`ray job submit`."
        )
    return cluster


def _is_here(host: str) -> bool:
    """Whether an address is one of this machine's."""
    try:
        socket.create_server((host, 0)).close()
    except OSError:
        return False
    return True


ASK = """
import faulthandler, json, sys, time
import ray
from ray._private.authentication import authentication_token_setup as tokens
faulthandler.dump_traceback_later(12, exit=True)
end = time.monotonic() + 9
try:
    tokens.ensure_token_if_auth_enabled(create_token_if_missing=False)
    client, alive = ray._raylet.GcsClient(address=sys.argv[1]), []
    while not alive:
        nodes = client.get_all_node_info(timeout=10).values()
        alive = [node for node in nodes if node.state == 0]
        if alive or time.monotonic() > end:
            break
        time.sleep(0.2)
except ray.exceptions.AuthenticationError:
    sys.exit(13)
print(json.dumps([(node.node_manager_address, dict(node.resources_total)) for node in alive]))
"""
"""Exits with 13 where the token is refused. The seconds count from the import of Ray, which takes a
busy machine long; a head answers before its own node has joined, which is waited for.
"""


def _ask(address: str, ours: bool) -> Cluster | None:
    """The cluster at HOST:PORT; None where none answers. `ours`: one that was started here, which
    our token is meant for without being asked. Raises InvalidInput where the token is refused.

    Asked from another process: Ray's own client tries for 40 seconds and more, cannot be told
    otherwise, and says neither what is wrong.
    """
    from ray._private.authentication import authentication_token_setup as tokens

    if not listens(address):
        return None
    if ours:
        tokens.maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
    call = [sys.executable, "-P", "-c", ASK, address]
    try:
        answer = subprocess.run(call, capture_output=True, text=True, timeout=90)
    except subprocess.TimeoutExpired:
        return None
    if answer.returncode == 13:
        raise InvalidInput(
            f"The Ray cluster at {address} asks for its token, but got none or another one. "
            "Set RAY_AUTH_MODE=token, and have the token of whoever started the cluster in "
            "~/.ray/auth_token or RAY_AUTH_TOKEN; or use `--address local`."
        )
    if answer.returncode:
        return None
    return Cluster(address, [Machine(*node) for node in json.loads(answer.stdout)])


def listens(address: str) -> bool:
    """Whether something takes connections at HOST:PORT."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except (OSError, ValueError):
        return False
    return True
