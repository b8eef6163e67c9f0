"""A retraining small enough to be run many times, and what two of them have in common."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open

from fade_ray.records.journal import read_events
from fade_ray.records.seal import KEY
from fade_ray.retraining import RetrainConfig, Retraining
from fade_ray.retraining.retrain_config import NetworkOptions, RetrainData
from fade_ray.run.run_config import WorkersConfig
from fade_ray.training import SGD, TrainConfig
from spaces.cell import Macro
from spaces.darts import DARTS_OPS, darts_cell

TIMES = {"seconds", "images_per_second", "peak_memory_mib", "step_memory_mib", "node"}


@pytest.fixture(scope="session")
def genotype() -> Macro:
    """Cells that never use their first input, so that the network has parameters without a
    gradient.
    """
    space = darts_cell(DARTS_OPS)
    genes = [
        (1, 2, "sep_conv_3x3"),
        (1, 3, "max_pool_3x3"),
        (2, 3, "skip_connect"),
        (3, 4, "dil_conv_3x3"),
        (4, 5, "avg_pool_3x3"),
    ]
    cell = space.genotype(genes)
    return Macro({"normal": cell, "reduce": cell}, "darts", 20)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 30 pictures of each of two classes, 8x8 in colour: bright on the left, or on the
    right.
    """
    root, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for name, bright in (("left", slice(0, 4)), ("right", slice(4, 8))):
        (root / name).mkdir()
        for number in range(30):
            pixels = rng.integers(0, 160, (8, 8, 3), dtype=np.uint8)
            pixels[:, bright] += 90
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


@pytest.fixture(scope="session")
def tiny(genotype: Macro, pictures: Path) -> Callable[..., Retraining]:
    """`tiny(**training options)`: three cells on 50 pictures, three epochs, with everything that is
    random switched on.
    """

    def job(
        *,
        workers: int = 1,
        macro: Macro | None = None,
        data: dict[str, Any] | None = None,
        epochs: int = 3,
        sgd: dict[str, Any] | None = None,
        **train: Any,
    ) -> Retraining:
        options = {"batch_size": 16, "drop_path": 0.3, "ema": 0.9} | train
        chosen = SGD(**({"final_learning_rate": 0.0} | (sgd or {})))
        config = RetrainConfig(
            data=replace(
                RetrainData(data=str(pictures), crop=1, flip=True, cutout=3), **(data or {})
            ),
            network=NetworkOptions(cells=3, channels=4),
            train=TrainConfig(optimiser=chosen, **options),
            epochs=epochs,
            workers=WorkersConfig(device="cpu", workers=workers, address="local"),
        )
        return Retraining.of(genotype if macro is None else macro, config)

    return job


def bits(path: Path) -> dict[str, Any]:
    """Every tensor of a file as bytes, and what is told beside them (whose order in the file, and
    so its checksum, is up to chance).
    """
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name).numpy().tobytes() for name in file.keys()}  # noqa: SIM118, no mapping
        return tensors | {k: v for k, v in file.metadata().items() if k != KEY}


@pytest.fixture(scope="session")
def told() -> Callable[[Path], dict[str, Any]]:
    """What a retraining directory says, without times: epochs (each recorded once), result, and the
    bits of all weights.
    """

    def story(folder: Path) -> dict[str, Any]:
        events = [
            event for event in read_events(folder / "records.jsonl") if event["event"] == "epoch"
        ]
        numbers = [event["epoch"] for event in events]
        assert numbers == list(range(len(numbers))), "an epoch is missing, or recorded twice"
        epochs = [{k: v for k, v in event["metrics"].items() if k not in TIMES} for event in events]
        files = [
            *(folder / "weights").iterdir(),
            folder / "architectures" / "architecture.safetensors",
        ]
        return {"epochs": epochs, "weights": {path.name: bits(path) for path in files}}

    return story
