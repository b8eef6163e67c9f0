"""MLflow and Weights & Biases are told of every trial, each once, and never end a run."""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from conftest import ToyHistory, ToyPlan

from fade_ray.records.journal import FORMAT, Journal
from fade_ray.run.lifecycle import Interrupted
from fade_ray.run.run_config import RunConfig
from fade_ray.run.run_of_trials import check_run
from fade_ray.run.session import Session
from fade_ray.run.tensorboard import PLAIN
from fade_ray.run.trackers import TrackedTrial, Tracker, told_to_the_end, trackers
from fade_ray.run.watcher import Watcher
from searchers import Outcome
from searchers.grid import GridSearch
from spaces.errors import InvalidInput

pytestmark = pytest.mark.ray

PLAN = ToyPlan("00003", 3, 0, 7, 3)


class Told(Watcher):
    def __init__(self) -> None:
        self.warnings = list[str]()

    def warned(self, message: str) -> None:
        self.warnings.append(message)


def test_one_that_is_not_installed_is_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    check_run(RunConfig(track=("mlflow", "wandb")), "fp32")
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(InvalidInput, match=r"pip install 'fade-ray\[wandb\]'"):
        check_run(RunConfig(track=("mlflow", "wandb")), "fp32")


def test_without_ray_they_are_refused() -> None:
    with pytest.raises(InvalidInput, match="--engine ray"):
        RunConfig(engine="local", track=("mlflow",))


class Callback:
    """What is used of Tune's, which says what it was told; with `broken` it ends with an error at
    its second call.
    """

    def __init__(self, broken: bool = False) -> None:
        self.calls, self._broken = list[tuple[Any, ...]](), broken

    def _take(self, *call: Any) -> None:
        self.calls.append(call)
        if self._broken and len(self.calls) == 2:
            raise ConnectionError("nobody answers")

    def log_trial_start(self, trial: TrackedTrial) -> None:
        self._take("start", str(trial))

    def log_trial_result(
        self, iteration: int, trial: TrackedTrial, result: Mapping[str, Any]
    ) -> None:
        self._take("result", iteration, result)

    def log_trial_end(self, trial: TrackedTrial, failed: bool) -> None:
        self._take("end", failed)

    def on_experiment_end(self, trials: list[Any]) -> None:
        self._take("all")


def told(callback: Callback, warn: Callable[[str], None]) -> None:
    """A trial from start to end."""
    made = TrackedTrial("a", "00003", {}, "mine", "/mine", False)
    tracker = Tracker("MLflow", callback, lambda plan: made, PLAIN, warn)
    with told_to_the_end([tracker, Watcher()]):
        tracker.proposed(PLAN)
        tracker.epoch(PLAN, 1, {"loss": 0.5, "accuracy": float("nan"), "node": "here"})
        tracker.epoch(PLAN, 2, {"node": "here"})
        tracker.finished(PLAN, Outcome(score=0.25), {"test_accuracy": 0.5})


def test_what_is_told_is_what_tensorboard_shows() -> None:
    callback = Callback()
    told(callback, pytest.fail)
    ended = {"accuracy/valid": 0.25, "accuracy/test": 0.5, "training_iteration": 3}
    assert callback.calls == [
        ("start", "00003"),
        ("result", 1, {"loss/weights": 0.5, "training_iteration": 1}),
        *(("result", 3, ended), ("end", False), ("all",)),
    ]


def test_one_that_fails_is_told_no_more_and_the_run_goes_on() -> None:
    callback, warnings = Callback(broken=True), list[str]()
    told(callback, warnings.append)
    assert len(callback.calls) == 2
    assert warnings == ["MLflow is not told all of this run: nobody answers"]


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where MLflow writes; W&B writes into the run directory."""
    variables = {
        "MLFLOW_TRACKING_URI": f"file://{tmp_path}/mlruns",
        "MLFLOW_ALLOW_FILE_STORE": "true",
        "WANDB_MODE": "offline",
        "WANDB_ERROR_REPORTING": "false",
    }
    for name in [name for name in os.environ if name.startswith(("MLFLOW_", "WANDB_"))]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def mlflow_runs(experiment: str) -> dict[str, Any]:
    """Those of an experiment, by their names, each once."""
    import mlflow

    client = mlflow.MlflowClient()
    found = client.get_experiment_by_name(experiment)
    runs = client.search_runs([found.experiment_id])
    assert len({run.info.run_name for run in runs}) == len(runs)
    return {run.info.run_name: run for run in runs}


def test_mlflow_goes_on_with_the_run_of_a_trial_that_was_begun_before(offline: Path) -> None:
    folder = offline / "mine"
    folder.mkdir()
    with Journal(folder / "records.jsonl") as journal:
        journal.append("start", format=FORMAT)
        for start in (1, 2):
            session = Session(GridSearch([PLAN], lambda plan: plan, 0), journal, ToyHistory())
            session.history.proposals = {PLAN.id: PLAN} if start == 2 else {}
            config = RunConfig(track=("mlflow",))
            (tracker,) = trackers(config, folder, session, PLAIN, lambda plan: {"seed": 7})
            with told_to_the_end([tracker]):
                tracker.proposed(PLAN)
                tracker.epoch(PLAN, start, {"loss": 1 / start})
                if start == 2:
                    tracker.finished(PLAN, Outcome(score=0.25), {})
    run = mlflow_runs("mine")[PLAN.id]
    assert run.info.status == "FINISHED"
    assert run.data.params == {"seed": "7"}
    assert run.data.metrics["loss/weights"] == 0.5
    assert run.data.metrics["accuracy/valid"] == 0.25
    assert '"warning"' not in (folder / "records.jsonl").read_text()


def test_a_tracker_that_cannot_be_set_up_is_refused_before_the_first_trial(
    offline: Path, monkeypatch: pytest.MonkeyPatch, toy: Any, toy_config: Any
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nothing://here")
    with pytest.raises(InvalidInput, match="MLFLOW_TRACKING_URI=http"):
        toy(toy_config(offline / "mine", run=RunConfig(address="local", track=("mlflow",))))


class Stopper(Told):
    """Ctrl-C after the n-th epoch."""

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self.left = epochs

    def epoch(self, plan: Any, epoch: int, metrics: Mapping[str, Any]) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_a_run_on_ray_is_told_to_both_and_goes_on_without_doubles(
    offline: Path, toy: Any, toy_config: Any
) -> None:
    run = RunConfig(address="local", concurrency=2, track=("mlflow", "wandb"))
    config = toy_config(offline / "mine", trials=3, breaking=((1, 9),), run=run)
    with pytest.raises(Interrupted):
        toy(config, watchers=[Stopper(3)])
    watcher = Told()
    folder = toy(config, watchers=[watcher])
    assert not [message for message in watcher.warnings if "not told" in message]
    states = {name: run.info.status for name, run in mlflow_runs("mine").items()}
    ended = {"00000": "FINISHED", "00002": "FINISHED", "00001": "FAILED", "00001r1": "FAILED"}
    assert states == ended
    written = {path: path.read_bytes() for path in folder.glob("wandb/offline-run-*/*.wandb")}
    told = {path.stem for path, data in written.items() if b"loss/weights" in data}
    names = {stem.split("-", 2)[2] for stem in told}
    # where the machine is busy, W&B's process takes no epoch of what ended with the first start
    assert names | {"00000"} == set(ended)
