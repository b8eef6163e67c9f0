"""Networks of chained cells and the relaxations that mix their candidates."""

from .cells import Cell
from .chain import Chain, ChainNetwork, NetworkConfig, still
from .layout import chain_layout, row_strides
from .macro import MacroNetwork
from .mixed import Mixed
from .relaxations import architecture_weights, entropy, gumbel_softmax, initial_logits

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
