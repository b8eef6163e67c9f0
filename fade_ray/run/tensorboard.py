"""TensorBoard files: one folder per trial."""

import math
import socket
import struct
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fade_ray.run.watcher import Watcher
from searchers import Outcome

Tags = dict[str, float | None]


class Board(NamedTuple):
    """What is shown of the metrics of an epoch, and of a trial's end."""

    epoch: Callable[[Mapping[str, Any]], Tags]
    end: Callable[[Outcome, Mapping[str, Any]], Tags]


class TensorBoard(Watcher):
    """A `Watcher` that writes what `board` shows: the events of each trial into a file of its own,
    which is open only while one is appended. (tensorboardX's writers keep three descriptors and two
    threads each: too many for thousands of trials at once.)
    """

    def __init__(self, folder: Path, board: Board) -> None:
        # their package imports torch: seconds, where that is not there yet
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.record_writer import masked_crc32c

        self._folder, self._board = folder, board
        self._event, self._checksum = Event, masked_crc32c
        self._files: dict[str, Path] = {}  # of the running trials

    def proposed(self, proposal: Any) -> None:
        kind = getattr(proposal, "kind", None)  # not every plan has one
        name = proposal.id if kind is None else f"{proposal.id}-{kind}"
        (self._folder / name).mkdir(parents=True, exist_ok=True)
        file = f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}"
        self._files[proposal.id] = self._folder / name / file
        self._append(proposal.id, file_version="brain.Event:2")

    def epoch(self, proposal: Any, epoch: int, metrics: Mapping[str, Any]) -> None:
        self._write(proposal.id, self._board.epoch(metrics), epoch)

    def finished(self, proposal: Any, outcome: Outcome, metrics: Mapping[str, Any]) -> None:
        self._write(proposal.id, self._board.end(outcome, metrics), proposal.epochs)
        del self._files[proposal.id]

    def _write(self, id: str, tags: Tags, epoch: int) -> None:
        values = {tag: x for tag, x in tags.items() if x is not None and math.isfinite(x)}
        if values:
            shown = [{"tag": tag, "simple_value": float(x)} for tag, x in values.items()]
            self._append(id, step=epoch, summary={"value": shown})

    def _append(self, id: str, **fields: Any) -> None:
        """One event, as a TFRecord: length, its checksum, data, their checksum."""
        data = self._event(wall_time=time.time(), **fields).SerializeToString()
        length = struct.pack("<Q", len(data))
        sums = [struct.pack("<I", self._checksum(part)) for part in (length, data)]
        with self._files[id].open("ab") as file:
            file.write(length + sums[0] + data + sums[1])


SCALARS = {
    "loss": "loss/weights",
    "architecture_loss": "loss/architecture",
    "accuracy": "accuracy/weights",
    "architecture_accuracy": "accuracy/architecture",
    "true_accuracy": "accuracy/true",
    "learning_rate": "training/learning_rate",
    "skip_share": "genotype/skip_share",
    "parameter_free_share": "genotype/parameter_free_share",
    "none_weight": "architecture/none_weight",
    "eigenvalue": "architecture/hessian_eigenvalue",
    "images_per_second": "speed/images_per_second",
    "peak_memory_mib": "memory/peak_mib",
}


def scalars(metrics: Mapping[str, Any]) -> Tags:
    """What epochs of all kinds have in common, each where it is known."""
    return {tag: metrics.get(key) for key, tag in SCALARS.items()}


def row_tags(metrics: Mapping[str, Any]) -> Tags:
    """Of a hyper-architecture or an architecture: its weights and entropies by row too."""
    tags = scalars(metrics)
    for row, weights in enumerate(metrics.get("weights") or [], start=1):
        tags |= {f"weights_row_{row}/{index}": weight for index, weight in enumerate(weights)}
        tags[f"entropy/row_{row}"] = metrics["entropy"][row - 1]
    return tags


def accuracy_tags(outcome: Outcome, metrics: Mapping[str, Any]) -> Tags:
    """The score, and the accuracy on the test part."""
    return {"accuracy/valid": outcome.score, "accuracy/test": metrics.get("test_accuracy")}


PLAIN, ROWS = Board(scalars, accuracy_tags), Board(row_tags, accuracy_tags)
