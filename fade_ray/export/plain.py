"""What an export takes from a network, whatever its kind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Plain:
    """A network without choices as plain PyTorch.

    `values`: what `template` asks for beyond what every module tells. `live`: the modules that its
    output depends on, in the order in which the text makes theirs; the tensors of both are the same
    in number, order and shape. `description`: JSON-able, with "code".
    """

    template: str
    values: Mapping[str, Any]
    live: Sequence[nn.Module]
    description: Mapping[str, Any]
