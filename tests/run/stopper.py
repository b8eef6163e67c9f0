"""A watcher that stops a run of any kind, as Ctrl-C would."""

from collections.abc import Mapping
from typing import Any

from fade_ray.run.watcher import Watcher


class Stopper(Watcher):
    """Stops the run at the n-th epoch it is shown."""

    def __init__(self, epochs: int) -> None:
        self.left = epochs

    def epoch(self, proposal: Any, epoch: int, metrics: Mapping[str, Any]) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
