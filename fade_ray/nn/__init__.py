"""Networks: a stem, places with cells, a head; relaxations of what is to be chosen."""

from fade_ray.nn.cell_network import CellNetwork, CellNetworkConfig
from fade_ray.nn.chain import Chain, ChainNetwork, NetworkConfig
from fade_ray.nn.draw import Draw, DropPath, EdgeWeights, Path, Scores
from fade_ray.nn.layout import chain_layout, row_strides
from fade_ray.nn.macro import MacroNetwork
from fade_ray.nn.module_network import ModuleNetwork
from fade_ray.nn.network import AnyNetwork, Network, parameters
from fade_ray.nn.norms import still
from fade_ray.nn.operations import OPERATIONS, Operation
from fade_ray.nn.relaxations import architecture_weights, entropy, gumbel_softmax, initial_logits

__all__ = [
    "OPERATIONS",
    "AnyNetwork",
    "CellNetwork",
    "CellNetworkConfig",
    "Chain",
    "ChainNetwork",
    "Draw",
    "DropPath",
    "EdgeWeights",
    "MacroNetwork",
    "ModuleNetwork",
    "Network",
    "NetworkConfig",
    "Operation",
    "Path",
    "Scores",
    "architecture_weights",
    "chain_layout",
    "entropy",
    "gumbel_softmax",
    "initial_logits",
    "parameters",
    "row_strides",
    "still",
]
