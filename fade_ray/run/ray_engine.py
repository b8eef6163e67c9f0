"""A session's trials on Ray Tune. The lines about GPUs have not run on one yet."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from fade_ray.records.additions import Addition
from fade_ray.records.remote import address
from fade_ray.run.head_watch import head_watched
from fade_ray.run.losses import OtherSource
from fade_ray.run.node_answer import digest, source
from fade_ray.run.ray_cluster import ray_cluster
from fade_ray.run.ray_nodes import survey
from fade_ray.run.room import Room, autoscaled, trial_resources
from fade_ray.run.run_config import RunConfig
from fade_ray.run.session import Session
from fade_ray.run.trackers import told_to_the_end
from fade_ray.trials.job import Job

LOG = logging.getLogger(__name__)
D = TypeVar("D")


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
    with the plans that are not finished. Trials whose worker or node is lost go on from their
    checkpoints, see `searchers.restarts`; nodes that join are used. Raises InvalidInput when the
    cluster has not what a trial asks for, and when its head is gone.
    """
    with (
        ray_cluster(run) as ray,
        head_watched(ray, folder),
        told_to_the_end(session.watchers),
    ):
        from ray import tune

        from fade_ray.run.ray_metrics import RayMetrics
        from fade_ray.run.ray_placing import OnGoodNodes
        from fade_ray.run.ray_trial import FadeTrial, Scheduler, trial_name
        from searchers.tune import TuneSearcher

        asked = survey(ray, folder, session.warn, gpus=run.may_use_gpus)
        growth = autoscaled()
        resources = trial_resources(run, [*(node.resources for node in asked.good), *growth])
        room = Room(asked, resources, run.concurrency, growth)
        device = "GPUs" if resources.gpus else "CPUs"
        LOG.info("On %s: %d trial(s) at once, each with %s.", device, room(), resources)
        searcher = TuneSearcher(session, while_unchanged(session.observe, asked.source), room)
        session.watchers = (*session.watchers, RayMetrics(folder.name, session.history))
        trial = tune.with_parameters(
            FadeTrial,
            additions=tuple(additions),
            job=ray.cloudpickle.dumps(job),
            data=data,
            folder=address(folder),
            source=asked.source,
        )
        request = OnGoodNodes([{"CPU": resources.cpus, "GPU": resources.gpus}])
        trial = tune.with_resources(trial, request)
        # what Ray's dashboard and `ps` show
        trial.__name__ = trial.__qualname__ = FadeTrial.__name__
        experiments = folder / "tune"
        experiments.mkdir(exist_ok=True)
        tuner = tune.Tuner(
            trial,
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                num_samples=-1,
                reuse_actors=True,
                scheduler=Scheduler(room, searcher.died, partial(session.warn, again=True)),
                trial_name_creator=trial_name,
                trial_dirname_creator=trial_name,
            ),
            run_config=tune.RunConfig(
                name=f"{len(list(experiments.iterdir())):03d}",
                storage_path=str(experiments.resolve()),
                verbose=2 if run.verbose else 0,
                failure_config=tune.FailureConfig(max_failures=0),  # the searcher restarts
                checkpoint_config=tune.CheckpointConfig(
                    checkpoint_frequency=0, checkpoint_at_end=False
                ),
                # no callbacks: Tune would import MLflow and its like, where they are installed
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


def while_unchanged(
    observe: Callable[[str, Mapping[str, Any]], None], before: str
) -> Callable[[str, Mapping[str, Any]], None]:
    """`observe`, which is told to abort where new workers refuse this machine's source because it
    is not any more what it was, by its digest, when the run began: they would do so without end.
    """

    def observed(id: str, event: Mapping[str, Any]) -> None:
        reason = event.get("restarted", {}).get("reason", "")
        if OtherSource.__name__ in reason and digest(source()) != before:
            event = {
                "abort": "All processes of a run must have the same source of fade_ray, but it was "
                "changed here since the run began, and new workers refuse it. Restore it and "
                "continue the run, or start it anew with another --out."
            }
        observe(id, event)

    return observed


def remove_pickles(folder: Path) -> None:
    """Delete the pickles of Tune's own resume: ours reads none, and nobody should load one."""
    for path in (folder / "tune").rglob("*.pkl"):
        path.unlink(missing_ok=True)
