"""What Prometheus is told of a run, and the Grafana board that shows it."""

import json
import re
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ToyHistory, ToyPlan
from processes import wait_for

from fade_ray.run.ray_metrics import GAUGES, RayMetrics
from fade_ray.run.run_config import RunConfig
from fade_ray.run.watcher import Watcher
from searchers import Outcome

pytestmark = pytest.mark.ray

BOARD = Path(__file__).resolve().parents[2] / "docs" / "grafana.json"


def test_readings_are_those_of_the_run_and_go_on_where_the_record_ends() -> None:
    history = ToyHistory()
    history.outcomes = {"a": Outcome(score=0.5), "b": Outcome.failed("crashed", "no")}
    metrics = RayMetrics("mine", history)
    one, two, three = (ToyPlan(str(n), n, 0, 0, 3) for n in range(3))
    for plan in (one, two, three):
        metrics.proposed(plan)
    metrics.epoch(one, 1, {"images_per_second": 70.0})
    metrics.epoch(two, 1, {"images": 60, "seconds": 2.0})
    assert metrics.readings == [
        ("fade_best_score", {}, 0.5),
        *(("fade_trials", {"state": "waiting"}, 1), ("fade_trials", {"state": "running"}, 2)),
        *(("fade_trials", {"state": "done"}, 1), ("fade_trials", {"state": "failed"}, 1)),
        ("fade_images_per_second", {}, 100),
    ]
    metrics.finished(one, Outcome(score=0.75), {})
    metrics.finished(two, Outcome(score=0.25), {})
    told = {(name, *labels.values()): value for name, labels, value in metrics.readings}
    assert told["fade_best_score",] == 0.75
    assert (told["fade_trials", "done"], told["fade_trials", "running"]) == (3, 0)
    assert told["fade_images_per_second",] == 0


def test_the_board_shows_what_is_told() -> None:
    panels = json.loads(BOARD.read_text())["panels"]
    queries = " ".join(target["expr"] for panel in panels for target in panel["targets"])
    assert set(re.findall(r"ray_(fade_\w+)", queries)) == set(GAUGES)
    labels = {label for _, more in GAUGES.values() for label in ("run", *more)}
    grouped = re.findall(r"by \(([^)]*)\) \(ray_fade", queries)
    assert {label.strip() for group in grouped for label in group.split(",")} == labels


class Scraped(Watcher):
    """What a Prometheus server reads when the second trial is about to run: the lines of the run's
    gauges.
    """

    def __init__(self) -> None:
        self.trials, self.lines = 0, list[str]()

    def proposed(self, plan: Any) -> None:
        import ray

        self.trials += 1
        node = ray.nodes()[0]
        if self.trials == 2 and node["MetricsExportPort"] > 0:
            self._address = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}"
            wait_for(self._told, 180)  # the agent is told every few seconds

    def _told(self) -> bool:
        text = urllib.request.urlopen(f"{self._address}/metrics", timeout=30).read().decode()
        self.lines = re.findall(r'^ray_(fade_\w+\{.*run="mine".*)$', text, re.MULTILINE)
        return any(line.startswith("fade_best_score") for line in self.lines)


@pytest.mark.slow
def test_prometheus_reads_it_from_ray(
    tmp_path: Path, toy: Callable[..., Path], toy_config: Callable[..., Any]
) -> None:
    scraped = Scraped()
    run = RunConfig(concurrency=1, address="local")
    toy(toy_config(tmp_path / "mine", trials=2, breaking=(), run=run), watchers=[scraped])
    if not scraped.lines:
        pytest.skip("Ray exports no metrics without ray[default]")
    assert {line.partition("{")[0] for line in scraped.lines} == set(GAUGES)
    (done,) = [line for line in scraped.lines if 'state="done"' in line]
    assert float(done.split()[-1]) == 1
