"""The feature space of cells in boxes, and the generator that draws from them (FaDE 2.4)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from spaces.candidates import Candidate
from spaces.dag import catalogue
from spaces.errors import InvalidInput, require
from spaces.features import DEFAULT_FEATURES, FEATURES, Feature, FeatureMap
from spaces.limits import UNLIMITED, Limits

Box = tuple[int, ...]
Point = Sequence[float] | npt.NDArray[np.float64]


class Space(Protocol):
    """What searchers walk in: a feature space for each row of a chain, all on the same axes."""

    @property
    def dim(self) -> int:
        """Number of axes k."""

    def at(self, row: int) -> "FeatureSpace":
        """That of row `row`, from 0."""

    @property
    def limits(self) -> Limits:
        """What every architecture of it has to keep to."""

    def check_gamma(self, gamma: float) -> None:
        """As `FeatureSpace.check_gamma`."""


@dataclass(frozen=True)
class FeatureSpace:
    """A catalogue of cells in [0, 1]^k, each axis cut into equal bins; their boxes are the
    generator's intervals.

    A box without cells stands for the non-empty box whose centre is nearest to its own, ties by
    index, so every point has members; and every cell is a member of its own point's box, so the
    generator reaches all of them. Neither the edges of the boxes nor their number is stated in the
    paper (FaDE 2.4). InvalidInput for no cell, another number of `bins` than features, or fewer
    than one bin on an axis.
    """

    cells: tuple[Candidate, ...]
    feature_map: FeatureMap
    bins: tuple[int, ...]
    """Shape [k], number of bins per axis."""
    sparse: bool = False
    """Whether it has few cells for its axes, so that most boxes are empty."""
    _resolved: dict[Box, Box] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        remedy = "Give a non-empty catalogue."
        require(len(self.cells) > 0, "len(cells) >= 1", remedy, cells=self.cells)
        if len(self.bins) != self.dim or min(self.bins) < 1:
            got = f"bins={self.bins} for {self._axes}. Give {self.dim} positive numbers."
            raise InvalidInput(f"A feature space takes at least one bin per axis, but got {got}")

    @classmethod
    def over(
        cls,
        cells: Sequence[Candidate],
        names: Sequence[str],
        features: Mapping[str, Feature],
        bins: int = 6,
    ) -> Self:
        """The space of `cells` with the axes `names`, among `features`; `bins` equal bins of each
        real-valued axis, one per value of an integer-valued one. InvalidInput for an unknown
        feature, one that is the same for all cells, fewer than one bin.
        """
        fitted = FeatureMap.fit(cells, names, features)
        spans = zip(fitted.names, fitted.low, fitted.high, strict=True)
        whole = {name: round(high - low) + 1 for name, low, high in spans}
        counts = tuple(whole[name] if features[name].integer else bins for name in fitted.names)
        return cls(tuple(cells), fitted, counts)

    def at(self, row: int) -> Self:
        """As `Space`: all rows hold the same cells."""
        return self

    @property
    def limits(self) -> Limits:
        return UNLIMITED

    @property
    def _axes(self) -> str:
        return ", ".join(self.feature_map.names)

    @property
    def dim(self) -> int:
        """Number of axes k."""
        return len(self.feature_map.names)

    @cached_property
    def points(self) -> npt.NDArray[np.float64]:
        """Shape [len(cells), k]: the embedding of every cell, read-only."""
        points = np.stack([self.embed(cell) for cell in self.cells])
        points.flags.writeable = False
        return points

    @cached_property
    def boxes(self) -> dict[Box, tuple[Candidate, ...]]:
        """The non-empty boxes by their index, each with its cells in the order of the catalogue."""
        boxes: dict[Box, list[Candidate]] = {}
        for cell, point in zip(self.cells, self.points, strict=True):
            boxes.setdefault(self.interval(point), []).append(cell)
        return {box: tuple(boxes[box]) for box in sorted(boxes)}

    def embed(self, cell: Candidate) -> npt.NDArray[np.float64]:
        """The cell's point, shape [k]."""
        return self.feature_map(cell)

    def clip(self, point: Point) -> npt.NDArray[np.float64]:
        """The nearest point of [0, 1]^k, [k]. InvalidInput for another shape, or NaN."""
        array = np.asarray(point, dtype=np.float64)
        if array.shape != (self.dim,) or not np.isfinite(array).all():
            rule = f"A point takes {self.dim} finite numbers ({self._axes})"
            raise InvalidInput(f"{rule}, but got {array.tolist()}. Give one number per axis.")
        return np.clip(array, 0.0, 1.0)

    def interval(self, point: Point) -> Box:
        """Index of the point's box, shape [k]: half-open bins, the last closed; clipped first."""
        index = np.floor(self.clip(point) * self.bins).astype(int)
        return tuple(int(i) for i in np.minimum(index, np.array(self.bins) - 1))

    def members(self, point: Point) -> tuple[Candidate, ...]:
        """The cells of the point's box or, where it is empty, of the nearest non-empty one."""
        return self.boxes[self._resolve(self.interval(point))]

    def sample(self, point: Point, rng: np.random.Generator) -> Candidate:
        """The generator: one of the point's `members`, drawn uniformly (FaDE 2.4)."""
        members = self.members(point)
        return members[int(rng.integers(len(members)))]

    def uniform_point(self, rng: np.random.Generator) -> npt.NDArray[np.float64]:
        """A point drawn uniformly from the cube, shape [k]."""
        return rng.random(self.dim)

    def same_box(self, p: Point, q: Point) -> bool:
        """Whether the generator draws from the same cells at both points, empty boxes resolved."""
        return self._resolve(self.interval(p)) == self._resolve(self.interval(q))

    def check_gamma(self, gamma: float) -> None:
        """InvalidInput where a bin of an axis k can hold both M + gamma e_k and M - gamma e_k, as
        `2 gamma` does not exceed its width. (Equal is not enough: the last bin is closed.) Both may
        still draw from the same cells where empty boxes resolve to one: see `same_box`.
        """
        axis = int(np.argmin(self.bins))
        width = 1 / self.bins[axis]
        if not 2 * gamma > width + 1e-12:  # also refuses NaN
            least = (math.floor(500 * width + 1e-9) + 1) / 1000
            name = self.feature_map.names[axis]
            enough = f"Choose gamma of at least {least:g}."
            raise InvalidInput(
                f"Both sides of the stencil must lie in different bins: `2 gamma > {width:.4g}`, "
                f"the width of the bins of {name!r}, but got {gamma=}. "
                + (enough if least <= 0.5 else f"Raise bins: {name!r} has only one.")
            )

    def _resolve(self, box: Box) -> Box:
        if box not in self._resolved:
            bins = np.array(self.bins)
            occupied = list(self.boxes)
            # Between the centres (i + 1/2) / bins; rounded, so that equal distances tie and the
            # lowest index wins.
            squares = np.sum(((np.array(occupied) - np.array(box)) / bins) ** 2, axis=1).round(9)
            self._resolved[box] = occupied[int(np.argmin(squares))]
        return self._resolved[box]


@dataclass(frozen=True)
class RowSpaces:
    """A `Space` whose rows hold cells of their own, or place them differently."""

    rows: tuple[FeatureSpace, ...]
    """On the same axes."""
    limits: Limits = UNLIMITED

    @property
    def dim(self) -> int:
        return self.rows[0].dim

    def at(self, row: int) -> FeatureSpace:
        return self.rows[row]

    def check_gamma(self, gamma: float) -> None:
        for row in self.rows:
            row.check_gamma(gamma)


@dataclass(frozen=True)
class GraphSpace(FeatureSpace):
    """The feature space of FaDE: all small DAGs up to isomorphism."""

    @classmethod
    def create(
        cls,
        min_vertices: int = 3,
        max_vertices: int = 5,
        features: Sequence[str] = DEFAULT_FEATURES,
        bins: int = 6,
    ) -> "GraphSpace":
        """That of `catalogue(min_vertices, max_vertices)`; all else, errors too, as in `over`."""
        return cls.over(catalogue(min_vertices, max_vertices), features, FEATURES, bins)
