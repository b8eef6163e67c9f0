"""Targets of every form: written, read, split, moved with their images, and refused in words."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fade_ray import DataConfig, write_images
from fade_ray.data import Augment, Batches, LabelledImages, Splits
from fade_ray.data.data_config import load_images
from fade_ray.data.targets import IGNORED
from spaces.errors import InvalidInput

COUNT, SIDE = 30, 16
DRAWN = np.random.default_rng(0)
PIXELS = DRAWN.integers(0, 256, (COUNT, SIDE, SIDE), np.uint8)
MAPS = (PIXELS // 100).astype(np.int64)
VECTORS = DRAWN.normal(size=(COUNT, 3))
HOT = DRAWN.integers(0, 2, (COUNT, 4))
FORMS: dict[str, tuple[str, Any, str]] = {
    "numbers": ("numbers", VECTORS, "3 numbers"),
    "one number": ("numbers", VECTORS[:, 0], "1 number;"),
    "ages": ("numbers", np.arange(COUNT) * 7, "1 number;"),
    "labels": ("labels", HOT, "4 labels"),
    "maps": ("map", MAPS, "3 classes of pixels"),
}


def stored(splits: Splits) -> dict[bytes, list[Any]]:
    """Each image's target, of all parts."""
    parts = (splits.weights, splits.architecture, splits.test)
    pairs = [pair for p in parts for pair in zip(p.images, p.labels, strict=True)]
    return {image.tobytes(): label.tolist() for image, label in pairs}


@pytest.mark.parametrize("form", FORMS)
def test_targets_come_back_beside_their_images(form: str, tmp_path: Path) -> None:
    target, given, told = FORMS[form]
    path = write_images(tmp_path / "a.parquet", PIXELS, given)
    splits = load_images(DataConfig(path), target)
    wanted = given[:, None] if given.ndim == 1 else given
    dtype = splits.weights.labels.dtype
    both = zip(PIXELS, wanted.astype(dtype), strict=True)
    assert stored(splits) == {image.tobytes(): label.tolist() for image, label in both}
    sizes = [len(part) for part in (splits.weights, splits.architecture, splits.test)]
    assert sizes == [20, 5, 5]
    assert told in splits.describe()


class Rows:
    """As `datasets.Dataset` of Hugging Face is: rows by name, features, a length."""

    def __init__(self, features: dict[str, Any], rows: list[dict[str, Any]]) -> None:
        self.features, self.rows = features, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> dict[str, Any]:
        return self.rows[i % len(self.rows)]  # a map-style one raises no IndexError

    def __iter__(self) -> Iterator[Any]:
        raise AssertionError("it has a length")


class ClassLabel:
    names = ("ant", "bee")


def test_rows_by_name_and_torch_data_sets_are_read(tmp_path: Path) -> None:
    pictures = [Image.fromarray(pixels) for pixels in PIXELS]
    rows = [{"image": p, "label": i % 2, "id": i} for i, p in enumerate(pictures)]
    named = write_images(tmp_path / "a.parquet", Rows({"label": ClassLabel()}, rows))
    assert load_images(DataConfig(named)).classes == ("ant", "bee")
    masks = [
        {"image": p, "mask": Image.fromarray(m.astype(np.uint8))}
        for p, m in zip(pictures, MAPS, strict=True)
    ]
    splits = load_images(DataConfig(write_images(tmp_path / "b.parquet", Rows({}, masks))), "map")
    assert splits.num_classes == 3
    pairs = torch.utils.data.TensorDataset(torch.from_numpy(PIXELS), torch.from_numpy(VECTORS))
    path = write_images(tmp_path / "c.parquet", pairs)
    assert load_images(DataConfig(path), "numbers").num_classes == 3


def test_maps_move_with_their_images() -> None:
    """Each pixel's class is a function of its grey value: so it is behind a flip and a crop."""
    part = LabelledImages(PIXELS[:, None], MAPS.astype(np.uint8), "map")
    batches = Batches(
        part,
        augment=Augment(crop=3, flip=True),
        batch_size=10,
        device=torch.device("cpu"),
        mean=(0.0,),
        std=(1 / 255,),
    )
    outside = 0
    for images, maps in batches.epoch(torch.Generator().manual_seed(0)):
        grey, counted = images[:, 0].round().long(), maps != IGNORED
        assert torch.equal((grey // 100)[counted], maps[counted].long())
        assert (grey[~counted] == 0).all()
        outside += int((~counted).sum())
    assert outside > 0


WRONG: dict[str, tuple[str, Any, str]] = {
    "words": ("numbers", ["a", "b"] * 15, "of numbers or integers or lists"),
    "vectors as classes": ("class", VECTORS, "needs a column `label`"),
    "not finite": ("numbers", np.where(VECTORS > 2, np.nan, VECTORS), r"row \d+ .* has \[.*nan"),
    "other labels": ("labels", HOT * 2, "0 or 1, .* holds 2"),
    "nothing to learn": ("numbers", np.ones(COUNT), "all targets of .* are the same"),
    "numbers as maps": ("map", VECTORS, "of maps, but"),
    "maps of another size": ("map", MAPS[:, 1:, 1:], r"images=\(16, 16\), maps=\(15, 15\)"),
    "too few": ("numbers", VECTORS[:7], "a target for each image.*images=30, labels=7"),
    "maps of floats": ("map", MAPS / 2, "maps hold 0..255"),
    "too high": ("map", MAPS + 254, "maps hold 0..255"),
    "ragged": ("labels", [[0, 1], [1]] * 15, "all be of one size"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_targets_that_do_not_fit_are_refused(fault: str, tmp_path: Path) -> None:
    target, given, message = WRONG[fault]
    with pytest.raises(InvalidInput, match=message):
        load_images(DataConfig(write_images(tmp_path / "a.parquet", PIXELS, given)), target)


@pytest.mark.parametrize(("factor", "told"), [(1.0, False), (1e3, True), (1e-3, True)])
def test_numbers_that_are_hard_to_learn_are_told(
    factor: float, told: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_images(tmp_path / "a.parquet", PIXELS, VECTORS * factor)
    with caplog.at_level("INFO", "fade_ray"):
        load_images(DataConfig(path), "numbers")
    assert ("scale them before" in caplog.text) == told


def test_a_test_set_has_as_many_numbers(tmp_path: Path) -> None:
    data = write_images(tmp_path / "a.parquet", PIXELS, VECTORS)
    other = write_images(tmp_path / "b.parquet", PIXELS, VECTORS[:, :2])
    with pytest.raises(InvalidInput, match=r"3 numbers for each image.*given=2.*b\.parquet"):
        load_images(DataConfig(data, test_data=other), "numbers")
