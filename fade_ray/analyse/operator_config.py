"""Which mixtures are trained to see how their operations correlate."""

from dataclasses import dataclass, field
from typing import Literal

from fade_ray.cells.cell_recipes import recipe
from fade_ray.cells.cells_config import ArchitectureOptions, CellsConfig, GridConfig
from fade_ray.data.data_config import DataConfig
from fade_ray.run.run_config import RunConfig, RunOptions
from fade_ray.training.train_config import CELL_TRAINING, TrainConfig
from spaces.errors import at_least, require


@dataclass(frozen=True)
class OperatorStudy(RunOptions):
    """How the outputs of operations correlate in a trained search network, and the groups that
    follow (StacNAS, appendix A). One network is trained per seed.

    Raises InvalidInput for unknown names and numbers out of range.
    """

    data: DataConfig = field(default_factory=DataConfig)
    space: str = "s1"
    """Space by name, such as s1 to s4 or darts."""
    recipe: str = "darts-1st"
    """Recipe of `fade-ray cells` that trains the mixture of all operations, in one stage."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """One network per seed."""
    cells: int | None = None
    """Cells in the network; by default as published for the space, 14 in s1 to s5."""
    channels: int | None = None
    """Channels of its first cells; by default as published for the space."""
    epochs: int = 10
    """Of each training; the paper has 80."""
    images: int = 10_000
    """Training images that are measured, or as many as there are; not augmented."""
    skips: bool = False
    """Measure skip-connects too; they stay a group of their own."""
    reading: Literal["fields", "samples"] = "fields"
    """fields: coordinates are centred over the images, as in the authors' code; samples: the mean
    over the images of Pearson's correlation of flattened outputs.
    """
    matrix: Literal["first", "mean"] = "first"
    """What groups are made by: the first edge of the first cell, as published, or the mean over all
    edges.
    """
    cut: float = 0.2
    """Two groups are one where their operations correlate by this much on average."""
    held_out: float = 0.5
    """Share of the training images that the logits learn from; the others are measured."""
    architecture: ArchitectureOptions = field(default_factory=ArchitectureOptions)
    train: TrainConfig = CELL_TRAINING
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        at_least(1, images=self.images)
        require(-1 < self.cut < 1, "-1 < cut < 1", "Use 0.2.", cut=self.cut)
        chosen = recipe(self.recipe)
        stages, trains = len(chosen.stages), chosen.trains
        rule = "the recipe trains the mixture of all operations, in one stage"
        remedy = "Use darts-1st or single-level-softmax."
        require(stages == 1 and trains, rule, remedy, recipe=self.recipe, stages=stages)
        _ = self.search_config  # checks the rest

    @property
    def search_config(self) -> CellsConfig:
        """The trainings as `fade-ray cells` has them."""
        grid = GridConfig(
            recipes=(self.recipe,),
            spaces=(self.space,),
            seeds=self.seeds,
            epochs=self.epochs,
            cells=self.cells,
            channels=self.channels,
            held_out=self.held_out,
        )
        parts = {name: getattr(self, name) for name in ("data", "architecture", "train", "run")}
        return CellsConfig(grid=grid, **parts)
