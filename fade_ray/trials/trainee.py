"""What is trained epoch by epoch, and its one lifecycle: told, checkpointed, ended."""

import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from fade_ray.nn import AnyNetwork
from fade_ray.records.remote import drop_copy, fetched
from fade_ray.records.seal import KEY, OPEN, Damaged, checked, sealed
from fade_ray.training import Placement, Training
from fade_ray.trials.job import Event, write_output
from searchers import Outcome
from spaces.errors import require

FORMAT = 2
"""Of checkpoints. Those of another one are left alone: the trial starts again from its seed."""

Metrics = dict[str, Any]


@dataclass(frozen=True)
class Ending:
    """What a trainee came to: the outcome for the searcher, what else is told, and warnings."""

    outcome: Outcome
    metrics: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[str] = ()


class Trainee(ABC):
    """What a trial trains; by itself one `training` from its first epoch to its last.

    Raises what goes wrong: see `fade_ray.trials.job.failure_of`.
    """

    placement: Placement
    training: Training

    @property
    def finished(self) -> bool:
        return self.training.finished

    def first_metrics(self) -> Metrics | None:
        """What is told before the first step, as epoch 0; None for nothing."""
        return None

    def run_epoch(self) -> Metrics:
        """One epoch; its metrics hold what it cost: images, multiply_adds, seconds."""
        return self.training.run_epoch()

    def save_within(self, every: int, save: Callable[[], None]) -> None:
        """Call `save` after so many steps of the next epoch, again and again; 0: never."""
        self.training.every, self.training.save = every, save

    @abstractmethod
    def ending(self, epochs: Sequence[Mapping[str, Any]]) -> Ending:
        """At the end, with the metrics of all epochs but 0; writes what is to stay."""

    def state_dict(self) -> dict[str, Any]:
        """Everything the next epoch depends on; loads with `weights_only=True`."""
        return self.training.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.training.load_state_dict(state)


def lifecycle(
    build: Callable[[], Trainee],
    checkpoint: Path,
    *,
    threads: int | None = None,
    leads: bool = True,
    steps: int = 0,
) -> Iterator[Event]:
    """The events of a trainee: {"epoch", "metrics"} of each epoch, and at last {"outcome",
    "metrics", "warnings"} with the sums of what its epochs cost.

    Before an epoch is told, everything the next one depends on is written to `checkpoint`, and
    within one what is left of it, every so many `steps`; one that starts again tells the finished
    epochs again and goes on there: the same bits on a CPU with as many `threads`. The checkpoint
    before it is kept as well, for where the newest is lost or damaged. Of several workers that
    train together only the one that `leads` writes. The checkpoint stays: it is needed until the
    last event is on record, see `Session.tell`.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield from _carried_out(build(), checkpoint, leads=leads, steps=steps)
    finally:
        torch.set_num_threads(before)


def _carried_out(trainee: Trainee, checkpoint: Path, *, leads: bool, steps: int) -> Iterator[Event]:
    warnings = list[str]()
    told = _restored(trainee, checkpoint, warnings)

    def save() -> None:
        held = {"format": FORMAT, "of": _name(trainee), "told": told}
        content = state_bytes(held | {"state": trainee.state_dict()})
        write_output(checkpoint, content, earlier(checkpoint))

    yield from told
    while not trainee.finished:
        number = told[-1]["epoch"] + 1 if told else 1
        if steps:
            trainee.save_within(steps, save)
        told.append({"epoch": number, "metrics": trainee.run_epoch()})
        if leads:
            save()
        yield told[-1]
    ending = trainee.ending([event["metrics"] for event in told if event["epoch"]])
    for place in (checkpoint, earlier(checkpoint)):
        drop_copy(place)
    device = {"device": device_name(trainee.placement)}
    yield {
        "outcome": ending.outcome.to_dict(),
        "metrics": {**costs(told), **ending.metrics, **device},
        "warnings": [*warnings, *ending.warnings],
    }


def earlier(checkpoint: Path) -> Path:
    """Where the one before it is kept, which is removed with it."""
    return checkpoint.with_name(f".{checkpoint.name}.earlier")


def _restored(trainee: Trainee, checkpoint: Path, warnings: list[str]) -> list[Event]:
    """What was told before, or the state before the first step; the trainee is put there. What is
    damaged is told in `warnings`, and not used.
    """
    places, name = (checkpoint, earlier(checkpoint)), _name(trainee)
    saved = next(filter(None, (_read(place, name, warnings) for place in places)), None)
    if saved is None:
        first = trainee.first_metrics()
        return [] if first is None else [{"epoch": 0, "metrics": first}]
    trainee.load_state_dict(saved["state"])
    told: list[Event] = saved["told"]
    return told


def _read(checkpoint: Path, name: str, warnings: list[str]) -> dict[str, Any] | None:
    """A checkpoint of this format and this kind of trainee, None for anything else."""
    try:
        content = fetched(checkpoint).read_bytes()
        with ZipFile(io.BytesIO(content)) as archive:
            damaged = archive.testzip()  # torch does not look at its checksums
        require(damaged is None, "checksums fit", "", part=damaged)
        saved = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
    except FileNotFoundError:
        return None
    except Exception as error:  # readers of what is damaged raise nearly anything
        warnings.append(
            f"{checkpoint} is damaged and was not used; the trial went on from the checkpoint "
            f"before it, or from its beginning: {error}"
        )
        return None
    fits = isinstance(saved, dict) and (saved.get("format"), saved.get("of")) == (FORMAT, name)
    return saved if fits else None


def _name(trainee: Trainee) -> str:
    return type(trainee).__qualname__


def costs(told: Sequence[Event]) -> Metrics:
    """Sums of what the epochs of some events cost, and the peak of their memory."""
    epochs = [event["metrics"] for event in told]
    sums: Metrics = {
        name: sum((metrics.get(name, 0) for metrics in epochs), start=zero)
        for name, zero in (("images", 0), ("multiply_adds", 0), ("seconds", 0.0))
    }
    peak = max((metrics.get("peak_memory_mib", 0.0) for metrics in epochs), default=0.0)
    return sums | {"peak_memory_mib": peak}


def device_name(placement: Placement) -> str:
    """What a training runs on, for people."""
    if placement.device.type == "cuda":
        return torch.cuda.get_device_name(placement.device)
    return placement.device.type


def state_bytes(state: Any) -> bytes:
    """`state`, which `torch.load(weights_only=True)` reads back, as the content of a file."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def weights_bytes(network: AnyNetwork, about: Mapping[str, str] | None = None) -> bytes:
    """The weights of a network as the content of a file, with what is said `about` them and a
    checksum.
    """
    # contiguous: safetensors refuses channels-last strides
    weights = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    return sealed(save(weights, {**(about or {}), KEY: OPEN}))


def read_weights(path: Path) -> dict[str, Tensor]:
    """What `weights_bytes` made. Raises Damaged for a file that is not as it was written, or not
    there.
    """
    remedy = "Restore it from a copy of the run, or train the network again."
    try:
        return load(checked(path.read_bytes(), path))
    except (OSError, SafetensorError) as error:
        rule = "Weights that were kept must be readable"
        raise Damaged(f"{rule}, but {path} is not: {error}. {remedy}") from error
