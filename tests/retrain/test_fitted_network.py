"""The width of a retraining that is fitted to a limit."""

from dataclasses import replace

import pytest
import torch

from fade_ray.nn import CellNetwork
from fade_ray.nn.network import lasting
from fade_ray.retraining.fitted_network import FITS, fitted_network
from fade_ray.retraining.retrain_recipes import RETRAIN_RECIPES
from spaces import GENOTYPES
from spaces.errors import InvalidInput

QUICK = RETRAIN_RECIPES["quick"]
MACRO = GENOTYPES["DARTS_V2"]
SIZES = {"side": 16, "channels": 3, "classes": 10}


def network(**options: int | None) -> CellNetwork:
    config = replace(QUICK, network=replace(QUICK.network, cells=4, **options))
    return fitted_network(MACRO, config, **SIZES, generator=torch.Generator())


@pytest.mark.parametrize(("name", "most"), [("fit_params", 60_000), ("fit_macs", 2_000_000)])
def test_it_is_the_widest_that_keeps_to_the_limit(name: str, most: int) -> None:
    made = network(**{name: most})
    widths = iter(range(2, 200, 2))
    wider = next(width for width in widths if FITS[name](network(channels=width)) > most)
    assert FITS[name](made) == FITS[name](network(channels=wider - 2)) <= most


def test_both_limits_hold_and_what_nothing_meets_is_refused() -> None:
    made = network(fit_params=60_000, fit_macs=1_000_000)
    assert lasting(made) <= 60_000
    assert made.multiply_adds() <= 1_000_000
    with pytest.raises(InvalidInput, match="a network of 2 channels keeps to it"):
        network(fit_params=100)
    with pytest.raises(InvalidInput, match="fit_macs >= 1"):
        network(fit_macs=0)


def test_what_is_measured_draws_nothing() -> None:
    made, same = network(fit_params=60_000), network(fit_params=60_000)
    assert all(torch.equal(a, b) for a, b in zip(made.parameters(), same.parameters(), strict=True))
