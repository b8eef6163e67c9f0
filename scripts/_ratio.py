"""Speed ratios within one run: both sides alternate, so that a drifting machine slows both."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True)
class Ratio:
    """How many times faster the contender is: median, lowest and highest of `n` pairs of runs."""

    median: float
    low: float
    high: float
    n: int


def ratios(baseline: Callable[[], None], contender: Callable[[], None], repeats: int = 7) -> Ratio:
    """Time of `baseline` over time of `contender`, `repeats` times after one untimed run of each.

    The order within a pair alternates. Each side must have finished its work (synchronised its
    device) when it returns.
    """
    if repeats < 1:
        raise ValueError(f"`repeats >= 1` must hold, but got {repeats=}.")
    baseline()
    contender()
    found = []
    for i in range(repeats):
        if i % 2:
            fast, slow = _seconds(contender), _seconds(baseline)
        else:
            slow, fast = _seconds(baseline), _seconds(contender)
        found.append(slow / fast)
    return Ratio(statistics.median(found), min(found), max(found), repeats)


def print_ratio(name: str, ratio: Ratio) -> None:
    """One line: `name: 21.3x [19.0, 24.1] n=7`."""
    print(
        f"{name}: {ratio.median:.1f}x [{ratio.low:.1f}, {ratio.high:.1f}] n={ratio.n}", flush=True
    )


def write_json(path: Path | str, figures: Mapping[str, Ratio | Any]) -> None:
    """The figures by name, with what they were measured on."""
    device = (
        torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else platform.processor() or platform.machine()
    )
    content = {
        "figures": {
            name: asdict(value) if isinstance(value, Ratio) else value
            for name, value in figures.items()
        },
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "device": device,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
    }
    Path(path).write_text(json.dumps(content, indent=2) + "\n")


def _seconds(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
