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
    """One attribute of a cell: `raw(cell)` in its own unit, `integer` if it is a count, `text` for
    people.
    """

    raw: Callable[[Any], float]
    integer: bool
    text: str


@lru_cache(maxsize=1 << 16)
def _variances(dag: Dag) -> tuple[float, float]:
    """Population variances of eccentricity and total degree over the n + 2 nodes of the undirected
    embodiment.
    """
    cell = dag.embodiment().to_undirected()
    return _variance(nx.eccentricity(cell).values()), _variance(
        degree for _, degree in cell.degree()
    )


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

    Raises:
        InvalidInput: no feature, an unknown or repeated name, or `low < high` broken on an axis.
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
                raise InvalidInput(
                    f"A feature must differ between the graphs of the catalogue, but {name!r} goes from {low:g} to "
                    f"{high:g}. Leave it out of the features or widen the range of vertices."
                )

    @classmethod
    def fit(
        cls,
        cells: Iterable[Candidate],
        names: Sequence[str] = DEFAULT_FEATURES,
        features: Mapping[str, Feature] = FEATURES,
    ) -> "FeatureMap":
        """The map with the minimum and maximum over `cells` as its ends.

        Raises:
            InvalidInput: no cell, an unknown or repeated name, or a feature that is the same for
            all cells. (Such an
                axis would cost two candidates per row, whose difference says nothing.)
        """
        names = tuple(names)
        _check_names(names, features)
        raw = [[float(features[name].raw(cell)) for name in names] for cell in cells]
        if not raw:
            raise InvalidInput(
                "Features are scaled over at least one graph, but got none. Give a non-empty catalogue."
            )
        return cls(
            names,
            tuple(map(min, zip(*raw, strict=True))),
            tuple(map(max, zip(*raw, strict=True))),
            features,
        )

    def __call__(self, cell: Candidate) -> npt.NDArray[np.float64]:
        """The cell's point, shape [k], in [0, 1]; a cell beyond the fitted ends lands on the
        nearest face.
        """
        low, high = np.array(self.low), np.array(self.high)
        raw = np.array([self.features[name].raw(cell) for name in self.names], dtype=np.float64)
        point: npt.NDArray[np.float64] = np.clip((raw - low) / (high - low), 0.0, 1.0)
        return point


def _check_names(names: Sequence[str], features: Mapping[str, Feature]) -> None:
    if unknown := [name for name in names if name not in features]:
        raise InvalidInput(
            f"Features go by the names {', '.join(features)}, but got {unknown[0]!r}. Choose among these."
        )
    if not names or len(set(names)) < len(names):
        raise InvalidInput(
            f"Features are at least one and different, but got {list(names)}. Choose among {', '.join(features)}."
        )
