"""Parquet files in the layout of public dataset hubs: an image column and a `label` column."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import re
import tempfile
from collections.abc import Iterable, Sequence
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
from spaces.errors import InvalidInput, require, upheld

IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMNS = ("label", "labels", "fine_label")
LOG = logging.getLogger(__name__)
TESTED = ("test", "validation")
PARTS = ("train", *TESTED)
_SHARD = re.compile(r"(.*?)(?:-(\d{5})-of-(\d{5})(?:-[0-9a-f]+)?)?")


def read_parquet(*paths: Path, name: str | None = None, test: Source | None = None) -> Source:
    """Files of one table, one behind the other. Column `img` or `image`: encoded pictures as a
    struct with a field `bytes`, or as binary; the first of `LABEL_COLUMNS` that is there: integers,
    or text, which names the classes in the order of their names.

    Names of numbered classes come from the schema's metadata (`huggingface`:
    `info.features.label.names`) where it has them. Only the labels are read at once; pictures are
    read from the row groups they are in. Raises `InvalidInput` for a file that is not Parquet or
    lacks a column.
    """
    heads = [_head(path) for path in paths]
    _check_alike(paths, heads)
    if heads[0].label != LABEL_COLUMNS[0]:
        LOG.info("%s: labels are those of the column %s", paths[0], heads[0].label)
    rows = np.cumsum([0, *(len(head.labels) for head in heads)])
    labels, classes = _numbered(heads)

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


def write_images(
    path: Path | str, images: Iterable[Any], labels: Iterable[int | str] | None = None
) -> str:
    """Write labelled images as a Parquet file that `data` of a configuration may name; its path.

    `images`: uint8 [N, H, W] or [N, H, W, 3] with `labels` [N], numbers or names; or a data set of
    (picture, label), a picture being uint8 too or one of PIL, whose `classes` name the labels
    where it has them. Raises InvalidInput for other pictures.
    """
    known = getattr(images, "classes", None)
    pairs = images if labels is None else zip(images, labels, strict=True)
    rows: list[dict[str, Any]] = []
    for picture, label in pairs:
        array, encoded = np.asarray(picture), io.BytesIO()
        fits = array.dtype == np.uint8 and (array.ndim == 2 or array.shape[2:] == (3,))
        rule = "pictures are uint8 [H, W] or [H, W, 3]"
        shape = f"{array.dtype} {array.shape}"
        require(fits, rule, "Scale them to 0..255, channels last.", picture=shape)
        Image.fromarray(array).save(encoded, "PNG")
        named = label if known is None else str(known[int(label)])
        rows.append({"img": {"bytes": encoded.getvalue()}, "label": named})
    pq.write_table(pa.Table.from_pylist(rows), path)
    return str(path)


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


def read_hub(folder: Path, files: Sequence[Path]) -> Source:
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
    tested = next((part for part in others if _has_labels(parts[part])), None)
    unused = sorted(parts.keys() - {training, tested})
    LOG.info(
        "%s: %d Parquet file(s) of the part %s; tested on %s%s",
        *(folder, len(parts[training]), training),
        f"the part {tested}" if tested else "some of these",
        f"; not used: {', '.join(unused)}" if unused else "",
    )
    name = folder.resolve().name
    test = None if tested is None else read_parquet(*parts[tested], name=f"{name} {tested}")
    return read_parquet(*parts[training], name=name, test=test)


def _has_labels(paths: Iterable[Path]) -> bool:
    """Whether some are public: hubs write -1 for others."""
    labels = [_head(path).labels for path in paths]
    return any(_is_text(each.type) or np.any(each.to_numpy() >= 0) for each in labels)


class _Head(NamedTuple):
    """What is read of a file at once. `image`, `label`: the columns of the pictures, the labels."""

    image: str
    label: str
    labels: Any
    classes: tuple[str, ...] | None


def _head(path: Path) -> _Head:
    with _readable(path), pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        image = _image_column(path, schema)
        column = next((name for name in LABEL_COLUMNS if name in schema.names), None)
        if column is None or not (_is_text(kind := schema.field(column).type) or _is_integer(kind)):
            raise InvalidInput(
                f"A Parquet file needs a column `label` of integers or text, but {str(path)!r} has "
                f"{_columns(schema)}. Rename or convert the column."
            )
        labels = file.read(columns=[column]).column(column)
    if labels.null_count:
        raise InvalidInput(
            f"Every row needs a label, but {labels.null_count} of {len(labels)} rows of "
            f"{str(path)!r} have none. Leave these rows out."
        )
    as_text = labels.cast(pa.string()) if _is_text(kind) else labels.cast(pa.int64())
    return _Head(image, column, as_text, _class_names(schema.metadata, column))


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


def _numbered(heads: Sequence[_Head]) -> tuple[IntArray, tuple[str, ...] | None]:
    """The labels of all files as numbers, and the names of the classes where they have some."""
    values = np.concatenate([head.labels.to_numpy() for head in heads])
    if not _is_text(heads[0].labels.type):
        return values.astype(np.int64), heads[0].classes
    names, numbers = np.unique(values.astype(str), return_inverse=True)
    LOG.info("labels are text: %d classes, numbered in the order of their names", len(names))
    return numbers.astype(np.int64), tuple(map(str, names))


def _image_column(path: Path, schema: Any) -> str:
    for name in IMAGE_COLUMNS:
        if name in schema.names:
            kind = schema.field(name).type
            if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
                kind = kind.field("bytes").type
            if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
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
