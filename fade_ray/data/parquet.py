"""One Parquet file in the layout of public dataset hubs: an image column and a `label` column."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fade_ray.data.decode import Pictures
from fade_ray.data.images import IntArray
from fade_ray.data.source import Source
from spaces.errors import InvalidInput, upheld

IMAGE_COLUMNS = ("img", "image")


def read_parquet(path: Path) -> Source:
    """Column `img` or `image`: encoded pictures as a struct with a field `bytes`, or as binary;
    column `label`: integer.

    Class names come from the schema's metadata (`huggingface`: `info.features.label.names`) where
    it has them. Only the labels are read at once; pictures are read from the row groups they are
    in. Raises `InvalidInput` for a file that is not Parquet or lacks a column.
    """
    with _readable(path), pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        column = _image_column(path, schema)
        if "label" not in schema.names or not pa.types.is_integer(schema.field("label").type):
            raise InvalidInput(
                f"A Parquet file needs a column `label` of integers, but {str(path)!r} has "
                f"{_columns(schema)}. Rename or convert the column."
            )
        labels = file.read(columns=["label"]).column("label")
    if labels.null_count:
        raise InvalidInput(
            f"Every row needs a label, but {labels.null_count} of {len(labels)} rows of "
            f"{str(path)!r} have none. Leave these rows out."
        )

    def pictures(numbers: IntArray) -> Pictures:
        return Pictures(
            _read_bytes(path, column, numbers),
            lambda i: f"row {numbers[i]} (from 0) of {str(path)!r}",
        )

    return Source(
        name="/".join(path.resolve().parts[-2:]),
        labels=np.array(labels.cast(pa.int64()).to_numpy(), np.int64),
        classes=_class_names(schema.metadata),
        pictures=pictures,
        flip=True,
    )


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


def _class_names(metadata: dict[bytes, bytes] | None) -> tuple[str, ...] | None:
    """None where the metadata is absent or written by something else in another form."""
    try:
        names = json.loads((metadata or {})[b"huggingface"])["info"]["features"]["label"]["names"]
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
