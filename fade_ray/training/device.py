"""Where a training runs: device, precision, memory layout. MPS is untested."""

import re
import resource
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from spaces.errors import InvalidInput, require

DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True)
class Placement:
    """A device, its layout in memory, and a lower precision of matrix products where it has one."""

    device: torch.device
    autocast: torch.dtype | None = None
    channels_last: bool = True

    def precision(self) -> AbstractContextManager[object]:
        """The context of every forward pass."""
        if self.autocast is None:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.autocast)

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def peak_memory(self) -> float:
        """MiB: on CUDA the trial's peak of allocated device memory; elsewhere the peak of the
        process's resident memory so far, shared data and earlier trials of the same actor included.
        """
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**20
        unit = 2**20 if sys.platform == "darwin" else 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def place(device: str = "auto", precision: str = "auto") -> Placement:
    """Choose the device by name; "auto" takes CUDA, then MPS, then the CPU. Channels-last on CUDA
    and on the CPU, where it wins too.

    Raises InvalidInput for an unknown name and for a device that this machine does not have.
    """
    device = _best() if device == "auto" else device
    known = device in DEVICES or re.fullmatch(r"cuda:\d+", device) is not None
    rule = f"device is one of {', '.join(DEVICES)} or cuda:<index>"
    require(known, rule, "Use `--device auto`.", device=device)
    chosen = torch.device(device)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if chosen.type == "cuda" and (chosen.index or 0) >= count:
        raise InvalidInput(
            f"{device=} was asked for, but PyTorch sees {count or 'no'} CUDA GPUs here. "
            "Use `--device auto` or `--device cpu`."
        )
    if chosen.type == "mps" and not torch.backends.mps.is_available():
        raise InvalidInput(
            f"{device=} was asked for, but PyTorch sees no MPS GPU here. Use `--device auto`."
        )
    if chosen.type == "cuda":
        torch.cuda.init()  # type: ignore[no-untyped-call]  # without which there is no peak to reset
        torch.cuda.reset_peak_memory_stats(chosen)
    return Placement(chosen, _autocast(chosen, precision), channels_last=chosen.type != "mps")


@contextmanager
def without_tf32() -> Iterator[None]:
    """Within, CUDA multiplies and convolves float32 with all its digits."""
    switches: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [switch.allow_tf32 for switch in switches]
    try:
        for switch in switches:
            switch.allow_tf32 = False
        yield
    finally:
        for switch, allowed in zip(switches, before, strict=True):
            switch.allow_tf32 = allowed


def _best() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _autocast(device: torch.device, precision: str) -> torch.dtype | None:
    if precision == "bfloat16":
        return torch.bfloat16
    # older GPUs than Ampere emulate bfloat16: float32 there
    native = device.type == "cuda" and torch.cuda.get_device_capability(device)[0] >= 8
    return torch.bfloat16 if precision == "auto" and native else None
