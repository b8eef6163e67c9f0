"""Networks of chained DAG cells and the relaxations that mix their candidates."""

from .cells import Cell
from .chain import ChainNetwork, NetworkConfig, still
from .layout import chain_layout, row_strides
from .mixed import Mixed
from .relaxations import architecture_weights, entropy, gumbel_softmax, initial_logits

__all__ = [
    "Cell",
    "ChainNetwork",
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
