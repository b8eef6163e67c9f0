"""A network of cells as plain PyTorch: the text of a module that needs torch alone, and the weights
under the names it uses.
"""

import importlib.metadata
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn

from fade_ray.export.chain_source import (
    INDENT,
    LINE,
    constant_lines,
    list_lines,
    prefixed,
    statement,
    template,
)
from fade_ray.nn import CellNetwork
from fade_ray.nn.cell import Cell
from fade_ray.nn.layers import ConvNorm, DepthwiseSeparable, FactorizedReduce
from fade_ray.nn.operations import Dense, Dilated, Identity, Pool, Separable
from fade_ray.nn.stems import ResidualBlock
from spaces.cell import NONE, CellSpace, Gene
from spaces.stackings import RESIDUAL

_DEPTHWISE = {"depthwise": "1", "pointwise": "2", "norm": "3"}
NAMES: dict[type[nn.Module], dict[str, str]] = {
    ConvNorm: {"conv": "1", "norm": "2"},
    FactorizedReduce: {"conv_1": "conv_1", "conv_2": "conv_2", "norm": "norm"},
    DepthwiseSeparable: _DEPTHWISE,
    Separable: {f"first.{key}": name for key, name in _DEPTHWISE.items()}
    | {f"second.{key}": str(4 + int(name)) for key, name in _DEPTHWISE.items()},
    Pool: {"norm": "1"},
    Identity: {},
    ResidualBlock: {
        **{
            "first.conv": "first.1",
            "first.norm": "first.2",
            "second.conv": "second.1",
            "second.norm": "second.2",
        },
        "shortcut": "shortcut",
    },
}
"""What the parts of each module are called in the exported one, where chains are `nn.Sequential`s.
"""

INNER: dict[type[nn.Module], str] = {Dense: "module", Dilated: "only"}
"""Where an operation is one module, whose name the exported one does without."""

_SEPARABLE = re.compile(r"(sep|dil)_conv_(\d)x\2")
_POOL = re.compile(r"(max|avg)_pool_(\d)x\2")
_PLAIN = re.compile(r"nor_conv_(\d)x\1")


@dataclass(frozen=True)
class CellText:
    """What the template writes about one kind of cell. `init`, `forward`: lines of the methods,
    without their indentation.
    """

    name: str
    doc: str
    inputs: int
    halves: bool
    init: tuple[str, ...]
    forward: tuple[str, ...]


@dataclass(frozen=True)
class PlaceText:
    """A cell of the stack: the call that makes it, and the map behind it in words."""

    call: str
    map: str


def cells_module_source(
    network: CellNetwork,
    name: str,
    *,
    classes: Sequence[str],
    mean: Sequence[float],
    std: Sequence[float],
    facts: Mapping[str, str] = {},
) -> str:
    """The text of `<name>.py` for the network of a genotype. `facts`: "key: value" lines of its
    docstring.
    """
    channels, side, _ = network.input_shape
    kinds = list(
        dict.fromkeys(place.kind for place in network.macro.layout if place.kind != RESIDUAL)
    )
    cells = [_cell_text(network, kind) for kind in kinds]
    places = _places(network)
    body = "\n".join(
        [*(line for cell in cells for line in cell.init), *(place.call for place in places)]
    )
    residual = any(place.call.startswith("Residual") for place in places)
    stem = _stem(network)
    return str(
        template("cells.py.j2").render(
            name=name,
            version=importlib.metadata.version("fade-ray"),
            facts=facts,
            genotype=textwrap.wrap(
                network.macro.notation, LINE - 4, break_long_words=False, break_on_hyphens=False
            ),
            shape=f"[batch, {channels}, {side}, {side}]",
            constants=constant_lines(classes, mean, std),
            cells=cells,
            places=places,
            stem=stem,
            single=network.macro.stack.single_output,
            features=network.head.classifier.in_features,
            classes=len(classes),
            depth=network.macro.depth,
            residual=residual,
            uses={
                helper: f"{helper}(" in body or (residual and helper == "relu_conv_norm")
                for helper in HELPERS
            },
            pool_norm=network.config.pool_norm,
            uses_functions=residual
            or "FactorizedReduce(" in body
            or network.head.before is not None,
            last_side=network.places[-1].out.side,
        )
    )


HELPERS = ("relu_conv_norm", "sep_conv", "dil_conv", "max_pool", "avg_pool", "FactorizedReduce")
"""What the template can define before the cells."""


def cells_module_weights(network: CellNetwork) -> dict[str, Tensor]:
    """The state dict of the module of `cells_module_source`, on the CPU: without the auxiliary head
    and what no output depends on.
    """
    weights = _stem_weights(network)
    for index, (position, module) in enumerate(
        zip(network.macro.layout, network.places, strict=True)
    ):
        if position.kind == RESIDUAL:
            weights |= _renamed(f"cells.{index}", module)
            continue
        cell = cast(Cell, module)
        live = Live.of(cell.space)
        for i in live.entries if len(cell.entries) else ():
            weights |= _renamed(f"cells.{index}.entry_{i}", cell.entries[i])
        for source, target, op in live.genes:
            operation = cast(nn.ModuleDict, cell.edges[f"{source}-{target}"])[op]
            weights |= _renamed(f"cells.{index}.edge_{source}_{target}", operation)
    if network.head.before is not None:
        weights |= prefixed("norm", cast(nn.Sequential, network.head.before)[0].state_dict())
    weights |= prefixed("classifier", network.head.classifier.state_dict())
    return {key: value.cpu().contiguous() for key, value in weights.items()}


def _renamed(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    if type(module) in INNER:
        return _renamed(prefix, cast(nn.Module, getattr(module, INNER[type(module)])))
    names = NAMES[type(module)]
    weights = {}
    for key, value in module.state_dict().items():
        part, _, leaf = key.rpartition(".")
        weights[f"{prefix}.{names[part]}.{leaf}"] = value
    return weights


@dataclass(frozen=True)
class Live:
    """What the output of a genotype depends on: nodes, genes (without `none`), and the inputs whose
    value or shape is read.
    """

    nodes: frozenset[int]
    genes: tuple[Gene, ...]
    entries: tuple[int, ...]

    @classmethod
    def of(cls, cell: CellSpace) -> "Live":
        nodes = set(cell.outputs)
        genes = [gene for gene in cell.genes if gene.op != NONE]
        for node in range(cell.nodes - 1, -1, -1):
            if node in nodes:
                nodes |= {gene.source for gene in genes if gene.target == node}
        kept = tuple(gene for gene in genes if gene.target in nodes)
        if not nodes & set(range(cell.inputs)):
            nodes.add(0)  # all is zero, and zeros take their shape from an input
        return cls(frozenset(nodes), kept, tuple(i for i in range(cell.inputs) if i in nodes))


def _stem_parts(network: CellNetwork) -> dict[str, list[ConvNorm | None]]:
    """The blocks of the stem, None for a ReLU between two; cut where its first output is taken, if
    its second one is another.
    """
    stem = network.stem
    chain: list[ConvNorm | None] = []
    for block in stem.blocks:
        chain += [cast(ConvNorm, block), None]
    first, second = (2 * taken - 1 for taken in stem.taken)
    if first == second:
        return {"stem": chain[:second]}
    return {"stem_0": chain[:first], "stem_1": chain[first:second]}


def _stem_weights(network: CellNetwork) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = {}
    for part, chain in _stem_parts(network).items():
        place = 0
        for block in chain:
            if block is not None:
                weights |= prefixed(f"{part}.{place}", block.conv.state_dict())
                weights |= prefixed(f"{part}.{place + 1}", block.norm.state_dict())
            place += 1 if block is None else 2
    return weights


def _stem(network: CellNetwork) -> dict[str, list[str]]:
    """The lines of each part of the stem."""
    lines: dict[str, list[str]] = {}
    for part, chain in _stem_parts(network).items():
        lines[part] = []
        for block in chain:
            if block is None:
                lines[part].append("nn.ReLU(),")
                continue
            c_in, c_out, (stride, _) = (
                block.conv.in_channels,
                block.conv.out_channels,
                block.conv.stride,
            )
            step = f"stride={stride}, " if stride > 1 else ""
            lines[part] += [
                f"nn.Conv2d({c_in}, {c_out}, 3, {step}padding=1, bias=False),",
                f"nn.BatchNorm2d({c_out}),",
            ]
    return lines


def _class_name(kind: str) -> str:
    return kind.capitalize()


def _cell_text(network: CellNetwork, kind: str) -> CellText:
    space = network.macro.cells[kind]
    # the same at every place
    reduction = next(place.reduction for place in network.macro.layout if place.kind == kind)
    live = Live.of(space)
    halves = any(
        place.kind == kind and _halves(network, i) for i, place in enumerate(network.macro.layout)
    )
    init, forward = [], []
    if space.inputs == 2:
        for i in live.entries:
            halved = "FactorizedReduce(c_0, channels) if halve else " if i == 0 and halves else ""
            init.append(f"self.entry_{i} = {halved}relu_conv_norm(c_{i}, channels, 1)")
            forward.append(f"s{i} = self.entry_{i}(s{i})")
    for source, target, op in live.genes:
        stride = _stride(space, source, reduction)
        if (made := operation_source(op, stride)) is not None:
            init.append(f"self.edge_{source}_{target} = {made}")
    for node in sorted(live.nodes - set(range(space.inputs))):
        terms = [
            _term(gene, _stride(space, gene.source, reduction))
            for gene in live.genes
            if gene.target == node
        ]
        zeros = f"torch.zeros_like(s{live.entries[0]}{'[:, :, ::2, ::2]' if reduction else ''})"
        forward += statement(f"s{node}", terms or [zeros])
    values = [f"s{node}" for node in space.outputs]
    if len(values) == 1:
        forward.append(f"return {values[0]}")
    elif len(line := f"return torch.cat([{', '.join(values)}], 1)") + INDENT <= LINE:
        forward.append(line)
    else:
        forward += [*list_lines("outputs", values, INDENT), "return torch.cat(outputs, 1)"]
    return CellText(
        _class_name(kind),
        _doc(kind, space, reduction),
        space.inputs,
        halves,
        tuple(init),
        tuple(forward),
    )


def _stride(space: CellSpace, source: int, reduction: bool) -> int:
    return 2 if reduction and source < space.inputs else 1


def _term(gene: Gene, stride: int) -> str:
    if operation_source(gene.op, stride) is None:
        return f"s{gene.source}"
    return f"self.edge_{gene.source}_{gene.target}(s{gene.source})"


def _doc(kind: str, space: CellSpace, reduction: bool) -> str:
    """The cell in words, wrapped to stand in a class."""
    size = "halves the map" if reduction else "keeps the size of the map"
    values = (
        "its input is s0"
        if space.inputs == 1
        else "its inputs are s0 (two cells back) and s1 (one back)"
    )
    outputs = ", ".join(f"s{node}" for node in space.outputs)
    end = "the output is" if len(space.outputs) == 1 else "the output joins"
    text = f"Cell `{kind}` {size}; {values}, {end} {outputs}."
    return "\n    ".join(textwrap.wrap(text, LINE - 8))


def operation_source(op: str, stride: int) -> str | None:
    """The expression that makes an operation of `channels` channels; None for the identity."""
    step = ", stride=2" if stride == 2 else ""
    if op == "skip_connect":
        return "FactorizedReduce(channels, channels)" if stride == 2 else None
    if match := _SEPARABLE.fullmatch(op):
        return f"{match[1]}_conv(channels, {match[2]}{step})"
    if match := _POOL.fullmatch(op):
        return f"{match[1]}_pool(channels, {match[2]}{step})"
    match = _PLAIN.fullmatch(op)
    assert match is not None, f"an operation without text: {op}"
    return f"relu_conv_norm(channels, channels, {match[1]}{step})"


def _halves(network: CellNetwork, index: int) -> bool:
    """Whether the value from two cells back is larger than that from one back, at place `index`."""
    cell = network.places[index]
    return (
        isinstance(cell, Cell)
        and len(cell.entries) > 0
        and isinstance(cell.entries[0], FactorizedReduce)
    )


def _places(network: CellNetwork) -> list[PlaceText]:
    before, last = network.stem.maps
    found = []
    width, outs = network.config.channels, [place.out for place in network.places]
    for index, (place, out) in enumerate(zip(network.macro.layout, outs, strict=True)):
        width *= 2 if place.reduction else 1
        space = network.macro.cells.get(place.kind)
        if space is None:
            arguments = f"{last.channels}, {width}"
        elif space.inputs == 1:
            arguments = f"{width}"
        else:
            arguments = f"{before.channels}, {last.channels}, {width}" + ", halve=True" * _halves(
                network, index
            )
        name = "Residual" if space is None else _class_name(place.kind)
        found.append(PlaceText(f"{name}({arguments})", f"{out.channels} x {out.side} x {out.side}"))
        before, last = last, out
    return found
