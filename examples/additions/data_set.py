"""A data set: labels at once, the pictures of given numbers on request.

fade-ray search --use data_set.py --data stripes --out runs/stripes
"""

import numpy as np

from fade_ray.data.decode import array_pictures
from fade_ray.data.source import Source
from fade_ray.data.sources import SOURCES


def stripes(root, download=True):
    """Noise with horizontal (0) or vertical (1) stripes, 8x8, gray."""
    rng = np.random.default_rng(0)
    labels = np.arange(300) % 2
    rows = np.arange(8)[:, None] % 2 * np.ones((8, 8))
    images = np.where(labels[:, None, None], rows.T, rows) * 150 + rng.integers(0, 100, (300, 8, 8))
    pictures = array_pictures(images.astype(np.uint8), "stripes")
    return Source("stripes", labels, ("horizontal", "vertical"), pictures, flip=False)


SOURCES["stripes"] = stripes
