"""MLflow and Weights & Biases, told of a run through Ray Tune's own callbacks for them."""

import hashlib
import importlib.util
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from fade_ray.records.remote import address
from fade_ray.run.find_cluster import imported_ray
from fade_ray.run.run_config import RunConfig
from fade_ray.run.session import Session
from fade_ray.run.tensorboard import Board, Settings, label, numbers, scalars
from fade_ray.run.watcher import Watcher
from searchers import Outcome
from spaces.errors import InvalidInput

PATIENCE = 60.0  # seconds at the end of a run for what a tracker was not told yet


@dataclass(frozen=True)
class TrackedTrial:
    """A trial as Tune's callbacks look at it, the same one however often it is started again.

    `trial_id` is one that no other run has. `resumed`: it was begun by an earlier start of the run,
    which may have told of it.
    """

    trial_id: str
    name: str = field(compare=False)
    config: dict[str, str | float] = field(compare=False)
    experiment_dir_name: str = field(compare=False)
    local_path: str = field(compare=False)
    resumed: bool = field(compare=False)

    def __str__(self) -> str:
        return self.name


Maker = Callable[[Path, str], Any]
"""Ray Tune's callback for the run in a folder, which has this id."""


def mlflow_callback(folder: Path, run: str) -> Any:
    """The experiment is called as the run directory, its runs are the trials. One that goes on is
    found by its tags.
    """
    # a server that is gone is given up within seconds, not minutes
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    class Callback(MLflowLoggerCallback):  # type: ignore[misc]
        def log_trial_start(self, trial: TrackedTrial) -> None:
            if trial.resumed:
                tags = {**self.tags, "trial_name": str(trial)}
                words = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
                asked = [self.mlflow_util.experiment_id], words
                for before in mlflow.MlflowClient().search_runs(*asked, max_results=1):
                    self._trial_runs[trial] = before.info.run_id
            super().log_trial_start(trial)

    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", folder.name)
    return Callback(experiment_name=name, tags={"fade_ray.run": run})


WANDB_OPTIONS = {"WANDB_ENTITY": "entity", "WANDB_MODE": "mode", "WANDB_DIR": "dir"}
"""Variables that the processes which Ray starts for W&B may not have, as options of its `init`."""


def wandb_callback(folder: Path, run: str) -> Any:
    """The group is called as the run directory, its runs are the trials. One that goes on is known
    by its id.
    """
    import ray
    from ray.air.integrations.wandb import WandbLoggerCallback

    class Callback(WandbLoggerCallback):  # type: ignore[misc]
        def log_trial_result(self, *told: Any) -> None:
            # otherwise nobody is told that a process which logs has ended with an error
            futures = list(self._trial_logging_futures.values())
            ended, _ = ray.wait(futures, num_returns=len(futures), timeout=0)
            ray.get(ended)
            super().log_trial_result(*told)

    options = {name: os.environ.get(variable) for variable, name in WANDB_OPTIONS.items()}
    return Callback(
        project=os.environ.get("WANDB_PROJECT", "fade-ray"),
        group=os.environ.get("WANDB_RUN_GROUP", folder.name),
        upload_timeout=int(PATIENCE),
        resume="allow",
        settings={"base_url": url} if (url := os.environ.get("WANDB_BASE_URL")) else None,
        **{**options, "dir": options["dir"] or str(folder)},
    )


TRACKERS: dict[str, tuple[str, str, Maker]] = {
    "mlflow": (
        "MLflow",
        "Name a server with MLFLOW_TRACKING_URI=http://..., or a folder with "
        "MLFLOW_TRACKING_URI=file:///... and MLFLOW_ALLOW_FILE_STORE=true",
        mlflow_callback,
    ),
    "wandb": (
        "Weights & Biases",
        "Log in with `wandb login`, or set WANDB_MODE=offline",
        wandb_callback,
    ),
}
"""By `--track` and by package: what it is called, how it is set up, its callback."""


def check_installed(run: RunConfig) -> None:
    """InvalidInput for a tracker whose package is missing."""
    for package in run.track:
        if importlib.util.find_spec(package) is None:
            raise InvalidInput(
                f"`--track {package}` needs {TRACKERS[package][0]}: install it with "
                f"`pip install 'fade-ray[{package}]'`."
            )


class Tracker(Watcher):
    """Tells one tracker of each trial: what it tries, its epochs, what it came to.

    In a thread of its own, so that a slow server holds nothing up. One that fails is told no more,
    which `warn` is told; the run goes on.
    """

    def __init__(
        self,
        name: str,
        callback: Any,
        trial: Callable[[Any], TrackedTrial],
        board: Board,
        warn: Callable[[str], None],
    ) -> None:
        self._name, self._callback, self._trial, self._board = name, callback, trial, board
        self._warn: Callable[[str], None] | None = warn  # once
        self._failure: Exception | None = None
        self._trials: dict[str, TrackedTrial] = {}  # that are open
        self._calls = SimpleQueue[Callable[[], None] | None]()
        self._thread = threading.Thread(target=self._pass_on, daemon=True)
        self._thread.start()

    def proposed(self, proposal: Any) -> None:
        trial = self._trials[proposal.id] = self._trial(proposal)
        self._tell(self._callback.log_trial_start, trial)

    def epoch(self, proposal: Any, epoch: int, metrics: Mapping[str, Any]) -> None:
        self._result(proposal, epoch, scalars(proposal, metrics))

    def finished(self, proposal: Any, outcome: Outcome, metrics: Mapping[str, Any]) -> None:
        self._result(proposal, proposal.epochs, self._board.end(outcome, metrics))
        trial = self._trials.pop(proposal.id)
        self._tell(self._callback.log_trial_end, trial, outcome.failure is not None)

    def _result(self, proposal: Any, epoch: int, tags: Mapping[str, float | None]) -> None:
        if values := numbers(tags):
            told = {**values, "training_iteration": epoch}
            self._tell(self._callback.log_trial_result, epoch, self._trials[proposal.id], told)

    def finish(self) -> None:
        """Wait, in bounds, until everything is told; to be called while Ray is connected."""
        for trial in self._trials.values():  # which a resumed run goes on with
            self._tell(self._callback.log_trial_end, trial, True)
        self._tell(self._callback.on_experiment_end, [])
        self._calls.put(None)
        self._thread.join(PATIENCE)
        self._complain("it did not take it in time" if self._thread.is_alive() else None)

    def _tell(self, call: Callable[..., None], *told: Any) -> None:
        if self._failure is None:
            self._calls.put(partial(call, *told))
        self._complain()

    def _complain(self, trouble: str | None = None) -> None:
        trouble = trouble if self._failure is None else str(self._failure)
        if trouble is not None and self._warn is not None:
            warn, self._warn = self._warn, None
            warn(f"{self._name} is not told all of this run: {trouble}")

    def _pass_on(self) -> None:
        try:
            for call in iter(self._calls.get, None):
                call()
        except Exception as error:
            self._failure = error


def trackers(
    run: RunConfig, folder: Path, session: Session[Any], board: Board, settings: Settings
) -> Iterator[Tracker]:
    """Those that `--track` asks for, set up. Raises InvalidInput where one cannot be."""
    if not run.track:
        return
    imported_ray(run.verbose)
    first = json.loads(session.journal.path.open().readline())
    key = hashlib.sha256(f"{address(folder)} {first['time']}".encode()).hexdigest()[:12]

    def trial(plan: Any) -> TrackedTrial:
        begun = plan.id in session.history.proposals
        told = dict(settings(plan)), folder.name, str(folder), begun
        return TrackedTrial(f"{key}-{plan.id}".replace("/", "-"), label(plan), *told)

    for package in run.track:
        name, remedy, make = TRACKERS[package]
        try:
            callback = make(folder, key)
            callback.setup()
        except Exception as error:
            words = str(error).strip().partition("\n")[0].rstrip(".")
            raise InvalidInput(
                f"`--track {package}` must reach {name}, but: {words}. {remedy}."
            ) from error
        yield Tracker(name, callback, trial, board, session.warn)


@contextmanager
def told_to_the_end(watchers: Sequence[Watcher]) -> Iterator[None]:
    """At the end, however it comes, what trackers were not told yet is told."""
    try:
        yield
    finally:
        for watcher in watchers:
            if isinstance(watcher, Tracker):
                watcher.finish()
