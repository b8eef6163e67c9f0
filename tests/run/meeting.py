"""Trials of which it is known how many ran at once."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fade_ray.trials.job import Event, Job


def meeting(at_once: int) -> Job[Any]:
    """Trials that go on when `at_once` have begun, and write down when they begin, with the GPUs
    that they see, and when they end.
    """

    # made in here so that it reaches the workers of Ray by value: they cannot import tests
    class Meeting:
        def run(self, plan: Mapping[str, Any], data: Any, folder: Path) -> Iterator[Event]:
            import os
            import time

            log, end = folder / "log", time.monotonic() + 150

            def write(line: str) -> None:
                with log.open("a") as file:
                    file.write(f"{line}\n")

            write(f"begins {os.environ.get('CUDA_VISIBLE_DEVICES', 'whatever there is')}")
            while log.read_text().count("begins") < at_once:
                assert time.monotonic() < end, "bounded wait"
                time.sleep(0.05)  # polling what other processes do
            cost = {"images": 8, "multiply_adds": 100, "seconds": 0.5}
            yield {"epoch": 1, "metrics": {"loss": 1.0, **cost}}
            write("ends")
            yield {"outcome": {"score": 0.5}, "metrics": cost, "warnings": []}

    return Meeting()
