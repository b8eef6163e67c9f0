"""Which networks are trained to measure their gradient confusion, and how it is measured."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

from fade_ray.training.confusion import check_batches
from spaces.cell import Macro
from spaces.errors import InvalidInput, at_least, require
from spaces.genotype import named_genotype


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
class MatchOptions:
    """Whether and how the depth of a first stage is found."""

    match_depth: bool = False
    """Find the depth of the first stage of recipes with several, before they are searched: that at
    which gradient confusion per million parameters is nearest to that of the final network, by
    bisection with short trainings.
    """
    match_genotype: str | None = None
    """Of the final network: a genotype file or a published name; by default genotypes drawn from
    the space.
    """
    match_cells: int = 20
    """Cells in the final network."""
    match_channels: int = 36
    """Channels of its first cells."""
    match_deepest: int | None = None
    """The deepest first stage that may be tried; by default as deep as the final network."""
    match_epochs: int = 5
    """Epochs of each training."""
    match_seeds: int = 1
    """Trainings of each depth and of the final network, which are averaged."""
    match_batches: int = 10
    """m: batches whose gradients are compared in each of ten measurements."""

    def __post_init__(self) -> None:
        at_least(1, **{name: getattr(self, f"match_{name}") for name in COUNTED})
        if self.match_depth:
            _ = self.protocol, self.final  # check what belongs to them

    @property
    def protocol(self) -> Protocol:
        return Protocol(self.match_batches)

    @property
    def final(self) -> Final:
        """Raises InvalidInput for a genotype that is none."""
        genotype = None if self.match_genotype is None else named_genotype(self.match_genotype)
        return Final(genotype, self.match_cells, self.match_channels)


COUNTED = ("cells", "channels", "deepest", "epochs", "seeds")


@dataclass(frozen=True)
class ConfusionPlan:
    """A network to be trained and measured: that of a recipe's `stage`, from 1, on a space, or the
    `final` one. `trained`: stages until then, of `training_epochs` each; `cells`, `channels`: of
    the first. `epochs`: of all of them, and then one for each measurement.
    """

    sort: ClassVar[str] = "confusion"
    id: str
    attempt: int
    space: str
    recipe: str
    stage: int
    cells: int
    channels: int
    seed: int
    trained: int
    training_epochs: int
    iterations: int
    final: bool = False

    @property
    def epochs(self) -> int:
        return self.trained * self.training_epochs + self.iterations

    @property
    def kind(self) -> str:
        """What the trial is called where people see it."""
        network = "final" if self.final else f"{self.recipe}-{self.space}-stage{self.stage}"
        return f"{network}-{self.cells}cells-{self.channels}channels-seed{self.seed}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {"sort": self.sort, **asdict(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        return cls(**{name: value for name, value in data.items() if name != "sort"})


def possible_depths(macro: Macro, deepest: int) -> list[int]:
    """Numbers of cells, `deepest` at most, that the stack of a space can have. Raises InvalidInput
    where there is none.
    """
    depths = []
    for depth in range(1, deepest + 1):
        with suppress(InvalidInput):
            macro.stack.layout(depth)
            depths.append(depth)
    remedy = "Allow more: a normal cell beside two reduction cells makes 3."
    require(len(depths) > 0, "some depth has room for every kind of cell", remedy, deepest=deepest)
    return depths
