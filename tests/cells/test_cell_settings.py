"""What a paper says beside the method, under the flags that are given."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from fade_ray.cells.cell_recipes import RECIPES, EarlyStop, Unchanged
from fade_ray.cells.cells_config import CellsConfig, GridConfig
from fade_ray.data.data_config import DataConfig
from fade_ray.nn.draw import SkipDropout
from fade_ray.training import SGD, Adam, Classification, TrainConfig
from fade_ray.training.edge_architecture import CellArchitectureConfig
from spaces.errors import InvalidInput

PLACES = {"amended-fixed": "amended-s2-fixed"}


def config(recipe: str, space: str = "s1", **grid: Any) -> CellsConfig:
    return CellsConfig(grid=GridConfig(recipes=(recipe,), spaces=(space,), **grid))


def effective(recipe: str, setting: str = "published", space: str = "s1") -> dict[str, Any]:
    made = config(recipe, space, setting=setting).setup(recipe, space)
    optimiser = made.train.optimiser
    assert isinstance(optimiser, SGD)
    return {
        "epochs": [stage.epochs for stage in made.stages],
        "cells": [stage.cells for stage in made.stages],
        "channels": [stage.channels for stage in made.stages],
        "batch": made.train.batch_size,
        "rates": (optimiser.learning_rate, optimiser.final_learning_rate),
        "clip": optimiser.clip,
        "held_out": made.grid.held_out,
        "cutout": made.data.cutout,
        "drop_path": made.train.drop_path,
    }


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_has_a_published_setting(recipe: str) -> None:
    place = PLACES.get(recipe, "s1")
    made = config(recipe, place, setting="published").setup(recipe, place)
    assert made.setting == "published"
    assert config(recipe, place).setup(recipe, place).setting == "small"


DARTS = {"batch": 64, "rates": (0.025, 0.001), "clip": 5.0, "held_out": 0.5}
SAID: dict[tuple[str, str, str], dict[str, Any]] = {
    ("darts-1st", "published", "s1"): {**DARTS, "epochs": [50], "cells": [8], "channels": [16]},
    ("amended", "published", "s1"): {
        **{**DARTS, "batch": 96, "epochs": [100], "cells": [8]},
        **{"cutout": 16, "drop_path": 0.2},
    },
    ("amended", "published", "amended-s2"): {"epochs": [100], "cells": [20], "channels": [36]},
    ("gdas", "published", "s1"): {**DARTS, "epochs": [250]},
    ("pc-darts", "published", "s1"): {"batch": 256, "rates": (0.1, 0.0), "held_out": 0.5},
    ("single-level", "published", "nasbench201"): {"rates": (0.005, 0.001), "cells": [15]},
    ("single-level", "imagenet", "darts"): {"batch": 360, "held_out": 0.0, "cells": [8]},
    ("stacnas", "published", "s3"): {
        **DARTS,
        **{"clip": 3.0, "held_out": 0.0, "epochs": [80, 80], "cells": [14, 20]},
    },
    ("stacnas", "imagenet", "s1"): {"cells": [11, 14], "channels": [22, 22]},
    ("stacnas-2019", "published", "s1"): {"cells": [14, 20, 20], "channels": [16, 16, 36]},
    ("p-darts", "published", "s1"): {"epochs": [25] * 3, "cells": [5, 11, 17], "batch": 96},
    ("darts-1st", "small", "s1"): {**DARTS, "epochs": [50], "cells": [14], "drop_path": 0.0},
}


@pytest.mark.parametrize("which", SAID, ids="-".join)
def test_a_setting_is_what_its_paper_says(which: tuple[str, str, str]) -> None:
    recipe, setting, space = which
    found = effective(recipe, setting, space)
    assert {name: found[name] for name in SAID[which]} == SAID[which]


def test_flags_stand_over_a_setting_and_are_said() -> None:
    flags = replace(
        config("stacnas", setting="published", epochs=2, cells=7),
        train=TrainConfig(batch_size=8, optimiser=SGD(learning_rate=0.1)),
    )
    made = flags.setup("stacnas", "s1")
    assert [(stage.cells, stage.epochs) for stage in made.stages] == [(7, 2), (10, 2)]
    assert made.train.batch_size == 8
    assert isinstance(made.train.optimiser, SGD)
    assert (made.train.optimiser.learning_rate, made.train.optimiser.clip) == (0.1, 3.0)
    assert made.setting == "published, but epochs 2, cells 7, batch size 8"
    other = replace(flags, train=TrainConfig(optimiser=Adam()))
    assert other.setup("stacnas", "s1").train.optimiser == Adam()
    assert "optimiser adam" in other.setup("stacnas", "s1").setting


def test_what_belongs_to_a_method_holds_in_any_setting() -> None:
    made = config("r-darts-dp").setup("r-darts-dp", "s1")
    assert (made.train.drop_path, made.data.cutout) == (0.6, 16)
    given = replace(config("r-darts-dp"), data=DataConfig(cutout=4))
    assert given.setup("r-darts-dp", "s1").data.cutout == 4
    assert config("darts-es").setup("darts-es", "s1").grid.eigenvalue_every == 1


def test_an_unknown_setting_is_one_message() -> None:
    with pytest.raises(InvalidInput, match="Did you mean 'published'"):
        config("stacnas", setting="publishd")
    with pytest.raises(InvalidInput, match="A setting of 'GDAS"):
        config("gdas", setting="imagenet")


def test_a_setting_has_no_option_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = replace(RECIPES["gdas"], settings={"published": {"epoch": 3}})
    monkeypatch.setitem(RECIPES, "gdas", wrong)
    with pytest.raises(InvalidInput, match="Did you mean 'epochs'"):
        config("gdas", setting="published")


def test_the_auxiliary_head_is_of_the_objective() -> None:
    made = config("amended", setting="published").setup("amended", "s1")
    assert made.train.objective == Classification(auxiliary_weight=0.4)


def test_a_search_ends_when_the_eigenvalue_grows_too_fast() -> None:
    """The mean of 5 over that of the 5 before: 4/3 is where it ends."""
    stop = EarlyStop()
    assert not stop.due([])
    assert not stop.due([1.0] * 9)
    assert not stop.due([1.0] * 10)
    assert not stop.due([3.0] * 5 + [4.0] * 5)
    assert stop.due([3.0] * 5 + [4.01] * 5)
    assert not stop.due([9.0, *[3.0] * 5, *[3.0] * 5])
    assert EarlyStop(window=1, ratio=0.5).due([1.0, 2.1])
    assert stop.chosen([(3.0, "a")] * 5 + [(4.01, "b"), (None, "c")] * 5) == "a"
    with pytest.raises(InvalidInput, match="one stage"):
        replace(RECIPES["stacnas"], stops=stop)


def test_a_search_ends_when_its_genotype_stands_still() -> None:
    stop = Unchanged(3)
    assert stop.chosen([(None, "a"), (None, "a")]) is None
    assert stop.chosen([(None, "a"), (1.0, "b"), (None, "b")]) is None
    assert stop.chosen([(None, "a"), (1.0, "b"), (None, "b"), (None, "b")]) == "b"
    with pytest.raises(InvalidInput, match="one stage with unchanged"):
        config("stacnas", unchanged=3)
    assert config("darts-1st", unchanged=3).setup("darts-1st", "s5").stops == (Unchanged(3),)


def test_dropout_behind_skip_connects_falls_and_keeps_the_mean() -> None:
    still = CellArchitectureConfig(skip_dropout=0.4, warm_up=0.4)
    rates = [still.dropped(epoch, 25) for epoch in range(25)]
    assert rates[0] == pytest.approx(0.4 * 24 / 25)
    assert rates[10] == pytest.approx(0.4)
    assert rates[11] == pytest.approx(0.4 * np.exp(-0.2))
    assert CellArchitectureConfig().dropped(3, 25) == 0
    mask = SkipDropout(0.4, torch.Generator().manual_seed(0)).mask(torch.zeros(8, 4, 32, 32))
    assert sorted(mask.unique().tolist()) == pytest.approx([0.0, 1 / 0.6])
    assert float(mask.mean()) == pytest.approx(1, abs=0.02)
