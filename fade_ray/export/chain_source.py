"""One architecture as plain PyTorch: the text of a module that needs torch alone, and the weights
under the names it uses.
"""

import importlib.metadata
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from torch import Tensor, nn

from fade_ray.nn import ChainNetwork, NetworkConfig
from fade_ray.nn.chain import GraphRow
from fade_ray.nn.graph_cell import EdgeConvolution, GraphCell
from fade_ray.nn.layout import RowLayout
from spaces import Dag

LINE = 120  # characters; longer statements are broken where `ruff format` breaks them
INDENT = 8  # of the statements in `forward`

OUTPUT = "out"


@dataclass(frozen=True)
class RowText:
    """What the template writes about one row. `comment`, `cell`: lines of `forward`, without their
    indentation.
    """

    number: int
    layout: RowLayout
    edges: tuple[str, ...]
    comment: tuple[str, ...]
    cell: tuple[str, ...]

    @property
    def pooled_side(self) -> int:
        return math.ceil(self.layout.side / self.layout.stride)


def module_source(
    network: ChainNetwork,
    name: str,
    *,
    classes: Sequence[str],
    mean: Sequence[float],
    std: Sequence[float],
    facts: Mapping[str, str] = {},
) -> str:
    """The text of `<name>.py` for a network of width one. `facts`: "key: value" lines of its
    docstring.
    """
    config, layout = network.config, network.layout
    channels, side, _ = network.input_shape
    rows = zip(layout, _dags(network), strict=True)
    pooled = any(row.stride > 1 for row in layout)
    return str(
        template("module.py.j2").render(
            name=name,
            version=importlib.metadata.version("fade-ray"),
            facts=facts,
            shape=f"[batch, {channels}, {side}, {side}]",
            constants=constant_lines(classes, mean, std),
            rows=[
                _row(number, row, dag, config) for number, (row, dag) in enumerate(rows, start=1)
            ],
            features=network.head.classifier.in_features,
            classes=len(classes),
            kernel=config.kernel,
            row_norm=config.norm == "row",
            pool={"max": "max", "average": "avg"}[config.pool],
            uses_functions=pooled or config.activation == "vertex",
            operation_text=", ".join(_operation_words(config)),
            operation_source=_operation_source(config),
            description=_description(config, pooled),
        )
    )


def module_weights(network: ChainNetwork) -> dict[str, Tensor]:
    """The state dict of the module of `module_source`, on the CPU: of a shared hyper-cell only the
    operations in use.
    """
    weights: dict[str, Tensor] = {}
    # then the convolution is part 0 of a Sequential
    nested = len(_operation_words(network.config)) > 1
    for number, (module, dag) in enumerate(
        zip(network.places, _dags(network), strict=True), start=1
    ):
        row = cast(GraphRow, module)
        weights |= prefixed(f"entry{number}", row.entry.state_dict())
        operations = cast(GraphCell, cast(nn.ModuleList, row.mixed.cells)[0]).operations
        for (source, target), name in zip(_edges(dag), _edge_names(number, dag), strict=True):
            operation = cast(EdgeConvolution, operations[f"{source}-{target}"])
            weights[f"{name}.0.weight" if nested else f"{name}.weight"] = operation.weight.detach()
            if operation.bias is not None:
                weights[f"{name}.0.bias" if nested else f"{name}.bias"] = operation.bias.detach()
            if operation.norm is not None:
                weights |= prefixed(f"{name}.1", operation.norm.state_dict())
        if row.norm is not None:
            weights |= prefixed(f"norm{number}", row.norm.state_dict())
    weights |= prefixed("classifier", network.head.classifier.state_dict())
    return {key: value.cpu().contiguous() for key, value in weights.items()}


def constant_lines(
    classes: Sequence[str], mean: Sequence[float], std: Sequence[float]
) -> list[str]:
    """The assignments of CLASSES, MEAN and STD."""
    constants = {
        "CLASSES": [literal(text) for text in classes],
        "MEAN": map(repr, mean),
        "STD": map(repr, std),
    }
    return [line for key, items in constants.items() for line in list_lines(key, list(items))]


def literal(text: str) -> str:
    """`text` as a Python string literal, what cannot be printed escaped, in the quotes that `ruff
    format` chooses.
    """
    escaped = repr(text + "\"'")[1:-4]  # both quotes in it: repr escapes the single ones
    escaped = "\\\\".join(part.replace("\\'", "'") for part in escaped.split("\\\\"))
    quote = '"' if escaped.count('"') <= escaped.count("'") else "'"
    return quote + escaped.replace(quote, "\\" + quote) + quote


def _dags(network: ChainNetwork) -> list[Dag]:
    return [dag for (dag,) in network.hyper.graphs()]


def _edges(dag: Dag) -> Iterator[tuple[int, int | str]]:
    """All edges with an operation, by source."""
    for vertex in range(dag.n):
        if vertex in dag.sinks:
            yield vertex, OUTPUT
        yield from (edge for edge in dag.edges if edge[0] == vertex)


def _edge_names(number: int, dag: Dag) -> list[str]:
    return [f"cell{number}_{source}_{target}" for source, target in _edges(dag)]


def _row(number: int, layout: RowLayout, dag: Dag, config: NetworkConfig) -> RowText:
    lines = _cell_lines(number, dag, relu=config.activation == "vertex")
    return RowText(
        number, layout, tuple(_edge_names(number, dag)), tuple(_comment(number, dag)), tuple(lines)
    )


def _comment(number: int, dag: Dag) -> list[str]:
    """The graph in words: "Row 1, graph 3.3: INPUT -> 0; 0 -> 1, 2; 1 -> OUTPUT; 2 -> OUTPUT"."""
    leaving: dict[str, list[str]] = {"INPUT": [str(v) for v in dag.sources]}
    for source, target in _edges(dag):
        leaving.setdefault(str(source), []).append("OUTPUT" if target == OUTPUT else str(target))
    graph = "; ".join(f"{source} -> {', '.join(targets)}" for source, targets in leaving.items())
    return textwrap.wrap(f"Row {number}, graph {dag.code}: {graph}", LINE - INDENT - len("# "))


def _cell_lines(number: int, dag: Dag, *, relu: bool) -> Iterator[str]:
    """One statement for the sources, which share one value, one for each further vertex and one for
    OUTPUT.
    """
    yield from statement(" = ".join(f"v{u}" for u in dag.sources), ["x"], relu)
    for target in [*(v for v in range(dag.n) if v not in dag.sources), OUTPUT]:
        terms = [f"self.cell{number}_{u}_{v}(v{u})" for u, v in _edges(dag) if v == target]
        yield from statement("x" if target == OUTPUT else f"v{target}", terms, relu)


def statement(target: str, terms: Sequence[str], relu: bool = False) -> list[str]:
    """`target = the sum of terms`, or its ReLU, as it stands in a method, on one line where it
    fits.
    """
    total = " + ".join(terms)
    line = f"{target} = F.relu({total})" if relu else f"{target} = {total}"
    if INDENT + len(line) <= LINE:
        return [line]
    fits = INDENT + 4 + len(total) <= LINE
    inner = [total] if fits else [terms[0], *(f"+ {term}" for term in terms[1:])]
    return [
        f"{target} = F.relu(" if relu else f"{target} = (",
        *(f"    {part}" for part in inner),
        ")",
    ]


def list_lines(name: str, items: Sequence[str], indent: int = 0) -> list[str]:
    """`name = [items]`, to stand `indent` characters in, on one line where it fits."""
    line = f"{name} = [{', '.join(items)}]"
    return (
        [line]
        if indent + len(line) <= LINE
        else [f"{name} = [", *(f"    {item}," for item in items), "]"]
    )


def _operation_words(config: NetworkConfig) -> list[str]:
    """The parts of an operation, in order."""
    norm, relu = config.norm == "operation", config.activation == "edge"
    return [
        f"{config.kernel} x {config.kernel} convolution",
        *["BatchNorm"] * norm,
        *["ReLU"] * relu,
    ]


def _operation_source(config: NetworkConfig) -> str:
    words = _operation_words(config)
    bias = ", bias=False" if "BatchNorm" in words else ""  # BatchNorm has a bias of its own
    convolution = (
        f"nn.Conv2d(channels, channels, {config.kernel}, padding={config.kernel // 2}{bias})"
    )
    modules = {"BatchNorm": "nn.BatchNorm2d(channels)", "ReLU": "nn.ReLU()"}
    parts = [convolution, *(modules[word] for word in words[1:])]
    return f"nn.Sequential({', '.join(parts)})" if len(parts) > 1 else convolution


def _description(config: NetworkConfig, pooled: bool) -> str:
    row = [
        "an entry convolution",
        "a cell",
        *["pooling"] * pooled,
        *["BatchNorm"] * (config.norm == "row"),
    ]
    vertex = (
        "The sources of a graph hold the cell's input, every other vertex the sum of its incoming edges."
        if config.activation == "edge"
        else "The sources of a graph hold the ReLU of the cell's input, every other vertex the ReLU of the sum of its incoming edges."
    )
    return (
        f"A row is {', '.join(row[:-1])} and {row[-1]}. A cell is a graph with an operation on each edge: `cell1_0_2` goes from "
        f"vertex 0 to vertex 2 of the first cell, `cell1_2_out` from vertex 2 to OUTPUT. {vertex}"
    )


def prefixed(prefix: str, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights with `prefix.` before their names."""
    return {f"{prefix}.{key}": value for key, value in weights.items()}


@cache
def template(name: str) -> Any:
    """A template of this folder, for Python text."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        autoescape=False,  # Python, not HTML
    )
    return environment.get_template(name)
