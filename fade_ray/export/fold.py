"""Convolutions of one value that a graph sums, as the one convolution that they are."""

from dataclasses import replace
from typing import Any, cast

import networkx as nx
import torch
from torch import Tensor, nn

from fade_ray.nn import ChainNetwork
from fade_ray.nn.chain import GraphRow
from fade_ray.nn.graph_cell import GraphCell
from fade_ray.nn.network import DenseHead
from spaces import Dag, HyperArchitecture

Edge = tuple[int, int]  # the target n of a graph on n vertices is OUTPUT


def folded(network: ChainNetwork) -> ChainNetwork:
    """The same scores, up to the rounding of sums of weights, with fewer convolutions; `network`
    itself, of width one, where there is nothing to fold.

    All sources of a graph hold one value. Those that lead into the graph are one vertex then, those
    that lead to OUTPUT alone another one, and the convolutions that so become one edge are the one
    with the sum of their weights and biases. A ReLU or a BatchNorm on edges is no sum.
    """
    config, graphs = network.config, [dag for (dag,) in network.hyper.graphs()]
    rows = [_merged(dag) for dag in graphs]
    linear = config.activation == "vertex" and config.norm != "operation"
    if not linear or [dag for dag, _ in rows] == graphs:
        return network
    channels, side, _ = network.input_shape
    fewer = ChainNetwork(
        HyperArchitecture(tuple((dag,) for dag, _ in rows)),
        replace(config, share=False),
        side=side,
        channels=channels,
        classes=network.classes,
        dense=isinstance(network.head, DenseHead),
        generator=torch.Generator(),
    )
    fewer.to(network.head.classifier.weight).train(network.training)
    fewer.head.load_state_dict(network.head.state_dict())
    for before, after, (_, merged) in zip(network.places, fewer.places, rows, strict=True):
        for name, part in before.named_children():
            if name != "mixed":
                cast(nn.Module, getattr(after, name)).load_state_dict(part.state_dict())
        ours, theirs = _operations(before), _operations(after)
        for name, names in merged.items():
            theirs[name].load_state_dict(_sum([ours[each].state_dict() for each in names]))
    return fewer


def _merged(dag: Dag) -> tuple[Dag, dict[str, list[str]]]:
    """The graph with merged sources, and per operation of it those of `dag`."""
    alone = set(dag.sources) & set(dag.sinks)
    first = {v: min(vs) for vs in (alone, set(dag.sources) - alone) for v in vs}
    kept = sorted({first.get(v, v) for v in range(dag.n)})
    number = {v: kept.index(first.get(v, v)) for v in range(dag.n)}
    edges = {(number[u], number[v]) for u, v in dag.edges}
    merged = Dag(len(kept), tuple(edges))
    place = _isomorphism(len(kept), edges, merged) | {len(kept): merged.n}
    groups: dict[str, list[str]] = {}
    for u, v in (*dag.edges, *((sink, dag.n) for sink in dag.sinks)):
        target = len(kept) if v == dag.n else number[v]
        name = _name((place[number[u]], place[target]), merged.n)
        groups.setdefault(name, []).append(_name((u, v), dag.n))
    return merged, groups


def _isomorphism(n: int, edges: set[Edge], dag: Dag) -> dict[int, int]:
    """From vertices of a graph to those of the `Dag` that it is."""
    mine, canonical = nx.DiGraph(), nx.DiGraph()
    for graph, its in ((mine, edges), (canonical, dag.edges)):
        graph.add_nodes_from(range(n))
        graph.add_edges_from(its)
    matcher: Any = nx.isomorphism.DiGraphMatcher(mine, canonical)
    found: dict[int, int] = next(matcher.isomorphisms_iter())
    return found


def _operations(row: nn.Module) -> Any:
    cells = cast(nn.ModuleList, cast(GraphRow, row).mixed.cells)
    return cast(GraphCell, cells[0]).operations


def _name(edge: Edge, n: int) -> str:
    return f"{edge[0]}-out" if edge[1] == n else f"{edge[0]}-{edge[1]}"


def _sum(parts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Rounded once."""
    summed = {key: sum(part[key].double() for part in parts) for key in parts[0]}
    return {key: cast(Tensor, value).to(parts[0][key]) for key, value in summed.items()}
