"""What a person sees while cells are searched: lines on stderr, and TensorBoard."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from fade_ray.cells.cells_config import CellPlan
from fade_ray.run.progress import LiveWatcher, clock
from fade_ray.run.tensorboard import Board, Tags, scalars
from searchers import Outcome


class CellProgress(LiveWatcher):
    """One live line in a terminal; elsewhere a line when a search starts and ends."""

    def __init__(self, plans: Sequence[CellPlan], console: Console | None = None) -> None:
        super().__init__(console)
        self.total = len(plans)
        self.epochs = sum(plan.epochs for plan in plans)
        self.done = self.before = 0  # searches ended; epochs done before this process
        self.running: dict[str, tuple[CellPlan, int, Mapping[str, Any]]] = {}
        self.seen = 0  # epochs of this process

    def proposed(self, proposal: CellPlan) -> None:
        self.running[proposal.id] = (proposal, 0, {})
        self.done = max(self.done, proposal.index + 1 - len(self.running))
        self._draw()

    def epoch(self, proposal: CellPlan, epoch: int, metrics: Mapping[str, Any]) -> None:
        self.running[proposal.id] = (proposal, epoch, metrics)
        memory = metrics.get("step_memory_mib")
        if epoch == 0 and memory is not None:
            self._print(
                f"{proposal.id} {proposal.kind}: a step takes {memory:,.0f} MiB at its peak"
            )
        self.seen += epoch > 0
        self._draw()

    def finished(self, proposal: CellPlan, outcome: Outcome, metrics: Mapping[str, Any]) -> None:
        self.running.pop(proposal.id, None)
        self.done += 1
        if outcome.failure is None:
            free = metrics.get("parameter_free_share")
            accuracy = "" if outcome.score is None else f", proxy accuracy {outcome.score:.3f}"
            self._print(f"{proposal.id} {proposal.kind}: {free:.0%} free of parameters{accuracy}")
        self._draw()

    def _print(self, line: str) -> None:
        self.console.print(Text(line), soft_wrap=True)

    def _draw(self) -> None:
        if self.live is None:
            return
        gone = time.monotonic() - self.started
        parts = [f"{self.done} of {self.total} searches"]
        for plan, epoch, metrics in self.running.values():
            skips = metrics.get("skip_share")
            parts.append(
                f"{plan.kind} {epoch}/{plan.epochs}"
                + ("" if skips is None else f" skip {skips:.0%}")
            )
        parts.append(f"{clock(gone)} gone")
        self.live.update(Text(" · ".join(parts)), refresh=True)


def edge_tags(metrics: Mapping[str, Any]) -> Tags:
    """What TensorBoard shows of an epoch, the architecture weights of every edge among it."""
    tags = scalars(metrics) | {"architecture/entropy": metrics.get("entropy")}
    for kind, rows in metrics.get("weights", {}).items():
        for edge, weights in enumerate(rows):
            for op, weight in enumerate(weights):
                tags[f"weights_{kind}/edge{edge:02d}_op{op}"] = weight
    return tags


def end_tags(outcome: Outcome, metrics: Mapping[str, Any]) -> Tags:
    """Accuracies of the mixture and of the genotype with its weights."""
    names = ("proxy", "discrete")
    return {f"accuracy/{name}": metrics.get(f"{name}_accuracy") for name in names}


EDGES = Board(edge_tags, end_tags)
