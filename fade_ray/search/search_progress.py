"""What a person sees of a search: one live line in a terminal, a line per iteration elsewhere."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.text import Text

from fade_ray.run.progress import LiveWatcher, clock
from fade_ray.search.search_history import Evaluation
from searchers import Outcome, Proposal


class Progress(LiveWatcher):
    """A `Watcher` that draws to stderr."""

    def __init__(
        self, iterations: int, best: Evaluation | None = None, console: Console | None = None
    ) -> None:
        self.iterations = iterations
        super().__init__(console)
        self.number = 1
        self.batch: dict[str, tuple[int, int]] = {}  # id -> epochs done, epochs planned
        self.iterations_before: int | None = None  # finished when this process began
        self.best: float | None = None if best is None else best.score
        self.moved: float | None = None
        self.anchors: Sequence[Any] = ()
        self.rates: dict[str, float] = {}
        self.stage = "search"

    def proposed(self, proposal: Proposal) -> None:
        if self.iterations_before is None:
            self.iterations_before = proposal.iteration - 1
        if proposal.iteration != self.number:
            self.number, self.batch = proposal.iteration, {}
        self.stage = "retraining" if proposal.follows else "search"
        self.batch[proposal.id] = (0, proposal.epochs)
        self._draw()

    def epoch(self, proposal: Proposal, epoch: int, metrics: Mapping[str, Any]) -> None:
        self.batch[proposal.id] = (epoch, proposal.epochs)
        self.rates[proposal.id] = metrics["images_per_second"]
        self._draw()

    def finished(self, proposal: Proposal, outcome: Outcome, metrics: Mapping[str, Any]) -> None:
        self.batch[proposal.id] = (proposal.epochs, proposal.epochs)
        self.rates.pop(proposal.id, None)
        if outcome.score is not None and proposal.scored:
            self.best = max(outcome.score, outcome.score if self.best is None else self.best)
        self._draw()

    def iteration(self, number: int, anchors: Sequence[Any]) -> None:
        if self.anchors and np.shape(anchors) == np.shape(self.anchors):
            self.moved = float(np.linalg.norm(np.subtract(anchors, self.anchors), axis=-1).mean())
        self.anchors = anchors
        if self.live is None and self.iterations_before is not None and number:
            self.console.print(self._line(), soft_wrap=True)

    def fraction(self) -> float:
        """What this process has done of the search, in iterations; of the running one in epochs."""
        done, planned = (sum(counts[k] for counts in self.batch.values()) for k in (0, 1))
        before = self.iterations_before or 0
        ahead = max(1, self.iterations - before)
        return min(1.0, (self.number - 1 - before + done / max(1, planned)) / ahead)

    def _line(self) -> Text:
        elapsed = time.monotonic() - self.started
        fraction = self.fraction()
        parts = [f"iteration {min(self.number, self.iterations)}/{self.iterations}"]
        if self.stage == "retraining":
            parts = [self.stage]
        parts.append("best " + ("-" if self.best is None else f"{self.best:.3f}"))
        if self.moved is not None:
            parts.append(f"anchors moved {self.moved:.3f}")
        if self.rates:
            parts.append(f"{sum(self.rates.values()):,.0f} images/s")
        parts.append(f"{clock(elapsed)} gone")
        if self.stage == "search" and fraction > 0.02:
            parts.append(f"{clock(elapsed * (1 - fraction) / fraction)} left")
        return Text(" · ".join(parts))

    def _draw(self) -> None:
        if self.live is not None:
            self.live.update(self._line(), refresh=True)
