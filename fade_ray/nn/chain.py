"""The chain network: rows of candidate cells, from one architecture (width one) to a hyper-architecture (FaDE 2.2, Fig. 1)."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spaces import Dag, HyperArchitecture
from spaces.errors import InvalidInput

from .cells import Norm
from .layout import RowLayout, chain_layout
from .mixed import Mixed

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
    """BatchNorm after each row, after each operation (instead of its bias), or nowhere (the paper)."""
    activation: Literal["vertex", "edge"] = "vertex"
    """ReLU after a vertex's sum (the paper) or on each edge (its code)."""
    share: bool = True
    """One hyper-cell per row: all candidates of a row share their operations (FaDE 2.2, weight sharing)."""
    strides: tuple[int, ...] = ()
    """Pooling stride of each row; by default chosen from image side and depth."""

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise InvalidInput(f"`depth >= 1` must hold, but got depth={self.depth}. Ask for at least one cell.")
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise InvalidInput(f"`kernel` must be odd and positive, but got kernel={self.kernel}. Use 3, 5 or 7.")
        if self.final_channels < 1:
            raise InvalidInput(f"`final_channels >= 1` must hold, but got final_channels={self.final_channels}.")


class Row(nn.Module):
    """Convolution without activation, candidate cells, pooling, and BatchNorm where asked for."""

    def __init__(
        self,
        candidates: Sequence[Dag],
        layout: RowLayout,
        config: NetworkConfig,
        share_vertices: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.entry = nn.Conv2d(layout.channels_in, layout.channels, config.kernel, padding=config.kernel // 2)
        nn.init.kaiming_normal_(self.entry.weight, nonlinearity="linear", generator=generator)
        nn.init.zeros_(self.entry.bias)  # type: ignore[arg-type]
        self.mixed = Mixed(
            candidates,
            layout.channels,
            config.kernel,
            share_vertices=share_vertices,
            norm=config.norm == "operation",
            edge_activation=config.activation == "edge",
            generator=generator,
        )
        self.pool = F.max_pool2d if config.pool == "max" else F.avg_pool2d
        self.stride = layout.stride
        self.norm = Norm(layout.channels) if config.norm == "row" else None

    def forward(self, x: Tensor, choice: int, gate: Tensor | None = None, others: bool = False) -> Tensor:
        return self.leave(self.mixed(self.entry(x), choice, gate, others))

    def leave(self, x: Tensor) -> Tensor:
        """Pooling and norm, behind the candidates."""
        if self.stride > 1:
            x = self.pool(x, self.stride, ceil_mode=True)
        return x if self.norm is None else self.norm(x)


class ChainNetwork(nn.Module):
    """A hyper-architecture as a network; one architecture is the case of width one.

    `forward(x, path)` maps images [batch, channels, side, side] to class scores [batch, classes] along one candidate per row (`path`
    indexes the row's distinct candidates; () takes the first of each). `gates` [depth, width] and `others` as in `Mixed`.
    Duplicate candidates of a row are built once. `share_vertices`: the largest graph that a shared hyper-cell must hold (`config.share`),
    by default the largest candidate.
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
        super().__init__()
        if hyper.depth != config.depth:
            raise InvalidInput(f"The network has depth={config.depth}, but the hyper-architecture {hyper.depth} rows.")
        self.hyper, self.config = hyper, config
        self.input_shape, self.classes = (channels, side, side), classes
        self.layout = chain_layout(side, config.depth, channels, config.final_channels, config.strides)
        largest = max(share_vertices, *(dag.n for row in hyper.graphs() for dag in row), 0) if config.share else 0
        self.rows = nn.ModuleList(
            Row(candidates, layout, config, largest, generator)
            for candidates, layout in zip(hyper.graphs(), self.layout, strict=True)
        )
        last = self.layout[-1]
        self.classifier = nn.Linear(last.channels * math.ceil(last.side / last.stride) ** 2, classes)
        nn.init.kaiming_normal_(self.classifier.weight, nonlinearity="linear", generator=generator)
        nn.init.zeros_(self.classifier.bias)
        self._fixed_costs, self._candidate_costs = (
            self._count()
        )  # entries of the rows and the classifier; [row][candidate]

    @property
    def row_modules(self) -> list[Row]:
        """The rows, shallow to deep."""
        return [cast(Row, row) for row in self.rows]

    def forward(self, x: Tensor, path: Path = (), gates: Tensor | None = None, others: bool = False) -> Tensor:
        for index, row in enumerate(self.row_modules):
            x = row(x, path[index] if path else 0, None if gates is None else gates[index], others)
        # flatten as [channel, row, column], so that the layout in memory does not matter to the classifier's weights
        scores: Tensor = self.classifier(x.flatten(1))
        return scores

    def forward_paths(self, x: Tensor, paths: Sequence[Path]) -> list[Tensor]:
        """The class scores [batch, classes] of each path; what several paths have in common at their beginning is computed once."""
        reached: dict[tuple[int, ...], Tensor] = {(): x}
        for index, row in enumerate(self.row_modules):
            entered = {prefix: row.entry(value) for prefix, value in reached.items()}
            longer = sorted({tuple(path[: index + 1]) for path in paths})
            reached = {p: row.leave(row.mixed.candidate(entered[p[:-1]], p[-1])) for p in longer}
        return [self.classifier(reached[tuple(path)].flatten(1)) for path in paths]

    def multiply_adds(self, path: Path = ()) -> int:
        """Multiply-adds of one image's forward pass along `path`: convolutions and the classifier, nothing else counted."""
        chosen = [costs[path[index] if path else 0] for index, costs in enumerate(self._candidate_costs)]
        return sum(self._fixed_costs) + sum(chosen)

    def multiply_adds_paths(self, paths: Sequence[Path]) -> int:
        """Multiply-adds of one image's forward pass through `forward_paths(paths)`, where common beginnings are computed once."""
        classifier = self._fixed_costs[-1]
        total = classifier * len(paths)
        for index, costs in enumerate(self._candidate_costs):
            entered = {tuple(path[:index]) for path in paths}
            total += self._fixed_costs[index] * len(entered)
            total += sum(costs[longer[-1]] for longer in {tuple(path[: index + 1]) for path in paths})
        return total

    def multiply_adds_beside(self, path: Path) -> int:
        """Multiply-adds of the candidates that are not on `path`, each run once beside it."""
        return sum(sum(costs) - costs[path[index]] for index, costs in enumerate(self._candidate_costs))

    def _count(self) -> tuple[list[int], list[list[int]]]:
        fixed = []
        candidate_costs = []
        for layout, candidates in zip(self.layout, self.hyper.graphs(), strict=True):
            per_operation = self.config.kernel**2 * layout.side**2 * layout.channels**2
            fixed.append(per_operation * layout.channels_in // layout.channels)
            candidate_costs.append([per_operation * dag.operations for dag in candidates])
        fixed.append(self.classifier.in_features * self.classifier.out_features)
        return fixed, candidate_costs


@contextmanager
def still(network: nn.Module) -> Iterator[None]:
    """Within: BatchNorm buffers stand still and network weights ask for no gradient; afterwards the network is bitwise as before."""
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
