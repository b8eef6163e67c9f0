"""Files that are nearly right, as disks, editors and other programs leave them: an error in words
or a result, never a traceback. FADE_RAY_MUTATIONS=1000 tries so many of each kind.
"""

import io
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import mutated, mutations
from PIL import Image

from fade_ray.data.decode import Pictures, Shape, decode, survey
from fade_ray.data.parquet import read_parquet
from fade_ray.describe.describe_command import _named
from spaces.errors import InvalidInput
from spaces.genotype import GENOTYPES, load_cells, read_genotype

PIXELS = (np.arange(12 * 12 * 3, dtype=np.uint8) * 7).reshape(12, 12, 3)
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")


def encoded(form: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, form)
    return file.getvalue()


@mutations
@given(st.sampled_from(FORMATS).flatmap(lambda form: mutated(encoded(form))))
def test_pictures(content: bytes) -> None:
    pictures = Pictures([content], lambda i: "mine.png")
    with suppress(InvalidInput):
        survey(pictures)
        assert decode(pictures, Shape(3, 8)).shape == (1, 3, 8, 8)


@pytest.fixture(scope="module")
def table() -> bytes:
    images = [{"bytes": encoded("PNG"), "path": None}] * 6
    held = pa.table({"image": images, "label": [0, 1, 2] * 2})
    features = {"label": {"names": ["a", "b", "c"], "_type": "ClassLabel"}}
    about = {"huggingface": json.dumps({"info": {"features": features}})}
    file = io.BytesIO()
    pq.write_table(held.replace_schema_metadata(about), file)
    return file.getvalue()


@mutations
@given(data=st.data())
def test_parquet(data: st.DataObject, table: bytes, tmp_path: Path) -> None:
    path = tmp_path / "mine.parquet"
    path.write_bytes(data.draw(mutated(table)))
    with suppress(InvalidInput):
        source = read_parquet(path)
        pictures = source.pictures(np.arange(len(source.labels)))
        survey(pictures)
        decode(pictures, Shape(3, 8))


TEXTS = {
    "genotype": str(GENOTYPES["DARTS_V2"].notation).encode(),
    "code": b"3.5,3.1/3.1,3.5",
    "cell": b"|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|",
}


@pytest.mark.parametrize("kind", TEXTS)
@mutations
@given(data=st.data())
def test_genotype_texts(kind: str, data: st.DataObject, tmp_path: Path) -> None:
    content, path = data.draw(mutated(TEXTS[kind])), tmp_path / "mine.txt"
    path.write_bytes(content)
    readers: list[Callable[[], Any]] = [lambda: _named(str(path)), lambda: load_cells(path)]
    with suppress(UnicodeDecodeError):
        text = content.decode().replace("\0", "")
        readers += [lambda: read_genotype(text), lambda: _named(text)]
    for read in readers:
        with suppress(InvalidInput):
            read()
