"""An estimator, an update and an objective from files of one's own, each by its name."""

import runpy
from pathlib import Path
from typing import Any

import pytest

from fade_ray.cells.cell_job import CellJob
from fade_ray.cells.cells_config import CellsConfig, GridConfig
from fade_ray.data import Splits, load
from fade_ray.nn import NetworkConfig
from fade_ray.records.json_form import as_json, from_json
from fade_ray.run.run_config import RunConfig
from fade_ray.search.chain_trial import run_trial
from fade_ray.search.search_config import Config
from fade_ray.training import SGD, ArchitectureConfig, Objective, TrainConfig
from fade_ray.trials.job import events
from searchers import Trial
from spaces import HyperArchitecture, catalogue
from spaces.errors import InvalidInput

FILES = Path(__file__).parents[1] / "additions"
NAMES = ("my_estimator", "my_update", "my_objective")
DAGS = catalogue(1, 4)
HYPER = HyperArchitecture(((DAGS[3], DAGS[7], DAGS[30]), (DAGS[20], DAGS[1], DAGS[9])))
ONE = HyperArchitecture(((DAGS[20],), (DAGS[12],)))


@pytest.fixture(autouse=True)
def added() -> None:
    for name in NAMES:
        runpy.run_path(str(FILES / f"{name}.py"))


@pytest.fixture(scope="module")
def splits() -> Splits:
    return load("digits", limit=120)


def trial(kind: str, hyper: HyperArchitecture) -> Trial:
    return Trial(id="000", attempt=0, kind=kind, hyper=hyper, seed=3, epochs=1)  # type: ignore[arg-type]


def config(train: TrainConfig, **architecture: Any) -> Config:
    return Config(
        network=NetworkConfig(depth=2, final_channels=8, kernel=3),
        train=train,
        architecture=ArchitectureConfig(**architecture),
        run=RunConfig(device="cpu"),
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_files_are_short(name: str) -> None:
    assert len((FILES / f"{name}.py").read_text().splitlines()) <= 30


def test_an_estimator_trains_a_hyper_architecture(splits: Splits, tmp_path: Path) -> None:
    chosen = config(TrainConfig(batch_size=16), estimator="bare-score-function", paths=3)
    assert from_json(Config, as_json(chosen)) == chosen
    epoch, last = run_trial(trial("ranks", HYPER), splits, chosen, tmp_path)
    assert "failure" not in last["outcome"]
    assert [len(row) for row in last["outcome"]["log_weights"]] == [3, 3]
    assert epoch["metrics"]["weights"][0] != pytest.approx([1 / 3] * 3)
    with pytest.raises(InvalidInput, match="Did you mean 'bare-score-function'"):
        ArchitectureConfig(estimator="bare-score-functoin")


def cells(recipe: str, train: TrainConfig) -> CellsConfig:
    grid = GridConfig((recipe,), ("nasbench201",), epochs=1, cells=3, channels=4)
    return CellsConfig(grid=grid, train=train, run=RunConfig(device="cpu"))


def test_an_update_and_its_recipe_search_cells(splits: Splits, tmp_path: Path) -> None:
    chosen = cells("unit-darts", TrainConfig(batch_size=16, optimiser=SGD()))
    plan = chosen.plans()[0].to_dict()
    start, end, last = events(CellJob(chosen), plan, splits, tmp_path)
    assert "failure" not in last["outcome"]
    assert start["metrics"]["weights"] != end["metrics"]["weights"]


def test_an_objective_decides_what_is_trained_for_and_the_score(
    splits: Splits, tmp_path: Path
) -> None:
    train = TrainConfig(batch_size=16, objective=Objective.member("brier")())
    chosen = config(train)
    assert from_json(Config, as_json(chosen)) == chosen
    epoch, last = run_trial(trial("evaluation", ONE), splits, chosen, tmp_path)
    assert 0 < epoch["metrics"]["error"] < 2
    measures = last["outcome"]["measures"]
    assert measures.keys() == {"loss", "accuracy", "error"}
    assert measures["error"] == pytest.approx(measures["loss"], rel=1e-5)
    assert last["outcome"]["score"] == -measures["error"]
    *_, last = run_trial(trial("ranks", HYPER), splits, chosen, tmp_path / "ranks")
    assert last["metrics"]["hyper_error"] > 0


def test_an_objective_serves_cells_too(splits: Splits, tmp_path: Path) -> None:
    objective = Objective.member("brier")()
    chosen = cells("darts-1st", TrainConfig(batch_size=16, optimiser=SGD(), objective=objective))
    *_, last = events(CellJob(chosen), chosen.plans()[0].to_dict(), splits, tmp_path)
    assert last["outcome"]["score"] < 0
