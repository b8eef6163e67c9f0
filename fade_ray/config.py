"""The configuration of a run: frozen dataclasses, checked when built, with a dict round trip for the run directory."""

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fade_ray.nn.chain import NetworkConfig
from fade_ray.training.config import ArchitectureConfig, TrainConfig
from spaces.errors import InvalidInput, require


@dataclass(frozen=True)
class DataConfig:
    """The images of a run."""

    data: str = "digits"
    """digits, cifar10, cifar100, a folder of class folders, or a Parquet file with `img` and `label` columns."""
    test_data: str | None = None
    """Parquet file or folder of the test images; without one, a sixth of the data is the test part."""
    data_root: str = "~/.cache/fade_ray"
    """Where cifar10 and cifar100 are kept or downloaded to."""
    image_side: int | None = None
    """Resize images to this side, in pixels (shorter side, then centre crop)."""
    limit: int | None = None
    """Use this many images (test images of a test set of its own not counted), drawn stratified."""
    test_limit: int | None = None
    """Use this many images of the test set."""
    split_seed: int = 0
    """Seed of the stratified split 1:1:4 (test : architecture : weights)."""
    crop: int | None = None
    """Augmentation: random crop after padding by this many pixels; by default what suits the data set."""
    flip: bool | None = None
    """Augmentation: random horizontal flip; by default what suits the data set."""
    cutout: int | None = None
    """Augmentation: a square of this side, in pixels, is blanked."""


@dataclass(frozen=True)
class SpaceConfig:
    """The graphs that cells are made of, and the feature space the search walks in."""

    min_vertices: int = 3
    max_vertices: int = 5
    features: tuple[str, ...] = ("eccentricity_variance", "degree_variance", "vertices")
    """Axes of the feature space: eccentricity_variance, degree_variance, vertices, operations, edges, depth, density."""
    bins: int = 6
    """Boxes per axis; axes of whole numbers have one per value."""


@dataclass(frozen=True)
class OuterConfig:
    """The outer search."""

    searcher: Literal["anchor", "random", "bayes", "evolution"] = "anchor"
    """anchor: walk along the FaDE-ranks; random: uniform points; bayes: a Gaussian process per row; both by the median of a point's evaluations;
    evolution: regularised evolution of the graphs."""
    iterations: int = 6
    walks: int = 2
    """Anchor walks at once; random search and evolution: points or architectures per iteration."""
    repeats: int = 1
    """Trainings of one hyper-architecture, their log ranks averaged."""
    gamma: float = 0.17
    """Half width of the stencil, in units of the scaled features; at least half a box."""
    gamma_rule: Literal["fixed", "distinct"] = "fixed"
    """distinct: widen gamma, per row and axis, until both sides of the stencil draw from different graphs."""
    step_size: float = 1.0
    """lambda of eq. 5."""
    step_rule: Literal["plain", "normalised"] = "plain"
    """plain: eq. 5; normalised: every step is step_size * gamma long."""
    gradient: Literal["difference", "least-squares"] = "difference"
    """difference: eq. 5; least-squares: slope of the weights over the features of the graphs that were drawn."""
    momentum: float = 0.0
    """Share of an anchor's last step that is added to its next one."""
    wide: bool = False
    """All walks in one wide hyper-architecture, so that their ranks are comparable and the worst anchors are replaced by ranks alone."""
    evaluate_every: int = 2
    """Iterations between evaluations of the anchors."""
    evaluations: int | None = None
    """Architectures that are generated and trained per evaluated point; by default 1, in random and Bayesian search 5."""
    elites: int = 0
    """Architectures of largest psi of each walk's hyper-architecture that are evaluated after each evaluation of the anchors."""
    finalists: int = 2
    """Architectures of largest psi of each walk's last hyper-architecture that are evaluated at the end."""
    evolve: bool = True
    """The walk evaluated worst restarts near the best one."""
    mutation: float = 0.1
    """Standard deviation of that restart, in units of the scaled features."""
    kappa: float = 2.5
    """Bayesian search: weight of the uncertainty in the upper confidence bound."""
    joint: bool = False
    """Bayesian search: one Gaussian process over all rows instead of one per row."""
    population: int = 10
    """Evolution: architectures alive."""
    tournament: int = 5
    """Evolution: architectures among which the parent of the next one is the best."""
    carry_weights: bool = True
    """Start each hyper-architecture from the network weights of the one before (needs --share)."""
    rank_epochs: int = 6
    """Epochs of a hyper-architecture."""
    evaluation_epochs: int = 8
    """Epochs of an evaluated architecture."""
    retrain_epochs: int = 30
    """Epochs of the found architecture, trained from scratch on the weights and architecture parts."""
    max_retries: int = 2
    """How often a failed trial is proposed again, with a new seed."""
    test_evaluations: bool = False
    """Measure evaluated architectures on the test part too, for the record alone: no searcher sees it."""

    def __post_init__(self) -> None:
        for name in ("rank_epochs", "evaluation_epochs", "retrain_epochs"):
            epochs = getattr(self, name)
            require(epochs >= 1, f"{name} >= 1", "Train for at least one epoch.", **{name: epochs})


@dataclass(frozen=True)
class RunConfig:
    """How and where a run is carried out. None of this changes what is searched; a run may be resumed with other values."""

    engine: Literal["ray", "local"] = "ray"
    """ray: trials on Ray Tune, on this machine or a cluster; local: the same loop in this process, one trial at a time."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    cpus_per_trial: int = 1
    """Processors per trial, and the threads it uses."""
    gpus_per_trial: float | None = None
    """GPUs per trial, fractions allowed; by default one where the cluster has any and the device allows it, else none."""
    concurrency: int | None = None
    """Trials at once; by default as many as fit."""
    address: str | None = None
    """Ray cluster to use; by default a running one, else a new one on this machine. "local" always starts a new one."""
    dashboard: bool = False
    """Serve Ray's dashboard on this machine (a cluster that is already running decides for itself)."""
    verbose: bool = False
    """Show all of Ray's output."""

    def __post_init__(self) -> None:
        require(self.cpus_per_trial >= 1, "cpus_per_trial >= 1", "Use 1 or more.", cpus_per_trial=self.cpus_per_trial)
        gpus, at_once = self.gpus_per_trial, self.concurrency
        require(gpus is None or gpus >= 0, "gpus_per_trial >= 0", "Use 0.25, 0.5 or 1.", gpus_per_trial=gpus)
        require(
            gpus is None or gpus <= 1 or gpus == int(gpus),
            "gpus_per_trial is whole above 1",
            "Use 1, or 2.",
            gpus_per_trial=gpus,
        )
        require(at_once is None or at_once >= 1, "concurrency >= 1", "Use 1 or more.", concurrency=at_once)
        require(
            not (gpus and self.engine == "local"),
            "gpus_per_trial == 0 with the local engine",
            "It has no resources to share out: choose the GPU with --device cuda.",
            gpus_per_trial=gpus,
        )


SCALE_ESTIMATORS = ("straight-through-sampled",)
"""Architecture gradients that are made of the scale of the drawn candidates' outputs alone."""


@dataclass(frozen=True)
class Config:
    """A whole run."""

    data: DataConfig = field(default_factory=DataConfig)
    space: SpaceConfig = field(default_factory=SpaceConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    architecture: ArchitectureConfig = field(default_factory=ArchitectureConfig)
    outer: OuterConfig = field(default_factory=OuterConfig)
    run: RunConfig = field(default_factory=RunConfig)
    seed: int = 0
    """Seed of the whole run."""
    out: str | None = None
    """Run directory; by default runs/<time>-<name>. An unfinished run in it is continued."""
    name: str = "fade"
    """Name of the run, part of the default run directory."""

    def __post_init__(self) -> None:
        require(0 <= self.seed < 2**31, "0 <= seed < 2**31", "Use a small number.", seed=self.seed)
        require(
            not self.outer.carry_weights or self.network.share,
            "share with carry_weights",
            "Only shared hyper-cells have weights to carry over: add --share, or --no-carry-weights.",
            carry_weights=self.outer.carry_weights,
            share=self.network.share,
        )
        norm, estimator = self.network.norm, self.architecture.estimator
        require(
            norm == "none" or estimator not in SCALE_ESTIMATORS,
            f"norm == none with {estimator}",
            "This estimator knows of a row only <dL/d out, out>, how the loss changes with the scale of the row's output, and "
            "a BatchNorm behind it undoes any scale: the gradient is 0 up to rounding, and the ranks are those of the start. "
            "(With norm == operation nearly so in all rows but the last.) Use --norm none, or another --estimator.",
            norm=norm,
            estimator=estimator,
        )
        warm_up, epochs = self.architecture.warm_up, self.outer.rank_epochs
        require(
            warm_up < epochs, "warm_up < rank_epochs", "Else no rank is learned.", warm_up=warm_up, rank_epochs=epochs
        )
        size = self.train.batch_size
        split = {"weight_paths": self.architecture.weight_paths}
        if self.architecture.estimator == "score-function-split":
            split["paths"] = self.architecture.paths
        for name, parts in split.items():
            rule, remedy = f"{name} <= batch_size", "Each path needs an image of the batch: draw fewer paths."
            require(parts <= size, rule, remedy, **{name: parts, "batch_size": size})

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, nested by the parts."""
        values: dict[str, Any] = plain(dataclasses.asdict(self))
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Config":
        """The inverse of `to_dict`. Raises InvalidInput for unknown names."""
        config: Config = build(cls, values, "")
        return config


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """Where two `Config.to_dict()` describe another search: "part.name: theirs -> ours", the parts that may change left out."""
    found = []
    for part in sorted((set(ours) | set(theirs)) - {"run", "out", "name"}):
        a, b = ours.get(part), theirs.get(part)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            keys = sorted(k for k in set(a) | set(b) if a.get(k) != b.get(k))
            found += [f"{part}.{key}: {b.get(key)!r} -> {a.get(key)!r}" for key in keys]
        elif a != b:
            found.append(f"{part}: {b!r} -> {a!r}")
    return found


def plain(value: Any) -> Any:
    """`value` with lists for tuples, as JSON has them."""
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, tuple | list) else value


def build(cls: Any, values: Mapping[str, Any], where: str) -> Any:
    """The dataclass `cls` from the `values` of its `dataclasses.asdict`. Raises InvalidInput for names that it does not have."""
    known = typing.get_type_hints(cls)
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise InvalidInput(f"The configuration knows no `{where}{unknown[0]}`. It knows {', '.join(sorted(known))}.")
    built = {
        key: build(known[key], value, f"{key}.")
        if dataclasses.is_dataclass(known[key])
        else tuple(value)
        if isinstance(value, list)
        else value
        for key, value in values.items()
    }
    return cls(**built)


# Named settings; flags given beside a recipe override it.
RECIPES: dict[str, Config] = {
    "default": Config(),
    # FaDE section 3, as far as the paper states it: see README, "Recipes". lambda, gamma, boxes and features are this project's reading.
    "paper": Config(
        network=NetworkConfig(depth=4, final_channels=32, kernel=5, pool="max", norm="none", share=True),
        train=TrainConfig(batch_size=128, learning_rate=1e-3, weight_decay=1e-4, clip=10.0),
        architecture=ArchitectureConfig(
            estimator="straight-through-exact",
            draw="weighted",
            temperature=10.0,
            logit_std=0.5,
            architecture_learning_rate=1e-3,
            penalty="max-norm-by-cell",
        ),
        outer=OuterConfig(
            iterations=100,
            walks=1,
            evaluate_every=4,
            evaluations=5,
            finalists=0,
            evolve=False,
            carry_weights=True,
            rank_epochs=5,
            evaluation_epochs=30,
            retrain_epochs=30,
        ),
    ),
}
