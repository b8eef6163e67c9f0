"""GPUs that Ray counts and this machine need not have: how shares of them are packed, what trials
see of them, and what is refused.
"""

from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
import torch
from loopback import own_ray
from meeting import meeting
from ray.util.placement_group import placement_group, remove_placement_group

from fade_ray.run import ray_trial
from fade_ray.run.run_config import RunConfig
from fade_ray.run.watcher import Watcher
from fade_ray.trials.job import Job
from spaces.errors import InvalidInput

pytestmark = [pytest.mark.slow, pytest.mark.ray]
Toy, ToyConfigs = Callable[..., Path], Callable[..., Any]


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """One node with two GPUs, and more CPUs than trials."""
    with own_ray(num_cpus=8, num_gpus=2):
        yield


@pytest.mark.parametrize(
    ("share", "seen"),
    [(0.5, ["0", "0", "1", "1"]), (2.0, ["0,1"])],
    ids=["four on two GPUs", "one on both"],
)
def test_shares_are_packed_and_trials_see_theirs(
    share: float, seen: list[str], tmp_path: Path, toy: Toy, toy_config: ToyConfigs
) -> None:
    """As many run at once as fit, and never more."""
    run = RunConfig(gpus_per_trial=share, device="cpu")
    config = toy_config(tmp_path / "run", trials=len(seen) + 2, breaking=(), run=run)
    lines = (toy(config, job=meeting(len(seen))) / "log").read_text().splitlines()
    begun = [line.removeprefix("begins ") for line in lines if line != "ends"]
    assert len(begun) == len(seen) + 2
    assert sorted(begun[: len(seen)]) == seen
    assert max(accumulate(-1 if line == "ends" else 1 for line in lines)) == len(seen)


class Releases(Watcher):
    """Keeps all GPUs, as another run of the cluster does, until something is said."""

    def __init__(self) -> None:
        self.kept, self.warnings = placement_group([{"GPU": 2}]), list[str]()
        assert self.kept.wait(60)

    def warned(self, message: str) -> None:
        self.warnings.append(message)
        remove_placement_group(self.kept)


def test_what_trials_wait_for_is_said(
    tmp_path: Path, toy: Toy, toy_config: ToyConfigs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_trial, "WAITING", 1.0)
    watcher = Releases()
    run = RunConfig(gpus_per_trial=1, device="cpu", concurrency=1)
    toy(toy_config(tmp_path / "run", breaking=(), run=run), watchers=[watcher], job=meeting(1))
    waiting = "0 trial(s) run and 1 wait for 1 CPU(s) and 1 GPU(s) each"
    assert watcher.warnings == [f"{waiting}; all nodes together have 8 CPU(s) and 0 GPU(s) free"]


def test_what_does_not_fit_is_refused_in_words_and_may_be_asked_for_again(
    tmp_path: Path, toy: Toy, toy_config: ToyConfigs
) -> None:
    def run(job: Job[Any] | None = None, **options: Any) -> Path:
        return toy(toy_config(tmp_path / "run", breaking=(), run=RunConfig(**options)), job=job)

    with pytest.raises(InvalidInput, match=r"asks for 4 GPU.*no node .* has more than 2"):
        run(gpus_per_trial=4, device="cpu")
    if not torch.cuda.is_available():
        with pytest.raises(InvalidInput, match=r"has 2 GPU\(s\) for Ray, but 0 for torch"):
            run()
    folder = run(meeting(2), gpus_per_trial=0, concurrency=2)
    assert (folder / "log").read_text().count("begins \n") == 4  # not one GPU
