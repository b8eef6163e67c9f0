"""Runs of the smallest sizes: a baseline and nothing beside it, one image per batch, maps of one
pixel.
"""

from pathlib import Path

import pytest

import fade_ray
from fade_ray.cli import main

LOCAL = ("--engine", "local", "--data", "digits", "--limit", "61")
CHAIN = (*LOCAL, "--final-channels", "8", "--kernel", "3", "--evaluation-epochs", "1")
CELLS = (*LOCAL, "--cells", "3", "--channels", "2", "--epochs", "1")
SEARCH = (
    *("search", *CHAIN, "--searcher", "random", "--iterations", "1", "--batch", "1"),
    *("--evaluations", "1", "--confirmed", "0", "--retrain-epochs", "1", "--baselines", "off"),
)
EDGES = {
    "one image per batch, maps of one pixel": (*SEARCH, "--batch-size", "1", "--depth", "4"),
    "a last batch of one": (*SEARCH, "--batch-size", "13", "--norm", "operation"),
    "drawn genotypes alone": ("cells", *CELLS, "--recipes", "random", "--spaces", "nasbench201"),
    "one searcher alone": (
        *("compare", *CHAIN, "--searchers", "random", "--seeds", "3", "--budget", "200"),
    ),
}


@pytest.mark.parametrize("case", EDGES)
def test_a_run_at_the_edge_ends_well(case: str, tmp_path: Path) -> None:
    main([*EDGES[case], "--out", str(tmp_path / "run")])
    result = fade_ray.open_run(tmp_path / "run")
    assert result.finished
    history = result.run.history
    assert history.outcomes
    assert all(outcome.failure is None for outcome in history.outcomes.values())
