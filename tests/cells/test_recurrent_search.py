"""Searches of recurrent cells on a text: settings, a search from start to genotype, resuming, and
what is refused.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fade_ray.cells.cell_job import CellJob
from fade_ray.cells.cells_config import CellsConfig, GridConfig
from fade_ray.cells.cells_run import checked_data, checked_images
from fade_ray.data.data_config import DataConfig
from fade_ray.data.text import Corpus
from fade_ray.run.run_config import RunConfig
from fade_ray.training import LanguageModel
from spaces import InvalidInput, load_cells, published

RECIPES = ("darts-1st", "darts-2nd", "amended", "random")


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    for part in ("train", "valid", "test"):
        lines = [" ".join(f"w{(start * 3 + i) % 9}" for i in range(6)) for start in range(30)]
        (folder / f"toy.{part}.txt").write_text("\n".join(lines))
    return folder


def config(texts: Path, **grid: Any) -> CellsConfig:
    asked = {"spaces": ("recurrent",), "recipes": RECIPES, "epochs": 2, "channels": 4, **grid}
    made = CellsConfig(
        data=DataConfig(data=str(texts)),
        grid=GridConfig(**asked),
        run=RunConfig(device="cpu"),
    )
    return replace(made, train=replace(made.train, batch_size=5))


def test_the_published_settings(texts: Path) -> None:
    """Algorithms B.5, D.6."""
    grid = GridConfig(("darts-2nd", "amended"), ("recurrent",), setting="published")
    made = CellsConfig(grid=grid)
    setup = made.setup("darts-2nd", "recurrent")
    (stage,) = setup.stages
    assert (stage.channels, stage.epochs, setup.train.batch_size) == (300, 50, 256)
    optimiser: Any = setup.train.optimiser
    assert (optimiser.learning_rate, optimiser.momentum, optimiser.clip) == (20.0, 0.0, 0.25)
    assert (optimiser.rate(49, 50), optimiser.weight_decay) == (20.0, 5e-7)
    logits = setup.architecture
    assert (logits.learning_rate, logits.beta1, logits.weight_decay) == (3e-3, 0.9, 1e-3)
    assert (logits.update, logits.unroll_clip, logits.cap_clip) == ("second-order", 0.25, True)
    assert setup.train.objective == LanguageModel()
    amended = made.setup("amended", "recurrent")
    assert amended.train.objective == LanguageModel(word_dropout=0.1)
    assert (amended.train.optimiser.weight_decay, amended.architecture.unroll_clip) == (8e-7, 0.0)
    assert setup.setting == amended.setting == "published"
    assert (amended.stages[0].epochs, amended.grid.unchanged, setup.grid.unchanged) == (200, 10, 0)
    own = replace(made, train=replace(made.train, objective=LanguageModel(slowness=0.5)))
    assert own.setup("amended", "recurrent").train.objective == LanguageModel(slowness=0.5)
    assert own.setup("amended", "recurrent").setting == "published, but objective language-model"


def events(made: CellsConfig, corpus: Corpus, folder: Path, recipe: str) -> list[Any]:
    plan = next(plan for plan in made.plans() if plan.recipe == recipe)
    return list(CellJob(made).run(plan.to_dict(), corpus, folder))


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_search_ends_with_a_genotype(texts: Path, tmp_path: Path, recipe: str) -> None:
    made = config(texts)
    *epochs, last = events(made, checked_data(made), tmp_path, recipe)
    assert last["outcome"].get("failure") is None
    (path,) = (tmp_path / "genotypes").glob("*.json")
    assert load_cells(path) <= published("recurrent").macro
    assert last["metrics"]["genotype"].startswith("Genotype(recurrent=[(")
    if recipe != "random":
        assert last["outcome"]["score"] == last["metrics"]["proxy_accuracy"] < -1
        assert [event["epoch"] for event in epochs] == [0, 1, 2]
        assert epochs[-1]["metrics"]["perplexity"] > 1


def test_one_that_was_killed_goes_on_with_the_same_bits(texts: Path, tmp_path: Path) -> None:
    made = config(texts)
    corpus = checked_data(made)
    whole = events(made, corpus, tmp_path / "whole", "amended")
    plan = next(plan for plan in made.plans() if plan.recipe == "amended")
    killed = CellJob(made).run(plan.to_dict(), corpus, tmp_path / "killed")
    for event in killed:
        if event["epoch"] == 1:
            break
    killed.close()  # type: ignore[attr-defined]
    again = events(made, corpus, tmp_path / "killed", "amended")
    timed = {"seconds", "images_per_second", "peak_memory_mib", "step_memory_mib"}

    def untimed(events: list[Any]) -> str:
        kept = [{k: v for k, v in event["metrics"].items() if k not in timed} for event in events]
        return json.dumps(kept)

    assert untimed(again) == untimed(whole)


def test_one_whose_genotype_stands_still_ends_early(texts: Path, tmp_path: Path) -> None:
    made = config(texts, recipes=("darts-1st",), epochs=6, unchanged=2)
    still = replace(made.architecture, architecture_learning_rate=1e-9)
    made = replace(made, architecture=still)
    *epochs, last = events(made, checked_data(made), tmp_path, "darts-1st")
    assert [event["epoch"] for event in epochs] == [0, 1, 2]
    assert last["metrics"]["ended_early"] is True


def test_what_is_refused(texts: Path) -> None:
    with pytest.raises(InvalidInput, match="all spaces of a run are of one task"):
        config(texts, spaces=("recurrent", "s5"))
    with pytest.raises(InvalidInput, match="depth == 1"):
        config(texts, cells=3)
    made = config(texts)
    with pytest.raises(InvalidInput, match="a study of spaces for images"):
        checked_images(made)
    (texts / "toy.valid.txt").write_text("w1\nunheard\n")
    with pytest.raises(InvalidInput, match=r"every word of valid is one of train.*'unheard'"):
        checked_data(made)
    with pytest.raises(InvalidInput, match="A folder of texts must be readable"):
        checked_data(replace(made, data=DataConfig(data="digits")))
    retrained = replace(made, retraining=replace(made.retraining, retrain=True))
    (texts / "toy.valid.txt").write_text("w1\nw2\n" * 9)
    assert retrained.retraining.retrain_settings == ("quick-text",)
    named = replace(retrained.retraining, retrain_settings=("darts-cifar10",))
    retrained = replace(retrained, retraining=named)
    with pytest.raises(InvalidInput, match=r"a recipe for text.*quick-text"):
        checked_data(retrained)
