"""A session's trials on Ray Tune. The lines about GPUs have not run on one yet."""

import importlib.util
import logging
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from fade_ray.records.additions import Addition
from fade_ray.run.run_config import RunConfig
from fade_ray.run.session import Session
from fade_ray.trials.job import Job
from spaces.errors import InvalidInput

D = TypeVar("D")
# of a trial whose process died, each from its last epoch; then it counts as failed
WORKER_RESTARTS = 2

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


def run_ray(
    session: Session[Any],
    job: Job[D],
    data: D,
    run: RunConfig,
    folder: Path,
    additions: Sequence[Addition] = (),
) -> None:
    """Carry the session out on Ray Tune.

    Each call is a Tune experiment of its own in `folder/tune`; a resumed run starts another one
    with the plans that are not finished. Raises InvalidInput when the cluster has not what a trial
    asks for.
    """
    for name, value in (ALWAYS if run.verbose else ALWAYS | QUIET).items():
        os.environ.setdefault(name, value)
    with ray_cluster(run) as ray:
        from ray import tune

        from fade_ray.run.ray_trial import FadeTrial, KeepActors
        from searchers.tune import TuneSearcher

        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        gpus = gpus_per_trial(run, nodes)
        slots = concurrency(run, gpus, nodes)
        check_storage(ray, folder)
        trial = tune.with_parameters(
            FadeTrial,
            additions=tuple(additions),
            job=ray.cloudpickle.dumps(job),
            data=data,
            folder=str(folder),
        )
        trial = tune.with_resources(trial, {"cpu": run.cpus_per_trial, "gpu": gpus})
        trial.__name__ = FadeTrial.__name__  # what Ray's dashboard and `ps` show
        experiments = folder / "tune"
        experiments.mkdir(exist_ok=True)
        tuner = tune.Tuner(
            trial,
            tune_config=tune.TuneConfig(
                search_alg=TuneSearcher(session, session.observe),
                num_samples=-1,
                max_concurrent_trials=slots,
                reuse_actors=True,
                scheduler=KeepActors(slots),
                trial_name_creator=_name,
                trial_dirname_creator=_name,
            ),
            run_config=tune.RunConfig(
                name=f"{len(list(experiments.iterdir())):03d}",
                storage_path=str(experiments.resolve()),
                verbose=2 if run.verbose else 0,
                failure_config=tune.FailureConfig(max_failures=WORKER_RESTARTS),
                checkpoint_config=tune.CheckpointConfig(
                    checkpoint_frequency=0, checkpoint_at_end=False
                ),
                callbacks=[],
            ),
        )
        try:
            tuner.fit()
        except Exception as error:
            if session.broken is not None:
                raise session.broken from error
            raise
        finally:
            remove_pickles(folder)


def _name(trial: Any) -> str:
    return str(trial.config["proposal"]["id"])


@contextmanager
def ray_cluster(run: RunConfig) -> Iterator[Any]:
    """Ray, connected: to `address`, a running cluster, or a new one that ends with the run."""
    if not run.verbose:
        for name in ("ray", "ray.tune", "ray.train", "ray.air"):
            logging.getLogger(name).setLevel(
                logging.CRITICAL
            )  # a worker that dies is restarted, or told in the run's own words
    import ray

    if ray.is_initialized():  # a notebook's or a test's own connection is used and left open
        yield ray
        return
    options: dict[str, Any] = {"log_to_driver": run.verbose}
    if not run.verbose:
        options["logging_level"] = logging.ERROR
    _connect(ray, run, options)
    try:
        yield ray
    finally:
        ray.shutdown()


def _connect(ray: Any, run: RunConfig, options: dict[str, Any]) -> None:
    ended_by = signal.getsignal(signal.SIGTERM)
    address = run.address or os.environ.get("RAY_ADDRESS") or _started_cluster()
    if address != "local":
        try:
            ray.init(address=address, **options)
        except ConnectionError as error:
            if run.address is None and "RAY_ADDRESS" not in os.environ:
                address = "local"  # a cluster that is no more
            else:
                raise InvalidInput(
                    f"No Ray cluster answers at {address}. Start one with `ray start --head`, or "
                    "use `--address local`."
                ) from error
    if address == "local":
        if run.dashboard and importlib.util.find_spec("aiohttp_cors") is None:
            raise InvalidInput(
                "`--dashboard` needs Ray's dashboard: install it with "
                '`pip install "ray[default]"`.'
            )
        ray.init(
            address="local", include_dashboard=run.dashboard, dashboard_host="127.0.0.1", **options
        )
    if threading.current_thread() is threading.main_thread():
        # Ray puts its own in its place, which ends without a word
        signal.signal(signal.SIGTERM, ended_by)


def _started_cluster() -> str:
    """The address of the cluster that `ray start` (or `ray up`) left running here, else "local".

    Not Ray's "auto": that also finds the private cluster of another run on this machine, and would
    end with it.
    """
    note = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray" / "ray_current_cluster"
    return note.read_text().strip() if note.exists() else "local"


Nodes = Sequence[Mapping[str, float]]  # the resources of each node


def gpus_per_trial(run: RunConfig, nodes: Nodes) -> float:
    """What a trial is given: as asked for, else one GPU if the cluster has one and the device
    allows it.

    Raises InvalidInput when more is asked for than any node has.
    """
    available = max((node.get("GPU", 0) for node in nodes), default=0)
    asked = run.gpus_per_trial
    if asked is None:
        wants = run.device == "auto" or run.device.startswith("cuda")
        asked = 1.0 if wants and (available or run.device != "auto") else 0.0
    if asked > available:
        raise InvalidInput(
            f"Each trial asks for {asked:g} GPU(s), but no node of the Ray cluster has more than "
            f"{available:g}. Use `--gpus-per-trial 0 --device cpu`, a smaller share, or a cluster "
            "with GPUs."
        )
    return asked


def concurrency(run: RunConfig, gpus: float, nodes: Nodes) -> int:
    """How many trials run at once: as asked, and as fit. InvalidInput when not even one fits."""
    fitting = sum(_fitting(run, gpus, node) for node in nodes)
    if fitting < 1:
        largest = max((node.get("CPU", 0) for node in nodes), default=0)
        raise InvalidInput(
            f"Each trial asks for {run.cpus_per_trial} CPU(s) and {gpus:g} GPU(s), but no node has "
            f"both (the largest has {largest:g} CPUs). Lower --cpus-per-trial or --gpus-per-trial."
        )
    return min(fitting, run.concurrency or fitting)


def _fitting(run: RunConfig, gpus: float, node: Mapping[str, float]) -> int:
    by_cpu = int(node.get("CPU", 0) // run.cpus_per_trial)
    return min(by_cpu, int(node.get("GPU", 0) / gpus + 1e-9)) if gpus else by_cpu


def check_storage(ray: Any, folder: Path) -> None:
    """InvalidInput unless every node sees the run directory, where trials write."""
    nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
    if len(nodes) < 2:
        return
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    probe = folder / ".probe"
    probe.write_text(folder.name)

    def sees(path: str, text: str) -> bool:
        with suppress(OSError):
            return Path(path).read_text() == text
        return False

    task = ray.remote(num_cpus=0)(sees)
    answers = ray.get(
        [
            task.options(
                scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)
            ).remote(str(probe), folder.name)
            for node in nodes
        ],
        timeout=120,
    )
    probe.unlink()
    if not all(answers):
        raise InvalidInput(
            f"All nodes must see the run directory, but {answers.count(False)} of {len(nodes)} "
            f"cannot read {folder}. Put `--out` on storage that the nodes share (NFS)."
        )


def remove_pickles(folder: Path) -> None:
    """Delete the pickles of Tune's own resume: ours reads none, and nobody should load one."""
    for path in (folder / "tune").rglob("*.pkl"):
        path.unlink(missing_ok=True)
