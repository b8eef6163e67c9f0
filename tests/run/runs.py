"""Runs of every kind as the tests make them, by their directories."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fade_ray import results
from fade_ray.compare.compare_run import run_traces
from fade_ray.compare.trace import Trace
from fade_ray.kinds import kind_in, kind_of_run
from fade_ray.run import command, standing
from fade_ray.run.watcher import Watcher

TINY_SEARCH = (
    *("--limit", "240", "--depth", "2", "--final-channels", "4", "--kernel", "3"),
    *("--searcher", "random", "--iterations", "2", "--batch", "1", "--evaluations", "2"),
    *("--evaluation-epochs", "3", "--retrain-epochs", "2", "--baselines", "off"),
)
"""Options of a search of half a minute."""


def compare(config: Any, watchers: Sequence[Watcher] | None = None) -> Path:
    return results.compare(config, watchers=watchers).folder


def run_cells(config: Any, watchers: Sequence[Watcher] | None = None) -> Path:
    return results.cells(config, watchers=watchers).folder


def rank_study(config: Any, watchers: Sequence[Watcher] | None = None) -> Path:
    return results.rank_study(config, watchers=watchers).folder


def prepare(kind: str, config: Any) -> Any:
    """Everything that is checked before work starts."""
    return kind_of_run(kind).prepare(config)


def parse(kind: str, arguments: Sequence[str]) -> Any:
    """The configuration that a command line asks for."""
    return command.parse(kind_of_run(kind), arguments)


def read_traces(folder: Path) -> list[Trace]:
    """Of a comparison, finished or not, from its record."""
    return run_traces(kind_in(folder).read(folder))


def status(folder: Path) -> str:
    """What `fade-ray status` prints."""
    return standing.status(kind_in(folder), folder)
