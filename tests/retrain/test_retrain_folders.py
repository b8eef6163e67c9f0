"""Pictures read from folders as they are needed: the same images for every number of processes and
workers.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from retrainings import run_retraining

from fade_ray.data import load
from fade_ray.data.imagenet import FolderBatches, ImageFolders, ImageTransforms
from fade_ray.retrain.retrain_run import check_accuracy
from fade_ray.retraining import RetrainConfig, Retraining
from fade_ray.retraining.retrain_config import NetworkOptions, RetrainData
from fade_ray.run.run_config import WorkersConfig
from fade_ray.training import SGD, Classification, TrainConfig
from spaces.errors import InvalidInput
from spaces.genotype import GENOTYPES

SIDE = 16


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train/ with 9 and val/ with 5 pictures of each of two classes, of many sizes."""
    made, rng = tmp_path_factory.mktemp("imagenet"), np.random.default_rng(0)
    for part, count in (("train", 9), ("val", 5)):
        for name in ("cat", "dog"):
            (made / part / name).mkdir(parents=True)
            for number in range(count):
                height, width = rng.integers(20, 90, 2)
                pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
                image = Image.fromarray(pixels)
                image = image.convert("L") if number == 0 else image  # ImageNet has a few
                image.save(made / part / name / f"{number}.png")
    return made


def batches(root: Path, *, training: bool = True, **options: Any) -> FolderBatches:
    folders, transforms = ImageFolders.read(root), ImageTransforms(SIDE)
    given: dict[str, Any] = {
        "batch_size": 4,
        "device": torch.device("cpu"),
        "mean": (0.5,) * 3,
        "std": (0.2,) * 3,
    }
    if training:
        return FolderBatches(folders.train, transforms.training(), **(given | options))
    return FolderBatches(folders.val, transforms.test(), **(given | options))


Epoch = list[tuple[torch.Tensor, torch.Tensor]]


def epochs(made: FolderBatches, seed: int, count: int = 2) -> list[Epoch]:
    generator = torch.Generator().manual_seed(seed)
    return [list(made.epoch(generator)) for _ in range(count)]


def joined(parts: list[Epoch]) -> Epoch:
    """The shares of all workers side by side."""
    return [
        (torch.cat([i for i, _ in step]), torch.cat([n for _, n in step]))
        for step in zip(*parts, strict=True)
    ]


def test_batches_depend_on_the_seed_alone(root: Path) -> None:
    before = torch.random.get_rng_state()
    first, second = epochs(batches(root), 3)
    # the process's own generator is left alone
    assert torch.equal(torch.random.get_rng_state(), before)
    assert [tuple(images.shape) for images, _ in first] == [(4, 3, SIDE, SIDE)] * 4
    assert not torch.equal(first[0][0], second[0][0])
    torch.manual_seed(1)
    for other in (epochs(batches(root), 3), epochs(batches(root, loader_workers=2), 3)):
        torch.testing.assert_close(other, [first, second], rtol=0, atol=0)
    assert not torch.equal(epochs(batches(root), 4, 1)[0][0][0], first[0][0])


def test_shares_of_workers_are_the_whole_batch(root: Path) -> None:
    whole = epochs(batches(root), 3, 1)[0]
    shares = [epochs(batches(root, rank=rank, size=2), 3, 1)[0] for rank in range(2)]
    torch.testing.assert_close(joined(shares), whole, rtol=0, atol=0)
    tested = [
        batch
        for rank in range(2)
        for batch in batches(root, training=False, rank=rank, size=2).ordered()
    ]
    assert sum(len(labels) for _, labels in tested) == 10
    labels = torch.cat([labels for _, labels in batches(root, training=False).ordered()])
    assert labels.tolist() == [0] * 5 + [1] * 5


def test_evaluation_sees_the_centre_and_is_normalised(tmp_path: Path) -> None:
    # red in the middle, black on the left and on the right, which the centre crop leaves out
    for part in ("train", "val"):
        for name in ("a", "b"):
            (tmp_path / part / name).mkdir(parents=True)
            pixels = np.zeros((36, 72, 3), np.uint8)
            pixels[:, 18:54, 0] = 255
            Image.fromarray(pixels).save(tmp_path / part / name / "0.png")
    ((images, _),) = batches(tmp_path, training=False).ordered()
    inside = images[:, :, 1:-1, 1:-1]  # the scaling blurs the edge
    torch.testing.assert_close(inside[:, 0], torch.full_like(inside[:, 0], (1 - 0.5) / 0.2))
    torch.testing.assert_close(inside[:, 1], torch.full_like(inside[:, 1], -0.5 / 0.2))


def test_limits_keep_the_proportions(root: Path) -> None:
    folders = ImageFolders.read(root, limit=8, test_limit=4)
    assert [label for _, label in folders.train] == [0] * 4 + [1] * 4
    assert len(folders.val) == 4


@pytest.mark.parametrize("loader_workers", [0, 1])
def test_a_broken_picture_is_named(loader_workers: int, root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "copy")
    path = tmp_path / "copy" / "train" / "dog" / "3.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(InvalidInput, match=r"must be readable.*but .*3\.png is not"):
        epochs(batches(tmp_path / "copy", loader_workers=loader_workers), 0, 1)


def test_pictures_of_sixteen_bits_are_refused_before_work_starts(
    root: Path, tmp_path: Path
) -> None:
    shutil.copytree(root, tmp_path / "copy")
    deep = Image.fromarray(np.full((30, 30), 40_000, np.uint16))
    deep.save(tmp_path / "copy" / "val" / "cat" / "deep.png")
    with pytest.raises(InvalidInput, match=r"8 bits per channel, but .*deep\.png has mode 'I;16'"):
        ImageFolders.read(tmp_path / "copy")


def test_pictures_are_decoded_as_in_memory(tmp_path: Path) -> None:
    """Photographs that lie on their side, a palette with transparency, CMYK and grey ones."""
    rng = np.random.default_rng(1)
    made = {"palette.png": "P", "print.tiff": "CMYK", "grey.png": "LA", "clear.png": "RGBA"}
    for name in ("a", "b"):
        (tmp_path / "val" / name).mkdir(parents=True)
        noise = rng.integers(0, 256, (18, 18, 3), dtype=np.uint8)
        for file, mode in made.items():
            Image.fromarray(noise).convert(mode).save(tmp_path / "val" / name / file)
        for orientation in range(1, 9):
            exif = Image.Exif()
            exif[0x0112] = orientation
            path = tmp_path / "val" / name / f"photo{orientation}.jpg"
            Image.fromarray(noise).save(path, exif=exif)
    shutil.copytree(tmp_path / "val", tmp_path / "train")
    ((images, _),) = batches(tmp_path, training=False, batch_size=64).ordered()
    whole = load(str(tmp_path / "train"), test_data=str(tmp_path / "val")).test.images
    # the centre of the whole, which is scaled to 18 pixels, its own side
    expected = (torch.from_numpy(whole[:, :, 1:-1, 1:-1].copy()) / 255 - 0.5) / 0.2
    torch.testing.assert_close(images, expected)


def test_folders_of_another_form(root: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="Name the folder that holds train and val"):
        ImageFolders.read(root / "train")
    for part, names in (("train", ("a", "b")), ("val", ("a", "c"))):
        for name in names:
            (tmp_path / part / name).mkdir(parents=True)
            Image.new("RGB", (8, 8)).save(tmp_path / part / name / "0.png")
    with pytest.raises(InvalidInput, match=r"same class folders.*\['b', 'c'\]"):
        ImageFolders.read(tmp_path)


def test_a_network_with_the_imagenet_stem_is_trained_on_folders(
    root: Path, tmp_path: Path, told: Callable[[Path], dict[str, Any]]
) -> None:
    config = RetrainConfig(
        data=RetrainData(
            data=str(root),
            loader="folder",
            image_side=32,
            normalisation="imagenet",
            jitter=(0.4, 0.4, 0.4, 0.2),
        ),
        network=NetworkOptions(cells=3, channels=4, stem="imagenet"),
        train=TrainConfig(
            batch_size=6,
            optimiser=SGD(final_learning_rate=0.0),
            objective=Classification(label_smoothing=0.1),
        ),
        epochs=1,
        workers=WorkersConfig(device="cpu", loader_workers=1),
    )
    job = Retraining.of(GENOTYPES["DARTS_V2"], config)
    result = run_retraining(job, tmp_path / "one")
    run_retraining(job, tmp_path / "two")
    assert told(tmp_path / "one") == told(tmp_path / "two")
    assert result["test_images"] == 10
    assert result["cost"]["images"] == 18
    assert set(check_accuracy(tmp_path / "one", device="cpu")) == {"last", "best"}
