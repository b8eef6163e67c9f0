"""A retraining carried out as the kind of run it is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fade_ray.retrain.retrain_run import RETRAIN
from fade_ray.retraining import Retraining
from fade_ray.run.command import parse
from fade_ray.run.folder import run_folder
from fade_ray.run.lifecycle import run
from fade_ray.run.watcher import Watcher

Tell = Callable[[dict[str, Any]], None]


class Teller(Watcher):
    """Shows each epoch to a function."""

    def __init__(self, tell: Tell) -> None:
        self.tell = tell

    def epoch(self, proposal: Any, epoch: int, metrics: Mapping[str, Any]) -> None:
        self.tell({"epoch": epoch, "metrics": metrics})


def run_retraining(job: Retraining, folder: Path, *, tell: Tell | None = None) -> dict[str, Any]:
    """Run `job` in `folder`, or what is left of it; what result.json says."""
    config = replace(job.config, genotype=job.macro, out=str(folder))
    watchers = () if tell is None else (Teller(tell),)
    return dict(run(RETRAIN, config, watchers=watchers).result)


def parse_retraining(arguments: Sequence[str], source: str) -> tuple[Retraining, Path]:
    """What a command line asks for, and the directory that it goes to."""
    config = parse(RETRAIN, [source, *arguments])
    return Retraining.of(config.genotype, config), run_folder(config, "retrain")
