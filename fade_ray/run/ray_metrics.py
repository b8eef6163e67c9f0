"""What Prometheus is told of a run on Ray: gauges that Ray's own agent exports from the driver."""

from collections.abc import Mapping
from typing import Any

from fade_ray.records.history import Tally, TrialHistory
from fade_ray.records.standings import images_per_second
from fade_ray.run.watcher import Watcher
from searchers import Outcome

GAUGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "fade_best_score": ("The best score so far.", ()),
    "fade_trials": ("Trials by state: waiting, running, done or failed.", ("state",)),
    "fade_images_per_second": ("Training images per second of the trials that run.", ()),
}
"""By name, to which Ray adds "ray_": what it is, and its labels beside "run"."""


class RayMetrics(Watcher):
    """Sets `GAUGES` of the run called `run`, which goes on where `history` ends. To be made where
    Ray is connected.
    """

    def __init__(self, run: str, history: TrialHistory[Any]) -> None:
        from ray.util.metrics import Gauge

        self._gauges = {
            name: Gauge(name, description, tag_keys=("run", *labels))
            for name, (description, labels) in GAUGES.items()
        }
        for gauge in self._gauges.values():
            gauge.set_default_tags({"run": run})
        self._tally = Tally(history)
        self._speeds: dict[str, float | None] = {}  # of open trials, by their last epochs

    def proposed(self, proposal: Any) -> None:
        self._speeds[proposal.id] = None
        self._tell()

    def begun(self, proposal: Any) -> None:
        self._speeds[proposal.id] = 0.0
        self._tell()

    def epoch(self, proposal: Any, epoch: int, metrics: Mapping[str, Any]) -> None:
        self._speeds[proposal.id] = images_per_second(metrics) or 0.0
        self._tell()

    def finished(self, proposal: Any, outcome: Outcome, metrics: Mapping[str, Any]) -> None:
        self._speeds.pop(proposal.id, None)
        self._tally.take(outcome)
        self._tell()

    @property
    def readings(self) -> list[tuple[str, dict[str, str], float]]:
        """(gauge, labels, value) as they are now."""
        running = [speed for speed in self._speeds.values() if speed is not None]
        waiting = len(self._speeds) - len(running)
        states = {"waiting": waiting, "running": len(running), **self._tally.ended}
        score = self._tally.best
        best = [] if score is None else [("fade_best_score", dict[str, str](), score)]
        trials = [("fade_trials", {"state": name}, float(n)) for name, n in states.items()]
        return [*best, *trials, ("fade_images_per_second", {}, sum(running))]

    def _tell(self) -> None:
        for name, labels, value in self.readings:
            self._gauges[name].set(value, tags=labels)
