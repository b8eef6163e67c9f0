"""A chain of graphs as plain PyTorch."""

import dataclasses
from collections.abc import Iterator
from typing import Any, cast

from torch import nn

from fade_ray.export.text import INDENT, Plain, statement, wrapped
from fade_ray.nn import Chain, ChainNetwork, NetworkConfig
from fade_ray.nn.chain import GraphRow
from fade_ray.nn.costs import Map
from fade_ray.nn.graph_cell import GraphCell
from fade_ray.nn.layout import RowLayout
from fade_ray.nn.network import DenseHead, Head
from spaces import Dag
from spaces.errors import require

OUTPUT = "out"


def check_chain(network: Chain) -> None:
    """InvalidInput unless `network` is of width one."""
    remedy = "Choose one candidate per row with `HyperArchitecture.architecture` and train it."
    require(network.hyper.is_architecture, "width == 1", remedy, width=network.hyper.width)


def plain_chain(network: ChainNetwork) -> Plain:
    """Of a shared hyper-cell only the operations in use."""
    config, layout, dags = network.config, network.layout, _dags(network)
    rows = enumerate(zip(layout, dags, strict=True), start=1)
    pooled = any(row.stride > 1 for row in layout)
    classifier, result = head_text(network.head, layout[-1].out)
    values = {
        "title": f"{len(dags)} chained cell" + "s" * (len(dags) > 1),
        "notation": [],
        "description": _description(config, pooled),
        "rows": [_row(number, row, dag, config) for number, (row, dag) in rows],
        "last": layout[-1].out,
        "classifier": classifier,
        "result": result,
        "kernel": config.kernel,
        "row_norm": config.norm == "row",
        "pool": {"max": "max", "average": "avg"}[config.pool],
        "uses_functions": pooled or config.activation == "vertex" or "F." in result,
        "operation_text": ", ".join(_operation_parts(config)),
        "operation_source": _operation_source(config),
    }
    description = {
        "code": network.hyper.code(),
        "cells": [{"code": dag.code, "n": dag.n, "edges": dag.edges} for dag in dags],
        "layout": [dataclasses.asdict(row) for row in layout],
    }
    return Plain("chain.py.j2", values, list(_live(network)), description)


def head_text(head: Head, last: Map) -> tuple[str, str]:
    """What makes its classifier, and what it gives."""
    if not isinstance(head, DenseHead):
        return f"nn.Linear({last.entries}, {head.classes})", "self.classifier(x.flatten(1))"
    how = f'size=({head.side}, {head.side}), mode="bilinear"'
    scaled = f"F.interpolate(self.classifier(x), {how})"
    result = "self.classifier(x)" if last.side == head.side else scaled
    return f"nn.Conv2d({last.channels}, {head.classes}, 1)", result


def _live(network: ChainNetwork) -> Iterator[nn.Module]:
    for place, dag in zip(network.places, _dags(network), strict=True):
        row = cast(GraphRow, place)
        yield row.entry
        operations = cast(GraphCell, cast(nn.ModuleList, row.mixed.cells)[0]).operations
        yield from (operations[f"{source}-{target}"] for source, target in _edges(dag))
        if row.norm is not None:
            yield row.norm
    yield network.head.classifier


def _dags(network: ChainNetwork) -> list[Dag]:
    return [dag for (dag,) in network.hyper.graphs()]


def _edges(dag: Dag) -> Iterator[tuple[int, int | str]]:
    """All edges with an operation, by source."""
    for vertex in range(dag.n):
        if vertex in dag.sinks:
            yield vertex, OUTPUT
        yield from (edge for edge in dag.edges if edge[0] == vertex)


def _row(number: int, layout: RowLayout, dag: Dag, config: NetworkConfig) -> dict[str, Any]:
    """What the template says of one row: `comment`, `cell` are lines of `forward`, not indented."""
    edges = [f"cell{number}_{source}_{target}" for source, target in _edges(dag)]
    lines = list(_cell_lines(number, dag, relu=config.activation == "vertex"))
    values = {"number": number, "layout": layout, "edges": edges}
    return {**values, "comment": _comment(number, dag), "cell": lines}


def _comment(number: int, dag: Dag) -> list[str]:
    """The graph in words: "Row 1, graph 3.3: INPUT -> 0; 0 -> 1, 2; 1 -> OUTPUT; 2 -> OUTPUT"."""
    leaving: dict[str, list[str]] = {"INPUT": [str(v) for v in dag.sources]}
    for source, target in _edges(dag):
        leaving.setdefault(str(source), []).append("OUTPUT" if target == OUTPUT else str(target))
    graph = "; ".join(f"{source} -> {', '.join(targets)}" for source, targets in leaving.items())
    return wrapped(f"Row {number}, graph {dag.code}: {graph}", INDENT + len("# "))


def _cell_lines(number: int, dag: Dag, *, relu: bool) -> Iterator[str]:
    """A statement for the sources, which share one value, for each other vertex, for OUTPUT."""
    yield from statement(" = ".join(f"v{u}" for u in dag.sources), ["x"], relu)
    for target in [*(v for v in range(dag.n) if v not in dag.sources), OUTPUT]:
        terms = [f"self.cell{number}_{u}_{v}(v{u})" for u, v in _edges(dag) if v == target]
        yield from statement("x" if target == OUTPUT else f"v{target}", terms, relu)


def _operation_parts(config: NetworkConfig) -> dict[str, str]:
    """The parts of an operation in words, in order, and what makes them."""
    norm = config.norm == "operation"
    bias = ", bias=False" if norm else ""  # BatchNorm has a bias of its own
    kernel, padding = config.kernel, config.kernel // 2
    convolution = f"nn.Conv2d(channels, channels, {kernel}, padding={padding}{bias})"
    parts = {f"{kernel} x {kernel} convolution": convolution}
    if norm:
        parts["BatchNorm"] = "nn.BatchNorm2d(channels)"
    if config.activation == "edge":
        parts["ReLU"] = "nn.ReLU()"
    return parts


def _operation_source(config: NetworkConfig) -> list[str]:
    made = list(_operation_parts(config).values())
    if len(made) == 1:
        return [f"return {made[0]}"]
    return ["return nn.Sequential(", *(f"    {part}," for part in made), ")"]


def _description(config: NetworkConfig, pooled: bool) -> str:
    row = ["an entry convolution", "a cell", *["pooling"] * pooled]
    row += ["BatchNorm"] * (config.norm == "row")
    relu = "" if config.activation == "edge" else "the ReLU of "
    return (
        f"A row is {', '.join(row[:-1])} and {row[-1]}. A cell is a graph with an operation on "
        "each edge: `cell1_0_2` goes from vertex 0 to vertex 2 of the first cell, `cell1_2_out` "
        f"from vertex 2 to OUTPUT. The sources of a graph hold {relu}the cell's input, every other "
        f"vertex {relu}the sum of its incoming edges."
    )
