"""Columns of the tables of benchmarks, read from Parquet files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spaces.errors import InvalidInput, upheld


def read_columns(
    path: str | Path, needed: Sequence[str], remedy: str, text: Sequence[str] = ()
) -> dict[str, npt.NDArray[Any]]:
    """The columns `needed`, each [N]: float64 with NaN for what is missing, text (object) for those
    in `text`.

    InvalidInput, ending in `remedy`, for a file that is no readable Parquet, columns that are
    missing or of another type.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with upheld(f"{path} must be a readable Parquet table", remedy, OSError, pa.ArrowException):
        missing = [name for name in needed if name not in pq.read_schema(path).names]
        if missing:
            rule = f"{path} must have the columns {', '.join(needed)}"
            raise InvalidInput(f"{rule}, but lacks {', '.join(missing)}. {remedy}")
        table = pq.read_table(path, columns=list(needed))
        types = {name: pa.string() if name in text else pa.float64() for name in needed}
        return {name: np.asarray(table[name].cast(kind).to_numpy()) for name, kind in types.items()}
