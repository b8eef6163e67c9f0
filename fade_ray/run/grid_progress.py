"""What a person sees of a known number of trials: a live line, elsewhere a line per trial."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from fade_ray.run.progress import LiveWatcher, clock
from searchers import Outcome


class GridProgress(LiveWatcher):
    """`line` tells of a trial that has ended, from its plan, outcome and metrics; "": nothing."""

    def __init__(
        self,
        trials: int,
        line: Callable[[Any, Outcome, Mapping[str, Any]], str],
        console: Console | None = None,
    ) -> None:
        super().__init__(console)
        self.trials, self.line, self.done = trials, line, 0
        self.running: dict[str, str] = {}  # id -> how far it is

    def proposed(self, proposal: Any) -> None:
        self.epoch(proposal, 0, {})

    def epoch(self, proposal: Any, epoch: int, metrics: Mapping[str, Any]) -> None:
        self.running[proposal.id] = self.course(proposal, epoch, metrics)
        self._draw()

    def finished(self, proposal: Any, outcome: Outcome, metrics: Mapping[str, Any]) -> None:
        self.running.pop(proposal.id, None)
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
            gone = f"{clock(time.monotonic() - self.started)} gone"
            parts = [f"{self.done} of {self.trials} ended here", *self.running.values(), gone]
            self.live.update(Text(" · ".join(parts)), refresh=True)
