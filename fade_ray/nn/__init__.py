"""Networks of chained cells and the relaxations that mix their candidates."""

from fade_ray.nn.chain import Chain, ChainNetwork, NetworkConfig, still
from fade_ray.nn.graph_cell import Cell
from fade_ray.nn.layout import chain_layout, row_strides
from fade_ray.nn.macro import MacroNetwork
from fade_ray.nn.mixed import Mixed
from fade_ray.nn.relaxations import architecture_weights, entropy, gumbel_softmax, initial_logits

__all__ = [
    "Cell",
    "Chain",
    "ChainNetwork",
    "MacroNetwork",
    "Mixed",
    "NetworkConfig",
    "architecture_weights",
    "chain_layout",
    "entropy",
    "gumbel_softmax",
    "initial_logits",
    "row_strides",
    "still",
]
