"""The Ray cluster that a run uses: one that runs already, or one of its own."""

import importlib.util
import logging
import os
import re
import secrets
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fade_ray.run.run_config import RayOptions
from spaces.errors import InvalidInput

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
}


@contextmanager
def ray_cluster(run: RayOptions) -> Iterator[Any]:
    """Ray, connected: to `address`, a running cluster, or a new one that ends with the run. Raises
    InvalidInput where no cluster answers at the address or it does not take our token.
    """
    for name, value in (ALWAYS if run.verbose else ALWAYS | QUIET).items():
        os.environ.setdefault(name, value)
    import ray  # which resets the levels of its loggers

    options: dict[str, Any] = {"log_to_driver": run.verbose}
    if not run.verbose:
        # a worker that dies is restarted, or told in the run's own words
        for name in ("ray", "ray.tune", "ray.train", "ray.air"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        options["logging_level"] = logging.ERROR
    if ray.is_initialized():  # a notebook's or a test's own connection is used and left open
        yield ray
        return
    ended_by = signal.getsignal(signal.SIGTERM)
    named = run.address or os.environ.get("RAY_ADDRESS")
    address = named or _started_cluster()
    if address == "local":
        _start_private(ray, run.dashboard, options)
    else:
        _join(ray, address, named is None, options)
    if threading.current_thread() is threading.main_thread():
        # Ray puts its own in its place, which ends without a word
        signal.signal(signal.SIGTERM, ended_by)
    try:
        yield ray
    finally:
        ray.shutdown()


def _started_cluster() -> str:
    """The address of the cluster that `ray start` (or `ray up`) left running here, else "local".

    Not Ray's "auto": that also finds the private cluster of another run on this machine, and would
    end with it.
    """
    note = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray" / "ray_current_cluster"
    address = note.read_text().strip() if note.exists() else ""
    return address if _listens(address) else "local"


def _listens(address: str) -> bool:
    """Whether something takes connections at HOST:PORT."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except (OSError, ValueError):
        return False
    return True


def _join(ray: Any, address: str, ours: bool, options: dict[str, Any]) -> None:
    """Connect to a running cluster; `ours`: one that was started here, which our token is meant for
    without being asked. By itself Ray tries for 20 seconds where a token is refused, for minutes
    where nothing listens, and says neither.
    """
    from ray._private.authentication import authentication_token_setup as tokens

    unanswered = InvalidInput(
        f"No Ray cluster answers at {address}. Start one with `ray start --head`, or use "
        "`--address local`."
    )
    direct = re.fullmatch(r"[^/]+:\d+", address) is not None  # else Ray finds the place
    if direct and not _listens(address):
        raise unanswered
    try:
        if ours:
            tokens.maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
        if direct:
            tokens.ensure_token_if_auth_enabled(create_token_if_missing=False)
            ray._raylet.GcsClient(address=address)
        ray.init(address=address, **options)
    except ray.exceptions.AuthenticationError as error:
        raise InvalidInput(
            f"The Ray cluster at {address} asks for its token, but got none or another one. "
            "Set RAY_AUTH_MODE=token, and have the token of whoever started the cluster in "
            "~/.ray/auth_token or RAY_AUTH_TOKEN; or use `--address local`."
        ) from error
    except ConnectionError as error:
        raise unanswered from error


def _start_private(ray: Any, dashboard: bool, options: dict[str, Any]) -> None:
    """A cluster of this run alone, which nobody else reaches: it listens on the loopback interface,
    and asks for a token that this user alone can read.
    """
    if dashboard and importlib.util.find_spec("aiohttp_cors") is None:
        raise InvalidInput(
            '`--dashboard` needs Ray\'s dashboard: install it with `pip install "ray[default]"`.'
        )
    keep_token_private()
    # Ray makes an interface's address of `_node_ip_address="127.0.0.1"` and listens on all of them,
    # unless it is told that one machine is all there is, as it is on macOS and Windows.
    constants = ray._private.ray_constants
    several, constants.ENABLE_RAY_CLUSTER = constants.ENABLE_RAY_CLUSTER, False
    try:
        ray.init("local", include_dashboard=dashboard, dashboard_host="127.0.0.1", **options)
    finally:
        constants.ENABLE_RAY_CLUSTER = several


def keep_token_private() -> None:
    """Make the token where Ray would make it, or take it from the eyes of others on this machine:
    Ray leaves it to the umask.
    """
    path = Path.home() / ".ray" / "auth_token"
    with suppress(OSError):  # no home to write to: Ray says so where it needs the token
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            path.touch(mode=0o600)
            path.write_text(secrets.token_hex(32))
        path.chmod(0o600)
