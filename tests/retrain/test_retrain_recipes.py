"""The recipes build the published networks and follow the published schedules."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fade_ray.nn.cell_network import CellNetwork
from fade_ray.records.json_form import as_json, from_json
from fade_ray.retraining import RETRAIN_RECIPES, RetrainConfig, Retraining, retrain_recipe
from fade_ray.retraining.retrain_config import NORMALISATIONS
from spaces import nasbench201
from spaces.errors import InvalidInput
from spaces.genotype import GENOTYPES

DARTS_V2 = GENOTYPES["DARTS_V2"]


def network(recipe: str, side: int, classes: int) -> CellNetwork:
    job = Retraining.of(DARTS_V2, retrain_recipe(recipe))
    with torch.device("meta"):
        config = job.config.network_config(job.macro)
    return CellNetwork(job.macro, config, side=side, classes=classes, generator=torch.Generator())


@pytest.mark.parametrize(
    ("recipe", "side", "classes", "with_head", "without"),
    [  # algorithms F.1
        ("darts-cifar10", 32, 10, 3_825_768, 3_349_342),
        ("darts-cifar100", 32, 100, None, 3_401_272),
        ("darts-imagenet", 224, 1000, 4_718_752 + 1_260_776, 4_718_752),
        ("pdarts-imagenet", 224, 1000, 4_718_752 + 1_260_776 + 2 * 768, 4_718_752),
    ],
)
def test_recipes_build_the_published_networks(
    recipe: str, side: int, classes: int, with_head: int | None, without: int
) -> None:
    made = network(recipe, side, classes)
    assert made.auxiliary is not None
    parameters = sum(p.numel() for p in made.parameters())
    assert parameters - sum(p.numel() for p in made.auxiliary.parameters()) == without
    assert with_head in (None, parameters)


def test_cosine_ends_at_zero() -> None:
    train = retrain_recipe("darts-cifar10").train
    assert train.optimiser.rate(0, 600) == 0.025
    assert train.optimiser.rate(300, 600) == pytest.approx(0.0125)
    assert train.optimiser.rate(600, 600) == pytest.approx(0, abs=1e-12)
    assert train.dropped(0, 600) == 0
    assert train.dropped(599, 600) == pytest.approx(0.2 * 599 / 600)


def test_imagenet_of_darts_decays_exponentially() -> None:
    train = retrain_recipe("darts-imagenet").train
    assert train.optimiser.rate(0, 250) == 0.1
    assert train.optimiser.rate(249, 250) == pytest.approx(0.1 * 0.97**249)
    assert train.dropped(249, 250) == 0


@pytest.mark.parametrize(
    ("recipe", "top"), [("pdarts-imagenet", 0.5), ("single-level-imagenet", 0.375)]
)
def test_imagenet_of_pdarts_warms_up_and_falls_linearly(recipe: str, top: float) -> None:
    config = retrain_recipe(recipe)
    optimiser = config.train.optimiser
    rates = [optimiser.rate(epoch, config.epochs) for epoch in range(config.epochs)]
    assert rates[:5] == pytest.approx([top * k / 5 for k in range(1, 6)])
    steps = [before - after for before, after in pairwise(rates[6:245])]
    assert steps == pytest.approx([steps[0]] * len(steps))
    assert rates[5] == pytest.approx(top, rel=0.03)
    assert 0 < rates[-1] <= steps[0] * 1.0001
    # learning rate per image: 1024 at 0.5 is 768 at 0.375
    assert optimiser.learning_rate / config.train.batch_size == pytest.approx(0.5 / 1024)


def test_the_last_five_epochs_of_pdarts_are_slower() -> None:
    optimiser = retrain_recipe("pdarts-imagenet").train.optimiser
    rates = [optimiser.rate(epoch, 250) for epoch in range(245, 251)]
    assert rates[0] == pytest.approx(0.5 / 245)
    assert rates[-1] == 0
    assert rates[0] - rates[1] == pytest.approx(0.5 / 245 / 5)


@given(st.sampled_from(sorted(RETRAIN_RECIPES)))
def test_rates_are_positive_and_survive_a_file(name: str) -> None:
    recipe = retrain_recipe(name)
    optimiser = recipe.train.optimiser
    assert all(
        0 < optimiser.rate(epoch, recipe.epochs) <= optimiser.learning_rate * (1 + 1e-12)
        for epoch in range(recipe.epochs)
    )
    assert from_json(RetrainConfig, as_json(recipe)) == recipe
    assert recipe.recipe == name


def test_one_recipe_serves_both_stackings() -> None:
    quick = retrain_recipe("quick")
    cell = nasbench201.decode(
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|"
    )
    for macro, stem in ((DARTS_V2, "cifar"), (nasbench201.macro(cell=cell), "nasbench201")):
        job = Retraining.of(macro, quick)
        config = job.config.network_config(job.macro)
        assert config.stem == stem
        CellNetwork(job.macro, config, side=8, channels=1, classes=2, generator=torch.Generator())
    job = Retraining.of(nasbench201.macro(cell=cell), retrain_recipe("nasbench201-cifar10"))
    assert job.macro.depth == 15


def test_published_statistics_are_usable() -> None:
    for mean, std in NORMALISATIONS.values():
        assert all(0 < value < 1 for value in (*mean, *std))
        assert math.dist(mean, (0.5, 0.5, 0.5)) < 0.2


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("darts-cifar", "darts-cifar10"), ("pdarts-imagnet", "pdarts-imagenet"), ("quik", "quick")],
)
def test_an_unknown_recipe_is_answered_with_the_nearest(name: str, remedy: str) -> None:
    with pytest.raises(InvalidInput, match=f"Did you mean '{remedy}'"):
        retrain_recipe(name)
