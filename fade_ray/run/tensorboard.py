"""TensorBoard files: one folder per trial, and one for the run as a whole."""

import math
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fade_ray.records.history import Tally, TrialHistory
from fade_ray.run.watcher import Watcher
from searchers import Outcome

Tags = dict[str, float | None]
Settings = Callable[[Any], Mapping[str, str | float]]
"""What a plan tries, by name."""
RUN = "run"
"""The folder of the run as a whole."""


class Board(NamedTuple):
    """What is shown of the metrics of an epoch of a plan, and of a trial's end."""

    epoch: Callable[[Any, Mapping[str, Any]], Tags]
    end: Callable[[Outcome, Mapping[str, Any]], Tags]


def numbers(tags: Mapping[str, float | None]) -> dict[str, float]:
    """Those that are known and finite."""
    return {tag: float(x) for tag, x in tags.items() if x is not None and math.isfinite(x)}


def label(plan: Any) -> str:
    """What its trial is called where people look for it."""
    kind = getattr(plan, "kind", None)  # not every plan has one
    return str(plan.id) if kind is None else f"{plan.id}-{kind}"


class EventFile:
    """A file of events in a folder of its own, which is open only while one is appended.
    (tensorboardX's writers keep three descriptors and two threads each: too many for thousands of
    trials at once.)
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}"

    def scalars(self, tags: Tags, step: int) -> dict[str, float]:
        """Append the `numbers` of them, and return these."""
        values = numbers(tags)
        if values:
            shown = [{"tag": tag, "simple_value": x} for tag, x in values.items()]
            self.append(step=step, summary={"value": shown})
        return values

    def append(self, **fields: Any) -> None:
        """One event, as a TFRecord: length, its checksum, data, their checksum."""
        # their package imports torch: seconds for the first event of all, that of the whole run
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.record_writer import masked_crc32c

        data = Event(wall_time=time.time(), **fields).SerializeToString()
        if not self._path.exists():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.touch()
            self.append(file_version="brain.Event:2")
        length = struct.pack("<Q", len(data))
        sums = [struct.pack("<I", masked_crc32c(part)) for part in (length, data)]
        with self._path.open("ab") as file:
            file.write(length + sums[0] + data + sums[1])


class TensorBoard(Watcher):
    """A `Watcher` that writes what `board` shows of each trial, and at its end what it tried, for
    the page of hyper-parameters.
    """

    def __init__(self, folder: Path, board: Board, settings: Settings = lambda plan: {}) -> None:
        self._folder, self._board, self._settings = folder, board, settings
        self._files: dict[str, EventFile] = {}  # of the running trials

    def proposed(self, proposal: Any) -> None:
        self._files[proposal.id] = EventFile(self._folder / label(proposal))

    def epoch(self, proposal: Any, epoch: int, metrics: Mapping[str, Any]) -> None:
        self._files[proposal.id].scalars(self._board.epoch(proposal, metrics), epoch)

    def finished(self, proposal: Any, outcome: Outcome, metrics: Mapping[str, Any]) -> None:
        file = self._files.pop(proposal.id)
        ended = file.scalars(self._board.end(outcome, metrics), proposal.epochs)
        settings = self._settings(proposal)
        if ended and settings:
            from tensorboardX.summary import hparams

            for summary in hparams(settings, ended):
                file.append(summary=summary)


class RunBoard(Watcher):
    """The run as a whole: the best score and how trials ended, by the number of those that have;
    anchors, by `features`, over the iterations. Goes on where `history` ends.
    """

    def __init__(
        self, folder: Path, history: TrialHistory[Any], features: Sequence[str] = ()
    ) -> None:
        self._file, self._features = EventFile(folder / RUN), features
        self._tally = Tally(history)

    def finished(self, proposal: Any, outcome: Outcome, metrics: Mapping[str, Any]) -> None:
        self._tally.take(outcome)
        ended = self._tally.ended
        counts = {f"trials/{name}": float(count) for name, count in ended.items()}
        self._file.scalars({"best/score": self._tally.best, **counts}, sum(ended.values()))

    def iteration(self, number: int, anchors: Sequence[Any]) -> None:
        tags: Tags = {
            f"anchors_{name}/walk_{walk}_row_{row}": value
            for walk, rows in enumerate(anchors, start=1)
            for row, point in enumerate(rows, start=1)
            for name, value in zip(self._features, point, strict=False)
        }
        self._file.scalars(tags, number)


class EpochBoard(Watcher):
    """The epochs of a run of one training."""

    def __init__(self, folder: Path) -> None:
        self._file = EventFile(folder / RUN)

    def epoch(self, proposal: Any, epoch: int, metrics: Mapping[str, Any]) -> None:
        self._file.scalars(scalars(proposal, metrics), epoch)


SCALARS = {
    "loss": "loss/weights",
    "architecture_loss": "loss/architecture",
    "accuracy": "accuracy/weights",
    "architecture_accuracy": "accuracy/architecture",
    "true_accuracy": "accuracy/true",
    "test_loss": "loss/test",
    "valid_loss": "loss/valid",
    "perplexity": "perplexity/weights",
    "valid_perplexity": "perplexity/valid",
    "test_accuracy": "accuracy/test",
    "average_test_accuracy": "accuracy/test_of_average",
    "learning_rate": "training/learning_rate",
    "skip_share": "genotype/skip_share",
    "parameter_free_share": "genotype/parameter_free_share",
    "none_weight": "architecture/none_weight",
    "eigenvalue": "architecture/hessian_eigenvalue",
    "images_per_second": "speed/images_per_second",
    "peak_memory_mib": "memory/peak_mib",
}


def scalars(plan: Any, metrics: Mapping[str, Any]) -> Tags:
    """What epochs of all kinds have in common, each where it is known."""
    return {tag: metrics.get(key) for key, tag in SCALARS.items()}


def row_tags(plan: Any, metrics: Mapping[str, Any]) -> Tags:
    """Of a hyper-architecture or an architecture: the weights of its candidates, by the codes of
    their graphs, and entropies by row too.
    """
    tags, rows = scalars(plan, metrics), plan.hyper.distinct()
    told = zip(rows, metrics.get("weights") or [], metrics.get("entropy") or [], strict=False)
    for row, (cells, weights, entropy) in enumerate(told, start=1):
        codes = (cell.code for cell in cells)
        tags |= {f"weights_row_{row}/{code}": w for code, w in zip(codes, weights, strict=True)}
        tags[f"entropy/row_{row}"] = entropy
    return tags


def accuracy_tags(outcome: Outcome, metrics: Mapping[str, Any]) -> Tags:
    """The score, and the accuracy on the test part; of an objective that measures none scores."""
    name = "score" if outcome.measures and "accuracy" not in outcome.measures else "accuracy"
    return {f"{name}/valid": outcome.score, f"{name}/test": metrics.get(f"test_{name}")}


PLAIN, ROWS = Board(scalars, accuracy_tags), Board(row_tags, accuracy_tags)
