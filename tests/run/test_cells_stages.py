"""Cell searches in stages as processes: killed in every stage, with the same record at the end."""

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from forked import Forked
from processes import told, wait_for

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
    words = ["cells", "--recipes", recipe, *SMALL, *flags]
    words += ["--engine", "local", "--device", "cpu", "--out"]
    killed, whole, log = tmp_path / "killed", tmp_path / "whole", tmp_path / "log"
    records, again = killed / "records.jsonl", ["fade-ray", *words, str(killed)]
    for number in range(stages):
        process = Forked(again, log)
        # two epochs in each stage, and one before the first step
        reached = f'"epoch": {2 * number + 1}, "metrics"'
        wait_for(partial(told, records, reached, 1), 120, process)
        process.kill()
        process.wait(30)
        assert not (killed / "result.json").exists()
    assert Forked(again, log).wait(240) == 0
    other = [sys.executable, "-m", "fade_ray.cli", *words, str(whole)]  # with other hashes
    subprocess.run(other, timeout=240, check=True)
    assert "Traceback" not in log.read_text()
    assert without_memory(story(killed)) == without_memory(story(whole))


def without_memory(story: dict[str, Any]) -> dict[str, Any]:
    for metrics in story["epoch"].values():
        metrics.pop("step_memory_mib", None)
    return story
