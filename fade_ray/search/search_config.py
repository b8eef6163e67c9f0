"""The configuration of an outer search: frozen dataclasses, checked when built."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from fade_ray.data.data_config import DataConfig
from fade_ray.nn.chain import NetworkConfig
from fade_ray.nn.choices import Choices
from fade_ray.nn.costs import Map
from fade_ray.records.additions import check_loaded, module_at
from fade_ray.run.run_config import RunConfig, RunOptions
from fade_ray.search.baselines import BASELINES
from fade_ray.search.limit_config import MeasuredLimits
from fade_ray.training.estimators import ESTIMATORS
from fade_ray.training.old_configs import upgraded_training
from fade_ray.training.optimisers import SCHEDULES, Adam
from fade_ray.training.row_architecture import ArchitectureConfig
from fade_ray.training.train_config import TrainConfig
from searchers import AnchorWalk, AskTell, Searcher, TrialLengths, WithRepeats
from spaces import Candidate, Dag, GraphSpace
from spaces.errors import InvalidInput, at_least, each_once, require, require_known
from spaces.feature_space import Space
from spaces.features import FEATURES
from spaces.limits import RowCosts


class Images(Protocol):
    """What a network must know of its images."""

    @property
    def side(self) -> int: ...

    @property
    def channels(self) -> int: ...

    @property
    def num_classes(self) -> int: ...

    @property
    def dense(self) -> bool: ...


LOG = logging.getLogger(__name__)
OF_GRAPHS = (
    *("min_vertices", "max_vertices", "features"),
    *("depth", "kernel", "pool", "norm", "activation"),
)
"""Options that say nothing of modules of a user's own."""


def changed(config: Any, names: Iterable[str]) -> Iterator[str]:
    """Those of its options among `names` that are not as by default."""
    options = (option for option in fields(config) if option.name in names)
    return (option.name for option in options if getattr(config, option.name) != option.default)


@dataclass(frozen=True)
class OwnSpace:
    """A space of modules of one's own."""

    space: str | None = None
    """A Python file of your own, in place of graphs: `space = fade_ray.choices(...)` in it."""

    @property
    def choices(self) -> Choices | None:
        """The space of the user's own. InvalidInput where its file holds none."""
        return None if self.space is None else choices_in(self.space)

    def check(self, network: NetworkConfig, images: Images) -> None:
        """InvalidInput where no network is made for the images."""
        if (own := self.choices) is None:
            network.layout(images.side, images.channels)
        else:
            image = Map(images.channels, images.side)
            own.check(network, image, images.num_classes, images.dense)
            if idle := [*changed(self, OF_GRAPHS), *changed(network, OF_GRAPHS)]:
                flags = ", ".join(f"--{name.replace('_', '-')}" for name in idle)
                LOG.warning("%s: of graphs alone, and without effect on your own modules.", flags)


@dataclass(frozen=True)
class SpaceConfig(OwnSpace):
    """The graphs that cells are made of, and the feature space the search walks in."""

    min_vertices: int = 3
    max_vertices: int = 5
    features: tuple[str, ...] = ("eccentricity_variance", "degree_variance", "vertices")
    """Axes of the feature space: eccentricity_variance, degree_variance, vertices, operations,
    edges, depth, density.
    """
    bins: int = 6
    """Boxes per axis; axes of whole numbers have one per value."""

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of the axes."""
        return self.features if self.choices is None else self.choices.axes

    def depth(self, network: NetworkConfig) -> int:
        """Number of rows."""
        return network.depth if self.choices is None else len(self.choices.rows)

    def build(self, network: NetworkConfig, images: Images | None = None) -> Space:
        """What is walked in, where `network` fits the images. Without these a space of the user's
        own has its axes in another order. InvalidInput.
        """
        image = None
        if images is not None:
            self.check(network, images)
            image = Map(images.channels, images.side)
        if (own := self.choices) is not None:
            return own.space(network, image, self.bins)
        return GraphSpace.create(self.min_vertices, self.max_vertices, self.features, self.bins)

    def told(self, row: int, cell: Candidate) -> dict[str, float | str]:
        """What a cell in a row, from 1, is called in lists of trials."""
        if not isinstance(cell, Dag):
            return {f"candidate {row}": cell.code}
        return {f"{n.replace('_', ' ')} {row}": FEATURES[n].raw(cell) for n in self.features}


def file_of(space: Choices | Path | str) -> str:
    """Where a space stands. InvalidInput where it stands in no file, or there under another name
    than `space`.
    """
    check_loaded()
    if not isinstance(space, Choices):
        return str(space)
    if space.file is None:
        raise InvalidInput(
            "A space must stand in a file, which every process of a run reads, but this one was "
            "made in a notebook or at a prompt. Write it to a file (`%%writefile my_space.py`) and "
            "say space='my_space.py'."
        )
    held = choices_in(space.file)
    if [*map(list, held.rows)] != [*map(list, space.rows)]:
        raise InvalidInput(
            f"A space that is searched must be called `space` in its file, but in {space.file} "
            "another one is. Rename it, or write it to a file of its own."
        )
    return space.file


def choices_in(path: str) -> Choices:
    """What is called `space` in that file. InvalidInput where it is none."""
    space = getattr(module_at(path), "space", None)
    if not isinstance(space, Choices):
        held = "there is no `space`" if space is None else f"`space` is {space!r}"
        raise InvalidInput(
            f"The file of a space must hold `space = fade_ray.choices(...)`, but {held} in {path}."
        )
    return space


@dataclass(frozen=True)
class OuterConfig(TrialLengths):
    """What all searchers share: how their trials train, and what is measured there."""

    test_evaluations: bool = False
    """Measure evaluated architectures on the test part too, for the record alone."""

    def parts(self) -> Mapping[str, Any]:
        """What it says of parts of `Config`: nothing, but in `fade_ray.config`."""
        return {}


@dataclass(frozen=True)
class FinishConfig:
    """What follows a search: its best architectures evaluated again, and the one that is best then
    trained from scratch, beside baselines.
    """

    confirmed: int = 3
    """Architectures of best mean score that are evaluated again, as the best of many single scores
    is a lucky one; the best mean of these is chosen. 0: the best single score.
    """
    confirmations: int = 2
    """How often each of them is."""
    objective_front: Literal["off", "params", "macs"] = "off"
    """Evaluate as many along the front of mean score and this cost again, in place of the best
    ones: no other architecture that costs no more has a score as high.
    """
    retrain_schedule: str = "one-cycle"
    """Learning rate of these trainings over their epochs, as --schedule; same: that of --schedule.
    """
    retrain_seeds: int | None = None
    """How often the found architecture and each baseline are trained; by default 7, the fewest that
    can show a difference from three baselines, and 1 without any.
    """
    baselines: tuple[str, ...] = tuple(BASELINES)
    """What the found architecture is held against, trained in the same way: plain-chain (of as many
    parameters), random (other architectures of the space), resnet-18 (with as many multiply-adds);
    off: nothing.
    """

    def __post_init__(self) -> None:
        if self.retrain_schedule != SAME:
            require_known("`--retrain-schedule`", self.retrain_schedule, SCHEDULES)
        wanted = tuple(name for name in self.baselines if name != OFF)
        object.__setattr__(self, "baselines", wanted)
        for name in wanted:
            require_known("A baseline", name, BASELINES)
        if wanted:
            each_once(baselines=wanted)
        at_least(0, confirmed=self.confirmed)
        along, remedy = self.objective_front, "Say how many architectures are evaluated again."
        holds = along == "off" or self.confirmed > 0
        require(holds, "confirmed >= 1 with a front", remedy, objective_front=along, confirmed=0)
        at_least(1, confirmations=self.confirmations)
        at_least(1, retrain_seeds=self.seeds)

    @property
    def seeds(self) -> int:
        """`retrain_seeds`, or what stands for it."""
        usual = SEEDS if self.baselines else 1
        return usual if self.retrain_seeds is None else self.retrain_seeds

    def training(self, train: TrainConfig) -> TrainConfig:
        """`train` with the schedule of these trainings."""
        if self.retrain_schedule == SAME:
            return train
        optimiser = replace(train.optimiser, schedule=self.retrain_schedule)
        return replace(train, optimiser=optimiser)


SAME, OFF, SEEDS = "same", "off", 7
FORMERLY: dict[str, Any] = {"confirmed": 0, "retrain_schedule": SAME, "baselines": ()}
"""How searches ended before there was anything to choose."""


@dataclass(frozen=True)
class Config(RunOptions):
    """A whole run."""

    data: DataConfig = field(default_factory=DataConfig)
    space: SpaceConfig = field(default_factory=SpaceConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    architecture: ArchitectureConfig = field(default_factory=ArchitectureConfig)
    searcher: Searcher = field(default_factory=AnchorWalk)
    outer: OuterConfig = field(default_factory=OuterConfig)
    finish: FinishConfig = field(default_factory=FinishConfig)
    limits: MeasuredLimits = field(default_factory=MeasuredLimits)
    run: RunConfig = field(default_factory=RunConfig)
    seed: int = 0
    """Seed of the whole run."""

    def __post_init__(self) -> None:
        for name, part in self.outer.parts().items():
            object.__setattr__(self, name, part)
        require(0 <= self.seed < 2**31, "0 <= seed < 2**31", "Use a small number.", seed=self.seed)
        carried, share = self.outer.carry_weights, self.network.share
        remedy = "Only shared hyper-cells have weights to carry: add --share or --no-carry-weights."
        holds, rule = share or not carried, "share with carry_weights"
        require(holds, rule, remedy, carry_weights=carried, share=share)
        given = {"warm_up": self.architecture.warm_up, "rank_epochs": self.outer.rank_epochs}
        holds, remedy = given["warm_up"] < given["rank_epochs"], "Else no rank is learned."
        require(holds, "warm_up < rank_epochs", remedy, **given)
        self.architecture.check_batch(self.train.batch_size)
        self.train.check_rows()

    def check_ranks(self) -> None:
        """InvalidInput where no rank is learned; not always checked, as old records break it."""
        norm, estimator = self.network.norm, self.architecture.estimator
        # norms of a user's own modules are not known here; ranks that stay uniform are warned of
        holds = self.space.space is not None or not ESTIMATORS[estimator].of_scale
        rule = f"norm == none with {estimator}"
        remedy = (
            "This estimator knows of a row only <dL/d out, out>, how the loss changes with the "
            "scale of the row's output, and a BatchNorm behind it undoes any scale: the gradient "
            "is 0 up to rounding, and the ranks are those of the start. (With norm == operation "
            "nearly so in all rows but the last.) Use --norm none, or another --estimator."
        )
        require(holds or norm == "none", rule, remedy, norm=norm, estimator=estimator)

    def search(self, space: Space) -> AskTell:
        """The searcher in `space`, at its beginning."""
        return self.searcher.build(space, self.space.depth(self.network), self.outer, self.seed)

    def choice(self, space: Space, costs: Mapping[str, RowCosts] | None = None) -> AskTell:
        """The search with the evaluations behind it that decide what is chosen; `costs` by their
        limits, where they are known.
        """
        inner, few = self.search(space), self.finish.confirmed
        if not few:
            return inner
        again = self.finish.confirmations, self.seed, self.outer.max_retries
        cost = (costs or {}).get(f"max_{self.finish.objective_front}")
        return WithRepeats(inner, few, *again, None if cost is None else cost.of)


def upgrade(values: Mapping[str, Any]) -> dict[str, Any]:
    """A stored configuration in its present form: formerly all searchers went in lockstep, and
    "outer" held the options of all of them side by side, and the name of the one that was meant.
    """
    outer = {"lockstep": True, **values.get("outer", {})}
    training = upgraded_training(values.get("train", {}))
    values = {"finish": FORMERLY, **values, "train": training, "outer": outer}
    if "searcher" not in outer:
        return values
    name, walks = outer["searcher"], outer.get("walks")
    batch = {"random": walks, "evolution": walks}.get(name)
    own = options_in({**outer, "batch": batch}, Searcher.member(name))
    return {**values, "searcher": {"name": name} | own, "outer": options_in(outer, OuterConfig)}


def options_in(values: Mapping[str, Any], cls: type[Any]) -> dict[str, Any]:
    """Those of `values` that are fields of `cls`; what is None there stood for the default."""
    known = {option.name for option in fields(cls)}
    return {name: value for name, value in values.items() if name in known and value is not None}


# Named settings; flags given beside a recipe override it.
RECIPES: dict[str, Config] = {
    "default": Config(),
    # for a first look, on small images and two CPU cores: minutes, the baselines too
    "quick": Config(
        network=NetworkConfig(final_channels=32),
        searcher=AnchorWalk(iterations=4),
        outer=OuterConfig(rank_epochs=5, evaluation_epochs=6, retrain_epochs=12),
    ),
    # FaDE section 3, as far as the paper states it: see docs/search.md, "Recipes". lambda, gamma,
    # boxes and features are this project's reading.
    "paper": Config(
        network=NetworkConfig(
            depth=4, final_channels=32, kernel=5, pool="max", norm="none", share=True
        ),
        train=TrainConfig(
            batch_size=128, optimiser=Adam(learning_rate=1e-3, weight_decay=1e-4, clip=10.0)
        ),
        architecture=ArchitectureConfig(
            estimator="straight-through-exact",
            draw="weighted",
            temperature=10.0,
            logit_std=0.5,
            architecture_learning_rate=1e-3,
            penalty="max-norm-by-cell",
        ),
        searcher=AnchorWalk(
            iterations=100, walks=1, evaluate_every=4, evaluations=5, finalists=0, evolve=False
        ),
        outer=OuterConfig(rank_epochs=5, evaluation_epochs=30, retrain_epochs=30),
        finish=FinishConfig(confirmed=0, retrain_schedule=SAME),
    ),
}
