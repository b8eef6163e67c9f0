"""Labelled images and splits cannot be built wrongly; statistics are exact."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fade_ray.data import Augment, LabelledImages, Splits
from fade_ray.data.images import channel_statistics
from spaces.errors import InvalidInput


def part(
    count: int = 6, channels: int = 3, height: int = 8, width: int = 8, classes: int = 2
) -> LabelledImages:
    images = np.random.default_rng(count).integers(
        0, 256, (count, channels, height, width), dtype=np.uint8
    )
    return LabelledImages(images, np.arange(count) % classes)


def splits(**changes: object) -> Splits:
    fields = {
        "name": "toy",
        "classes": ("a", "b"),
        "weights": part(),
        "architecture": part(4),
        "test": part(2),
        "mean": (0.5,) * 3,
        "std": (0.2,) * 3,
    }
    return Splits(**(fields | changes))  # type: ignore[arg-type]


def test_take_keeps_images_and_labels_together() -> None:
    images = part()
    taken = images.take([4, 1, 4])
    assert len(taken) == 3
    assert taken.labels.tolist() == [0, 1, 0]
    np.testing.assert_array_equal(taken.images, images.images[[4, 1, 4]])
    assert not np.shares_memory(taken.images, images.images)


@pytest.mark.parametrize("indices", [[6], [-1], []])
def test_take_refuses_what_is_not_there(indices: list[int]) -> None:
    with pytest.raises(InvalidInput):
        part().take(indices)


GOOD = part()


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (GOOD.images.astype(np.float32), GOOD.labels, "uint8"),
        (GOOD.images[:, :2], GOOD.labels, "1 or 3 channels"),
        (GOOD.images[0], GOOD.labels, r"\[N, C, H, W\]"),
        (GOOD.images, GOOD.labels.astype(np.int32), "int64"),
        (GOOD.images, GOOD.labels[:3], "one per image"),
        (GOOD.images[:0], GOOD.labels[:0], "images >= 1"),
        (GOOD.images, GOOD.labels - 1, "labels >= 0.*lowest=-1"),
    ],
)
def test_wrong_arrays_are_refused(images: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        LabelledImages(images, labels)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test": part(channels=1)}, "one shape"),
        ({"architecture": part(height=9, width=9)}, "one shape"),
        ({name: part(height=8, width=9) for name in ("weights", "architecture", "test")}, "square"),
        (
            {name: part(height=7, width=7) for name in ("weights", "architecture", "test")},
            "side >= 8",
        ),
        ({"classes": ("a",)}, "two classes"),
        ({"classes": ("a", "a")}, "different names"),
        ({"test": part(classes=3)}, r"0\.\.1` must hold, but got highest=2"),
        ({"mean": (0.5,)}, "one entry per channel"),
        ({"std": (0.2, 0.0, 0.2)}, "positive"),
    ],
)
def test_parts_that_do_not_agree_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        splits(**changes)


def test_splits_describe_themselves_in_one_line() -> None:
    found = splits(augment=Augment(crop=1, flip=True))
    assert (found.side, found.channels, found.num_classes) == (8, 3, 2)
    line = found.describe()
    assert "\n" not in line
    for fact in (
        "toy: 12 images",
        "8x8",
        "3 channel",
        "2 classes",
        "weights 6",
        "architecture 4",
        "test 2",
        "crop 1, flip",
    ):
        assert fact in line


@pytest.mark.parametrize("wrong", [{"crop": -1}, {"cutout": -2}])
def test_augmentation_is_never_negative(wrong: dict[str, int]) -> None:
    with pytest.raises(InvalidInput, match=">= 0"):
        Augment(**wrong)  # type: ignore[arg-type]


@given(
    hnp.arrays(
        np.uint8,
        st.tuples(st.integers(1, 5), st.sampled_from([1, 3]), st.integers(1, 6), st.integers(1, 6)),
    )
)
def test_statistics_are_those_of_the_definition(images: np.ndarray) -> None:
    mean, std = channel_statistics(images)
    scaled = images.astype(np.float64) / 255
    np.testing.assert_allclose(mean, scaled.mean(axis=(0, 2, 3)), atol=1e-12)
    deviation = scaled.std(axis=(0, 2, 3))
    constant = images.min(axis=(0, 2, 3)) == images.max(axis=(0, 2, 3))
    np.testing.assert_allclose(std, np.where(constant, 1.0, deviation), atol=1e-9)


def test_statistics_do_not_depend_on_the_chunks() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2500, 1, 2, 2), dtype=np.uint8)
    assert channel_statistics(images) == channel_statistics(images[::-1].copy())
    np.testing.assert_allclose(channel_statistics(images)[1][0], images.std() / 255)
