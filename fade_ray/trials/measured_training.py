"""A training whose outcome is measured, each measurement an epoch of its trial."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from fade_ray.trials.trainee import Metrics, Trainee

T = TypeVar("T", bound=Trainee)


class MeasuredTraining(Trainee, Generic[T]):
    """The training of `network`, then as many `measurements` of what it came to."""

    def __init__(self, network: T, measurements: int) -> None:
        self.network, self.measurements, self.measured = network, measurements, 0
        self.placement = network.placement

    @property
    def finished(self) -> bool:
        return self.network.finished and self.measured == self.measurements

    def first_metrics(self) -> Metrics | None:
        return self.network.first_metrics()

    def save_within(self, every: int, save: Callable[[], None]) -> None:
        self.network.save_within(every, save)

    def run_epoch(self) -> Metrics:
        """One of the training; behind its last one, a measurement."""
        if not self.network.finished:
            return self.network.run_epoch()
        self.measured += 1
        return self.measurement()

    @abstractmethod
    def measurement(self) -> Metrics:
        """That of number `measured`, from 1; with what it cost."""

    def state_dict(self) -> dict[str, Any]:
        return {"network": self.network.state_dict(), "measured": self.measured}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.measured = state["measured"]
