"""Chains: rows of candidate cells, from one architecture (width one) to a hyper-architecture (FaDE
2.2, Fig. 1); that of graphs.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fade_ray.nn.graph_cell import Norm
from fade_ray.nn.layout import RowLayout, chain_layout
from fade_ray.nn.mixed import Mixed, MixedGraphs
from spaces import Dag, HyperArchitecture
from spaces.errors import InvalidInput

Path = Sequence[int]  # one index per row, into the row's distinct candidates


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
    """One hyper-cell per row: all candidates of a row share their operations (FaDE 2.2, weight
    sharing).
    """
    strides: tuple[int, ...] = ()
    """Pooling stride of each row; by default chosen from image side and depth."""
    base_channels: int = 32
    """Channels of the stem of a NAS-Bench-Macro network, all others grow with it; of the other
    options none concerns its blocks.
    """

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise InvalidInput(
                f"`depth >= 1` must hold, but got depth={self.depth}. Ask for at least one cell."
            )
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise InvalidInput(
                f"`kernel` must be odd and positive, but got kernel={self.kernel}. Use 3, 5 or 7."
            )
        if self.final_channels < 1:
            raise InvalidInput(
                f"`final_channels >= 1` must hold, but got final_channels={self.final_channels}."
            )
        if self.base_channels < 1:
            raise InvalidInput(
                f"`base_channels >= 1` must hold, but got base_channels={self.base_channels}. Try 8."
            )


class ChainRow(nn.Module):
    """What comes before the candidates of a row (`entry`), the candidates (`mixed`), what comes
    behind them (`leave`).
    """

    def __init__(self, entry: nn.Module, mixed: Mixed) -> None:
        super().__init__()
        self.entry, self.mixed = entry, mixed

    def forward(
        self, x: Tensor, choice: int, gate: Tensor | None = None, others: bool = False
    ) -> Tensor:
        return self.leave(self.mixed(self.entry(x), choice, gate, others))

    def leave(self, x: Tensor) -> Tensor:
        """Behind the candidates: here nothing."""
        return x


class Costs(NamedTuple):
    """Multiply-adds of one image: convolutions and the classifier, nothing else counted."""

    entries: Sequence[int]
    """Of each row's entry."""
    candidates: Sequence[Sequence[int]]
    """[row][candidate]."""
    classifier: int
    """Of all that stands behind the last row."""


class Chain(nn.Module):
    """A hyper-architecture as a network, whatever its cells are; one architecture is the case of
    width one.

    `forward(x, path)` maps images [batch, channels, side, side] to class scores [batch, classes]
    along one candidate per row (`path` indexes the row's distinct candidates; () takes the first of
    each). `gates` [depth, width] and `others` as in `Mixed`. Duplicate candidates of a row are
    built once. `shape`: channels, side, side of the images.
    """

    def __init__(
        self,
        hyper: HyperArchitecture,
        rows: Sequence[ChainRow],
        classifier: nn.Linear,
        shape: tuple[int, int, int],
        costs: Costs,
    ) -> None:
        super().__init__()
        self.hyper, self.input_shape, self.classes = hyper, shape, classifier.out_features
        self.rows, self.classifier, self.costs = nn.ModuleList(rows), classifier, costs

    @property
    def row_modules(self) -> list[ChainRow]:
        """The rows, shallow to deep."""
        return [cast(ChainRow, row) for row in self.rows]

    def forward(
        self, x: Tensor, path: Path = (), gates: Tensor | None = None, others: bool = False
    ) -> Tensor:
        for index, row in enumerate(self.row_modules):
            x = row(x, path[index] if path else 0, None if gates is None else gates[index], others)
        return self.classify(x)

    def classify(self, x: Tensor) -> Tensor:
        """Class scores [batch, classes] of the last row's output."""
        # flatten as [channel, row, column], so that the layout in memory does not matter to the
        # classifier's weights
        scores: Tensor = self.classifier(x.flatten(1))
        return scores

    def forward_paths(self, x: Tensor, paths: Sequence[Path]) -> list[Tensor]:
        """The class scores [batch, classes] of each path; what several paths have in common at
        their beginning is computed once.
        """
        reached: dict[tuple[int, ...], Tensor] = {(): x}
        for index, row in enumerate(self.row_modules):
            entered = {prefix: row.entry(value) for prefix, value in reached.items()}
            longer = sorted({tuple(path[: index + 1]) for path in paths})
            reached = {p: row.leave(row.mixed.candidate(entered[p[:-1]], p[-1])) for p in longer}
        return [self.classify(reached[tuple(path)]) for path in paths]

    def multiply_adds(self, path: Path = ()) -> int:
        """Multiply-adds of one image's forward pass along `path`: convolutions and the classifier,
        nothing else counted.
        """
        chosen = [
            costs[path[index] if path else 0] for index, costs in enumerate(self.costs.candidates)
        ]
        return sum(self.costs.entries) + sum(chosen) + self.costs.classifier

    def multiply_adds_paths(self, paths: Sequence[Path]) -> int:
        """Multiply-adds of one image's forward pass through `forward_paths(paths)`, where common
        beginnings are computed once.
        """
        total = self.costs.classifier * len(paths)
        for index, (entry, costs) in enumerate(
            zip(self.costs.entries, self.costs.candidates, strict=True)
        ):
            total += entry * len({tuple(path[:index]) for path in paths})
            total += sum(
                costs[longer[-1]] for longer in {tuple(path[: index + 1]) for path in paths}
            )
        return total

    def multiply_adds_beside(self, path: Path) -> int:
        """Multiply-adds of the candidates that are not on `path`, each run once beside it."""
        return sum(
            sum(costs) - costs[path[index]] for index, costs in enumerate(self.costs.candidates)
        )

    def inherit(self, weights: Mapping[str, Tensor]) -> None:
        """Start from the `state_dict` of an earlier hyper-architecture; all of it must fit."""
        self.load_state_dict(weights)


class Row(ChainRow):
    """Convolution without activation, candidate graphs, pooling, and BatchNorm where asked for."""

    mixed: MixedGraphs

    def __init__(
        self,
        candidates: Sequence[Dag],
        layout: RowLayout,
        config: NetworkConfig,
        share_vertices: int,
        generator: torch.Generator,
    ) -> None:
        entry = nn.Conv2d(
            layout.channels_in, layout.channels, config.kernel, padding=config.kernel // 2
        )
        nn.init.kaiming_normal_(entry.weight, nonlinearity="linear", generator=generator)
        nn.init.zeros_(entry.bias)  # type: ignore[arg-type]
        mixed = MixedGraphs(
            candidates,
            layout.channels,
            config.kernel,
            share_vertices=share_vertices,
            norm=config.norm == "operation",
            edge_activation=config.activation == "edge",
            generator=generator,
        )
        super().__init__(entry, mixed)
        self.pool = F.max_pool2d if config.pool == "max" else F.avg_pool2d
        self.stride = layout.stride
        self.norm = Norm(layout.channels) if config.norm == "row" else None

    def leave(self, x: Tensor) -> Tensor:
        """Pooling and norm, behind the candidates."""
        if self.stride > 1:
            x = self.pool(x, self.stride, ceil_mode=True)
        return x if self.norm is None else self.norm(x)


class ChainNetwork(Chain):
    """A chain of graphs.

    `share_vertices`: the largest graph that a shared hyper-cell must hold (`config.share`), by
    default the largest candidate.
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
    ) -> None:
        if hyper.depth != config.depth:
            raise InvalidInput(
                f"The network has depth={config.depth}, but the hyper-architecture {hyper.depth} rows."
            )
        layouts = chain_layout(side, config.depth, channels, config.final_channels, config.strides)
        largest = (
            max(share_vertices, *(dag.n for row in hyper.graphs() for dag in row), 0)
            if config.share
            else 0
        )
        rows = [
            Row(candidates, layout, config, largest, generator)
            for candidates, layout in zip(hyper.graphs(), layouts, strict=True)
        ]
        last = layouts[-1]
        classifier = linear(
            last.channels * math.ceil(last.side / last.stride) ** 2, classes, generator
        )
        costs = _count(hyper, config, layouts, classifier)
        super().__init__(hyper, rows, classifier, (channels, side, side), costs)
        self.config, self.layout = config, layouts


def linear(features: int, classes: int, generator: torch.Generator) -> nn.Linear:
    """A classifier."""
    made = nn.Linear(features, classes)
    nn.init.kaiming_normal_(made.weight, nonlinearity="linear", generator=generator)
    nn.init.zeros_(made.bias)
    return made


def _count(
    hyper: HyperArchitecture,
    config: NetworkConfig,
    layouts: Sequence[RowLayout],
    classifier: nn.Linear,
) -> Costs:
    entries, candidate_costs = [], []
    for layout, candidates in zip(layouts, hyper.graphs(), strict=True):
        per_operation = config.kernel**2 * layout.side**2 * layout.channels**2
        entries.append(per_operation * layout.channels_in // layout.channels)
        candidate_costs.append([per_operation * dag.operations for dag in candidates])
    return Costs(entries, candidate_costs, classifier.weight.numel())


@contextmanager
def still(network: nn.Module) -> Iterator[None]:
    """Within: BatchNorm buffers stand still and network weights ask for no gradient; afterwards the
    network is bitwise as before.
    """
    norms = [module for module in network.modules() if isinstance(module, Norm)]
    weights = [p for p in network.parameters() if p.requires_grad]
    for module in norms:
        module.updating = False
    for weight in weights:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for module in norms:
            module.updating = True
        for weight in weights:
            weight.requires_grad_(True)
