"""Arrays and data sets written as a file that a configuration may name."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fade_ray import DataConfig, write_images
from fade_ray.data.data_config import load_images
from fade_ray.data.parquet import file_of_images
from spaces.errors import InvalidInput

PIXELS = np.random.default_rng(0).integers(0, 256, (36, 8, 8, 3), np.uint8)
LABELS = [number % 3 for number in range(36)]


class Pairs(list):  # type: ignore[type-arg]
    """As torchvision's data sets are."""

    classes = ("ant", "bee", "cat")


def stored(path: str) -> tuple[tuple[str, ...], set[bytes]]:
    splits = load_images(DataConfig(data=path))
    parts = (splits.weights, splits.architecture, splits.test)
    pixels = {image.tobytes() for part in parts for image in part.images.transpose(0, 2, 3, 1)}
    return splits.classes, pixels


def test_arrays_and_a_data_set_come_back_as_they_were(tmp_path: Path) -> None:
    pixels = {image.tobytes() for image in PIXELS}
    assert stored(write_images(tmp_path / "a.parquet", PIXELS, LABELS)) == (("0", "1", "2"), pixels)
    pairs = Pairs((Image.fromarray(x), y) for x, y in zip(PIXELS, LABELS, strict=True))
    assert stored(write_images(tmp_path / "b.parquet", pairs)) == (Pairs.classes, pixels)


def test_data_given_to_a_run_are_one_file_as_long_as_they_are_the_same(tmp_path: Path) -> None:
    assert file_of_images("digits", tmp_path / "none") == "digits"
    assert not (tmp_path / "none").exists()
    first = file_of_images((PIXELS, LABELS), tmp_path)
    pairs = Pairs((Image.fromarray(x), y) for x, y in zip(PIXELS, LABELS, strict=True))
    assert file_of_images((PIXELS, LABELS), tmp_path) == first != file_of_images(pairs, tmp_path)
    assert stored(first)[0] == ("0", "1", "2")
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(InvalidInput, match="uint8"):
        file_of_images((PIXELS / 255.0, LABELS), tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("wrong", [PIXELS / 255.0, PIXELS.transpose(0, 3, 1, 2)])
def test_other_pictures_are_refused(wrong: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="uint8"):
        write_images(tmp_path / "a.parquet", wrong, LABELS)
    assert not (tmp_path / "a.parquet").exists()


def test_the_augmentation_that_is_told_is_the_one_in_use(tmp_path: Path) -> None:
    path = write_images(tmp_path / "a.parquet", PIXELS, LABELS)
    assert "augmentation: crop 1, flip" not in load_images(DataConfig(path, flip=False)).describe()
    told = load_images(DataConfig(path, crop=1, flip=False, cutout=2)).describe()
    assert told.endswith("augmentation: crop 1, cutout 2")
