"""A trial as a Ray actor that is used again for the next one."""

import json
import os
import platform
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from types import FrameType
from typing import Any

import ray
from ray import cloudpickle, tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler

from fade_ray.records.additions import Addition, load_additions
from fade_ray.records.journal import wording
from fade_ray.records.remote import attached
from fade_ray.run.ending import heed
from fade_ray.run.losses import Leaving, OtherSource, loss
from fade_ray.run.node_answer import SEEN, digest, source
from fade_ray.run.ray_placing import this_node
from fade_ray.run.room import Room, wait_words
from fade_ray.trials.job import Event, Job, events
from searchers.outcome import Failure

WAITING = 30.0  # seconds without a running trial until something is said


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
        # what Ray shows of an actor whose start fails, too
        self._folder, self._id = attached(folder, within=Path(self.logdir)), plan_id(config)
        check_source(source)
        self._told_to_leave = False
        signal.signal(signal.SIGTERM, self._leave)
        if not ray.get_runtime_context().get_accelerator_ids().get("GPU"):
            # Ray leaves them visible where its own variable was not set when the node started
            os.environ.update(dict.fromkeys(SEEN, ""))
        load_additions(additions)
        self._job: Job[Any] = cloudpickle.loads(job)
        self._data, self._node = data, this_node()
        self._begin(config)

    def _begin(self, config: dict[str, Any]) -> None:
        self._id = plan_id(config)
        told = events(self._job, config["proposal"], self._data, self._folder)
        self._events: Iterator[Event] = chain([{"begun": self._node}], told)

    def __repr__(self) -> str:
        """The run and the trial. Ray shows it in its dashboard and its logs as it was when the
        actor started: there it is the first of the actor's trials.
        """
        return f"{self._folder.name} trial {self._id}"

    def _leave(self, number: int, frame: FrameType | None) -> None:
        """A node that is taken away tells its processes to leave (SIGTERM). By itself Ray ends them
        at once, in the middle of an epoch, and often in words that are those of a crash.
        """
        self._told_to_leave = True

    def step(self) -> dict[str, Any]:
        """The next event; an epoch is on disk before. Raises Leaving behind a SIGTERM."""
        if self._told_to_leave:
            raise Leaving(f"it was told to leave (SIGTERM) (on {self._node})")
        event = next(self._events)
        if "metrics" in event:
            event["metrics"] = {**event["metrics"], "node": self._node}
        return {"event": json.dumps(event), "done": not {"begun", "epoch"} & event.keys()}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._begin(new_config)
        return True

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: Tune keeps no copy of what the job already has on disk."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing, see `save_checkpoint`."""


def plan_id(config: Mapping[str, Any]) -> str:
    """Of the plan in a Tune trial's config."""
    return str(config["proposal"]["id"])


def trial_name(trial: Any) -> str:
    """What Tune calls a trial."""
    return plan_id(trial.config)


def check_source(expected: str) -> None:
    """Raises OtherSource where the packages that are here are not those of the driver."""
    here = digest(source())
    if here != expected:
        raise OtherSource(f"{platform.node()} has fade_ray {here} in place of {expected}")


class Scheduler(FIFOScheduler):  # type: ignore[misc]
    """First come, first served. As many actors as there is `room` for are kept for the next trials,
    and what a trial died of is told to `died(Tune's id, failure)`. Newcomers are asked while trials
    run; `warn` is told what those wait for that wait.

    By itself Tune keeps one idle actor. Where several trials end a batch together, the others would
    be ended and started again for the next one, which costs the import of torch (seconds) each
    time. The number it keeps is not public in Ray 2.60: where a release names it otherwise, actors
    are started again, and nothing else changes.
    """

    def __init__(
        self,
        room: Room,
        died: Callable[[str, Failure], None],
        warn: Callable[[str], None] = lambda message: None,
    ) -> None:
        super().__init__()
        self._room, self._died, self._warn, self._kept = room, died, warn, 0
        self._looked, self._pending, self._said = time.monotonic(), set[str](), ""

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        keep_one_more = getattr(
            getattr(tune_controller, "_actor_cache", None), "increase_max", None
        )
        if keep_one_more is not None and self._kept < self._room():
            keep_one_more(trial.placement_group_factory)
            self._kept += 1
        super().on_trial_add(tune_controller, trial)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        path = trial.pickled_error_file
        error = cloudpickle.loads(Path(path).read_bytes()) if path else None
        self._died(trial.trial_id, loss(error))
        super().on_trial_error(tune_controller, trial)

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        """None before the others: Tune starts all that wait, in their order. (To name the first one
        is to look through all trials of the run, at every step of Tune's.)
        """
        heed()
        self._room()
        if time.monotonic() - self._looked >= WAITING:
            self._looked = time.monotonic()
            self._tell_of_waiting(tune_controller.get_trials())

    def _tell_of_waiting(self, trials: Sequence[Any]) -> None:
        """Of those that waited at the last look too; once, as long as they wait for the same."""
        before = self._pending
        self._pending = {trial.trial_id for trial in trials if trial.status == Trial.PENDING}
        waiting, words = len(self._pending & before), ""
        if waiting:
            running = sum(trial.status == Trial.RUNNING for trial in trials)
            who = f"{running} trial(s) run and {waiting} wait"
            words = wait_words(ray, who, self._room.resources)
        if words and wording(words) != wording(self._said):
            self._warn(words)
        self._said = words

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles it into its folder, from where nothing is read
