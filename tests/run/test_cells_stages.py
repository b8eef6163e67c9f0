"""Cell searches in stages as processes: killed in every stage, with the same record at the end."""

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from processes import wait_for

Story = Callable[[Path], dict[str, Any]]
SMALL = ["--limit", "120", "--cells", "3", "--channels", "2", "--epochs", "2", "--batch-size", "24"]
STAGES = {
    # groups are measured, then representatives, members, and the scale of each
    "stacnas-2019": (4, ["--spaces", "s4", "--groups", "measured", "--held-out", "0"]),
    "p-darts": (3, ["--spaces", "s4"]),
}


@pytest.mark.slow
@pytest.mark.parametrize("recipe", STAGES)
def test_a_search_killed_in_every_stage_ends_with_the_record_of_one_that_was_not(
    recipe: str, tmp_path: Path, story: Story
) -> None:
    stages, flags = STAGES[recipe]
    call = [sys.executable, "-m", "fade_ray.cli", "cells", "--recipes", recipe, *SMALL, *flags]
    call += ["--engine", "local", "--device", "cpu", "--out"]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    records = killed / "records.jsonl"
    with (tmp_path / "log").open("ab") as log:
        for number in range(stages):
            process = subprocess.Popen([*call, str(killed)], stdout=log, stderr=log)
            # two epochs in each stage, and one before the first step
            wait_for(partial(epoch_told, records, 2 * number + 1), 120, process)
            process.kill()
            process.wait(30)
            assert not (killed / "result.json").exists()
        for folder in (killed, whole):
            subprocess.run([*call, str(folder)], stdout=log, stderr=log, timeout=240, check=True)
    assert "Traceback" not in (tmp_path / "log").read_text()
    assert without_memory(story(killed)) == without_memory(story(whole))


def epoch_told(records: Path, epoch: int) -> bool:
    return records.exists() and f'"epoch": {epoch}, "metrics"' in records.read_text()


def without_memory(told: dict[str, Any]) -> dict[str, Any]:
    for metrics in told["epoch"].values():
        metrics.pop("step_memory_mib", None)
    return told
