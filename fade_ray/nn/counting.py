"""What a pass through any module costs, counted as it runs."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry


class Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within, multiply-adds of convolutions and matrix products (of attention, too) are counted.

    `deepest`: how many of them stand one behind the other at most.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.multiply_adds = self.deepest = 0
        self._behind: dict[int, int] = {}  # by where a tensor lies, which views share

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        given = kwargs or {}
        before = max((self._behind.get(at, 0) for at in _places((args, given))), default=0)
        out = func(*args, **given)
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.multiply_adds += formula(*args, **given, out_val=out) // 2
            before += 1
        self._behind |= dict.fromkeys(_places(out), before)
        self.deepest = max(self.deepest, before)
        return out


def _places(values: Any) -> list[int]:
    tensors = [value for value in tree_leaves(values) if isinstance(value, Tensor)]
    return [tensor.untyped_storage().data_ptr() for tensor in tensors if tensor.numel()]


def counted(module: nn.Module, x: Tensor) -> tuple[Any, Counting]:
    """What `module` gives for `x`, and what that took, of all of its examples."""
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), Counting() as counting:
        return module(x), counting
