"""What a person sees while a known number of trials runs: one live line in a terminal, a line per
trial elsewhere.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from fade_ray.run.progress import LiveWatcher, clock
from searchers import Outcome


class GridProgress(LiveWatcher):
    """`line` tells of a trial that has ended, from its plan, outcome and metrics."""

    def __init__(
        self,
        trials: int,
        line: Callable[[Any, Outcome, Mapping[str, Any]], str],
        console: Console | None = None,
    ) -> None:
        self.trials, self.line = trials, line
        super().__init__(console)
        self.done = 0
        self.running: dict[str, tuple[int, int]] = {}  # id -> epochs done, planned

    def proposed(self, proposal: Any) -> None:
        self.running[proposal.id] = (0, proposal.epochs)
        self._draw()

    def epoch(self, proposal: Any, epoch: int, metrics: Mapping[str, Any]) -> None:
        self.running[proposal.id] = (epoch, proposal.epochs)
        self._draw()

    def finished(self, proposal: Any, outcome: Outcome, metrics: Mapping[str, Any]) -> None:
        self.running.pop(proposal.id, None)
        self.done += 1
        self.console.print(Text(self.line(proposal, outcome, metrics)), soft_wrap=True)
        self._draw()

    def _draw(self) -> None:
        if self.live is None:
            return
        parts = [f"{self.done} trials of {self.trials} ended here"]
        parts += [f"{id} {done}/{planned}" for id, (done, planned) in self.running.items()]
        parts.append(f"{clock(time.monotonic() - self.started)} gone")
        self.live.update(Text(" · ".join(parts)), refresh=True)
