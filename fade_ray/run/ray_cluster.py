"""The Ray cluster that a run uses: one that runs already, or one of its own."""

import importlib.util
import logging
import os
import secrets
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fade_ray.run.find_cluster import REMEDY, find_cluster, imported_ray
from fade_ray.run.marks import afterwards
from fade_ray.run.run_config import RayOptions
from spaces.errors import InvalidInput

LOG = logging.getLogger(__name__)


@contextmanager
def ray_cluster(run: RayOptions) -> Iterator[Any]:
    """Ray, connected: to `address`, a running cluster, or a new one that ends with the run. Raises
    InvalidInput where no cluster answers at the address or it does not take our token.
    """
    ray = imported_ray(run.verbose)
    options: dict[str, Any] = {"log_to_driver": run.verbose, "job_config": _job(ray)}
    if not run.verbose:
        options["logging_level"] = logging.ERROR
    if ray.is_initialized():  # a notebook's or a test's own connection is used and left open
        yield ray
        return
    cluster, reason = find_cluster(run)
    _ask_anew_for_tokens()
    afterwards(_ask_anew_for_tokens)
    try:
        with ending_as_before():
            if cluster is None:
                LOG.info("Ray: a cluster of this run's own (%s)", reason)
                _start_private(ray, run.dashboard, options)
            else:
                LOG.info("Ray: the cluster at %s (%s), %s", cluster.address, reason, cluster)
                _join(ray, cluster.address, options)
        yield ray
    finally:
        ray.shutdown()


def _ask_anew_for_tokens() -> None:
    """Else Ray does as the environment said at its first cluster in this process."""
    from ray._private.authentication_test_utils import reset_auth_token_state

    reset_auth_token_state()


@contextmanager
def ending_as_before() -> Iterator[None]:
    """Within, Ray puts its own handler of SIGTERM in place of what was there, which is there again
    at the end and gets what came: Ray's exits without a word.
    """
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit:
        signal.signal(signal.SIGTERM, before)
        signal.raise_signal(signal.SIGTERM)
        raise
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


class _Folders(list[str]):
    """Those that workers import from before all others. Ray adds the working directory, of which
    the driver imports nothing: a file there that is called `spaces.py` or `profile.py` would take
    the place of a module.
    """

    def extend(self, paths: Iterable[str]) -> None:
        ours = {os.path.abspath(path) for path in sys.path}
        super().extend(path for path in paths if path in ours)


def _job(ray: Any) -> Any:
    """What Ray is told of this process."""
    job = ray.job_config.JobConfig()
    job._py_driver_sys_path = _Folders()  # no public way; without it, all is as Ray has it
    return job


def _join(ray: Any, address: str, options: dict[str, Any]) -> None:
    """Connect to a cluster that answers."""
    try:
        ray.init(address=address, **options)
    except ConnectionError as error:
        raise InvalidInput(f"The Ray cluster at {address} is gone again. {REMEDY}") from error
    except RuntimeError as error:
        if "Version mismatch" not in str(error):
            raise
        told = " ".join(str(error).split())
        raise InvalidInput(f"Ray and Python must be those of the cluster, but: {told}") from error


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
    except OSError as error:
        if "AF_UNIX" not in str(error) and error.filename is None:
            raise
        rule = "Ray's temporary files need a short path that can be written"
        raise InvalidInput(f"{rule}, but: {error}. Set RAY_TMPDIR=/tmp.") from error
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
