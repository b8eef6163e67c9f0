"""Which networks are trained to measure their gradient confusion, and how it is measured."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from fade_ray.training.confusion import check_batches
from spaces.cell import Macro
from spaces.errors import InvalidInput, at_least, require


@dataclass(frozen=True)
class Protocol:
    """How gradient confusion is measured (algorithms C.7)."""

    batches: int = 10
    """m: mini-batches whose gradients are compared with each other; it stands beside every value,
    since the largest of all pairs grows with it.
    """
    iterations: int = 10
    """Measurements of one network, each of batches of its own, that are averaged."""

    def __post_init__(self) -> None:
        check_batches(self.batches)
        at_least(1, iterations=self.iterations)


@dataclass(frozen=True)
class Final:
    """The network that is trained in the end. `genotype` None: one drawn uniformly from the space,
    another one for each seed.
    """

    genotype: Macro | None
    cells: int = 20
    channels: int = 36


@dataclass(frozen=True)
class ConfusionPlan:
    """A network to be trained and measured: that of a recipe's stage (from 0) on a space, or the
    `final` one. `epochs`: of each stage that is trained, then one for each measurement.
    """

    id: str
    attempt: int
    space: str
    recipe: str
    stage: int
    cells: int
    channels: int
    seed: int
    training_epochs: int
    iterations: int
    final: bool = False

    @property
    def epochs(self) -> int:
        trained = 1 if self.final else self.stage + 1
        return trained * self.training_epochs + self.iterations

    @property
    def kind(self) -> str:
        """What the trial is called where people see it."""
        network = "final" if self.final else f"{self.recipe}-{self.space}-stage{self.stage + 1}"
        return f"{network}-{self.cells}cells-{self.channels}channels-seed{self.seed}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        return cls(**data)


def possible_depths(macro: Macro, deepest: int) -> list[int]:
    """Numbers of cells, `deepest` at most, at which every kind of cell of a space has a place: in
    DARTS's stack normal cells and two that reduce. Raises InvalidInput where there is none.
    """
    depths = [depth for depth in range(1, deepest + 1) if _complete(macro, depth)]
    remedy = "Allow more cells: DARTS's stack needs 3."
    require(len(depths) > 0, f"{ROOM} at some depth", remedy, deepest=deepest)
    return depths


ROOM = "there is room for every kind of cell, two reduction cells among them,"


def check_depth(macro: Macro, depth: int) -> None:
    """Raises InvalidInput for a number of cells without a place for every kind."""
    remedy = "Use more cells: DARTS's stack needs 3, NAS-Bench-201 a multiple of 3."
    require(_complete(macro, depth), f"{ROOM} in a network", remedy, cells=depth)


def _complete(macro: Macro, depth: int) -> bool:
    """Whether there is a stack of that many cells, with as many that reduce, and some others."""
    try:
        layout = macro.stack.layout(depth)
    except InvalidInput:
        return False
    reducing = [place.reduction for place in layout]
    return sum(reducing) == sum(p.reduction for p in macro.layout) and not all(reducing)
