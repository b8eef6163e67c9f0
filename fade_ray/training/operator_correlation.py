"""How the outputs of the operations on an edge correlate (StacNAS, appendix A; algorithms C.2).

Measured in a pass over batches: what is held does not depend on the number of images. Search
networks normalise by the batch, so that an output depends on which images share its batch, though
not on the order of the batches but for rounding.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, Self, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fade_ray.nn import CellNetwork, Draw, EdgeWeights
from fade_ray.nn.cell import Cell
from fade_ray.nn.sums import Source, Sum, Term
from fade_ray.training.device import Placement
from fade_ray.training.objectives import Batch
from spaces.cell import NONE, SKIP
from spaces.errors import require_known
from spaces.groups import Groups, cluster

Array = npt.NDArray[np.float64]
Edge = tuple[int, int]
"""Place of a cell in the stack, residual blocks counted, and the number of an edge of it."""

PUBLISHED: Edge = (0, 0)
"""The first edge of the first cell: input 0 of node 0 (StacNAS of 2020, section 3.1)."""
NO_VARIANCE = 1e-24
"""Of the mean square, the share up to which a sum of squares is rounding."""


class Moments(Protocol):
    """Sums over samples from which a correlation of operations is made; float64 on the host."""

    def update(self, outputs: Tensor) -> None:
        """Take a batch [O, N, ...] in."""

    def merge(self, other: Any) -> None:
        """Take in what another one of this class has seen."""

    @property
    def correlation(self) -> Tensor:
        """[O, O]; NaN in rows and columns of operations without variance."""

    @property
    def held(self) -> int:
        """Numbers that are held."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


class Comoments:
    """The correlation of centred feature fields: each of D coordinates is centred over the samples,
    products are summed over samples and coordinates.

    `mean` [O, D]; `products` [O, O] = sum over n, d of (x_od^n - mean_od) (x_pd^n - mean_pd): two
    parts are merged exactly (Chan, Golub and LeVeque 1983, eq. 1.5).
    """

    def __init__(self) -> None:
        self.count, self.mean, self.products = 0, torch.zeros(0), torch.zeros(0)

    def update(self, outputs: Tensor) -> None:
        values = outputs.flatten(2).double()  # [O, N, D]
        part = Comoments()
        part.count, part.mean = values.shape[1], values.mean(dim=1)
        centred = (values - part.mean[:, None]).flatten(1)
        part.products, part.mean = (centred @ centred.T).cpu(), part.mean.cpu()
        self.merge(part)

    def merge(self, other: Self) -> None:
        if self.count == 0:
            self.load_state_dict(other.state_dict())
        elif other.count:
            count = self.count + other.count
            apart = other.mean - self.mean
            between = (apart @ apart.T) * (self.count * other.count / count)
            self.products = self.products + other.products + between
            self.mean = self.mean + apart * (other.count / count)
            self.count = count

    @property
    def correlation(self) -> Tensor:
        return _normalised(self.products, self.count * self.mean.square().sum(dim=1))

    @property
    def held(self) -> int:
        return self.mean.numel() + self.products.numel()

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count, "mean": self.mean, "products": self.products}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.count, self.mean, self.products = (
            state[name] for name in ("count", "mean", "products")
        )


class SampleCorrelations:
    """The mean over samples of Pearson's correlation of two outputs, each flattened: the reading
    "flatten the output tensors into vectors", which keeps what all samples have in common.

    `sums`, `counts` [O, O]: over the samples of which it is defined.
    """

    def __init__(self) -> None:
        self.sums, self.counts = torch.zeros(0), torch.zeros(0)

    def update(self, outputs: Tensor) -> None:
        values = outputs.flatten(2).double().transpose(0, 1)  # [N, O, D]
        means = values.mean(dim=2)
        centred = values - means[..., None]
        squares = means.square() * values.shape[2]
        each = _normalised(centred @ centred.transpose(1, 2), squares).cpu()
        part = SampleCorrelations()
        part.sums, part.counts = each.nansum(dim=0), each.isfinite().double().sum(dim=0)
        self.merge(part)

    def merge(self, other: Self) -> None:
        if not self.sums.numel():
            self.load_state_dict(other.state_dict())
        elif other.sums.numel():
            self.sums, self.counts = self.sums + other.sums, self.counts + other.counts

    @property
    def correlation(self) -> Tensor:
        return self.sums / self.counts

    @property
    def held(self) -> int:
        return self.sums.numel() + self.counts.numel()

    def state_dict(self) -> dict[str, Any]:
        return {"sums": self.sums, "counts": self.counts}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.sums, self.counts = state["sums"], state["counts"]


CORRELATIONS: dict[str, Callable[[], Moments]] = {
    "fields": Comoments,
    "samples": SampleCorrelations,
}
"""The two readings of what the paper says."""


def _normalised(products: Tensor, squares: Tensor) -> Tensor:
    """products_op / sqrt(products_oo products_pp) [..., O, O]; `squares` [..., O] of the means."""
    own = products.diagonal(dim1=-2, dim2=-1)
    own = torch.where(own > NO_VARIANCE * (own + squares), own, torch.nan)
    scale = own.sqrt()
    return products / (scale[..., :, None] * scale[..., None, :])


class OperatorCorrelations:
    """The moments of every edge of a search network's cells.

    `ops`: what a row of a matrix is of, all operations of the space but `none`. skip-connects are
    measured with `skips` alone, as the paper leaves them out. `reading`: of `CORRELATIONS`.
    """

    def __init__(
        self, network: CellNetwork, reading: str = "fields", *, skips: bool = False
    ) -> None:
        require_known("`reading`", reading, CORRELATIONS)
        self.network, self.skips = network, skips
        self.ops = tuple(op for op in next(iter(network.macro.cells.values())).ops if op != NONE)
        self.measured: dict[Edge, list[str]] = {}
        self._modules: dict[Edge, list[nn.Module]] = {}
        for place, cell in enumerate(network.places):
            for number, modules in enumerate(_operations(cell)):
                kept = {op: modules[op] for op in modules if skips or op != SKIP}
                self.measured[place, number] = list(kept)
                self._modules[place, number] = list(kept.values())
        self.moments = {edge: CORRELATIONS[reading]() for edge in self.measured}

    def update(self, weights: Mapping[str, EdgeWeights], images: Tensor) -> None:
        """A pass over a batch with the mixture of these weights, in evaluation mode. The network
        stays as it is.
        """
        training = self.network.training
        self.network.eval()
        try:
            with torch.no_grad(), self._listening():
                self.network(images, Draw(edges=weights))
        finally:
            self.network.train(training)

    def merge(self, other: "OperatorCorrelations") -> None:
        """Take in what another one over the same network has seen, such as a worker's."""
        for edge, moments in self.moments.items():
            moments.merge(other.moments[edge])

    def matrices(self) -> dict[Edge, Array]:
        """Edge -> [O, O] in the order of `ops`; NaN in rows of what was not measured there, or had
        no variance.
        """
        return {edge: self._matrix(edge) for edge in self.moments if self.measured[edge]}

    @property
    def held(self) -> int:
        """Numbers that are held, however many images were seen."""
        return sum(moments.held for moments in self.moments.values())

    def state_dict(self) -> dict[str, Any]:
        return {
            f"{place}-{edge}": moments.state_dict()
            for (place, edge), moments in self.moments.items()
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for (place, edge), moments in self.moments.items():
            moments.load_state_dict(state[f"{place}-{edge}"])

    def _matrix(self, edge: Edge) -> Array:
        matrix = np.full((len(self.ops), len(self.ops)), np.nan)
        places = [self.ops.index(op) for op in self.measured[edge]]
        matrix[np.ix_(places, places)] = self.moments[edge].correlation.numpy()
        return matrix

    @contextmanager
    def _listening(self) -> Iterator[None]:
        handles = []
        for edge, modules in self._modules.items():
            heard = _Heard(len(modules), self.moments[edge].update)
            for module in modules:
                handles += [
                    module.register_forward_pre_hook(heard.before),
                    module.register_forward_hook(heard.after),
                ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


class _Heard:
    """The outputs of the operations on an edge, by themselves and not weighted, as they come."""

    def __init__(self, count: int, take: Callable[[Tensor], None]) -> None:
        self.count, self.take = count, take
        self.outputs: list[Tensor] = []
        self.term = Term(Sum())

    def before(self, module: nn.Module, arguments: tuple[Source, Term]) -> tuple[Source, Term]:
        source, self.term = arguments
        return source, Term(Sum())

    def after(self, module: nn.Module, arguments: tuple[Source, Term], output: None) -> None:
        value = cast(Tensor, arguments[1].total.value())
        self.term.add(value)
        self.outputs.append(value)
        if len(self.outputs) == self.count:
            self.take(torch.stack(self.outputs))
            self.outputs = []


def _operations(cell: nn.Module) -> Iterator[nn.ModuleDict]:
    """Of every edge, by number; nothing of a residual block."""
    if isinstance(cell, Cell):
        for name in cell.space.edge_names:
            yield cast(nn.ModuleDict, cell.edges[name])


def operator_correlation(
    network: CellNetwork,
    weights: Mapping[str, EdgeWeights],
    batches: Iterable[Batch],
    placement: Placement,
    reading: str = "fields",
    *,
    skips: bool = False,
) -> dict[Edge, Array]:
    """(place, edge) -> correlation [O, O] of the operations but `none`, over all `batches`; see
    `OperatorCorrelations`.
    """
    correlations = OperatorCorrelations(network, reading, skips=skips)
    for images, _ in batches:
        with placement.precision():
            correlations.update(weights, images)
    return correlations.matrices()


def mean_matrix(matrices: Iterable[Array]) -> Array:
    """Mean over edges [O, O], of each entry over those that know it; NaN where none does."""
    stacked = np.stack(list(matrices))
    known = np.isfinite(stacked)
    with np.errstate(invalid="ignore"):
        mean: Array = np.where(known, stacked, 0.0).sum(axis=0) / known.sum(axis=0)
    return mean


def groups_of(
    matrices: Mapping[Edge, Array],
    ops: Sequence[str],
    cut: float = 0.2,
    edge: Edge | None = PUBLISHED,
) -> Groups:
    """Groups of the operations of a space by the matrix of an edge, or by the mean over all."""
    matrix = mean_matrix(matrices.values()) if edge is None else matrices[edge]
    return cluster(matrix, [op for op in ops if op != NONE], cut)
