"""The images that a configuration asks for."""

from fade_ray.config import DataConfig
from fade_ray.data import Splits, load


def load_images(data: DataConfig) -> Splits:
    """`load` with the values of `data`. Raises InvalidInput for everything a user can mend."""
    return load(
        data.data,
        test_data=data.test_data,
        root=data.data_root,
        image_side=data.image_side,
        limit=data.limit,
        test_limit=data.test_limit,
        split_seed=data.split_seed,
    )
