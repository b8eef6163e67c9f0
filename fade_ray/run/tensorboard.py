"""TensorBoard files: one folder per trial."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fade_ray.run.session import Watcher
from searchers import Outcome, Proposal

SCALARS = {
    "loss": "loss/weights",
    "architecture_loss": "loss/architecture",
    "accuracy": "accuracy/weights",
    "architecture_accuracy": "accuracy/architecture",
    "images_per_second": "speed/images_per_second",
    "peak_memory_mib": "memory/peak_mib",
}


class TensorBoard(Watcher):
    """A `Watcher` that writes losses, accuracies, architecture weights, entropy, images/s and peak
    memory per epoch.
    """

    def __init__(self, folder: Path) -> None:
        from tensorboardX import SummaryWriter

        self._folder, self._new = folder, SummaryWriter
        self._writers: dict[str, Any] = {}

    def proposed(self, proposal: Proposal) -> None:
        self._writers[proposal.id] = self._new(str(self._folder / f"{proposal.id}-{proposal.kind}"))

    def epoch(self, proposal: Proposal, epoch: int, metrics: Mapping[str, Any]) -> None:
        writer = self._writers[proposal.id]
        for key, tag in SCALARS.items():
            if metrics.get(key) is not None:
                writer.add_scalar(tag, metrics[key], epoch)
        for row, weights in enumerate(metrics.get("weights") or [], start=1):
            for index, weight in enumerate(weights):
                writer.add_scalar(f"weights_row_{row}/{index}", weight, epoch)
            writer.add_scalar(f"entropy/row_{row}", metrics["entropy"][row - 1], epoch)

    def finished(self, proposal: Proposal, outcome: Outcome, metrics: Mapping[str, Any]) -> None:
        writer = self._writers.pop(proposal.id)
        for key, value in (("valid", outcome.score), ("test", metrics.get("test_accuracy"))):
            if value is not None:
                writer.add_scalar(f"accuracy/{key}", value, proposal.epochs)
        writer.close()

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()
