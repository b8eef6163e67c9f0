"""Data sets by name, folder and file: what is read, and what is refused with which words."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fade_ray.data import SOURCES, Augment, Splits, load
from fade_ray.data.sources import _from_torchvision, cifar10
from spaces.errors import InvalidInput

PARTS = ("weights", "architecture", "test")
Pixels = list[np.ndarray]


def pixels(count: int, side: int = 8, channels: int = 3, seed: int = 0) -> Pixels:
    shape = (side, side, 3) if channels == 3 else (side, side)
    return list(np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8))


def encoded(image: np.ndarray | Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind)
    return buffer.getvalue()


def write_parquet(
    path: Path,
    blobs: list[bytes | None],
    labels: list[int | None],
    *,
    column: str = "img",
    struct: bool = True,
    names: list[str] | None = None,
) -> str:
    values = [{"bytes": blob, "path": None} for blob in blobs] if struct else blobs
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())]) if struct else pa.binary()
    table = pa.table({column: pa.array(values, kind), "label": pa.array(labels, pa.int64())})
    if names:
        info = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(info)})
    pq.write_table(table, path, row_group_size=7)
    return str(path)


def write_folder(root: Path, classes: dict[str, Pixels]) -> str:
    for name, images in classes.items():
        (root / name).mkdir(parents=True)
        for i, image in enumerate(images):
            (root / name / f"{i:03}.png").write_bytes(encoded(image))
    return str(root)


def everything(splits: Splits) -> dict[bytes, int]:
    """Pixels -> label over all parts; a pixel array that stands twice fails."""
    pairs = [
        (image.tobytes(), int(label))
        for part in PARTS
        for image, label in zip(
            getattr(splits, part).images, getattr(splits, part).labels, strict=True
        )
    ]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def chw(image: np.ndarray) -> bytes:
    return (image.transpose(2, 0, 1) if image.ndim == 3 else image[None]).tobytes()


def same(a: Splits, b: Splits) -> bool:
    return all(
        np.array_equal(getattr(a, part).images, getattr(b, part).images)
        and np.array_equal(getattr(a, part).labels, getattr(b, part).labels)
        for part in PARTS
    )


# --- digits
# --------------------------------------------------------------------------------------------------


def test_digits_are_all_there_at_full_range() -> None:
    splits = load("digits")
    assert [len(getattr(splits, part)) for part in PARTS] == [1197, 300, 300]
    assert (splits.side, splits.channels, splits.classes) == (8, 1, tuple("0123456789"))
    assert splits.augment == Augment(crop=0, flip=False, cutout=0)
    stored = np.concatenate([getattr(splits, part).images for part in PARTS])
    assert sorted(set(stored.ravel().tolist())) == [round(v * 255 / 16) for v in range(17)]
    counts = sum(np.bincount(getattr(splits, part).labels) for part in PARTS)
    assert counts.tolist() == [
        178,
        182,
        177,
        183,
        181,
        182,
        181,
        179,
        174,
        180,
    ]  # scikit-learn's documentation: 174-183


def test_statistics_come_from_the_weights_part_alone() -> None:
    splits = load("digits", limit=300)
    scaled = splits.weights.images / 255
    np.testing.assert_allclose(splits.mean, [scaled.mean()])
    np.testing.assert_allclose(splits.std, [scaled.std()])


def test_seed_limit_and_side_of_digits() -> None:
    first = load("digits", limit=240, split_seed=1)
    assert same(first, load("digits", limit=240, split_seed=1))
    assert not same(first, load("digits", limit=240, split_seed=2))
    assert [len(getattr(first, part)) for part in PARTS] == [160, 40, 40]
    large = load("digits", limit=240, split_seed=1, image_side=16)
    assert large.weights.images.shape == (160, 1, 16, 16)
    assert large.augment.crop == 2
    assert np.array_equal(large.weights.labels, first.weights.labels)  # the same images, larger


def test_parts_share_one_array() -> None:
    splits = load("digits", limit=120)
    assert splits.weights.images.base is not None
    assert splits.weights.images.base is splits.test.images.base
    assert all(getattr(splits, part).images.flags.c_contiguous for part in PARTS)


# --- CIFAR
# --------------------------------------------------------------------------------------------------


def test_a_torchvision_set_keeps_its_own_test_part(monkeypatch: pytest.MonkeyPatch) -> None:
    def stored(count: int, seed: int) -> SimpleNamespace:
        data = np.stack(pixels(count, 32, seed=seed))
        return SimpleNamespace(
            data=data, targets=[i % 3 for i in range(count)], classes=["a", "b", "c"]
        )

    training, test = stored(30, 1), stored(12, 2)
    source = _from_torchvision("toy", training, _from_torchvision("toy test", test))
    monkeypatch.setitem(SOURCES, "toy", lambda root, download: source)
    splits = load("toy")
    assert [len(getattr(splits, part)) for part in PARTS] == [24, 6, 12]
    assert splits.test.images.tobytes() == test.data.transpose(0, 3, 1, 2).tobytes()
    assert splits.augment == Augment(crop=4, flip=True)
    found = everything(splits)
    assert all(found[chw(image)] == i % 3 for i, image in enumerate(training.data))
    assert len(load("toy", test_limit=6, limit=15).test) == 6


def test_a_download_that_cannot_happen_is_one_clear_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there
    with pytest.raises(InvalidInput, match=r"CIFAR10 must be in .* or be downloadable"):
        load("cifar10", root=str(tmp_path))
    with pytest.raises(InvalidInput, match=r"cifar-10-python\.tar\.gz"):
        cifar10(tmp_path, download=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="downloadable"):
        load("cifar100", root=str(tmp_path / "file"))


# --- folders
# --------------------------------------------------------------------------------------------------


def test_a_folder_is_read_as_written(tmp_path: Path) -> None:
    cats, dogs = pixels(12, seed=1), pixels(6, seed=2)
    root = write_folder(tmp_path / "pets", {"dog": dogs, "cat": cats, ".git": pixels(1)})
    (tmp_path / "pets" / "cat" / ".hidden").write_text("not an image")
    (tmp_path / "pets" / "README.md").write_text("beside the classes")
    splits = load(root)
    assert (splits.name, splits.classes, splits.side, splits.channels) == (
        "pets",
        ("cat", "dog"),
        8,
        3,
    )
    assert [np.bincount(getattr(splits, part).labels).tolist() for part in PARTS] == [
        [8, 4],
        [2, 1],
        [2, 1],
    ]
    assert everything(splits) == {chw(image): 0 for image in cats} | {
        chw(image): 1 for image in dogs
    }
    assert splits.augment == Augment(crop=0, flip=True)


def test_gray_images_keep_one_channel_unless_one_has_colour(tmp_path: Path) -> None:
    gray = {"a": pixels(6, channels=1, seed=1), "b": pixels(6, channels=1, seed=2)}
    assert load(write_folder(tmp_path / "gray", gray)).channels == 1
    mixed = load(write_folder(tmp_path / "mixed", gray | {"c": pixels(6)}))
    assert mixed.channels == 3
    repeated = np.repeat(gray["a"][0][None], 3, axis=0).tobytes()
    assert everything(mixed)[repeated] == 0


@pytest.mark.parametrize("place", [0, 70, 199])
def test_one_coloured_image_among_many_is_enough(tmp_path: Path, place: int) -> None:
    images = pixels(200, channels=1)
    images[place] = pixels(1)[0]
    path = write_parquet(tmp_path / "p.parquet", [encoded(image) for image in images], [0, 1] * 100)
    assert everything(load(path))[chw(images[place])] == place % 2


def test_colour_in_the_test_set_alone_counts(tmp_path: Path) -> None:
    gray = {"a": pixels(5, channels=1, seed=1), "b": pixels(5, channels=1, seed=2)}
    colour = write_folder(tmp_path / "test", {"a": pixels(1, seed=3), "b": pixels(1, seed=4)})
    assert load(write_folder(tmp_path / "train", gray), test_data=colour).channels == 3


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
def test_every_mode_of_eight_bits_is_decoded(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(pixels(1)[0]).convert(mode)
    if mode == "P":
        image.info["transparency"] = bytes(range(256))
    path = write_parquet(
        tmp_path / "m.parquet",
        [encoded(image, "TIFF" if mode == "CMYK" else "PNG")] * 12,
        [0, 1] * 6,
    )
    splits = load(path)
    gray = mode in ("1", "L", "LA")
    opaque = image.convert("RGBA") if mode == "P" else image
    expected = np.asarray(opaque.convert("L" if gray else "RGB"))
    assert splits.channels == (1 if gray else 3)
    assert all(image.tobytes() == chw(expected) for image in splits.weights.images)


# EXIF orientation -> what was done to the upright pixels [H, W] before they were stored
STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: upright.swapaxes(0, 1)[::-1],
    7: lambda upright: upright.swapaxes(0, 1)[::-1, ::-1],
    8: lambda upright: upright.swapaxes(0, 1)[:, ::-1],
}


def turned(upright: np.ndarray, orientation: int, kind: str) -> bytes:
    """A picture stored as a camera held that way does, with the note that says so."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    stored = np.ascontiguousarray(STORED[orientation](upright))
    options = {"lossless": True} if kind == "WEBP" else {}
    Image.fromarray(stored).save(buffer, kind, exif=exif, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_pictures_are_the_way_up_that_their_camera_noted(tmp_path: Path, kind: str) -> None:
    images = [pixels(1, seed=i)[0] for i in range(12)]
    blobs: list[bytes | None] = [turned(image, 1 + i % 8, kind) for i, image in enumerate(images)]
    splits = load(write_parquet(tmp_path / "p.parquet", blobs, [0, 1] * 6))
    assert everything(splits) == {chw(image): i % 2 for i, image in enumerate(images)}


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG"])
def test_their_sizes_are_those_of_the_upright_pictures(tmp_path: Path, kind: str) -> None:
    """12 wide, 20 high: one lies on its side, in bytes and not in what is seen."""
    shape = (20, 12, 3)
    upright = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    blobs: list[bytes | None] = [turned(upright, 1, kind)] * 11 + [turned(upright, 6, kind)]
    path = write_parquet(tmp_path / "p.parquet", blobs, [0, 1] * 6)
    with pytest.raises(InvalidInput, match=r"must be square, but row \d+ .* has 12x20 pixels"):
        load(path)
    halves = {
        image.tobytes()
        for part in PARTS
        for image in getattr(load(path, image_side=12), part).images
    }
    assert kind == "JPEG" or halves == {chw(upright[4:16])}


def test_a_note_that_cannot_be_read_turns_nothing(tmp_path: Path) -> None:
    image = Image.fromarray(pixels(1)[0])
    buffer = io.BytesIO()
    image.save(buffer, "PNG", exif=b"Exif\0\0no note at all")
    splits = load(write_parquet(tmp_path / "p.parquet", [buffer.getvalue()] * 12, [0, 1] * 6))
    assert splits.weights.images[0].tobytes() == chw(np.asarray(image))


def test_an_image_side_scales_the_shorter_side_and_cuts_the_centre(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    wide, tall = (
        noise.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in ((20, 60), (40, 20))
    )
    splits = load(
        write_folder(tmp_path / "sizes", {"wide": [wide] * 6, "tall": [tall] * 6}), image_side=10
    )
    half = {  # both are halved, so the cut is at whole pixels
        "tall": np.asarray(Image.fromarray(tall).resize((10, 20), Image.Resampling.BILINEAR))[5:15],
        "wide": np.asarray(Image.fromarray(wide).resize((30, 10), Image.Resampling.BILINEAR))[
            :, 10:20
        ],
    }
    for part in PARTS:
        images, labels = getattr(splits, part).images, getattr(splits, part).labels
        expected = np.stack([half[splits.classes[label]].transpose(2, 0, 1) for label in labels])
        np.testing.assert_allclose(images.astype(int), expected, atol=1)


def test_a_folder_with_a_test_folder(tmp_path: Path) -> None:
    train = write_folder(tmp_path / "train", {"a": pixels(10, seed=1), "b": pixels(10, seed=2)})
    held_out = {"a": pixels(3, seed=3), "b": pixels(2, seed=4)}
    splits = load(train, test_data=write_folder(tmp_path / "test", held_out))
    assert [len(getattr(splits, part)) for part in PARTS] == [16, 4, 5]
    assert [image.tobytes() for image in splits.test.images] == [
        chw(i) for i in held_out["a"] + held_out["b"]
    ]
    assert splits.test.labels.tolist() == [0, 0, 0, 1, 1]


# --- Parquet
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "struct"), [("img", True), ("image", True), ("img", False), ("image", False)]
)
def test_a_parquet_file_is_read_as_written(tmp_path: Path, column: str, struct: bool) -> None:
    images = pixels(30)
    labels = [i % 2 for i in range(30)]
    path = write_parquet(
        tmp_path / "p.parquet",
        [encoded(i) for i in images],
        labels,
        column=column,
        struct=struct,
        names=["x", "y"],
    )
    splits = load(path)
    assert (splits.classes, splits.channels, splits.side) == (("x", "y"), 3, 8)
    assert everything(splits) == {
        chw(image): label for image, label in zip(images, labels, strict=True)
    }


def test_classes_without_names_are_called_by_their_numbers(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "p.parquet", [encoded(i) for i in pixels(18)], [0, 1, 2] * 6)
    assert load(path).classes == ("0", "1", "2")


def test_only_the_kept_rows_are_decoded(tmp_path: Path) -> None:
    blobs = [encoded(image) for image in pixels(60)]
    labels = [i % 2 for i in range(60)]
    small = load(write_parquet(tmp_path / "good.parquet", blobs, labels), limit=12)
    kept = set(everything(small))
    broken = [
        blob if chw(np.asarray(Image.open(io.BytesIO(blob)))) in kept else b"broken"
        for blob in blobs
    ]
    path = write_parquet(tmp_path / "broken.parquet", broken, labels)
    assert same(load(path, limit=12), small)
    with pytest.raises(InvalidInput, match=r"row \d+ \(from 0\)"):
        load(path)


def test_real_images_of_a_public_hub(real_data: Path) -> None:
    folder = real_data / "cifar10"
    if not folder.is_dir():
        pytest.skip(f"no CIFAR-10 in {real_data}")
    splits = load(
        str(folder / "train.parquet"),
        test_data=str(folder / "test.parquet"),
        limit=500,
        test_limit=100,
    )
    assert splits.classes == (
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"
    )  # fmt: skip
    assert (splits.side, splits.channels) == (32, 3)
    for part, per_class in (("weights", 40), ("architecture", 10), ("test", 10)):
        assert np.bincount(getattr(splits, part).labels).tolist() == [per_class] * 10
    # the statistics of the whole training set are known; 400 images come near them
    np.testing.assert_allclose(splits.mean, (0.4914, 0.4822, 0.4465), atol=0.03)
    np.testing.assert_allclose(splits.std, (0.247, 0.2435, 0.2616), atol=0.02)


# --- bad input
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"limit": -1}, "`limit >= 1` must hold, but got limit=-1"),
        ({"limit": 0}, "limit >= 1"),
        ({"test_limit": -5}, "test_limit >= 1"),
        ({"image_side": 7}, "`image_side >= 8` must hold, but got image_side=7"),
        ({"split_seed": -1}, "split_seed >= 0"),
        ({"test_limit": 5}, "needs a test set of its own"),
        ({"limit": 30}, r"class '\d' has \d after limit=30 of 1797 images. Raise the limit"),
        ({"test_data": "nowhere.parquet"}, "The test data must be a folder.*'nowhere.parquet'"),
    ],
)
def test_wrong_numbers_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        load("digits", **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("data", ["digitz", "missing/train.parquet", "/no/such/folder", ""])
def test_an_unknown_data_set_lists_the_known_ones(data: str) -> None:
    with pytest.raises(
        InvalidInput, match=f"digits, cifar10, cifar100, .*{data!r}.*no file or folder"
    ):
        load(data)


@pytest.mark.parametrize("data", ["x" * 5000, "~nobody-of-this-name/data"])
def test_a_path_that_cannot_be_is_refused(data: str) -> None:
    with pytest.raises(InvalidInput, match="must be readable"):
        load(data)


def two_classes(root: Path) -> str:
    return write_folder(root, {"a": pixels(6, seed=1), "b": pixels(6, seed=2)})


def truncated(root: Path) -> None:
    path = root / "b" / "003.png"
    path.write_bytes(path.read_bytes()[:-60])


def resized(root: Path) -> None:
    (root / "b" / "004.png").write_bytes(encoded(pixels(1, side=9)[0]))


def sixteen_bits(root: Path) -> None:
    image = Image.fromarray(np.zeros((8, 8), np.uint16))
    (root / "a" / "002.png").write_bytes(encoded(image))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (truncated, r"'?[^']*b/003\.png'? is not: .* Replace or remove it"),
        (lambda root: (root / "b" / "002.png").write_bytes(b""), r"b/002\.png is not"),
        (
            resized,
            r"same size, but .*a/000\.png has 8x8 and .*b/004\.png has 9x9 pixels",
        ),
        (sixteen_bits, r"8 bits per channel, but .*a/002\.png has mode 'I;16'"),
        (
            lambda root: (root / "b" / "notes.txt").write_text("hello"),
            r"pictures only .*b/notes\.txt' is none",
        ),
        (lambda root: (root / "b" / "more").mkdir(), r"b/more' is a folder. If .* give its path"),
        (lambda root: (root / "c").mkdir(), "at least 6 images .* class 'c' has 0"),
        (lambda root: (root / "b" / "005.png").unlink(), "class 'b' has 5. Add images"),
    ],
)
def test_a_spoilt_folder_is_refused_by_name(
    tmp_path: Path, spoil: Callable[[Path], object], message: str
) -> None:
    data = two_classes(tmp_path / "data")
    spoil(tmp_path / "data")
    with pytest.raises(InvalidInput, match=message):
        load(data)


def test_the_remedy_for_different_sizes_works(tmp_path: Path) -> None:
    data = two_classes(tmp_path / "data")
    resized(tmp_path / "data")
    assert load(data, image_side=8).side == 8


@pytest.mark.parametrize(
    ("shape", "message"), [((8, 12), "square, but .* has 12x8"), ((7, 7), "at least 8 .* has 7x7")]
)
def test_images_of_a_wrong_shape_are_refused(
    tmp_path: Path, shape: tuple[int, int], message: str
) -> None:
    images = [np.zeros((*shape, 3), np.uint8)] * 6
    with pytest.raises(InvalidInput, match=message):
        load(write_folder(tmp_path / "data", {"a": images, "b": images}))


def test_a_folder_without_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"at least two class folders, but .* has \[\]"):
        load(str(tmp_path))
    (tmp_path / "only").mkdir()
    with pytest.raises(InvalidInput, match=r"has \['only'\]"):
        load(str(tmp_path))


def test_a_file_that_is_not_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(InvalidInput, match=r"readable Parquet, as .*x\.parquet"):
        load(str(tmp_path / "x.parquet"))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"picture": pa.array([b""]), "label": pa.array([0])},
            "`img` or `image`.*`picture` binary",
        ),
        ({"img": pa.array(["text"]), "label": pa.array([0])}, "`img` string"),
        ({"img": pa.array([b""])}, "column `label` of integers or text, but .* has `img` binary"),
        ({"img": pa.array([b""]), "label": pa.array([0.5])}, "`label` double"),
        ({"img": pa.array([b""] * 2), "label": pa.array([0, None])}, "1 of 2 rows .* have none"),
        ({"img": pa.array([b""] * 2), "label": pa.array([0, -1])}, "lie in -1..0"),
        (
            {"img": pa.array([b""] * 2), "label": pa.array([0, 2**40])},
            r"without gaps.* lie in 0\.\.1099511627776",
        ),
        (
            {"img": pa.array([], pa.binary()), "label": pa.array([], pa.int64())},
            "has none. Add images",
        ),
    ],
)
def test_a_parquet_file_of_another_layout_is_refused(
    tmp_path: Path, columns: dict[str, pa.Array], message: str
) -> None:
    pq.write_table(pa.table(columns), tmp_path / "p.parquet")
    with pytest.raises(InvalidInput, match=message):
        load(str(tmp_path / "p.parquet"))


@pytest.mark.parametrize("spoilt", [None, b"", b"\x89PNG\r\n\x1a\n nothing else"])
def test_a_broken_row_is_named(tmp_path: Path, spoilt: bytes | None) -> None:
    blobs: list[bytes | None] = [encoded(image) for image in pixels(12)]
    blobs[9] = spoilt
    path = write_parquet(tmp_path / "p.parquet", blobs, [0, 1] * 6)
    with pytest.raises(InvalidInput, match=r"row 9 \(from 0\) of .*p\.parquet' is not"):
        load(path)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_no_broken_picture_escapes_as_another_error(tmp_path: Path) -> None:
    """Bytes changed at random: read as some picture or refused, nothing else."""
    rng = np.random.default_rng(0)
    kinds = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
    refused = 0
    for trial in range(70):
        blob = bytearray(encoded(pixels(1)[0], kinds[trial % len(kinds)]))
        for place in rng.integers(0, len(blob), 6):
            blob[place] = rng.integers(256)
        path = write_parquet(tmp_path / "p.parquet", [bytes(blob)] * 12, [0, 1] * 6)
        try:
            load(path, image_side=8)
        except InvalidInput:
            refused += 1
    assert 10 < refused < 70


@pytest.mark.parametrize(
    ("classes", "side", "message"),
    [
        (("a", "c"), 8, r"lacks \['b'\] and has \['c'\]"),
        (("a",), 8, "two class folders"),
        (("a", "b"), 9, "same size, but .*train.* has 8x8 and .*test.* has 9x9"),
    ],
)
def test_a_test_folder_that_does_not_match_is_refused(
    tmp_path: Path, classes: tuple[str, ...], side: int, message: str
) -> None:
    train = two_classes(tmp_path / "train")
    test = write_folder(tmp_path / "test", {name: pixels(3, side) for name in classes})
    with pytest.raises(InvalidInput, match=message):
        load(train, test_data=test)


def test_test_rows_with_more_or_reordered_classes_are_refused(tmp_path: Path) -> None:
    blobs = [encoded(image) for image in pixels(12)]
    train = write_parquet(tmp_path / "train.parquet", blobs, [0, 1] * 6)
    more = write_parquet(tmp_path / "more.parquet", blobs, [0, 1, 2] * 4)
    with pytest.raises(InvalidInput, match=r"labels in 0\.\.1.*highest=2.*which .*more"):
        load(train, test_data=more)
    named = write_parquet(tmp_path / "named.parquet", blobs, [0, 1] * 6, names=["x", "y"])
    reordered = write_parquet(tmp_path / "reordered.parquet", blobs, [0, 1] * 6, names=["y", "x"])
    with pytest.raises(InvalidInput, match="the orders differ"):
        load(named, test_data=reordered)


def shards(folder: Path, parts: dict[str, list[int]]) -> dict[str, list[np.ndarray]]:
    """Parquet files of these parts as hubs name them, with so many rows each; their pictures."""
    folder.mkdir(parents=True)
    made: dict[str, list[np.ndarray]] = {}
    for part, sizes in parts.items():
        for number, size in enumerate(sizes):
            images = pixels(size, seed=1000 * len(part) + number)
            made.setdefault(part, []).extend(images)
            labels = [(len(made[part]) - size + i) % 2 for i in range(size)]
            path = folder / f"{part}-{number:05}-of-{len(sizes):05}.parquet"
            write_parquet(path, [encoded(image) for image in images], labels, column="image")
    return made


@pytest.mark.parametrize("below", ["data", "plain_text", "."])
def test_the_files_of_a_hub_are_one_data_set(
    tmp_path: Path, below: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    parts = {"train": [9, 4, 12], "test": [5], "validation": [7]}
    made = shards(tmp_path / "hub" / below, parts)
    (tmp_path / "hub" / "README.md").write_text("Pictures.")
    splits = load(str(tmp_path / "hub"))
    assert everything(splits) == {
        chw(image): i % 2 for part in ("train", "test") for i, image in enumerate(made[part])
    }
    assert len(splits.test) == 5
    assert "the part train; tested on the part test; not used: validation" in caplog.text
    if below != ".":
        validation = shards(tmp_path / "other", {"validation": [6]})["validation"]
        splits = load(str(tmp_path / "hub" / below), test_data=str(tmp_path / "other"))
        assert {image.tobytes() for image in splits.test.images} == set(map(chw, validation))


@pytest.mark.parametrize(
    "form",
    [
        "data/{part}-{number:05}-of-{count:05}-4c98e0d1b22a.parquet",  # of one older upload each
        "default/{part}/{number:04}.parquet",  # as a hub converts what has other files
        "{part}/part-{number}.parquet",
    ],
)
def test_the_parts_of_a_hub_are_known_by_their_files_or_folders(tmp_path: Path, form: str) -> None:
    made = shards(tmp_path / "made", {"train": [9, 4, 12], "test": [5, 6], "validation": [7]})
    counts = {part: len(list((tmp_path / "made").glob(f"{part}-*"))) for part in made}
    for path in sorted((tmp_path / "made").iterdir()):
        part, number, _ = path.stem.split("-", 2)
        target = tmp_path / "hub" / form.format(part=part, number=int(number), count=counts[part])
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    splits = load(str(tmp_path / "hub"))
    assert everything(splits) == {
        chw(image): i % 2 for part in ("train", "test") for i, image in enumerate(made[part])
    }
    assert len(splits.test) == 11


def test_a_test_part_without_public_labels_gives_way_to_the_validation_part(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    hub = tmp_path / "hub"
    shards(hub, {"train": [12], "validation": [7]})
    hidden = write_parquet(hub / "test.parquet", [encoded(pixels(1)[0])] * 3, [-1] * 3)
    assert len(load(str(hub)).test) == 7
    assert "tested on the part validation; not used: test" in caplog.text
    with pytest.raises(InvalidInput, match=r"lie in -1\.\.-1.*unlabelled images"):
        load(str(hub), test_data=hidden)


def test_a_row_of_a_later_file_is_named(tmp_path: Path) -> None:
    shards(tmp_path / "hub", {"train": [8, 8]})
    blobs: list[bytes | None] = [encoded(image) for image in pixels(8)]
    blobs[3] = b"broken"
    write_parquet(
        tmp_path / "hub" / "train-00001-of-00002.parquet", blobs, [0, 1] * 4, column="image"
    )
    with pytest.raises(InvalidInput, match=r"row 3 \(from 0\) of .*train-00001-of-00002\.parquet"):
        load(str(tmp_path / "hub"))


def test_hubs_of_another_form_are_refused(tmp_path: Path) -> None:
    shards(tmp_path / "a", {"train": [8, 8]})
    (tmp_path / "a" / "train-00000-of-00002.parquet").unlink()
    with pytest.raises(InvalidInput, match=r"there is no train-00000-of-00002\.parquet"):
        load(str(tmp_path / "a"))
    shards(tmp_path / "b", {"left": [8], "right": [8]})
    with pytest.raises(InvalidInput, match=r"named train-\.\.\., but .* has left, right"):
        load(str(tmp_path / "b"))
    for name in ("en", "de"):
        shards(tmp_path / "c" / name, {"train": [8]})
    with pytest.raises(InvalidInput, match=r"lie in one folder, but .*c/de, .*c/en"):
        load(str(tmp_path / "c"))
    shards(tmp_path / "d", {"train": [12, 12]})
    path = tmp_path / "d" / "train-00001-of-00002.parquet"
    blobs = [encoded(image) for image in pixels(12)]
    write_parquet(path, blobs, [0, 1] * 6, column="image", names=["x", "y"])
    with pytest.raises(InvalidInput, match=r"not like those of .*train-00000"):
        load(str(tmp_path / "d"))


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())]
)
def test_labels_may_be_text(
    tmp_path: Path, kind: pa.DataType, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    images = pixels(12)
    names = pa.array(["zebra", "ape"] * 6, pa.string()).cast(kind)
    blobs = pa.array([encoded(image) for image in images], pa.binary())
    pq.write_table(pa.table({"image": blobs, "labels": names}), tmp_path / "t.parquet")
    splits = load(str(tmp_path / "t.parquet"))
    assert splits.classes == ("ape", "zebra")
    assert everything(splits) == {chw(image): (i + 1) % 2 for i, image in enumerate(images)}
    assert "2 classes, numbered in the order of their names" in caplog.text
    assert "those of the column labels" in caplog.text


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([1, 2] * 6, r"start at 1 \(1, 2\)"),
        ([0, 7] * 6, r"have gaps \(0, 7\)"),
        ([2, 3, 5, 6, 8, 9] * 6, r"have gaps \(2, 3, 5, 6, 8, \.\.\.\)"),
    ],
)
def test_numbers_that_are_no_classes_are_called_so(
    tmp_path: Path, labels: list[int | None], message: str
) -> None:
    blobs = [encoded(image) for image in pixels(len(labels))]
    path = write_parquet(tmp_path / "p.parquet", blobs, labels)
    with pytest.raises(InvalidInput, match=rf"{message}\. Renumber them") as refused:
        load(path)
    assert "leave" not in str(refused.value)


def test_the_training_data_cannot_be_the_test_data(tmp_path: Path) -> None:
    data = two_classes(tmp_path / "data")
    with pytest.raises(InvalidInput, match="must not be the training data"):
        load(data, test_data=f"{data}/../data")
