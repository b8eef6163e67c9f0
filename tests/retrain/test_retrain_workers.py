"""Two workers are one: the same losses, accuracies and weights from the same global batches, also
when continued.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from loopback import own_ray
from retrainings import run_retraining
from safetensors.torch import load_file

from fade_ray.data import Augment, Batches, LabelledImages
from fade_ray.records.journal import read_events
from fade_ray.records.json_form import as_json
from fade_ray.retraining import Retraining
from fade_ray.retraining.retraining import open_examples, retrain
from fade_ray.training import Classification, place
from spaces.errors import InvalidInput

pytestmark = pytest.mark.ray

Tiny = Callable[..., Retraining]
Told = Callable[[Path], dict[str, Any]]
SCRIPT = Path(__file__).with_name("worker_process.py")
PACKAGE = Path(__file__).resolve().parents[2]


def start(rank: int, size: int, folder: Path, job: Retraining) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    arguments = [
        sys.executable,
        str(SCRIPT),
        str(rank),
        str(size),
        str(folder),
        json.dumps([as_json(job.macro), as_json(job.config)]),
    ]
    environment = os.environ | {
        "PYTHONPATH": str(PACKAGE),
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
    }
    return subprocess.Popen(arguments, env=environment, stderr=subprocess.PIPE, text=True)


def doubled(self: Batches, images: torch.Tensor) -> torch.Tensor:
    """In place of `Batches._normalised`."""
    return images.double().mul_(self._scale.double()).add_(self._shift.double())


@contextmanager
def double_precision() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def test_two_workers_give_the_loss_curve_and_the_weights_of_one(
    tmp_path: Path, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    # an auxiliary head, drop path, cutout, crop and flip: everything that must be drawn for the
    # whole batch
    job = tiny(
        objective=Classification(auxiliary_weight=0.4), batch_size=24, data={"image_side": 32}
    )
    one, two = tmp_path / "one", tmp_path / "two"
    started = [start(rank, 2, two, job) for rank in range(2)]
    monkeypatch.setattr(Batches, "_normalised", doubled)
    with double_precision():
        alone = [
            event["metrics"]
            for event in list(retrain(job, open_examples(job.config), one, place("cpu")))[1:-1]
        ]
    for process in started:
        _, errors = process.communicate(timeout=250)
        assert process.returncode == 0, errors
    together = json.loads((two / "events.json").read_text())
    assert [m["images"] for m in together] == [m["images"] for m in alone] == [48] * 3
    for name in (
        "loss",
        "accuracy",
        "test_loss",
        "test_accuracy",
        "average_test_loss",
        "learning_rate",
    ):
        assert [m[name] for m in together] == pytest.approx([m[name] for m in alone], rel=1e-6), (
            name
        )  # summed in single precision
    for name in ("last", "average"):
        ours, theirs = (
            load_file(folder / "weights" / f"{name}.safetensors") for folder in (two, one)
        )
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(("images", "batch_size", "size"), [(23, 6, 3), (24, 6, 2), (5, 8, 2)])
def test_the_shares_side_by_side_are_the_whole_batches(
    images: int, batch_size: int, size: int
) -> None:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(
        0, 256, (images, 3, 8, 8), generator=generator, dtype=torch.uint8
    ).numpy()
    part = LabelledImages(pixels, torch.arange(images).numpy())
    options: dict[str, Any] = {
        "batch_size": batch_size,
        "device": torch.device("cpu"),
        "mean": (0.1, 0.2, 0.3),
        "std": (0.3, 0.2, 0.1),
        "augment": Augment(crop=2, flip=True, cutout=3),
    }
    whole = list(Batches(part, **options).epoch(torch.Generator().manual_seed(1)))
    shares = [Batches(part, rank=rank, size=size, **options) for rank in range(size)]
    runs = [list(share.epoch(torch.Generator().manual_seed(1))) for share in shares]
    assert {len(run) for run in runs} == {len(whole)}
    for expected, parts in zip(whole, zip(*runs, strict=True), strict=True):
        used = len(expected[1]) // size * size
        for field in (0, 1):
            torch.testing.assert_close(
                torch.cat([p[field] for p in parts]), expected[field][:used], rtol=0, atol=0
            )
    tested = sorted(
        int(label) for share in shares for _, labels in share.ordered() for label in labels
    )
    assert tested == list(range(images))


def test_a_batch_must_divide_among_the_workers(tiny: Tiny) -> None:
    with pytest.raises(InvalidInput, match=r"batch_size is a multiple of workers.*--batch-size 15"):
        tiny(batch_size=16, workers=3)


def test_a_batch_larger_than_the_data_does_not_divide(tmp_path: Path, tiny: Tiny) -> None:
    with pytest.raises(InvalidInput, match="Lower --batch-size"):
        run_retraining(tiny(batch_size=64, workers=2), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def workers_of(root: int) -> list[int]:
    """Process ids of Ray Train's workers among the descendants of `root`."""
    parents, names = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, ValueError):
                parents[int(entry.name)] = int(
                    (entry / "stat").read_text().rpartition(")")[2].split()[1]
                )
                names[int(entry.name)] = (entry / "cmdline").read_bytes().decode()

    def descends(pid: int) -> bool:
        return pid == root or (pid in parents and descends(parents[pid]))

    return [pid for pid, name in names.items() if "TrainWorker" in name and descends(pid)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    with own_ray(num_cpus=2):
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
@pytest.mark.timeout(600)  # two starts of Ray Train, on a busy machine
def test_ray_train_gives_the_same_curve_also_when_a_worker_dies(
    tmp_path: Path, tiny: Tiny, told: Told
) -> None:
    shown: list[int] = []
    killed: list[int] = []

    def tell(event: dict[str, Any]) -> None:
        shown.append(event["epoch"])
        if event["epoch"] == 1:
            killed.extend(workers_of(os.getpid())[:1])
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    two, one = tmp_path / "two", tmp_path / "one"
    run_retraining(tiny(workers=2, sgd={"learning_rate": 0.005}, epochs=40), two, tell=tell)
    run_retraining(tiny(sgd={"learning_rate": 0.005}, epochs=40), one)
    assert len(killed) == 1
    assert shown == list(range(41))
    ours, theirs = told(two)["epochs"], told(one)["epochs"]
    assert [m["loss"] for m in ours[1:4]] == pytest.approx(
        [m["loss"] for m in theirs[1:4]], rel=1e-3
    )
    # finished: the number of workers is no part of it
    assert run_retraining(tiny(sgd={"learning_rate": 0.005}, epochs=40), two)["epochs"] == 40
    assert not list(two.rglob("*.pkl"))


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_what_a_worker_finds_wrong_is_told_in_its_words(tmp_path: Path, tiny: Tiny) -> None:
    with pytest.raises(InvalidInput, match="learning rate 1e\\+30; lower it"):
        run_retraining(tiny(workers=2, sgd={"learning_rate": 1e30, "clip": 0.0}), tmp_path)
    assert all(event["event"] != "end" for event in read_events(tmp_path / "records.jsonl"))
    with pytest.raises(InvalidInput, match="must fit into the Ray cluster"):
        run_retraining(tiny(workers=8, batch_size=16), tmp_path / "many")
