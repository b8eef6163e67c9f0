"""What a rank study says of a whole table."""

import numpy as np
import pytest

from fade_ray.rank_study.summary import table_of
from spaces.nasbench_macro import DEPTH, SEEDS, MacroTable


def test_equal_accuracies_do_not_make_the_trainings_of_a_table_agree() -> None:
    """Each training depends on another layer alone: they are independent, and full of ties."""
    digits = np.indices((3,) * DEPTH)[:SEEDS]
    table = MacroTable(np.moveaxis(digits, 0, -1) / 10)
    assert table_of([], table)["ceiling"] == pytest.approx(0, abs=1e-12)
