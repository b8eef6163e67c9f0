"""Runs that are made of trials: a searcher asks for them, an engine carries them out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from fade_ray.data import Splits
from fade_ray.data.text import Corpus
from fade_ray.records.additions import Addition
from fade_ray.records.atomic import writable
from fade_ray.records.history import TrialHistory
from fade_ray.records.run_files import Run
from fade_ray.run.folder import RUN, Configuration, write_sealed
from fade_ray.run.forecast import Forecast, GridForecast, Planned, Remaining
from fade_ray.run.kind import RunKind, Standing, Start
from fade_ray.run.local import run_local
from fade_ray.run.run_config import RayOptions, RunConfig
from fade_ray.run.session import Session
from fade_ray.run.standing import best_trial, trial_lines
from fade_ray.run.tensorboard import PLAIN, Board, RunBoard, TensorBoard
from fade_ray.run.trackers import check_installed, trackers
from fade_ray.run.watcher import Watcher
from fade_ray.training import place
from fade_ray.trials.job import Job
from searchers.plan import Asks


class TrialsConfiguration(Configuration, Protocol):
    """A configuration that says how and where its trials are carried out."""

    @property
    def run(self) -> RunConfig: ...


C = TypeVar("C", bound=TrialsConfiguration)
H = TypeVar("H", bound=TrialHistory[Any])
S = TypeVar("S", bound=Asks[Any])


@dataclass(frozen=True)
class Trials(Generic[S]):
    """What a run of trials is prepared with: `searcher` asks, `job` answers on `data`."""

    searcher: S
    job: Job[Any]
    data: Any
    kept: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What is written before the first trial, by file, for when the run goes on."""


class RunOfTrials(RunKind[C, H], Generic[C, H]):
    """A kind of run whose `prepare` gives `Trials`."""

    board: ClassVar[Board] = PLAIN
    """What TensorBoard shows."""
    foreseen: ClassVar[type[Forecast]] = GridForecast
    """How the time left is told."""
    summary: ClassVar[str] = "result.json"
    """The file that says what was found."""

    def ray_options(self, config: C) -> RayOptions | None:
        return config.run if config.run.engine == "ray" else None

    def data(self, prepared: Any) -> str:
        data = prepared.data
        return data.describe() if isinstance(data, Splits | Corpus) else ""

    def session(self, trials: Any, start: Start[C, H], watchers: Sequence[Watcher]) -> Session[Any]:
        """What stands between the searcher and the engine."""
        return Session(trials.searcher, start.journal, start.history, watchers)

    def work(self, prepared: Any, start: Start[C, H]) -> Mapping[str, Any]:
        """Run the session's trials to the last one and record the end; the share of the trials'
        wall time that was spent training, None where no trial has run.
        """
        for name, content in prepared.kept.items():
            write_sealed(start.folder / name, content)
        session = self.session(prepared, start, (*start.watchers, *self._boards(start)))
        run = start.config.run
        settings = partial(self.settings, start.config)
        tracked = trackers(run, start.folder, session, self.board, settings)
        session.watchers = (*session.watchers, *tracked)
        session.begin()
        asked = session, prepared.job, prepared.data, run, start.folder, start.additions
        ENGINES[run.engine](*asked)
        session.end()
        self.close(session, start)
        share = session.training_share
        if share is None:  # nothing was left to do
            share = start.history.training_share
        start.journal.append("end", training_share=share)
        return {"training_share": share}

    def _boards(self, start: Start[C, H]) -> tuple[Watcher, Watcher]:
        """What TensorBoard reads: of every trial, and of the run as a whole."""
        folder, settings = start.folder / "tensorboard", partial(self.settings, start.config)
        features = self.features(start.config)
        with writable(*RUN):
            run = RunBoard(folder, start.history, features)
        return TensorBoard(folder, self.board, settings), run

    def features(self, config: C) -> Sequence[str]:
        """The names of the coordinates of anchors, where the run has any."""
        return ()

    def close(self, session: Any, start: Start[C, H]) -> None:
        """What is recorded behind the last trial."""

    def coming(self, config: C) -> Mapping[str, Planned]:
        """The trials that a run will have, by kind; nothing where that is not known."""
        return {}

    def forecast(self, config: C, history: H) -> Forecast:
        """How long it will take from what the record says."""
        return self.foreseen.of(self.coming(config), history)

    def remaining(self, run: Run[C, H]) -> Remaining:
        """What tells how long it will still take."""
        return self.forecast(run.config, run.history)

    def standing(self, run: Run[C, H]) -> Standing:
        found = [("result", self.found(run))] if run.result else []
        if not run.result and run.history.active:
            told = self.remaining(run).words(run.history.active)
            found.append(("time", f"{told}, by its last event"))
        waiting = sum(trial.state == "waiting" for trial in run.history.standings)
        if waiting:
            found.append(
                (
                    "waiting",
                    f"{waiting} for a place and its process; a trial takes {run.config.run.share}",
                )
            )
        return Standing(self.reached(run), [*trial_lines(run.history, self.best(run)), *found])

    def reached(self, run: Run[C, H]) -> str:
        """How much of what is done."""
        return f"{len(run.history.outcomes)} of {len(run.history.proposals)} trials"

    def best(self, run: Run[C, H]) -> str:
        """The best so far."""
        best = best_trial(run.history)
        return "-" if best is None else f"{best[1]:.4f} (trial {best[0]})"

    def found(self, run: Run[C, H]) -> str:
        """What a finished run found."""
        return str(run.folder / self.summary)


def check_run(run: RunConfig, precision: str) -> None:
    """InvalidInput for a tracker that is not installed, and for a device that trials cannot have,
    where that can be known here.
    """
    check_installed(run)
    if run.engine == "local" or run.device not in ("auto", "cuda"):
        place(run.device, precision)


def _run_ray(*asked: Any) -> None:
    from fade_ray.run.ray_engine import run_ray  # Ray is imported by those who run on it

    run_ray(*asked)


Engine = Callable[[Session[Any], Job[Any], Any, RunConfig, Path, Sequence[Addition]], None]
ENGINES: dict[str, Engine] = {"ray": _run_ray, "local": run_local}
"""By `--engine`."""
