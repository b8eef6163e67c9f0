"""The configuration of a rank study."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fade_ray.data.data_config import DataConfig
from fade_ray.nn.chain import NetworkConfig
from fade_ray.ranks.candidates import CELLS
from fade_ray.run.run_config import RunConfig, RunOptions
from fade_ray.search.search_config import RECIPES, Config, OuterConfig, OwnSpace, SpaceConfig
from fade_ray.training.estimators import ESTIMATORS
from fade_ray.training.row_architecture import ArchitectureConfig
from fade_ray.training.train_config import TrainConfig
from spaces.errors import InvalidInput, at_least, each_once, require, require_known
from spaces.hyper import HyperArchitecture
from spaces.module_cell import ModuleCell


@dataclass(frozen=True)
class Setting:
    """How a hyper-architecture is trained: options over those of the study's configuration."""

    network: Mapping[str, Any] = field(default_factory=dict)
    architecture: Mapping[str, Any] = field(default_factory=dict)
    warm_up: float = 0.0
    """Share of the epochs in which the weights train alone."""


_PAPER = RECIPES["paper"].architecture

SETTINGS: dict[str, Setting] = {
    "default": Setting(),
    "separate": Setting({"share": False}),
    "shared": Setting({"share": True}),
    "score-weighted": Setting({}, {"estimator": "score-function", "draw": "weighted"}),
    "score-uniform": Setting({}, {"estimator": "score-function", "draw": "uniform"}),
    "score-split": Setting({}, {"estimator": "score-function-split", "draw": "uniform"}),
    "marginal": Setting({}, {"estimator": "marginal"}),
    "late": Setting(warm_up=0.5),
    "marginal-late": Setting({}, {"estimator": "marginal"}, warm_up=0.5),
    "blind": Setting({}, {"estimator": "permuted"}),
    "weight-paths": Setting({}, {"weight_paths": 4}),
    "exact": Setting({}, {"estimator": "straight-through-exact", "draw": "weighted"}),
    "exact-uniform": Setting({}, {"estimator": "straight-through-exact", "draw": "uniform"}),
    "sampled": Setting({}, {"estimator": "straight-through-sampled", "draw": "weighted"}),
    "penalty": Setting({}, {"penalty": "max-norm"}),
    "penalty-by-cell": Setting({}, {"penalty": "max-norm-by-cell"}),
    "paper": Setting({}, dataclasses.asdict(_PAPER)),
}
"""By the names of `fade-ray rank-study --settings`."""


@dataclass(frozen=True)
class StudyConfig:
    """What is trained, and what the ranks are held against."""

    settings: tuple[str, ...] = ("default",)
    """How the hyper-architecture is trained: default (the flags as they are); one thing changed
    over them: separate, shared, score-weighted, score-uniform, score-split, marginal, late (logits
    move in the second half of the epochs only), marginal-late, blind (a control: the logits follow
    permuted losses), weight-paths, exact, exact-uniform, sampled (needs --norm none), penalty,
    penalty-by-cell; all of the architecture's: paper.
    """
    seeds: tuple[int, ...] = (0, 1, 2)
    """Trainings of each setting."""
    cells: str = "graphs"
    """Candidates: graphs of `--operations`, or nasbench-macro, its blocks (needs --table)."""
    graphs: int = 5
    """Graphs per row, the same in all rows: equally spaced among those with so many operations."""
    operations: tuple[int, ...] = (7,)
    """Operations of the graphs, all on 5 vertices (FaDE 3.1: seven fit the paper's number of
    weights); several are shared out among the graphs.
    """
    rank_epochs: int = 50
    """Epochs of the hyper-architecture."""
    sample: int = 16
    """Architectures that are trained alone, one from each of as many strata of the predicted rank
    (mean over the seeds of the first setting).
    """
    repeats: int = 2
    """Trainings of each of them, with different seeds; two or more tell how noisy the truth is."""
    alone_epochs: int = 30
    """Epochs of an architecture alone."""
    table: str | None = None
    """Parquet file of NAS-Bench-Macro: its accuracies are the truth, nothing is trained alone."""

    def __post_init__(self) -> None:
        for name in self.settings:
            require_known("A setting", name, SETTINGS)
        require_known("`--cells`", self.cells, CELLS)
        each_once(settings=self.settings, seeds=self.seeds)
        at_least(0, seeds=min(self.seeds))
        at_least(1, rank_epochs=self.rank_epochs, alone_epochs=self.alone_epochs)
        at_least(1, repeats=self.repeats, operations=len(self.operations))
        remedy = "One candidate leaves nothing to rank."
        require(self.graphs >= 2, "graphs >= 2", remedy, graphs=self.graphs)
        remedy = "A correlation needs three; try 16."
        require(self.sample >= 3, "sample >= 3", remedy, sample=self.sample)
        tabled, given = CELLS[self.cells].in_table, self.table is not None
        remedy = "Give the file of NAS-Bench-Macro with --table."
        require(given or not tabled, f"table with {self.cells}", remedy, table=self.table)
        remedy = "Leave --table out, or use --cells nasbench-macro."
        require(tabled or not given, f"no table with {self.cells}", remedy, table=self.table)

    def hyper_architecture(self, depth: int) -> HyperArchitecture:
        """The hyper-architecture: the same candidates in all `depth` rows (8 of NAS-Bench-Macro).
        InvalidInput where there are fewer candidates than asked for.
        """
        cells = CELLS[self.cells]
        row = cells.row(self.graphs, self.operations)
        return HyperArchitecture((row,) * (cells.depth or depth))


NO_SCALE = (
    "It knows of a row only how the loss changes with the scale of its output, which the BatchNorm "
    "of the next block undoes behind the last row of each stage. Leave the setting out, or choose "
    "another --estimator."
)


@dataclass(frozen=True)
class RankStudyConfig(RunOptions):
    """A whole rank study."""

    study: StudyConfig = field(default_factory=StudyConfig)
    data: DataConfig = field(default_factory=DataConfig)
    network: NetworkConfig = field(default_factory=lambda: NetworkConfig(share=False))
    train: TrainConfig = field(default_factory=TrainConfig)
    architecture: ArchitectureConfig = field(default_factory=ArchitectureConfig)
    space: OwnSpace = field(default_factory=OwnSpace)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        holds, remedy = not (self.space.space and self.study.table), "Leave one of them out."
        given = {"space": self.space.space, "table": self.study.table}
        require(holds, "space or table", remedy, **given)
        trainings = {name: self._training(name) for name in self.study.settings}
        for training in trainings.values():
            alike = [name for name, other in trainings.items() if other == training]
            if len(alike) > 1:  # seeds do not depend on the setting
                raise InvalidInput(
                    f"Settings must differ in what they train, but with these options {alike} are "
                    f"the same training, which would be paid for {len(alike)} times. Leave all but "
                    "one of them out."
                )

    @property
    def hyper(self) -> HyperArchitecture:
        """What is trained: of a space of one's own all candidates of each row. InvalidInput where
        rows hold more of them than others.
        """
        own = self.space.choices
        if own is None:
            return self.study.hyper_architecture(self.network.depth)
        return HyperArchitecture(tuple(tuple(map(ModuleCell, row)) for row in own.rows))

    @property
    def blocks(self) -> bool:
        """Whether the candidates have norms of their own, and no operations to share."""
        return self.space.space is not None or CELLS[self.study.cells].blocks

    def check_ranks(self) -> None:
        """InvalidInput for a setting in which nothing is learned: see `Config.check_ranks`. The
        blocks of NAS-Bench-Macro have BatchNorms of their own, whatever `network.norm` is.
        """
        for name in self.study.settings:
            config = self.config(name)
            if self.space.space or not self.blocks:
                config.check_ranks()
                continue
            estimator = config.architecture.estimator
            rule = f"no {estimator} with {self.study.cells}"
            require(not ESTIMATORS[estimator].of_scale, rule, NO_SCALE, setting=name)

    def _training(self, setting: str) -> Config:
        """Equal for settings that train the same: NAS-Bench-Macro has no operations to share."""
        config = self.config(setting)
        if not self.blocks:
            return config
        return replace(config, network=replace(config.network, share=False))

    def config(self, setting: str) -> Config:
        """The configuration of the trials of a setting."""
        chosen, study = SETTINGS[setting], self.study
        late = {"warm_up": int(chosen.warm_up * study.rank_epochs)} if chosen.warm_up else {}
        outer = OuterConfig(
            rank_epochs=study.rank_epochs,
            evaluation_epochs=study.alone_epochs,
            carry_weights=False,
            test_evaluations=True,  # the truth: ranks are learned on the architecture split
        )
        return Config(
            data=self.data,
            space=SpaceConfig(space=self.space.space),
            network=replace(self.network, **chosen.network),
            train=self.train,
            architecture=replace(self.architecture, **{**late, **chosen.architecture}),
            outer=outer,
            run=self.run,
        )
