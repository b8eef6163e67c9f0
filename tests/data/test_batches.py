"""Whole-batch augmentation equals a slow one per image; draws, order and memory are as promised."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fade_ray.data import Augment, Batches, LabelledImages
from fade_ray.data.batches import Draws
from spaces.errors import InvalidInput

CPU = torch.device("cpu")
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
PLAIN = Augment()


def random_part(
    count: int = 20, channels: int = 3, height: int = 8, width: int = 8
) -> LabelledImages:
    images = np.random.default_rng(0).integers(
        0, 256, (count, channels, height, width), dtype=np.uint8
    )
    return LabelledImages(images, np.arange(count))


def make(
    part: LabelledImages, batch_size: int = 6, augment: Augment = PLAIN, channels_last: bool = False
) -> Batches:
    c = part.images.shape[1]
    return Batches(
        part,
        batch_size=batch_size,
        device=CPU,
        mean=MEAN[:c],
        std=STD[:c],
        augment=augment,
        channels_last=channels_last,
    )


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def collected(batches: itertools.islice | object) -> tuple[Tensor, Tensor]:
    images, labels = zip(*batches, strict=True)  # type: ignore[call-overload]
    return torch.cat(images), torch.cat(labels)


def slowly(image: np.ndarray, draws: Draws, i: int, augment: Augment) -> np.ndarray:
    """One image [C, H, W] the way it is said in words, pixel by pixel where it matters."""
    C, H, W = image.shape
    if draws.flip is not None and draws.flip[i]:
        image = image[:, :, ::-1]
    if draws.crop is not None:
        top, left = draws.crop[i].tolist()
        padded = np.pad(image, ((0, 0), (augment.crop,) * 2, (augment.crop,) * 2))
        image = padded[:, top : top + H, left : left + W]
    out = (image / 255 - np.reshape(MEAN[:C], (C, 1, 1))) / np.reshape(STD[:C], (C, 1, 1))
    if draws.cutout is not None:
        row, column = (int(centre) - augment.cutout // 2 for centre in draws.cutout[i])
        for y, x in itertools.product(
            range(row, row + augment.cutout), range(column, column + augment.cutout)
        ):
            if 0 <= y < H and 0 <= x < W:
                out[:, y, x] = 0
    return out


@settings(max_examples=60, deadline=None)
@given(
    st.builds(Augment, crop=st.integers(0, 5), flip=st.booleans(), cutout=st.integers(0, 20)),
    st.sampled_from([1, 3]),
    st.integers(1, 10),
    st.integers(1, 10),
    st.booleans(),
    st.integers(0, 1000),
)
def test_a_batch_equals_its_images_augmented_one_by_one(
    augment: Augment, channels: int, height: int, width: int, channels_last: bool, seed: int
) -> None:
    part = random_part(13, channels, height, width)
    images, labels = collected(make(part, 4, augment, channels_last).epoch(seeded(seed)))
    draws = Draws.draw(13, 12, height, width, augment, seeded(seed))
    expected = [
        slowly(part.images[n], draws, i, augment) for i, n in enumerate(draws.order.tolist())
    ]
    assert labels.tolist() == draws.order.tolist()
    np.testing.assert_allclose(images.numpy(), np.stack(expected), atol=2e-6)


def test_crop_offsets_flips_and_centres_are_uniform() -> None:
    augment = Augment(crop=2, flip=True, cutout=4)
    n = 20_000
    draws = Draws.draw(n, n, 8, 6, augment, seeded())
    assert draws.crop is not None
    assert draws.flip is not None
    assert draws.cutout is not None
    pairs = {
        "crop": np.bincount((draws.crop[:, 0] * 5 + draws.crop[:, 1]).numpy(), minlength=25),
        "centre": np.bincount((draws.cutout[:, 0] * 6 + draws.cutout[:, 1]).numpy(), minlength=48),
        "flip": np.bincount(draws.flip.numpy().astype(int), minlength=2),
    }
    critical = {
        "crop": 59.0,
        "centre": 93.0,
        "flip": 15.2,
    }  # chi-square, 24, 47 and 1 degrees of freedom, alpha about 1e-4
    for name, counts in pairs.items():
        expected = n / len(counts)
        assert len(counts) == {"crop": 25, "centre": 48, "flip": 2}[name]
        assert ((counts - expected) ** 2 / expected).sum() < critical[name], name
    both = np.corrcoef(draws.flip.numpy(), draws.crop[:, 0].numpy())[0, 1]
    assert abs(both) < 4 / n**0.5  # flips say nothing about offsets


def test_all_channels_of_an_image_move_together_and_images_do_not() -> None:
    ramp = np.tile(np.arange(64, dtype=np.uint8).reshape(1, 1, 8, 8), (32, 3, 1, 1))
    part = LabelledImages(ramp, np.zeros(32, np.int64))
    batches = Batches(
        part, batch_size=32, device=CPU, mean=(0.0,) * 3, std=(1.0,) * 3, augment=Augment(2, True)
    )
    images, _ = next(batches.epoch(seeded()))
    assert torch.equal(images[:, 0], images[:, 1])
    assert torch.equal(images[:, 0], images[:, 2])
    assert len(torch.unique(images, dim=0)) > 16


@pytest.mark.parametrize(
    ("count", "size", "batches", "seen"),
    [(20, 6, 3, 18), (18, 6, 3, 18), (5, 6, 1, 5), (6, 6, 1, 6)],
)
def test_an_incomplete_batch_is_kept_only_where_it_is_the_only_one(
    count: int, size: int, batches: int, seen: int
) -> None:
    loader = make(random_part(count), size)
    epoch = list(loader.epoch(seeded()))
    assert len(loader) == len(epoch) == batches
    labels = torch.cat([labels for _, labels in epoch]).tolist()
    assert len(set(labels)) == len(labels) == seen


def test_the_order_of_every_epoch_is_new() -> None:
    generator, loader = seeded(), make(random_part())
    first, second = (collected(loader.epoch(generator))[1].tolist() for _ in range(2))
    assert first != second


def test_the_same_seed_gives_the_same_batches_and_a_saved_state_goes_on() -> None:
    augment, generator = Augment(2, True, 4), seeded(5)
    loader = make(random_part(), augment=augment)
    first = collected(loader.epoch(generator))
    state = generator.get_state()
    second = collected(loader.epoch(generator))
    restored = seeded(99)
    restored.set_state(state)
    again = collected(make(random_part(), augment=augment).epoch(restored))
    assert torch.equal(second[0], again[0])
    assert torch.equal(second[1], again[1])
    assert torch.equal(first[0], collected(loader.epoch(seeded(5)))[0])
    assert not torch.equal(first[0], second[0])


def test_an_epoch_draws_when_it_is_made_not_when_it_is_read() -> None:
    loader, generator = make(random_part(), augment=Augment(1)), seeded()
    epoch = loader.epoch(generator)
    state = generator.get_state()
    list(epoch)
    assert torch.equal(generator.get_state(), state)
    assert not torch.equal(state, seeded().get_state())


def test_a_cycle_is_epoch_after_epoch() -> None:
    loader, generator = make(random_part(), augment=Augment(1, True)), seeded(3)
    epochs = [batch for _ in range(3) for batch in loader.epoch(generator)]
    cycled = list(itertools.islice(loader.cycle(seeded(3)), len(epochs)))
    assert all(
        torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])
        for a, b in zip(epochs, cycled, strict=True)
    )


@pytest.mark.parametrize("size", [None, 1, 7, 100])
def test_ordered_is_everything_once_unchanged_and_in_order(size: int | None) -> None:
    part = random_part()
    loader = make(part, augment=Augment(2, True, 4))
    images, labels = collected(loader.ordered(size))
    assert labels.tolist() == part.labels.tolist()
    expected = (part.images / 255 - np.reshape(MEAN, (3, 1, 1))) / np.reshape(STD, (3, 1, 1))
    np.testing.assert_allclose(images.numpy(), expected, atol=2e-6)
    assert next(iter(loader.ordered(size)))[0].shape[0] == min(size or 6, 20)


@pytest.mark.parametrize("channels_last", [False, True])
def test_batches_have_the_stated_types_and_layout(channels_last: bool) -> None:
    loader = make(random_part(), augment=Augment(1, True, 2), channels_last=channels_last)
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    for images, labels in [next(loader.epoch(seeded())), next(loader.ordered())]:
        assert (images.dtype, labels.dtype, images.shape) == (
            torch.float32,
            torch.int64,
            (6, 3, 8, 8),
        )
        assert images.is_contiguous(memory_format=memory_format)


def test_everything_is_on_the_device_of_the_images() -> None:
    """The meta device computes shapes only, but refuses to mix devices as a real one does."""
    meta = torch.device("meta")
    loader = Batches(
        random_part(), batch_size=6, device=meta, mean=MEAN, std=STD, augment=Augment(2, True, 4)
    )
    for images, labels in [*loader.epoch(seeded()), next(loader.ordered())]:
        assert (images.device, labels.device, images.shape, labels.shape) == (
            meta,
            meta,
            (6, 3, 8, 8),
            (6,),
        )


def test_the_layout_does_not_change_the_values() -> None:
    plain, last = (
        make(random_part(), augment=Augment(2, True, 3), channels_last=c) for c in (False, True)
    )
    assert torch.equal(collected(plain.epoch(seeded()))[0], collected(last.epoch(seeded()))[0])


def test_the_images_are_not_copied_and_not_changed() -> None:
    part = random_part()
    before = part.images.copy()
    for array in (part.images, part.labels):
        array.flags.writeable = False
    loader = make(part, augment=Augment(2, True, 4))
    assert loader.images.data_ptr() == part.images.ctypes.data
    assert loader.labels.data_ptr() == part.labels.ctypes.data
    kept = [images.clone() for images, _ in loader.epoch(seeded())]
    fresh = list(loader.epoch(seeded()))
    for batch, (images, _) in zip(kept, fresh, strict=True):
        assert torch.equal(batch, images)  # batches do not share memory with each other either
        images.zero_()
    np.testing.assert_array_equal(part.images, before)


def test_read_only_arrays_give_no_warning() -> None:
    program = """
import warnings, numpy as np, torch
from fade_ray.data import Batches, LabelledImages
torch.set_warn_always(True)
warnings.simplefilter("error")
part = LabelledImages(np.zeros((4, 1, 8, 8), np.uint8), np.zeros(4, np.int64))
part.images.flags.writeable = part.labels.flags.writeable = False
Batches(part, batch_size=2, device=torch.device("cpu"), mean=(0.5,), std=(0.5,))
try:
    torch.from_numpy(part.images)
except UserWarning:
    print("only ours is silent")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "only ours is silent"), done.stderr


@pytest.mark.parametrize("size", [0, -3])
def test_a_batch_size_below_one_is_refused(size: int) -> None:
    with pytest.raises(InvalidInput, match="batch_size >= 1"):
        make(random_part(), size)
    with pytest.raises(InvalidInput, match="batch_size >= 1"):
        next(make(random_part()).ordered(size))


def test_statistics_of_other_channels_are_refused() -> None:
    with pytest.raises(InvalidInput, match="one entry per channel"):
        Batches(random_part(channels=1), batch_size=2, device=CPU, mean=MEAN, std=STD)
