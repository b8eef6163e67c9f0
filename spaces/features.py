"""Graph attributes by name, scaled to the unit cube over a catalogue (FaDE 2.4, 3.2).

The paper leaves open on which graph the attributes are taken. Here: degree and eccentricity on the
undirected view of the graph *with* INPUT and OUTPUT, since eccentricity is undefined where that
view falls apart, as it does for 296 of the 1,024 labelled 5-vertex DAGs without them; degree is
total degree, and variances are those of the population.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import networkx as nx
import numpy as np
import numpy.typing as npt

from spaces.candidates import Candidate
from spaces.dag import Dag
from spaces.errors import InvalidInput

DEFAULT_FEATURES = ("eccentricity_variance", "degree_variance", "vertices")
"""The three axes of the paper (FaDE 3.2)."""


@dataclass(frozen=True)
class Feature:
    """An attribute of a cell: `raw(cell)` in its own unit, an `integer` or not, `text` in words."""

    raw: Callable[[Any], float]
    integer: bool
    text: str


@lru_cache(maxsize=1 << 16)
def _variances(dag: Dag) -> tuple[float, float]:
    """Of eccentricity and total degree over the n + 2 nodes of the undirected embodiment."""
    cell = dag.embodiment().to_undirected()
    degrees = (degree for _, degree in cell.degree())
    return _variance(nx.eccentricity(cell).values()), _variance(degrees)


def _variance(counts: Iterable[int]) -> float:
    values = list(counts)
    # in integers up to the division, so that equal variances are equal numbers, on every machine
    n = len(values)
    return (n * sum(value**2 for value in values) - sum(values) ** 2) / n**2


def _density(dag: Dag) -> float:
    """Edges / (n (n - 1) / 2), and 0 for a single vertex."""
    return 2 * len(dag.edges) / max(dag.n * (dag.n - 1), 1)


FEATURES: dict[str, Feature] = {
    "eccentricity_variance": Feature(
        lambda dag: _variances(dag)[0], False, "variance of the eccentricity"
    ),
    "degree_variance": Feature(lambda dag: _variances(dag)[1], False, "variance of the degree"),
    "vertices": Feature(lambda dag: dag.n, True, "number of vertices"),
    "operations": Feature(lambda dag: dag.operations, True, "number of operations (edges + sinks)"),
    "edges": Feature(lambda dag: len(dag.edges), True, "number of edges"),
    "depth": Feature(lambda dag: dag.depth, True, "vertices on the longest path"),
    "density": Feature(_density, False, "share of the possible edges"),
}


@dataclass(frozen=True)
class FeatureMap:
    """Cell -> [0, 1]^k: each feature scaled linearly, so that `low` becomes 0 and `high` becomes 1.
    InvalidInput for no feature, an unknown or repeated name, or `low < high` broken on an axis.
    """

    names: tuple[str, ...]
    low: tuple[float, ...]
    """Shape [k], raw values, in the features' own units; so is `high`."""
    high: tuple[float, ...]
    features: Mapping[str, Feature] = field(
        default_factory=lambda: FEATURES, repr=False, compare=False
    )
    """What the names mean: those of graphs, or of another kind of cell."""

    def __post_init__(self) -> None:
        _check_names(self.names, self.features)
        for name, low, high in zip(self.names, self.low, self.high, strict=True):
            if not low < high:
                rule = "A feature must differ between the cells of the catalogue"
                goes = f"{name!r} goes from {low:g} to {high:g}"
                raise InvalidInput(f"{rule}, but {goes}. Leave it out, or widen the range.")

    @classmethod
    def fit(
        cls,
        cells: Iterable[Candidate],
        names: Sequence[str] = DEFAULT_FEATURES,
        features: Mapping[str, Feature] = FEATURES,
    ) -> "FeatureMap":
        """With the minimum and maximum over `cells` as its ends. InvalidInput also for no cell, and
        for a feature that never differs: two candidates per row would say nothing.
        """
        names = tuple(names)
        _check_names(names, features)
        raw = [[float(features[name].raw(cell)) for name in names] for cell in cells]
        if not raw:
            rule = "Features are scaled over at least one cell, but got none."
            raise InvalidInput(f"{rule} Give a non-empty catalogue.")
        columns = list(zip(*raw, strict=True))
        return cls(names, tuple(map(min, columns)), tuple(map(max, columns)), features)

    def __call__(self, cell: Candidate) -> npt.NDArray[np.float64]:
        """The cell's point, shape [k]; beyond the fitted ends it lands on the nearest face."""
        low, high = np.array(self.low), np.array(self.high)
        raw = np.array([self.features[name].raw(cell) for name in self.names], dtype=np.float64)
        point: npt.NDArray[np.float64] = np.clip((raw - low) / (high - low), 0.0, 1.0)
        return point


def _check_names(names: Sequence[str], features: Mapping[str, Feature]) -> None:
    known = ", ".join(features)
    if unknown := [name for name in names if name not in features]:
        rule = f"Features go by the names {known}"
        raise InvalidInput(f"{rule}, but got {unknown[0]!r}. Choose among these.")
    if not names or len(set(names)) < len(names):
        rule = "Features are at least one and different"
        raise InvalidInput(f"{rule}, but got {list(names)}. Choose among {known}.")
