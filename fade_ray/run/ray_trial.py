"""A trial as a Ray actor that is used again for the next one."""

import json
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ray import cloudpickle, tune
from ray.tune.schedulers import FIFOScheduler

from fade_ray.records.additions import Addition, load_additions
from fade_ray.run.node_answer import digest, source
from fade_ray.run.ray_placing import this_node
from fade_ray.trials.job import Event, Job, events


class FadeTrial(tune.Trainable):  # type: ignore[misc]
    """One plan; each `step` is an epoch. Checkpoints are the job's own, so a restarted actor goes
    on after the last epoch.

    The data come out of the object store; arrays are not copied. The job comes pickled: what it is
    made of may be defined in a file of the user's, which is loaded before.
    """

    def setup(
        self,
        config: dict[str, Any],
        additions: Sequence[Addition],
        job: bytes,
        data: Any,
        folder: str,
        source: str,
    ) -> None:
        check_source(source)
        load_additions(additions)
        self._job: Job[Any] = cloudpickle.loads(job)
        self._data, self._folder = data, Path(folder)
        self._node = this_node()
        self._begin(config)

    def _begin(self, config: dict[str, Any]) -> None:
        self._id = str(config["proposal"]["id"])
        self._events: Iterator[Event] = events(
            self._job, config["proposal"], self._data, self._folder
        )

    def __repr__(self) -> str:
        """The run and the trial. Ray shows it in its dashboard and its logs as it was when the
        actor started: there it is the first of the actor's trials.
        """
        return f"{self._folder.name} trial {self._id}"

    def step(self) -> dict[str, Any]:
        event = next(self._events)
        if "metrics" in event:
            event["metrics"] = {**event["metrics"], "node": self._node}
        return {"event": json.dumps(event), "done": "epoch" not in event}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._begin(new_config)
        return True

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: Tune keeps no copy of what the job already has on disk."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing, see `save_checkpoint`."""


class OtherSource(RuntimeError):
    """A node that joined while a trial waited for one has other source, and was not asked yet."""


def check_source(expected: str) -> None:
    """Raises OtherSource where the packages that are here are not those of the driver."""
    here = digest(source())
    if here != expected:
        raise OtherSource(f"{platform.node()} has fade_ray {here} in place of {expected}")


class KeepActors(FIFOScheduler):  # type: ignore[misc]
    """First come, first served, with `slots` actors kept for the next trials.

    By itself Tune keeps one idle actor. Where several trials end a batch together, the others would
    be ended and started again for the next one, which costs the import of torch (seconds) each
    time. The number it keeps is not public in Ray 2.60: where a release names it otherwise, actors
    are started again, and nothing else changes.
    """

    def __init__(self, slots: int) -> None:
        super().__init__()
        self._left = slots

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        keep_one_more = getattr(
            getattr(tune_controller, "_actor_cache", None), "increase_max", None
        )
        if keep_one_more is not None and self._left > 0:
            keep_one_more(trial.placement_group_factory)
            self._left -= 1
        super().on_trial_add(tune_controller, trial)
