"""What a person sees of a known number of trials: a live line, elsewhere a line per trial."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from fade_ray.run.forecast import Forecast
from fade_ray.run.progress import LiveWatcher
from searchers import Outcome


class GridProgress(LiveWatcher):
    """`line` tells of a trial that has ended, from its plan, outcome and metrics; "": nothing.
    `active`: seconds that earlier starts took.
    """

    def __init__(
        self,
        trials: int,
        line: Callable[[Any, Outcome, Mapping[str, Any]], str],
        forecast: Forecast,
        active: float = 0.0,
        console: Console | None = None,
    ) -> None:
        super().__init__(console)
        self.trials, self.line, self.done = trials, line, 0
        self.forecast, self.before = forecast, active
        self.first: float | None = None  # when the first trial of this process began
        self.running: dict[str, str] = {}  # id -> how far it is

    def proposed(self, proposal: Any) -> None:
        self.first = self.first or time.monotonic()
        self.forecast.begun(proposal)
        self.epoch(proposal, 0, {})

    def epoch(self, proposal: Any, epoch: int, metrics: Mapping[str, Any]) -> None:
        self.forecast.epoch(proposal, epoch, metrics)
        self.running[proposal.id] = self.course(proposal, epoch, metrics)
        self._draw()

    def finished(self, proposal: Any, outcome: Outcome, metrics: Mapping[str, Any]) -> None:
        self.running.pop(proposal.id, None)
        self.forecast.ended(proposal, metrics)
        self.done += 1
        self.tell(self.line(proposal, outcome, metrics))
        self._draw()

    def course(self, proposal: Any, epoch: int, metrics: Mapping[str, Any]) -> str:
        """How far a trial is."""
        return f"{proposal.id} {epoch}/{proposal.epochs}"

    def tell(self, line: str) -> None:
        if line:
            self.console.print(Text(line), soft_wrap=True)

    def _draw(self) -> None:
        if self.live is not None:
            since = 0.0 if self.first is None else time.monotonic() - self.first
            told = self.forecast.words(self.before + since)
            parts = [f"{self.done} of {self.trials} ended here", *self.running.values(), told]
            self.live.update(Text(" · ".join(parts)), refresh=True)
