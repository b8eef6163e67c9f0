"""Tables as files: Parquet for pandas, polars or DuckDB, CSV for people."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fade_ray.records.atomic import writable, write_atomically

TEXT, WHOLE, REAL, YES = pa.string(), pa.int64(), pa.float64(), pa.bool_()


def columns(*parts: tuple[pa.DataType, str]) -> pa.Schema:
    """(type, names of columns next to each other)."""
    return pa.schema([(name, kind) for kind, names in parts for name in names.split()])


def as_parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def as_csv(table: pa.Table) -> bytes:
    """With a line of names; what is null is an empty field."""
    text = io.StringIO()
    writer = csv.DictWriter(text, table.column_names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table.to_pylist())
    return text.getvalue().encode()


FORMATS = {"parquet": as_parquet, "csv": as_csv}


def write_tables(tables: Mapping[str, pa.Table], folder: Path, *formats: str) -> None:
    """Write each table as `folder/<name>.<format>`, each whole or not at all.

    Raises InvalidInput if the folder cannot be written.
    """
    with writable(f"The tables of a run in {folder}", " and write them again."):
        for name, table in tables.items():
            for suffix in formats or ("parquet",):
                write_atomically(folder / f"{name}.{suffix}", FORMATS[suffix](table))
