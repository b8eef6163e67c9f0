"""Which networks a study of gradient confusion trains."""

import itertools
from dataclasses import dataclass, field
from typing import Annotated

import tyro

from fade_ray.cells.cell_recipes import recipe
from fade_ray.cells.cells_config import ArchitectureOptions, CellsConfig, GridConfig
from fade_ray.cells.confusion_plan import ConfusionPlan, Final, Protocol
from fade_ray.data.data_config import DataConfig
from fade_ray.run.run_config import RunConfig, RunOptions
from fade_ray.training.train_config import CELL_TRAINING, TrainConfig
from spaces.cell import Macro
from spaces.darts import published
from spaces.errors import at_least, each_once, require


@dataclass(frozen=True)
class ConfusionStudy(RunOptions):
    """Gradient confusion of search networks of several depths and widths beside that of the final
    network, and how many skip-connects each depth chooses (StacNAS, Tables 2 and 6). Every
    combination of cells, channels and seed is trained, and the final network with every seed.

    Raises InvalidInput for unknown names and numbers out of range.
    """

    genotype: Annotated[Macro | None, tyro.conf.Suppress, tyro.conf.Fixed] = None
    """What the final network is made of; None: one drawn uniformly from the space for each seed."""
    data: DataConfig = field(default_factory=DataConfig)
    space: str = "s1"
    """Space of the search networks."""
    recipe: str = "stacnas"
    """Recipe of `fade-ray cells` by which they are trained."""
    stage: int = 1
    """Its stage whose network is measured; those before are trained first."""
    cells: tuple[int, ...] = (5, 8, 11, 14, 17, 20)
    """Cells in the network of the first stage."""
    channels: tuple[int, ...] = (16,)
    """Channels of its first cells."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """One training of every network per seed."""
    epochs: int = 10
    """Of each training; the paper has 100."""
    held_out: float = 0.0
    """Share of the training images that search networks leave to the logits; recipes with an update
    that is not joint need some.
    """
    final: bool = True
    """Measure the final network too."""
    final_cells: int = 20
    """Cells in the final network."""
    final_channels: int = 36
    """Channels of its first cells."""
    protocol: Protocol = field(default_factory=Protocol)
    architecture: ArchitectureOptions = field(default_factory=ArchitectureOptions)
    train: TrainConfig = CELL_TRAINING
    """Of all networks. With --auxiliary-weight 0.4 they have an auxiliary head, and are measured
    with it and without.
    """
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        each_once(cells=self.cells, channels=self.channels, seeds=self.seeds)
        at_least(1, channels=min(self.channels), epochs=self.epochs)
        at_least(1, final_channels=self.final_channels)
        stages = len(recipe(self.recipe).stages)
        remedy = f"{self.recipe} has {stages}."
        require(1 <= self.stage <= stages, "1 <= stage <= stages", remedy, stage=self.stage)
        macro = published(self.space).macro
        for depth in (*self.cells, *((self.final_cells,) if self.final else ())):
            macro.stack.layout(depth)  # checks it
        for cells, channels in itertools.product(self.cells, self.channels):
            self.search_config(cells, channels)  # checks what belongs to it

    @property
    def network(self) -> Final:
        """The final network."""
        return Final(self.genotype, self.final_cells, self.final_channels)

    def search_config(self, cells: int, channels: int) -> CellsConfig:
        """The search networks as `fade-ray cells` has them."""
        grid = GridConfig(
            recipes=(self.recipe,),
            spaces=(self.space,),
            seeds=self.seeds,
            epochs=self.epochs,
            cells=cells,
            channels=channels,
            held_out=self.held_out,
            lower_rate=False,
        )
        return CellsConfig(
            data=self.data,
            grid=grid,
            architecture=self.architecture,
            train=self.train,
            run=self.run,
        )

    def plans(self) -> list[ConfusionPlan]:
        """Every training, seeds outermost, the final network first: it takes longest."""
        sizes = [(c, d, False) for c, d in itertools.product(self.channels, self.cells)]
        if self.final:
            sizes.insert(0, (self.final_channels, self.final_cells, True))
        setup = self.search_config(self.cells[0], self.channels[0]).setup(self.recipe, self.space)
        # groups that are not known are measured first
        trained = len(setup.stages) - len(setup.recipe.stages) + self.stage
        return [
            ConfusionPlan(
                f"{'final' if final else 'search'}-{cells}x{channels}-{seed}",
                0,
                self.space,
                self.recipe,
                self.stage,
                cells,
                channels,
                seed,
                1 if final else trained,
                self.epochs,
                self.protocol.iterations,
                final,
            )
            for seed in self.seeds
            for channels, cells, final in sizes
        ]
