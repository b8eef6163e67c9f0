"""Images and labels as a Parquet file, and a search on it."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from sklearn.datasets import load_digits

import fade_ray


def encoded(picture) -> bytes:
    """A picture as the bytes of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "png")
    return buffer.getvalue()


if __name__ == "__main__":
    digits = load_digits()
    pictures = (digits.images[:300] * 15.9).astype("uint8")
    columns = {"img": [encoded(p) for p in pictures], "label": digits.target[:300]}
    pq.write_table(pa.table(columns), "digits.parquet")

    config = fade_ray.Config(
        data=fade_ray.DataConfig(data="digits.parquet"),
        searcher=fade_ray.AnchorWalk(iterations=1, walks=1, finalists=1),
        outer=fade_ray.OuterConfig(rank_epochs=1, evaluation_epochs=1, retrain_epochs=2),
        finish=fade_ray.FinishConfig(confirmed=1, baselines=()),
        run=fade_ray.RunConfig(engine="local"),
        out="runs/parquet",
    )
    print(f"test accuracy {fade_ray.search(config).test_accuracy:.3f}")
