"""What a person sees of a search: one live line in a terminal, a line per iteration elsewhere."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.text import Text

from fade_ray.records.measures import ACCURACY, Measure
from fade_ray.run.forecast import Forecast
from fade_ray.run.progress import LiveWatcher
from fade_ray.search.search_history import Evaluation
from searchers import Outcome, Proposal

STEPS = 10
"""Lines on the trainings from scratch of a run that is not watched on a terminal."""
FOLLOW = ("retraining", "baseline")
"""Their kinds."""


class Progress(LiveWatcher):
    """A `Watcher` that draws to stderr. `active`: seconds that earlier starts took."""

    def __init__(
        self,
        iterations: int,
        forecast: Forecast,
        active: float = 0.0,
        best: Evaluation | None = None,
        console: Console | None = None,
        measure: Measure = ACCURACY,
    ) -> None:
        self.measure = measure
        self.iterations, self.forecast, self.before = iterations, forecast, active
        super().__init__(console)
        self.first: float | None = None  # when the first trial of this process began
        self.number = 1
        self.best: float | None = None if best is None else best.score
        self.moved: float | None = None
        self.anchors: Sequence[Any] = ()
        self.rates: dict[str, float] = {}
        self.behind = False  # the search: trainings from scratch are under way

    def proposed(self, proposal: Proposal) -> None:
        self.first = self.first or time.monotonic()
        self.number = proposal.iteration
        self.forecast.begun(proposal)
        self.behind |= proposal.follows
        self._draw()

    def epoch(self, proposal: Proposal, epoch: int, metrics: Mapping[str, Any]) -> None:
        self.forecast.epoch(proposal, epoch, metrics)
        self.rates[proposal.id] = metrics["images_per_second"]
        if proposal.follows and self.live is None:
            done, planned = self._from_scratch()
            if STEPS * done // planned > STEPS * (done - 1) // planned:
                self.console.print(self._line(), soft_wrap=True)
        self._draw()

    def finished(self, proposal: Proposal, outcome: Outcome, metrics: Mapping[str, Any]) -> None:
        self.forecast.ended(proposal, metrics)
        self.rates.pop(proposal.id, None)
        if outcome.score is not None and proposal.scored:
            self.best = max(outcome.score, outcome.score if self.best is None else self.best)
        self._draw()

    def iteration(self, number: int, anchors: Sequence[Any]) -> None:
        if self.anchors and np.shape(anchors) == np.shape(self.anchors):
            self.moved = float(np.linalg.norm(np.subtract(anchors, self.anchors), axis=-1).mean())
        self.anchors = anchors
        if self.live is None and self.first is not None and number:
            self.console.print(self._line(), soft_wrap=True)

    def _line(self) -> Text:
        parts = [f"iteration {min(self.number, self.iterations)}/{self.iterations}"]
        if self.behind:
            parts = ["retraining, {}/{:.0f} epochs".format(*self._from_scratch())]
        name = "" if self.measure.counted else f"{self.measure.name} "
        best = "-" if self.best is None else f"{self.measure.plain(self.best):.3f}"
        parts.append(f"best {name}{best}")
        if self.moved is not None:
            parts.append(f"anchors moved {self.moved:.3f}")
        if self.rates:
            parts.append(f"{sum(self.rates.values()):,.0f} images/s")
        since = 0.0 if self.first is None else time.monotonic() - self.first
        return Text(" · ".join([*parts, self.forecast.words(self.before + since)]))

    def _from_scratch(self) -> tuple[int, float]:
        """Epochs done and planned of the trainings behind the search."""
        planned = {k: self.forecast.planned[k] for k in FOLLOW if k in self.forecast.planned}
        epochs = sum(self.forecast.done[kind] for kind in FOLLOW)
        return epochs, sum(plan.epochs for plan in planned.values()) or float(max(1, epochs))

    def _draw(self) -> None:
        if self.live is not None:
            self.live.update(self._line(), refresh=True)
