"""A session's trials on Ray Tune. The lines about GPUs have not run on one yet."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from fade_ray.records.additions import Addition
from fade_ray.run.node_answer import digest, source
from fade_ray.run.ray_cluster import ray_cluster
from fade_ray.run.ray_nodes import survey
from fade_ray.run.run_config import RunConfig
from fade_ray.run.session import Session
from fade_ray.trials.job import Job
from spaces.errors import InvalidInput

D = TypeVar("D")
# of a trial whose process died, each from its last epoch; then it counts as failed
WORKER_RESTARTS = 2


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
    with ray_cluster(run) as ray:
        from ray import tune

        from fade_ray.run.ray_metrics import RayMetrics
        from fade_ray.run.ray_placing import AskNewcomers, OnGoodNodes
        from fade_ray.run.ray_trial import FadeTrial, KeepActors
        from searchers.tune import TuneSearcher

        asked = survey(ray, folder, session.warn, gpus=run.may_use_gpus)
        nodes = [node.resources for node in asked.good]
        gpus = gpus_per_trial(run, nodes)
        slots = concurrency(run, gpus, nodes)
        session.watchers = (*session.watchers, RayMetrics(folder.name, session.history))
        trial = tune.with_parameters(
            FadeTrial,
            additions=tuple(additions),
            job=ray.cloudpickle.dumps(job),
            data=data,
            folder=str(folder),
            source=digest(source()),
        )
        request = OnGoodNodes([{"CPU": run.cpus_per_trial, "GPU": gpus}])
        trial = tune.with_resources(trial, request)
        # what Ray's dashboard and `ps` show
        trial.__name__ = trial.__qualname__ = FadeTrial.__name__
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
                callbacks=[AskNewcomers(asked)],
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


def remove_pickles(folder: Path) -> None:
    """Delete the pickles of Tune's own resume: ours reads none, and nobody should load one."""
    for path in (folder / "tune").rglob("*.pkl"):
        path.unlink(missing_ok=True)
