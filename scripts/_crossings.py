"""What goes between host and device in a computation, and where the host waits for it.

On the device "meta", which computes nothing and so needs no card, the mode stands in for what a
device would answer: every read of it is counted and answered by ones or zeros.
"""

import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
READS = {aten._local_scalar_dense.default}
COPIES = {aten._to_copy.default, aten.copy_.default}
PACKAGES = ("fade_ray", "torch/optim", "torch/nn/utils")


class Crossings(TorchDispatchMode):
    """Within, counts by the line that asks: `reads` of the device, and `sends` to it that block.

    A send with `non_blocking`, or of a number that a kernel takes as an argument, waits for
    nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reads: Counter[str] = Counter()
        self.sends: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._made = _Made(self.sends)
        self._made.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._made.__exit__(*error)

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in READS and not args[0].is_cpu:
            self.reads[_line()] += 1
            return _answer(args[0]).item() if args[0].is_meta else func(*args, **kwargs)
        if func in COPIES:
            return self._copy(func, args, kwargs)
        return func(*args, **kwargs)

    def _copy(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        in_place = func is aten.copy_.default
        source = args[1] if in_place else args[0]
        to = args[0].device if in_place else kwargs.get("device") or source.device
        waits = not (kwargs.get("non_blocking") or (in_place and args[2:] == (True,)))
        if source.is_cpu and to.type != "cpu" and waits:
            self.sends[_line()] += 1
        if not source.is_cpu and to.type == "cpu":
            self.reads[_line()] += 1
            if source.is_meta:
                changed = [args[0], _answer(source)] if in_place else [_answer(source)]
                return func(*changed, **kwargs)
        return func(*args, **kwargs)


class _Made(TorchFunctionMode):
    """Counts the tensors that are made on the device of the host's numbers: sends that block."""

    def __init__(self, sends: Counter[str]) -> None:
        super().__init__()
        self.sends = sends

    def __torch_function__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        made_there = torch.device(kwargs.get("device") or "cpu").type != "cpu"
        if func in (torch.tensor, torch.as_tensor) and made_there:
            self.sends[_line()] += 1
        return func(*args, **kwargs)


def _answer(asked: Tensor) -> Tensor:
    """On the host, in place of what a device would say."""
    floating = asked.is_floating_point()
    return (torch.ones if floating else torch.zeros)(asked.shape, dtype=asked.dtype)


def _line() -> str:
    """The innermost line of the code that is looked at."""
    for frame in reversed(traceback.extract_stack()):
        for package in PACKAGES:
            if f"/{package}/" in frame.filename:
                return f"{package}{frame.filename.rpartition(f'/{package}')[2]}:{frame.lineno}"
    return f"{Path(frame.filename).name}:{frame.lineno}"
