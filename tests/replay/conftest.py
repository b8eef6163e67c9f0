"""A benchmark of 81 architectures: four rows of the three blocks of NAS-Bench-Macro."""

import numpy as np
import pytest

from fade_ray.replay.benchmarks import Benchmark, Whole
from spaces.nasbench_macro import BLOCKS, space


@pytest.fixture
def toy() -> Benchmark:
    """Scores are uniform in [0.2, 0.8], reports differ by up to 0.1."""
    generator = np.random.default_rng(7)
    scores = 0.2 + 0.6 * generator.random((3,) * 4)
    view = Whole(scores, scores + 0.1 * generator.random(scores.shape))
    return Benchmark(
        "toy", space(), 4, {block: i for i, block in enumerate(BLOCKS)}, lambda seed: view
    )
