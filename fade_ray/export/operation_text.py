"""The operations on the edges of cells as text: what makes them in plain PyTorch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fade_ray.export.plain_layers import (
    FactorizedReduce,
    along_axes,
    avg_pool,
    dil_conv,
    max_pool,
    relu_conv_norm,
    sep_conv,
    separable,
)
from fade_ray.nn.operations import OPERATIONS
from fade_ray.nn.own_cells import OwnOperation
from fade_ray.records.additions import Addition, addition_at
from spaces.cell import NONE, Macro
from spaces.darts import CONV_7X1_1X7
from spaces.errors import InvalidInput

Definition = Callable[..., object]
"""A function or class in plain PyTorch, at the top of a file; its text is copied."""


@dataclass(frozen=True)
class OperationText:
    """`expression(stride)` makes the operation from `channels`; None for the identity.

    Its tensors are those of the module in OPERATIONS, in the same order. `definitions`: what it
    calls, each after those that it calls itself.
    """

    expression: Callable[[int], str | None]
    definitions: tuple[Definition, ...]


def _called(call: str, *definitions: Definition) -> OperationText:
    def expression(stride: int) -> str:
        return f"{call}, stride={stride})" if stride > 1 else f"{call})"

    return OperationText(expression, definitions)


def _skip(stride: int) -> str | None:
    return None if stride == 1 else "FactorizedReduce(channels, channels)"


OPERATION_TEXTS: dict[str, OperationText] = {
    "skip_connect": OperationText(_skip, (FactorizedReduce,)),
    CONV_7X1_1X7: _called("along_axes(channels, 7", along_axes),
    **{
        f"{name}_{kernel}x{kernel}": _called(f"{call}{kernel}", *definitions)
        for name, kernels, call, definitions in (
            ("sep_conv", (3, 5, 7), "sep_conv(channels, ", (separable, sep_conv)),
            ("dil_conv", (3, 5), "dil_conv(channels, ", (separable, dil_conv)),
            ("max_pool", (3, 5), "max_pool(", (max_pool,)),
            ("avg_pool", (3, 5), "avg_pool(", (avg_pool,)),
            ("nor_conv", (1, 3), "relu_conv_norm(channels, channels, ", (relu_conv_norm,)),
        )
        for kernel in kernels
    },
}
"""Every operation that can be exported."""


ACTIVATION_TEXTS: dict[str, str] = {
    "tanh": "torch.tanh({})",
    "relu": "torch.relu({})",
    "sigmoid": "torch.sigmoid({})",
    "identity": "{}",
}
"""The same of recurrent cells: what is computed of a vector."""

TEXTS: dict[str, Mapping[str, object]] = {"images": OPERATION_TEXTS, "text": ACTIVATION_TEXTS}
"""By the task of a stacking."""


def text_of(op: str) -> OperationText:
    """That of an operation which has one; of a user's own in a space of cells: what stands in its
    file, which the text loads.
    """
    own = OPERATIONS.get(op)
    if isinstance(own, OwnOperation):
        return OperationText(lambda stride: f"operation({own.place})(channels, {stride})", ())
    return OPERATION_TEXTS[op]


def own_file(macro: Macro) -> Addition | None:
    """That of the user's own operations in a genotype; None where there are none."""
    made = [OPERATIONS.get(gene.op) for cell in macro.cells.values() for gene in cell.genes]
    files = [each.file for each in made if isinstance(each, OwnOperation)]
    return addition_at(files[0]) if files else None


FILE = "If they are of your own, name their file with --use."


def check_texts(macro: Macro) -> None:
    """InvalidInput for an operation of a genotype that has no text."""
    used = {gene.op for cell in macro.cells.values() for gene in cell.genes} - {NONE}
    own = {op for op in used if isinstance(OPERATIONS.get(op), OwnOperation)}
    if missing := sorted(used - own - TEXTS[macro.stack.task].keys()):
        rule = f"Operations must have a text to be exported, but {', '.join(missing)} has none"
        remedy = "Add an `OperationText` to `fade_ray.export.OPERATION_TEXTS` beside the operation."
        if not OPERATIONS.keys() & set(missing):
            rule, remedy = f"Operations must be known, but {', '.join(missing)} are not", FILE
        raise InvalidInput(f"{rule}. {remedy}")
