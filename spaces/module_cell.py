"""Candidates of a user's own: modules, which records and searchers know by their names."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

from spaces.candidates import Candidate
from spaces.errors import require
from spaces.feature_space import FeatureSpace
from spaces.features import Feature, FeatureMap

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+=-]*")


@dataclass(frozen=True)
class ModuleCell(Candidate, kind="own"):
    """A module by its `name`: letters, digits, "_", "+", "=", "-". InvalidInput for another one."""

    size_name: ClassVar = "the number of their parameters"
    name: str
    row: tuple[str, ...] = field(default=(), compare=False, repr=False)
    """The names of its row, where it was drawn from one."""
    parameters: float = field(default=0.0, compare=False, repr=False)
    """At its place."""

    def __post_init__(self) -> None:
        remedy = "Give the row as a dictionary of names to modules."
        require(
            NAME.fullmatch(self.name) is not None, f"name is {NAME.pattern}", remedy, name=self.name
        )

    @property
    def code(self) -> str:
        return f"own.{self.name}"

    @classmethod
    def from_code(cls, code: str) -> Self:
        """InvalidInput for a code that is none."""
        return cls(code.partition(".")[2])

    def edits(self) -> Mapping[str, tuple[Candidate, ...]]:
        return {"swap": tuple(ModuleCell(n, self.row) for n in self.row if n != self.name)}

    @property
    def size(self) -> float:
        return self.parameters


def row_space(
    names: Sequence[str],
    values: Mapping[str, Mapping[str, float]],
    parameters: Mapping[str, float],
    bins: int,
) -> FeatureSpace:
    """The space of one row. `values`: axis -> name -> number; a candidate stands at its place in
    their order (equal ones share it), so that neighbours are equally far apart on any scale.
    """
    row = tuple(names)
    cells = tuple(ModuleCell(name, row, parameters.get(name, 0.0)) for name in row)
    places = {axis: _places(numbers) for axis, numbers in values.items()}
    ends = tuple(float(max(1, *of.values())) for of in places.values())
    features = {axis: _feature(axis, of) for axis, of in places.items()}
    fitted = FeatureMap(tuple(places), (0.0,) * len(places), ends, features)
    return FeatureSpace(cells, fitted, (bins,) * len(places), sparse=True)


def _places(numbers: Mapping[str, float]) -> dict[str, int]:
    order = sorted(set(numbers.values()))
    return {name: order.index(number) for name, number in numbers.items()}


def _feature(axis: str, places: Mapping[str, int]) -> Feature:
    return Feature(lambda cell: places[cell.name], True, axis.replace("_", " "))
