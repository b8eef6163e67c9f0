"""A network of cells as plain PyTorch."""

import inspect
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from torch import nn

from fade_ray.export.operation_text import Definition, check_texts, own_file, text_of
from fade_ray.export.plain_layers import FactorizedReduce, Residual, normed, relu_conv_norm
from fade_ray.export.text import INDENT, LINE, Plain, list_lines, statement, wrapped
from fade_ray.nn import CellNetwork
from fade_ray.nn.cell import Cell
from fade_ray.nn.layers import ConvNorm
from fade_ray.nn.layers import FactorizedReduce as Reduce
from fade_ray.nn.network import Place
from fade_ray.nn.operations import Pool
from spaces.cell import NONE, CellSpace, Gene
from spaces.errors import require


def check_genotype(network: CellNetwork) -> None:
    """InvalidInput unless `network` is that of a genotype, built for retraining."""
    macro, config = network.macro, network.config
    remedy = "Only networks of genotypes are exported: discretise the cells, train their network."
    require(macro.is_discrete, "one operation per edge", remedy, choices=macro.size)
    built = {name: getattr(config, name) for name in ("affine", "running_statistics", "partial")}
    rule, fits = "affine, running_statistics, partial == 1", list(built.values()) == [True, True, 1]
    remedy = "Export a network built for retraining: those of searches keep no statistics."
    require(fits, rule, remedy, **built)


def plain_cells(network: CellNetwork) -> Plain:
    """Without what no output depends on. InvalidInput for operations without a text."""
    check_texts(network.macro)
    macro, final_norm = network.macro, network.head.before is not None
    own = own_file(macro)
    file = None if own is None else Path(own.path).name
    kinds: dict[str, list[Cell]] = {}
    for place in network.places:
        if isinstance(place, Cell):
            kinds.setdefault(place.kind, []).append(place)
    used = _definitions(network)
    definitions = [textwrap.dedent(inspect.getsource(part)).rstrip() for part in used]
    values = {
        "title": f"{macro.depth} cells",
        "notation": wrapped(macro.notation, 4),
        "description": "",
        "definitions": definitions,
        "file": file,
        "cells": [_cell_text(cells) for cells in kinds.values()],
        "places": list(_calls(network)),
        "stem": _stem(network),
        "single": macro.stack.inputs == 1,
        "final_norm": final_norm,
        "features": network.head.classifier.in_features,
        "uses_functions": final_norm or any("F." in text for text in definitions),
    }
    description = {
        "code": macro.notation,
        "cells": macro.to_dict(),
        "layout": [{"kind": place.kind, **place.out._asdict()} for place in network.places],
    }
    beside = {} if own is None or file is None else {file: own.text}
    return Plain("cells.py.j2", values, list(_live(network)), description, beside=beside)


def _definitions(network: CellNetwork) -> dict[Definition, None]:
    """What the text calls, in the order in which it is to be defined."""
    used: dict[Definition, None] = {}
    for place in network.places:
        if not isinstance(place, Cell):
            used |= dict.fromkeys((relu_conv_norm, Residual))
            continue
        live = Live.of(place.space)
        for entry in (place.entries[i] for i in live.entries if place.entries):
            used[relu_conv_norm] = None
            if isinstance(entry, Reduce):
                used[FactorizedReduce] = None
        for name, gene in live.genes.items():
            if _made(place, name, gene) is not None:
                used |= dict.fromkeys(text_of(gene.op).definitions)
            if _is_normed(place, name):
                used[normed] = None
    return dict(sorted(used.items(), key=lambda item: isinstance(item[0], type)))


@dataclass(frozen=True)
class Live:
    """What the output depends on: nodes, genes but `none`, inputs whose value or shape is read."""

    nodes: frozenset[int]
    genes: Mapping[str, Gene]
    entries: tuple[int, ...]

    @classmethod
    def of(cls, cell: CellSpace) -> "Live":
        nodes = set(cell.outputs)
        genes = {name: gene for name, gene in cell.named_genes.items() if gene.op != NONE}
        for node in range(cell.nodes - 1, -1, -1):
            if node in nodes:
                nodes |= {gene.source for gene in genes.values() if gene.target == node}
        kept = {name: gene for name, gene in genes.items() if gene.target in nodes}
        if not nodes & set(range(cell.inputs)):
            nodes.add(0)  # all is zero, and zeros take their shape from an input
        return cls(frozenset(nodes), kept, tuple(i for i in range(cell.inputs) if i in nodes))


def _live(network: CellNetwork) -> Iterator[nn.Module]:
    yield from network.stem.blocks[: max(network.stem.taken)]
    for place in network.places:
        if not isinstance(place, Cell):
            yield place
            continue
        live = Live.of(place.space)
        yield from (place.entries[i] for i in live.entries if place.entries)
        yield from (_operation(place, name) for name in live.genes)
    if network.head.before is not None:
        yield network.head.before
    yield network.head.classifier


def _operation(cell: Cell, name: str) -> nn.Module:
    """The one on that edge."""
    return next(iter(cast(nn.ModuleDict, cell.edges[name]).values()))


def _stem(network: CellNetwork) -> dict[str, list[str]]:
    """The lines of each part of the stem: two, where two different outputs are taken."""
    lines: list[str] = []
    ends: list[int] = []
    for block in network.stem.blocks:
        conv = cast(ConvNorm, block).conv
        step = f"stride={conv.stride[0]}, " if conv.stride[0] > 1 else ""
        sizes = f"{conv.in_channels}, {conv.out_channels}, 3"
        lines += ["nn.ReLU(),"] if lines else []
        lines.append(f"nn.Conv2d({sizes}, {step}padding=1, bias=False),")
        lines.append(f"nn.BatchNorm2d({conv.out_channels}),")
        ends.append(len(lines))
    first, second = (ends[taken - 1] for taken in network.stem.taken)
    if first == second:
        return {"stem": lines[:second]}
    return {"stem_0": lines[:first], "stem_1": lines[first:second]}


def _cell_text(cells: list[Cell]) -> dict[str, Any]:
    """What the template says of one kind of cell, from those at all its places."""
    cell, space, live = cells[0], cells[0].space, Live.of(cells[0].space)
    halves = any(_halves(place) for place in cells)
    init, forward = [], []
    for i in live.entries if cell.entries else ():
        halved = "FactorizedReduce(c_0, channels) if halve else " if i == 0 and halves else ""
        init += statement(f"self.entry_{i}", [f"{halved}relu_conv_norm(c_{i}, channels, 1)"])
        forward.append(f"s{i} = self.entry_{i}(s{i})")
    for name, gene in live.genes.items():
        if (made := _made(cell, name, gene)) is not None:
            init.append(f"{_attribute(name)} = {made}")
    for node in sorted(live.nodes - set(range(space.inputs))):
        terms = [_term(cell, *item) for item in live.genes.items() if item[1].target == node]
        smaller = "[:, :, ::2, ::2]" if cell.reduction == 2 else ""
        zeros = f"torch.zeros_like(s{live.entries[0]}{smaller})"
        forward += statement(f"s{node}", terms or [zeros])
    forward += _returned([f"s{node}" for node in space.outputs])
    values = {"name": cell.kind.capitalize(), "doc": _doc(cell), "inputs": space.inputs}
    values["halves"] = halves
    return {**values, "init": init, "forward": forward}


def _returned(values: list[str]) -> list[str]:
    if len(values) == 1:
        return [f"return {values[0]}"]
    line = f"return torch.cat([{', '.join(values)}], 1)"
    if INDENT + len(line) <= LINE:
        return [line]
    return [*list_lines("outputs", values, INDENT), "return torch.cat(outputs, 1)"]


def _made(cell: Cell, name: str, gene: Gene) -> str | None:
    """The expression that makes an operation; None for the identity."""
    stride = cell.reduction if gene.source < cell.space.inputs else 1
    made = text_of(gene.op).expression(stride)
    return f"normed({made}, channels)" if _is_normed(cell, name) else made


def _is_normed(cell: Cell, name: str) -> bool:
    operation = _operation(cell, name)
    return isinstance(operation, Pool) and operation.norm is not None


def _term(cell: Cell, name: str, gene: Gene) -> str:
    if _made(cell, name, gene) is None:
        return f"s{gene.source}"
    return f"{_attribute(name)}(s{gene.source})"


def _attribute(name: str) -> str:
    return f"self.edge_{name.replace('-', '_')}"


def _doc(cell: Cell) -> str:
    """The cell in words."""
    size = "halves the map" if cell.reduction == 2 else "keeps the size of the map"
    single = cell.space.inputs == 1
    both = "its inputs are s0 (two cells back) and s1 (one back)"
    outputs = ", ".join(f"s{node}" for node in cell.space.outputs)
    end = "the output is" if len(cell.space.outputs) == 1 else "the output joins"
    return f"Cell `{cell.kind}` {size}; {'its input is s0' if single else both}, {end} {outputs}."


def _halves(place: Place) -> bool:
    """Whether the value from two cells back is larger than that from one back."""
    return isinstance(place, Cell) and isinstance(next(iter(place.entries), None), Reduce)


def _calls(network: CellNetwork) -> Iterator[str]:
    """What makes each place, and the map behind it in words."""
    before, last = network.stem.maps
    for place in network.places:
        name, out = place.kind.capitalize(), place.out
        sizes = [last.channels, out.channels]
        if isinstance(place, Cell):
            sizes = [*[before.channels, last.channels] * bool(place.entries), place.width]
        call = f"{name}({', '.join(map(str, sizes))}{', halve=True' * _halves(place)})"
        yield f"{call},  # -> {out.channels} x {out.side} x {out.side}"
        before, last = last, out
