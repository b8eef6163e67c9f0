"""The configuration of a run: frozen dataclasses, checked when built, with a dict round trip for
the run directory.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fade_ray.data.data_config import DataConfig
from fade_ray.nn.chain import NetworkConfig
from fade_ray.records.json_form import build, plain
from fade_ray.run.run_config import RunConfig
from fade_ray.training.train_config import ArchitectureConfig, TrainConfig
from spaces.errors import require


@dataclass(frozen=True)
class SpaceConfig:
    """The graphs that cells are made of, and the feature space the search walks in."""

    min_vertices: int = 3
    max_vertices: int = 5
    features: tuple[str, ...] = ("eccentricity_variance", "degree_variance", "vertices")
    """Axes of the feature space: eccentricity_variance, degree_variance, vertices, operations,
    edges, depth, density.
    """
    bins: int = 6
    """Boxes per axis; axes of whole numbers have one per value."""


@dataclass(frozen=True)
class OuterConfig:
    """The outer search."""

    searcher: Literal["anchor", "random", "bayes", "evolution"] = "anchor"
    """anchor: walk along the FaDE-ranks; random: uniform points; bayes: a Gaussian process per row;
    both by the median of a point's evaluations; evolution: regularised evolution of the graphs.
    """
    iterations: int = 6
    walks: int = 2
    """Anchor walks at once; random search and evolution: points or architectures per iteration."""
    repeats: int = 1
    """Trainings of one hyper-architecture, their log ranks averaged."""
    gamma: float = 0.17
    """Half width of the stencil, in units of the scaled features; at least half a box."""
    gamma_rule: Literal["fixed", "distinct"] = "fixed"
    """distinct: widen gamma, per row and axis, until both sides of the stencil draw from different
    graphs.
    """
    step_size: float = 1.0
    """lambda of eq. 5."""
    step_rule: Literal["plain", "normalised"] = "plain"
    """plain: eq. 5; normalised: every step is step_size * gamma long."""
    gradient: Literal["difference", "least-squares"] = "difference"
    """difference: eq. 5; least-squares: slope of the weights over the features of the graphs that
    were drawn.
    """
    momentum: float = 0.0
    """Share of an anchor's last step that is added to its next one."""
    wide: bool = False
    """All walks in one wide hyper-architecture, so that their ranks are comparable and the worst
    anchors are replaced by ranks alone.
    """
    evaluate_every: int = 2
    """Iterations between evaluations of the anchors."""
    evaluations: int | None = None
    """Architectures that are generated and trained per evaluated point; by default 1, in random and
    Bayesian search 5.
    """
    elites: int = 0
    """Architectures of largest psi of each walk's hyper-architecture that are evaluated after each
    evaluation of the anchors.
    """
    finalists: int = 2
    """Architectures of largest psi of each walk's last hyper-architecture that are evaluated at the
    end.
    """
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
    """Epochs of the found architecture, trained from scratch on the weights and architecture parts.
    """
    max_retries: int = 2
    """How often a failed trial is proposed again, with a new seed."""
    test_evaluations: bool = False
    """Measure evaluated architectures on the test part too, for the record alone: no searcher sees
    it.
    """

    def __post_init__(self) -> None:
        for name in ("rank_epochs", "evaluation_epochs", "retrain_epochs"):
            epochs = getattr(self, name)
            require(epochs >= 1, f"{name} >= 1", "Train for at least one epoch.", **{name: epochs})


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
            warm_up < epochs,
            "warm_up < rank_epochs",
            "Else no rank is learned.",
            warm_up=warm_up,
            rank_epochs=epochs,
        )
        size = self.train.batch_size
        split = {"weight_paths": self.architecture.weight_paths}
        if self.architecture.estimator == "score-function-split":
            split["paths"] = self.architecture.paths
        for name, parts in split.items():
            rule, remedy = (
                f"{name} <= batch_size",
                "Each path needs an image of the batch: draw fewer paths.",
            )
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


# Named settings; flags given beside a recipe override it.
RECIPES: dict[str, Config] = {
    "default": Config(),
    # FaDE section 3, as far as the paper states it: see README, "Recipes". lambda, gamma, boxes and
    # features are this project's reading.
    "paper": Config(
        network=NetworkConfig(
            depth=4, final_channels=32, kernel=5, pool="max", norm="none", share=True
        ),
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
