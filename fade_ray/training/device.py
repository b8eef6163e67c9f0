"""Where a training runs: device, precision, memory layout, threads. The CUDA and MPS lines have not
run on such a device yet.
"""

import resource
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from spaces.errors import InvalidInput

DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True)
class Placement:
    """A device with the way it is used: channels-last memory, and a lower precision for matrix
    products where there is one.
    """

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

    def synchronize(self) -> None:
        """Wait for the device, before a clock is read."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()

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
    if device not in DEVICES and not device.startswith("cuda:"):
        raise InvalidInput(
            f"`device` must be one of {', '.join(DEVICES)} or cuda:<index>, but got {device=}."
        )
    if device == "auto":
        device = (
            "cuda"
            if torch.cuda.is_available()
            else "mps"
            if torch.backends.mps.is_available()
            else "cpu"
        )
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise InvalidInput(
            f"{device=} was asked for, but PyTorch sees no CUDA GPU here. Use `--device auto` or `--device cpu`."
        )
    if device == "mps" and not torch.backends.mps.is_available():
        raise InvalidInput(
            "device='mps' was asked for, but PyTorch sees no MPS GPU here. Use `--device auto`."
        )
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise InvalidInput(
            f"`device` must be one of {', '.join(DEVICES)} or cuda:<index>, but got {device=}."
        ) from error
    if chosen.type == "cuda":
        if (chosen.index or 0) >= torch.cuda.device_count():
            raise InvalidInput(
                f"{device=} was asked for, but there are {torch.cuda.device_count()} CUDA GPUs here."
            )
        torch.cuda.reset_peak_memory_stats(chosen)
    return Placement(chosen, _autocast(chosen, precision), channels_last=chosen.type != "mps")


def _autocast(device: torch.device, precision: str) -> torch.dtype | None:
    if precision == "bfloat16":
        return torch.bfloat16
    # older GPUs than Ampere emulate bfloat16: float32 there
    native = device.type == "cuda" and torch.cuda.get_device_capability(device)[0] >= 8
    return torch.bfloat16 if precision == "auto" and native else None
