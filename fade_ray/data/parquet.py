"""Parquet files in the layout of public dataset hubs: an image column and a `label` column."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from fade_ray.data.decode import Pictures
from fade_ray.data.images import IntArray
from fade_ray.data.source import Source
from fade_ray.data.targets import TARGETS, Array, Target
from spaces.errors import InvalidInput, require, upheld

IMAGE_COLUMNS = ("img", "image")
LOG = logging.getLogger(__name__)
TESTED = ("test", "validation")
PARTS = ("train", *TESTED)
_SHARD = re.compile(r"(.*?)(?:-(\d{5})-of-(\d{5})(?:-[0-9a-f]+)?)?")


def read_parquet(
    *paths: Path,
    name: str | None = None,
    test: Source | None = None,
    target: Target = TARGETS["class"],
) -> Source:
    """Files of one table, one behind the other. Column `img` or `image`: encoded pictures as a
    struct with a field `bytes`, or as binary; the first of the target's `columns` that is there:
    numbers, lists of numbers, maps as encoded pictures of one channel, or text, which names the
    classes in the order of their names.

    Names of numbered classes come from the schema's metadata (`huggingface`:
    `info.features.label.names`) where it has them. Only the labels are read at once; pictures are
    read from the row groups they are in. Raises `InvalidInput` for a file that is not Parquet or
    lacks a column.
    """
    heads = [_head(path, target) for path in paths]
    _check_alike(paths, heads)
    if heads[0].label != target.columns[0]:
        LOG.info("%s: labels are those of the column %s", paths[0], heads[0].label)
    rows = np.cumsum([0, *(len(head.labels) for head in heads)])
    labels, classes = _numbered(heads, str(paths[0]))

    def pictures(numbers: IntArray) -> Pictures:
        held = np.searchsorted(rows, numbers, side="right") - 1  # in which file
        within = numbers - rows[held]
        blobs = [b""] * len(numbers)
        for file, (path, head) in enumerate(zip(paths, heads, strict=True)):
            places = np.flatnonzero(held == file)
            read = _read_bytes(path, head.image, within[places]) if len(places) else []
            for place, blob in zip(places, read, strict=True):
                blobs[place] = blob
        return Pictures(blobs, lambda i: f"row {within[i]} (from 0) of {str(paths[held[i]])!r}")

    return Source(
        name=name or "/".join(paths[0].resolve().parts[-2:]),
        labels=labels,
        classes=classes,
        pictures=pictures,
        flip=True,
        test=test,
    )


def write_images(path: Path | str, images: Any, labels: Iterable[Any] | None = None) -> str:
    """Write images with their targets as a Parquet file that `data` of a configuration may name;
    its path.

    `images`: uint8 [N, H, W] or [N, H, W, 3] with `labels` [N, ...]: numbers or names of classes,
    real numbers, rows of numbers, or maps [H, W] of classes; or a data set of (picture, label), a
    picture being uint8 too or one of PIL, whose `classes` name the labels where it has them, such
    as `torch.utils.data.Dataset`; or one of rows by name, such as `datasets.Dataset` of Hugging
    Face. Raises InvalidInput for others.
    """
    known = _known_classes(images)
    rows: list[dict[str, Any]] = []
    for picture, label in _pairs(images) if labels is None else _zipped([*images], [*labels]):
        array, encoded = np.asarray(picture), io.BytesIO()
        fits = array.dtype == np.uint8 and (array.ndim == 2 or array.shape[2:] == (3,))
        rule = "pictures are uint8 [H, W] or [H, W, 3]"
        shape = f"{array.dtype} {array.shape}"
        require(fits, rule, "Scale them to 0..255, channels last.", picture=shape)
        Image.fromarray(array).save(encoded, "PNG")
        rows.append({"img": {"bytes": encoded.getvalue()}, **_stored(label, known)})
    rule, remedy = "all images have targets of one form", "Convert those that differ."
    with upheld(rule, remedy, pa.ArrowException):
        pq.write_table(pa.Table.from_pylist(rows), path)
    return str(path)


def _zipped(images: list[Any], labels: list[Any]) -> Iterator[tuple[Any, Any]]:
    sizes = {"images": len(images), "labels": len(labels)}
    require(len({*sizes.values()}) == 1, "a target for each image", "Give as many.", **sizes)
    return zip(images, labels, strict=True)


def _pairs(data: Any) -> Iterator[tuple[Any, Any]]:
    """(picture, target) of a data set, those of rows by the names of their columns."""
    if isinstance(data, Mapping):
        raise InvalidInput(
            f"A data set in parts is given part by part, but these are {', '.join(map(str, data))}."
            " Give one, such as data['train']."
        )
    sized = hasattr(data, "__len__") and hasattr(data, "__getitem__")
    for row in map(data.__getitem__, range(len(data))) if sized else data:
        if isinstance(row, Mapping):
            targets = dict.fromkeys(name for each in TARGETS.values() for name in each.columns)
            row = [_held(row, IMAGE_COLUMNS), _held(row, tuple(targets))]
        fits, rule = len(row) == 2, "a data set gives pairs of picture and target"
        require(fits, rule, "Leave out the rest.", given=len(row))
        yield row[0], row[1]


def _held(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    name = next((name for name in names if name in row), None)
    if name is None:
        raise InvalidInput(
            f"The rows of a data set need a column {' or '.join(names)}, but have "
            f"{', '.join(row)}. Rename one of them (`rename_column`)."
        )
    return row[name]


def _known_classes(data: Any) -> Sequence[str] | None:
    """Their names where a data set tells them: `classes`, or its features do (Hugging Face)."""
    features = getattr(data, "features", None) or {}
    columns: list[Any] = [features.get(name) for name in TARGETS["class"].columns]
    known: Sequence[str] | None = getattr(data, "classes", None)
    return known or next((c.names for c in columns if hasattr(c, "names")), None)


def _stored(target: Any, known: Sequence[str] | None) -> dict[str, Any]:
    """A target as the columns of its row: what `read_parquet` reads again."""
    array, encoded = np.asarray(target), io.BytesIO()
    if array.ndim == 2:
        low, high = array.min(initial=0), array.max(initial=0)
        fits, rule = array.dtype.kind in "iub" and 0 <= low <= high <= 255, "maps hold 0..255"
        require(fits, rule, "Renumber them.", map=f"{array.dtype} {low}..{high}")
        Image.fromarray(array.astype(np.uint8)).save(encoded, "PNG")
        return {"target": encoded.getvalue()}
    if array.ndim or array.dtype.kind == "f":
        return {"target": array.tolist()}
    return {"label": target if known is None else str(known[int(target)])}


def file_of_images(data: Any, folder: Path) -> str:
    """What `data` of a configuration may name: a name or path as it is; pictures and labels as a
    pair, or a data set, see `write_images`, as a file in `folder`, named by its content: the same
    data are the same file. Raises InvalidInput.
    """
    if isinstance(data, str | Path):
        return str(data)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        images = data if isinstance(data, tuple) and len(data) == 2 else (data,)
        written = Path(write_images(Path(scratch) / "images.parquet", *images))
        name = f"{hashlib.sha256(written.read_bytes()).hexdigest()[:16]}.parquet"
        return str(written.replace(folder / name))


def hub_files(folder: Path) -> list[Path]:
    """The Parquet files of a data set as hubs keep it: in this folder or in the one below it that
    has some; in either, its parts may be folders. [] where there are none; raises `InvalidInput`
    where several folders have some.
    """
    for pattern in ("*.parquet", "[!.]*/*.parquet", "[!.]*/[!.]*/*.parquet"):
        files = sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))
        sets = sorted({str(_of_part(path) or path.parent) for path in files})
        if len(sets) > 1:
            raise InvalidInput(
                f"Parquet files of one data set lie in one folder, but those of {str(folder)!r} in "
                f"{', '.join(sets[:5])}. Name one of these."
            )
        if files:
            return files
    return []


def _of_part(path: Path) -> Path | None:
    """The folder of the data set, of a file in the folder of a part: `train/0000.parquet`."""
    return path.parent.parent if path.parent.name in PARTS else None


def read_hub(folder: Path, files: Sequence[Path], target: Target = TARGETS["class"]) -> Source:
    """`train-00000-of-00002.parquet` or `train/0000.parquet` and so on: the part `train`, or the
    only one there is; its test part is `test`, else `validation`, unless no label of it is public
    (-1). Raises `InvalidInput` for other parts alone, and for files that are not there.
    """
    parts: dict[str, list[Path]] = {}
    for path in files:
        stem, _, count = _SHARD.fullmatch(path.stem).groups()  # type: ignore[union-attr]
        parts.setdefault(stem if _of_part(path) is None else path.parent.name, []).append(path)
        shards = [f"{stem}-{i:05}-of-{count}" for i in range(int(count or 0))]
        beside = [each.stem for each in files if each.parent == path.parent]
        missing = [shard for shard in shards if not any(each.startswith(shard) for each in beside)]
        if missing:
            raise InvalidInput(
                f"All files of a data set must be there, but beside {str(path)!r} there is no "
                f"{missing[0]}.parquet. Complete it, or name one file as the data."
            )
    training = "train" if "train" in parts else next(iter(parts))
    if training != "train" and len(parts) > 1:
        raise InvalidInput(
            f"A folder of Parquet files needs files named train-..., but {str(folder)!r} has "
            f"{', '.join(parts)}. Name one file as the data, and one as the test data."
        )
    others = [part for part in TESTED if part in parts and part != training]
    tested = next((part for part in others if _has_labels(parts[part], target)), None)
    unused = sorted(parts.keys() - {training, tested})
    LOG.info(
        "%s: %d Parquet file(s) of the part %s; tested on %s%s",
        *(folder, len(parts[training]), training),
        f"the part {tested}" if tested else "some of these",
        f"; not used: {', '.join(unused)}" if unused else "",
    )
    name = folder.resolve().name
    test = None
    if tested is not None:
        test = read_parquet(*parts[tested], name=f"{name} {tested}", target=target)
    return read_parquet(*parts[training], name=name, test=test, target=target)


def _has_labels(paths: Iterable[Path], target: Target) -> bool:
    """Whether some are public: hubs write -1 for others."""
    labels = [_head(path, target).labels for path in paths]
    return any(not _is_integer(each.type) or np.any(each.to_numpy() >= 0) for each in labels)


class _Head(NamedTuple):
    """What is read of a file at once. `image`, `label`: the columns of the pictures, the labels."""

    image: str
    label: str
    labels: Any
    classes: tuple[str, ...] | None


def _head(path: Path, target: Target) -> _Head:
    with _readable(path), pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        image = _image_column(path, schema)
        column = next((name for name in target.columns if name in schema.names), None)
        form = None if column is None else _form(schema.field(column).type)
        if column is None or form not in target.forms:
            raise InvalidInput(
                f"A Parquet file needs a column `{target.columns[0]}` of "
                f"{' or '.join(target.forms)}, but {str(path)!r} has {_columns(schema)}. Rename or "
                "convert the column, or choose another --objective."
            )
        labels = file.read(columns=[column]).column(column)
    if labels.null_count:
        raise InvalidInput(
            f"Every row needs a label, but {labels.null_count} of {len(labels)} rows of "
            f"{str(path)!r} have none. Leave these rows out."
        )
    kind = {"text": pa.string(), "integers": pa.int64()}.get(form, labels.type)
    return _Head(image, column, labels.cast(kind), _class_names(schema.metadata, column))


def _check_alike(paths: Sequence[Path], heads: Sequence[_Head]) -> None:
    for path, head in zip(paths, heads, strict=True):
        if (head.labels.type, head.classes) != (heads[0].labels.type, heads[0].classes):
            raise InvalidInput(
                f"The files of one table have the same labels, but those of {str(path)!r} are not "
                f"like those of {str(paths[0])!r}. Convert one of them."
            )


def _is_integer(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind))


def _is_text(kind: Any) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _numbered(heads: Sequence[_Head], source: str) -> tuple[Array, tuple[str, ...] | None]:
    """The labels of all files as numbers, and the names of the classes where they have some."""
    form = _form(heads[0].labels.type)
    if form in ("lists", "maps"):
        items = [item for head in heads for item in head.labels.to_pylist()]
        rule = f"The {form} in {source!r} must all be of one size, of numbers"
        with upheld(rule, "Convert them.", ValueError, TypeError, OSError):
            rows = map(_map_of, items) if form == "maps" else map(np.asarray, items)
            return np.stack(list(rows)), heads[0].classes
    values = np.concatenate([head.labels.to_numpy() for head in heads])
    if form != "text":
        return values, heads[0].classes
    names, numbers = np.unique(values.astype(str), return_inverse=True)
    LOG.info("labels are text: %d classes, numbered in the order of their names", len(names))
    return numbers.astype(np.int64), tuple(map(str, names))


def _form(kind: Any) -> str:
    """What a column holds, as targets name it in `forms`."""
    if _is_text(kind):
        return "text"
    if _is_picture(kind):
        return "maps"
    held = {"integers": _is_integer(kind), "lists": pa.types.is_nested(kind)}
    held["numbers"] = pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    return next((name for name, holds in held.items() if holds), str(kind))


def _is_picture(kind: Any) -> bool:
    """A struct with `bytes`, or binary."""
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        kind = kind.field("bytes").type
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _map_of(item: Any) -> Array:
    """The numbers in an encoded picture of one channel: of a palette its indices."""
    encoded = item["bytes"] if isinstance(item, dict) else item
    with Image.open(io.BytesIO(encoded)) as picture:
        return np.asarray(picture)


def _image_column(path: Path, schema: Any) -> str:
    for name in IMAGE_COLUMNS:
        if name in schema.names and _is_picture(schema.field(name).type):
            return name
    raise InvalidInput(
        f"A Parquet file needs a column {' or '.join(f'`{name}`' for name in IMAGE_COLUMNS)} with "
        f"encoded pictures (a struct with `bytes`, or binary), but {str(path)!r} has "
        f"{_columns(schema)}. Rename or convert the column."
    )


def _columns(schema: Any) -> str:
    return ", ".join(f"`{field.name}` {field.type}" for field in schema) or "no columns"


def _class_names(metadata: dict[bytes, bytes] | None, column: str) -> tuple[str, ...] | None:
    """None where the metadata is absent or written by something else in another form."""
    try:
        names = json.loads((metadata or {})[b"huggingface"])["info"]["features"][column]["names"]
    except (KeyError, TypeError, ValueError):
        return None
    return tuple(str(name) for name in names) if isinstance(names, list) and names else None


def _read_bytes(path: Path, column: str, numbers: IntArray) -> list[bytes]:
    """The pictures of these rows, read from the row groups they are in."""
    found: list[bytes] = [b""] * len(numbers)
    with _readable(path), pq.ParquetFile(path) as file:
        start = 0
        for group in range(file.num_row_groups):
            stop = start + file.metadata.row_group(group).num_rows
            places = np.flatnonzero((numbers >= start) & (numbers < stop))
            if len(places):
                values = (
                    file.read_row_group(group, columns=[column])
                    .column(column)
                    .take(numbers[places] - start)
                )
                if pa.types.is_struct(values.type):
                    values = pc.struct_field(values, "bytes")
                for place, value in zip(places, values.to_pylist(), strict=True):
                    # an absent picture fails as an unreadable one, with its row
                    found[place] = value or b""
            start = stop
    return found


def _readable(path: Path) -> AbstractContextManager[None]:
    rule = f"A data file must be readable Parquet, as {str(path)!r} is to be"
    return upheld(rule, "Give another file or a folder.", pa.ArrowException, OSError)
