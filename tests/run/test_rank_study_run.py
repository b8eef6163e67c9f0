"""`fade-ray rank-study` from configuration to verdict: graphs trained alone, a table instead,
stopped and continued.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from runs import prepare, rank_study, status
from stopper import Stopper

from fade_ray.data.data_config import DataConfig
from fade_ray.kinds import kind_of_run
from fade_ray.nn import NetworkConfig
from fade_ray.ranks.rank_config import RankStudyConfig, StudyConfig
from fade_ray.run.lifecycle import Interrupted
from fade_ray.run.run_config import RunConfig
from fade_ray.training import ArchitectureConfig, TrainConfig
from spaces import nasbench_macro
from spaces.errors import InvalidInput

Story = Callable[[Path], dict[str, Any]]


def small(out: Path, **study: Any) -> RankStudyConfig:
    plain = {
        "seeds": (0, 1),
        "graphs": 3,
        "rank_epochs": 2,
        "sample": 4,
        "repeats": 2,
        "alone_epochs": 1,
    }
    return RankStudyConfig(
        study=StudyConfig(**(plain | study)),
        data=DataConfig(limit=200),
        network=NetworkConfig(depth=2, final_channels=4, base_channels=2, share=False),
        train=TrainConfig(batch_size=40),
        architecture=ArchitectureConfig(paths=2),
        run=RunConfig(engine="local"),
        out=str(out),
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = small(tmp_path_factory.mktemp("ranks") / "run", settings=("default", "exact"))
    return rank_study(config, watchers=())


def test_a_study_holds_ranks_over_epochs_and_architectures_alone(whole: Path) -> None:
    found = json.loads((whole / "ranks.json").read_text())
    assert [(run["setting"], run["seed"]) for run in found["runs"]] == [
        ("default", 0), ("default", 1), ("exact", 0), ("exact", 1),
    ]  # fmt: skip
    for run in found["runs"]:
        assert [epoch["epoch"] for epoch in run["epochs"]] == [1, 2]
        assert run["epochs"][0]["seconds"] < run["epochs"][1]["seconds"]
        assert 0 < run["epochs"][0]["multiply_adds"] < run["epochs"][1]["multiply_adds"]
        for row in run["epochs"][1]["weights"]:
            assert len(row) == 3
            assert sum(row) == pytest.approx(1, abs=1e-5)
    assert len(found["alone"]) == 4
    assert all(len(one["accuracies"]) == 2 for one in found["alone"])
    assert {setting["setting"] for setting in found["summary"]["settings"]} == {"default", "exact"}
    _, _, difference, ceiling, truth = found["verdict"]
    assert difference.startswith("exact against default: ")
    assert "agree by" in ceiling
    assert (found["truth"], truth) == (
        "test",
        "The ranks were held against accuracies on the test images, which no rank was learned on.",
    )
    assert (whole / "report.html").stat().st_size > 10_000
    assert "12 of 12 trainings" in status(whole)


@pytest.mark.parametrize("epochs", [5])
def test_stopped_and_continued_is_the_same_study(
    whole: Path, tmp_path: Path, story: Story, epochs: int
) -> None:
    config = small(tmp_path / "run", settings=("default", "exact"))
    with pytest.raises(Interrupted):
        rank_study(config, watchers=[Stopper(epochs)])
    rank_study(config, watchers=())
    assert story(tmp_path / "run") == story(whole)


def test_a_study_may_be_continued_with_further_settings(
    whole: Path, tmp_path: Path, story: Story
) -> None:
    rank_study(small(tmp_path / "run"), watchers=())
    before = story(tmp_path / "run")
    rank_study(small(tmp_path / "run", settings=("default", "exact")), watchers=())
    assert story(tmp_path / "run") == story(whole)
    assert len(story(whole)["finished"]) == len(before["finished"]) + 2
    for other in (
        {"settings": ("exact", "default")},
        {"settings": ("default", "exact"), "sample": 5},
    ):
        with pytest.raises(InvalidInput, match="another configuration"):
            rank_study(small(tmp_path / "run", **other), watchers=())


def test_a_table_is_the_truth_of_blocks(tmp_path: Path) -> None:
    rows = [
        {"arch": code} | {f"test_acc_{seed}": 50.0 + 5 * int(code[0]) + seed for seed in range(3)}
        for code in nasbench_macro.codes()
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    config = small(
        tmp_path / "run",
        cells="nasbench-macro",
        table=str(tmp_path / "t.parquet"),
        seeds=(0,),
        rank_epochs=1,
    )
    folder = rank_study(config, watchers=())
    found = json.loads((folder / "ranks.json").read_text())
    (agreement,) = found["table"]["agreements"]
    assert -1 <= agreement["spearman"] <= 1
    assert agreement["architectures"] == 6561
    assert "6,561 published accuracies" in found["verdict"][0]
    assert found["baseline"]["spearman"] == pytest.approx(0.35, abs=0.03), (
        "the table knows the first of eight blocks only"
    )
    assert (folder / "report.html").exists()


@pytest.mark.parametrize(
    ("study", "words"),
    [
        ({"operations": (30,)}, "there are 0"),
        ({"cells": "nasbench-macro", "table": "nowhere.parquet"}, "nowhere"),
        ({"sample": 10}, "sample <= 9"),
    ],
)
def test_studies_that_cannot_be_are_refused_before_any_work(
    tmp_path: Path, study: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        prepare("rank-study", small(tmp_path, **study))


def test_a_study_of_before_a_rule_about_trainings_still_has_results() -> None:
    """Its setting `sampled` with BatchNorm behind the rows is refused today."""
    folder = Path(__file__).parents[2] / "docs" / "results" / "ranks-cifar10-sizes"
    config = kind_of_run("rank-study").stored(folder)
    assert config is not None
    assert ("sampled" in config.study.settings, config.network.depth) == (True, 4)
    with pytest.raises(InvalidInput, match="Use --norm none"):
        prepare("rank-study", config)
