"""What all networks share: weights of earlier versions, and what is not drawn."""

import pytest
import torch

from fade_ray.nn import CellNetwork, CellNetworkConfig, ChainNetwork, MacroNetwork, NetworkConfig
from fade_ray.nn.network import Network, renamed
from spaces import HyperArchitecture, catalogue, nasbench201
from spaces.cell import CellSpace, Macro
from spaces.nasbench_macro import BLOCKS

DILATED = CellSpace.create(2, 3, ("dil_conv_3x3",))
NETWORKS = {
    "chain": lambda sizes: ChainNetwork(
        HyperArchitecture(((catalogue(1, 2)[0],),)), NetworkConfig(depth=1), **sizes
    ),
    "blocks": lambda sizes: MacroNetwork(HyperArchitecture((BLOCKS,) * 8), 2, **sizes),
    "darts": lambda sizes: CellNetwork(
        Macro({"normal": DILATED, "reduce": DILATED}, "darts", 3), CellNetworkConfig(4), **sizes
    ),
    "nasbench201": lambda sizes: CellNetwork(
        nasbench201.macro(3), CellNetworkConfig(4, "nasbench201"), **sizes
    ),
}
EARLIER = {
    "chain": {
        "rows.0.entry.bias": "places.0.entry.bias",
        "rows.0.norm.running_var": "places.0.norm.running_var",
        "classifier.weight": "head.classifier.weight",
    },
    "blocks": {
        "rows.0.entry.conv.weight": "stem.blocks.0.conv.weight",
        "rows.7.mixed.cells.2.expand.conv.weight": "places.7.mixed.cells.2.expand.conv.weight",
        "head.norm.bias": "head.before.norm.bias",
    },
    "darts": {
        "stem.blocks.0.conv.weight": "stem.blocks.0.conv.weight",
        "cells.1.entries.0.norm.bias": "places.1.entries.0.norm.bias",
        "cells.0.edges.0-2.dil_conv_3x3.only.pointwise.weight": (
            "places.0.edges.0-2.dil_conv_3x3.first.pointwise.weight"
        ),
    },
    "nasbench201": {
        "cells.1.shortcut.weight": "places.1.shortcut.weight",
        "norm.running_mean": "head.before.0.running_mean",
    },
}


def network(name: str) -> Network:
    generator = torch.Generator().manual_seed(0)
    return NETWORKS[name]({"side": 16, "channels": 3, "classes": 2, "generator": generator})


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_of_earlier_versions_are_read(name: str) -> None:
    made, names = network(name), EARLIER[name]
    weights = made.state_dict()
    assert set(names.values()) <= weights.keys()
    earlier = {now: then for then, now in names.items()}
    stored = {earlier.get(key, key): torch.full_like(value, 3) for key, value in weights.items()}
    made.load_state_dict(stored)
    assert all((value == 3).all() for value in made.state_dict().values())


@pytest.mark.parametrize("name", NETWORKS)
def test_names_of_today_stay(name: str) -> None:
    weights = network(name).state_dict()
    assert renamed(weights).keys() == weights.keys()
