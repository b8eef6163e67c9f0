"""Chains: rows of candidate cells (FaDE 2.2, Fig. 1); those of graphs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fade_ray.nn.costs import Cost, Map
from fade_ray.nn.draw import Draw, Path
from fade_ray.nn.graph_cell import GraphCell, hyper_cell_names, operation_names
from fade_ray.nn.layout import RowLayout, chain_layout
from fade_ray.nn.mixed import Mixed
from fade_ray.nn.network import DenseHead, Head, Network, Place, Stem, parameters
from fade_ray.nn.norms import Norm
from fade_ray.nn.sums import Source
from spaces import Dag, HyperArchitecture
from spaces.errors import at_least, require


@dataclass(frozen=True)
class NetworkConfig:
    """What every network of a run looks like, whatever its cells are."""

    depth: int = 4
    """Number of cells in the chain."""
    final_channels: int = 64
    """Channels of the deepest cell; halved towards the input wherever the map is pooled."""
    kernel: int = 3
    """Side of the convolution kernels in cells and between them, odd, in pixels."""
    pool: Literal["max", "average"] = "max"
    """Pooling after each row."""
    norm: Literal["row", "operation", "none"] = "row"
    """BatchNorm after each row, after each operation (instead of its bias), or nowhere (the paper).
    """
    activation: Literal["vertex", "edge"] = "vertex"
    """ReLU after a vertex's sum (the paper) or on each edge (its code)."""
    share: bool = True
    """One hyper-cell per row: its candidates share their operations (FaDE 2.2)."""
    strides: tuple[int, ...] = ()
    """Pooling stride of each row; by default chosen from image side and depth."""
    base_channels: int = 32
    """Stem channels of NAS-Bench-Macro networks, which no other option concerns."""

    def __post_init__(self) -> None:
        sizes = {"final_channels": self.final_channels, "base_channels": self.base_channels}
        at_least(1, depth=self.depth, **sizes)
        odd = self.kernel >= 1 and self.kernel % 2 == 1
        require(odd, "kernel is odd and positive", "Use 3, 5 or 7.", kernel=self.kernel)

    def layout(self, side: int, channels: int) -> tuple[RowLayout, ...]:
        """Of images of that side and so many channels. InvalidInput as `chain_layout`."""
        return chain_layout(side, self.depth, channels, self.final_channels, self.strides)


class Row(Place):
    """A row: what is before the candidates (`entry`), these (`mixed`), and behind (`leave`)."""

    def __init__(self, entry: nn.Module, mixed: Mixed, choices: Sequence[Cost], out: Map) -> None:
        super().__init__()
        self.kind, self.entry, self.mixed = "row", entry, mixed
        self.choices, self.out, self.cost = tuple(choices), out, Cost()

    def forward(self, values: Sequence[Source], draw: Draw, place: int) -> Tensor:
        return self.leave(self.mixed(self.entry(values[-1].value), draw, place))

    def sizes(self) -> list[int]:
        """How many parameters each candidate computes with."""
        return [parameters(self.mixed.cells[key]) for key, _ in self.mixed.candidates]

    def leave(self, x: Tensor) -> Tensor:
        """Behind the candidates: here nothing."""
        return x


class Chain(Network):
    """A hyper-architecture as a network; each distinct candidate of a row is built once."""

    places: Sequence[Row]

    def __init__(
        self, hyper: HyperArchitecture, stem: Stem, rows: Sequence[Row], head: Head, image: Map
    ) -> None:
        super().__init__(stem, rows, head, image=image)
        self.hyper = hyper

    def compile_candidates(self) -> None:
        """Compile each candidate by itself: which of them runs changes with every draw."""
        for row in self.places:
            for cell in row.mixed.cells.children():
                cell.compile()

    def forward_paths(self, x: Tensor, paths: Sequence[Path]) -> list[Tensor]:
        """Scores [batch, classes] of each path; common beginnings are computed once."""
        reached: dict[tuple[int, ...], Tensor] = {(): self.begin(x)[-1].value}
        for index, row in enumerate(self.places):
            entered = {prefix: row.entry(value) for prefix, value in reached.items()}
            longer = sorted({tuple(path[: index + 1]) for path in paths})
            reached = {
                path: row.leave(row.mixed.candidate(entered[path[:-1]], path[-1], Draw(path)))
                for path in longer
            }
        return [self.head(reached[tuple(path)]) for path in paths]

    def multiply_adds_paths(self, paths: Sequence[Path]) -> int:
        """Of one image's pass through `forward_paths(paths)`."""
        total = self.stem.cost.multiply_adds + self.head.cost.multiply_adds * len(paths)
        for index, row in enumerate(self.places):
            total += row.cost.multiply_adds * len({tuple(path[:index]) for path in paths})
            longer = {tuple(path[: index + 1]) for path in paths}
            total += sum(row.choices[path[-1]].multiply_adds for path in longer)
        return total

    def multiply_adds_beside(self, path: Path) -> int:
        """Multiply-adds of the candidates that are not on `path`, each run once beside it."""
        rows = zip(self.places, path, strict=True)
        others = [c for row, k in rows for j, c in enumerate(row.choices) if j != k]
        return sum(cost.multiply_adds for cost in others)

    def inherit(self, weights: Mapping[str, Tensor]) -> None:
        """Start from the `state_dict` of an earlier hyper-architecture; all of it must fit."""
        self.load_state_dict(weights)


class NamedChain(Chain):
    """A chain whose candidates are modules of their own, by name."""

    def inherit(self, weights: Mapping[str, Tensor]) -> None:
        """Start from an earlier `state_dict`; candidates it does not hold stay as they are."""
        self.load_state_dict(weights, strict=False)


def named_row(built: Mapping[str, nn.Module], costs: Sequence[Cost], out: Map) -> Row:
    """Each candidate under its name: equal ones have equal names of weights everywhere."""
    mixed = Mixed(nn.ModuleDict(built), [(name, ()) for name in built])
    return Row(nn.Identity(), mixed, costs, out)


class GraphRow(Row):
    """Convolution without activation, candidate graphs, pooling, and BatchNorm where asked for.

    The graphs have a cell each, or one hyper-cell for all graphs of up to `share_vertices`.
    """

    def __init__(
        self,
        candidates: Sequence[Dag],
        layout: RowLayout,
        config: NetworkConfig,
        share_vertices: int,
        generator: torch.Generator,
    ) -> None:
        channels, kernel, inside = layout.channels, config.kernel, layout.side**2
        entry = nn.Conv2d(layout.channels_in, channels, kernel, padding=kernel // 2)
        nn.init.kaiming_normal_(entry.weight, nonlinearity="linear", generator=generator)
        nn.init.zeros_(cast(Tensor, entry.bias))
        shared = [hyper_cell_names(share_vertices)] if share_vertices else []
        norm, edge = config.norm == "operation", config.activation == "edge"
        cells = [
            GraphCell(names, channels, kernel, norm, edge, generator)
            for names in shared or map(operation_names, candidates)
        ]
        keys = [(0 if shared else k, (dag,)) for k, dag in enumerate(candidates)]
        mixed = Mixed(nn.ModuleList(cells), keys)
        choices = [_cost(dag, channels, inside, config) for dag in candidates]
        super().__init__(entry, mixed, choices, layout.out)
        self.pool = F.max_pool2d if config.pool == "max" else F.avg_pool2d
        self.stride = self.reduction = layout.stride
        self.norm = Norm(channels) if config.norm == "row" else None
        norms = 0 if self.norm is None else self.out.entries
        self.cost = Cost(entry.weight.numel() * inside, norms)

    def sizes(self) -> list[int]:
        held = ((cast(GraphCell, self.mixed.cells[k]), dag) for k, (dag,) in self.mixed.candidates)
        return [parameters(*(c.operations[n] for n in operation_names(dag))) for c, dag in held]

    def leave(self, x: Tensor) -> Tensor:
        """Pooling and norm, behind the candidates."""
        if self.stride > 1:
            x = self.pool(x, self.stride, ceil_mode=True)
        return x if self.norm is None else self.norm(x)


def _cost(dag: Dag, channels: int, inside: int, config: NetworkConfig) -> Cost:
    """Of one candidate on maps of `inside` pixels."""
    entries = channels * inside
    norms = dag.operations * entries if config.norm == "operation" else 0
    values = 1 + dag.n - len(dag.sources) + 1  # all sources hold one value; OUTPUT is one too
    activated = {"vertex": values, "edge": dag.operations}[config.activation]
    per_operation = config.kernel**2 * channels * entries
    return Cost(dag.operations * per_operation, norms, activated * entries)


class ChainNetwork(Chain):
    """A chain of graphs. `share_vertices`: the largest graph that a shared hyper-cell must hold
    (`config.share`), by default the largest candidate. `dense`: scores of each pixel.
    """

    def __init__(
        self,
        hyper: HyperArchitecture,
        config: NetworkConfig,
        *,
        side: int,
        channels: int,
        classes: int,
        generator: torch.Generator,
        share_vertices: int = 0,
        dense: bool = False,
    ) -> None:
        rule, remedy = "depth is the number of rows", "Set one to the other."
        require(hyper.depth == config.depth, rule, remedy, depth=config.depth, rows=hyper.depth)
        graphs, image = hyper.graphs(), Map(channels, side)
        layouts = config.layout(side, channels)
        largest = max(share_vertices, *(dag.n for row in graphs for dag in row), 0)
        share = largest if config.share else 0
        rows = [
            GraphRow(candidates, layout, config, share, generator)
            for candidates, layout in zip(graphs, layouts, strict=True)
        ]
        stem, last = Stem([], (0, 0), [image], Cost()), layouts[-1].out
        head = (
            DenseHead(last, classes, side, generator)
            if dense
            else Head(linear(last.entries, classes, generator), pooled=False)
        )
        super().__init__(hyper, stem, rows, head, image)
        self.config, self.layout = config, layouts


def linear(features: int, classes: int, generator: torch.Generator) -> nn.Linear:
    """A classifier."""
    made = nn.Linear(features, classes)
    nn.init.kaiming_normal_(made.weight, nonlinearity="linear", generator=generator)
    nn.init.zeros_(made.bias)
    return made
