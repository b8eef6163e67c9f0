"""What can go wrong in a training, told apart without reading messages where that is possible."""

import torch


class TrainingFailed(RuntimeError):
    """A training that cannot go on, such as a loss that is not finite."""


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out. On CPUs torch says so in words alone."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and (
        "out of memory" in text or "allocate memory" in text
    )
