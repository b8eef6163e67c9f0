"""The configuration of a grid of cell searches: recipes x spaces x seeds."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from fade_ray.cells.cell_recipes import recipe
from fade_ray.cells.cell_settings import PUBLISHED
from fade_ray.cells.confusion_plan import MatchOptions
from fade_ray.cells.search_setup import MEASURED, STAGED, SearchSetup, setup
from fade_ray.data.data_config import DataConfig
from fade_ray.nn.own_cells import check_apart, named_space
from fade_ray.retraining import QUICK, RetrainConfig, retrain_recipe
from fade_ray.run.run_config import RunConfig, RunOptions
from fade_ray.training.edge_architecture import CellArchitectureConfig
from fade_ray.training.objectives import Classification, LanguageModel
from fade_ray.training.old_configs import upgraded_training
from fade_ray.training.train_config import CELL_TRAINING, TrainConfig
from spaces.cell import Macro
from spaces.darts import SPACES, published
from spaces.errors import InvalidInput, at_least, each_once, require
from spaces.groups import load_groups
from spaces.stackings import TrueAccuracies


@dataclass(frozen=True)
class ArchitectureOptions:
    """What a recipe says about the training of its logits, to be overridden; left out, the recipe's
    own value holds.
    """

    architecture_optimizer: Literal["adam", "sgd"] | None = None
    """sgd: plain, with the learning rate of the network weights (single-level, section 4.1)."""
    architecture_learning_rate: float | None = None
    """Adam's learning rate for the logits."""
    architecture_beta1: float | None = None
    """Adam's first beta for the logits (0.5)."""
    architecture_weight_decay: float | None = None
    eta: float | None = None
    """Amending coefficient of the amended update (0.1)."""
    unroll_clip: float | None = None
    """Second order: bound of the norm of the unrolled step's gradients; 0: none (0.25 on text)."""
    cap_clip: bool | None = None
    """Second order, clipped: off, the implicit term grows where that norm is below the bound, as in
    DARTS's code.
    """
    difference: Literal["central", "forward"] | None = None
    """Finite differences of the second-order and amended updates: central as in the papers, or
    forward: fewer passes, less exact.
    """
    architecture_warm_up: float | None = None
    """Share of the epochs in which the network weights train alone."""

    def apply(self, config: CellArchitectureConfig) -> CellArchitectureConfig:
        """`config` with what is given here."""
        given = {name.removeprefix("architecture_"): value for name, value in vars(self).items()}
        return replace(config, **{name: v for name, v in given.items() if v is not None})


@dataclass(frozen=True)
class GridConfig:
    """Which searches are run."""

    recipes: tuple[str, ...] = ("darts-1st", "single-level")
    """darts-1st, darts-2nd, single-level, amended, amended-edges, amended-fixed, gdas, pc-darts,
    random, ...
    """
    spaces: tuple[str, ...] = ("s5",)
    """Spaces by name: darts, s1 to s5, amended-s1, amended-s2, amended-s2-fixed, amended-s3,
    nasbench201, recurrent (of text), and those of one's own: a Python file with
    `space = fade_ray.cell_space(...)` in it.
    """
    seeds: tuple[int, ...] = (0,)
    """One search per seed."""
    setting: str = "small"
    """What recipes say of epochs, rates, regularisation and so on: nothing (small), or published,
    or imagenet. Flags that are given stand over it.
    """
    epochs: int = 50
    """Epochs of each stage of a search."""
    cells: int | None = None
    """Cells in the search network; by default as published for the space. Of a recipe whose stages
    differ in depth: of the first one, the others in proportion.
    """
    channels: int | None = None
    """Channels of its first cells; by default as published for the space."""
    stage_cells: tuple[int, ...] = ()
    """Cells of each stage, for the recipes with as many stages."""
    stage_channels: tuple[int, ...] = ()
    """Channels of each stage."""
    stage_epochs: tuple[int, ...] = ()
    """Epochs of each stage."""
    groups: str | None = None
    """Groups of like operations, for stacnas: published, measured (in a stage of its own), or a
    JSON file, of which the content is kept; by default published where the space has some, else
    measured.
    """
    representatives: Literal["same-kernel", "random"] = "same-kernel"
    """Which operation stands for its group."""
    edge_score: Literal["softmax", "raw"] = "softmax"
    """What edges are ranked by where a node keeps some of them: weights, or raw logits as in the
    code of StacNAS, which cannot be compared between edges.
    """
    stem: str | None = None
    """Entry of the network: cifar, imagenet, imagenet-search or nasbench201; by default that of the
    space.
    """
    held_out: float = 0.5
    """Share of the training images that the logits learn from; the joint update leaves them alone,
    so that all are measured on them. 0, for joint updates alone: all images train, and the proxy is
    of training images.
    """
    lower_rate: bool = True
    """Let `single-level` search again with a lower learning rate where more than 0.3 of the result
    is free of parameters.
    """
    eigenvalue_every: int = 0
    """Epochs between estimates of the dominant eigenvalue of the validation Hessian in the logits;
    0: none.
    """
    unchanged: int = 0
    """A search ends when its genotype is the same after so many epochs in a row; 0: at its last."""
    table: str | None = None
    """NAS-Bench-201 table (Parquet): true accuracies of everything found on that space."""

    def __post_init__(self) -> None:
        each_once(recipes=self.recipes, spaces=self.spaces, seeds=self.seeds)
        counts = {"eigenvalue_every": self.eigenvalue_every, "unchanged": self.unchanged}
        at_least(0, seeds=min(self.seeds), **counts)
        at_least(1, cells=self.cells, channels=self.channels, epochs=self.epochs)
        for name in STAGED:
            at_least(1, **{f"stage_{name}": min(getattr(self, f"stage_{name}"), default=1)})
        if self.groups not in (None, PUBLISHED, MEASURED) and not str(self.groups).startswith("["):
            # the file may change, and other machines do not have it
            text = json.dumps(load_groups(str(self.groups)))
            object.__setattr__(self, "groups", text)
        require(0 <= self.held_out < 1, "0 <= held_out < 1", "Use 0.5.", held_out=self.held_out)


@dataclass(frozen=True)
class RetrainingOptions:
    """Whether and how what was found is trained from scratch, as trials of the same run."""

    retrain: bool = False
    """Train every genotype that was found from scratch and test it. A run that has ended is
    continued with it.
    """
    retrain_settings: tuple[str, ...] = (QUICK["images"],)
    """Settings of `fade-ray retrain`, by name: the table of methods is made for each. Of text
    quick-text where nothing is said.
    """
    retrain_seeds: int = 2
    """Trainings of each genotype; those of one search are averaged."""
    retrain_epochs: tuple[int, ...] = ()
    """In place of what the settings say; several make several settings. So do these:"""
    retrain_cells: tuple[int, ...] = ()
    """Cells in the network."""
    retrain_channels: tuple[int, ...] = ()
    """Channels of its first cells."""

    def __post_init__(self) -> None:
        at_least(1, retrain_seeds=self.retrain_seeds)
        each_once(retrain_settings=self.retrain_settings)
        sizes = {name: value for name, value in vars(self).items() if isinstance(value, tuple)}
        each_once(**{name: value for name, value in sizes.items() if value})
        for name in self.retrain_settings:
            retrain_recipe(name)

    def includes(self, before: Self) -> bool:
        """Whether these are the retrainings that were asked for `before`, or more."""
        fewer = self.retrain_seeds < before.retrain_seeds
        kept = set(before.settings) <= set(self.settings) and not fewer
        return not before.retrain or (self.retrain and kept)

    @property
    def settings(self) -> dict[str, RetrainConfig]:
        """By name, such as "quick-6x16-20": cells x channels, epochs."""
        named: dict[str, RetrainConfig] = {}
        for name in self.retrain_settings:
            base = retrain_recipe(name)
            sizes = product(
                self.retrain_cells or (base.network.cells,),
                self.retrain_channels or (base.network.channels,),
                self.retrain_epochs or (base.epochs,),
            )
            for cells, channels, epochs in sizes:
                network = replace(base.network, cells=cells, channels=channels)
                setting = f"{name}-{cells}x{channels}-{epochs}"
                named[setting] = replace(base, network=network, epochs=epochs)
        return named


@dataclass(frozen=True)
class CellsConfig(RunOptions):
    """A whole run of `fade-ray cells`."""

    data: DataConfig = field(default_factory=DataConfig)
    grid: GridConfig = field(default_factory=GridConfig)
    architecture: ArchitectureOptions = field(default_factory=ArchitectureOptions)
    train: TrainConfig = CELL_TRAINING
    matching: MatchOptions = field(default_factory=MatchOptions)
    retraining: RetrainingOptions = field(default_factory=RetrainingOptions)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        self._take_own_spaces()
        tasks = {space: published(space).macro.stack.task for space in self.grid.spaces}
        rule, remedy = "all spaces of a run are of one task", "Run them apart."
        require(len(set(tasks.values())) == 1, rule, remedy, tasks=tasks)
        if self.task == "text" and self.train.objective == Classification():
            train = replace(self.train, objective=LanguageModel())
            object.__setattr__(self, "train", train)
        usual = RetrainingOptions.retrain_settings
        if self.retraining.retrain_settings == usual and usual != (QUICK[self.task],):
            own = replace(self.retraining, retrain_settings=(QUICK[self.task],))
            object.__setattr__(self, "retraining", own)
        for space in self.grid.spaces:
            for name in self.grid.recipes:
                self.setup(name, space)
        lengths = {len(recipe(name).stages) for name in self.grid.recipes}
        for option in (f"stage_{name}" for name in STAGED):
            values = getattr(self.grid, option)
            rule = f"{option} has one value for each stage of a recipe"
            remedy = f"The recipes have {' or '.join(map(str, sorted(lengths)))} stages."
            require(not values or len(values) in lengths, rule, remedy, **{option: values})

    def _take_own_spaces(self) -> None:
        """Spaces that are files by their names, the files among those that the run loads."""
        spaces = tuple(map(named_space, self.grid.spaces))
        files = [space for space in self.grid.spaces if space not in spaces]
        paths = (str(Path(file).expanduser().resolve()) for file in files)
        object.__setattr__(self, "grid", replace(self.grid, spaces=spaces))
        object.__setattr__(self, "use", tuple(dict.fromkeys((*self.use, *paths))))
        check_apart(spaces)

    @property
    def task(self) -> str:
        """What the networks are given: images, or text."""
        return published(self.grid.spaces[0]).macro.stack.task

    def setup(self, name: str, space: str) -> SearchSetup:
        """The recipe of that name on that space, see `search_setup.setup`."""
        return setup(self, name, space)

    def macro(self, space: str) -> Macro:
        """The search network's cells on that space. Raises InvalidInput for an unknown name and a
        depth that it cannot have.
        """
        macro = published(space).macro
        return macro if self.grid.cells is None else macro.at_depth(self.grid.cells)

    def table(self, space: str) -> TrueAccuracies | None:
        """The table of what is found on that space, where one is given and belongs to it."""
        read = self.macro(space).stack.table
        if read is None or self.grid.table is None:
            return None
        return read(Path(self.grid.table).expanduser())

    def check_table(self) -> None:
        """InvalidInput for a table without a space that has one, or that lacks architectures."""
        if self.grid.table is None:
            return
        tables = {space: self.table(space) for space in self.grid.spaces}
        if not any(table is not None for table in tables.values()):
            known = [name for name, space in SPACES.items() if space.macro.stack.table is not None]
            raise InvalidInput(
                f"A table belongs to the space {' or '.join(known)}, but the spaces are "
                f"{', '.join(self.grid.spaces)}. Leave --table out."
            )
        for space, table in tables.items():
            if table is not None and len(table) < (size := self.macro(space).size):
                raise InvalidInput(
                    "A table must hold every architecture that a search may find, but "
                    f"{self.grid.table} has {len(table):,} of {size:,}. Give the whole one."
                )

    def settings(self, space: str) -> dict[str, RetrainConfig]:
        """How what is found on that space is trained, by name; {} where it is not. Raises
        InvalidInput for settings that cannot have the images of this run.
        """
        if not self.retraining.retrain:
            return {}
        macro, settings = self.macro(space), self.retraining.settings
        return {name: each.on(self.data).of_cells(macro) for name, each in settings.items()}

    def plans(self) -> list["CellPlan"]:
        """Every search of the grid, seeds outermost: a run stopped early has all recipes."""
        pairs = [(name, space) for space in self.grid.spaces for name in self.grid.recipes]
        searches = enumerate((seed, *pair) for seed in self.grid.seeds for pair in pairs)
        return [
            CellPlan(f"{index:03d}", index, 0, name, space, seed, self.setup(name, space).epochs)
            for index, (seed, name, space) in searches
        ]


def upgrade(values: Mapping[str, Any]) -> dict[str, Any]:
    """A config.json of any age in its present form: "epochs" and "cutout" were of the training."""
    train = values.get("train", {})
    moved = {"grid": ("epochs",), "data": ("cutout",)}
    parts = {
        part: {**values.get(part, {}), **{name: train[name] for name in names if name in train}}
        for part, names in moved.items()
    }
    return {**values, **parts, "train": upgraded_training(train)}


@dataclass(frozen=True)
class CellPlan:
    """One search: a recipe on a space with a seed. `id` is unique in its run; `epochs` planned;
    `cells`: of the first stage where they were found by `--match-depth`.
    """

    sort: ClassVar[str] = "search"
    id: str
    index: int
    attempt: int
    recipe: str
    space: str
    seed: int
    epochs: int
    cells: int | None = None

    @property
    def kind(self) -> str:
        """What the trial is called where people see it."""
        return f"{self.recipe}-{self.space}-seed{self.seed}"

    @property
    def alike(self) -> str:
        """Searches that differ in their seeds take equally long."""
        return f"{self.recipe}-{self.space}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {k: v for k, v in dataclasses.asdict(self).items() if v is not None}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "CellPlan":
        return cls(**data)
