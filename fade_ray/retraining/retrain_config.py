"""The configuration of a retraining: what is built from a genotype, how it trains, on what."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal, Self

import tyro

from fade_ray.data.data_config import DataConfig
from fade_ray.nn.cell_network import CellNetworkConfig
from fade_ray.run.run_config import RunOptions, WorkersConfig
from fade_ray.training.old_configs import upgraded_training
from fade_ray.training.train_config import CELL_TRAINING, TrainConfig
from spaces.cell import Macro
from spaces.errors import at_least, require

NORMALISATIONS: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    # DARTS (algorithms B.4)
    "cifar10": ((0.49139968, 0.48215827, 0.44653124), (0.24703233, 0.24348505, 0.26158768)),
    "cifar100": ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),  # P-DARTS (algorithms B.4)
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),  # torchvision's, as in DARTS
}
"""Published mean and standard deviation of each channel, in units of [0, 1]."""


@dataclass(frozen=True)
class RetrainData(DataConfig):
    """The images of a retraining."""

    loader: Literal["memory", "folder"] = "memory"
    """memory: decoded once and kept on the device; folder: `data` holds train/ and val/, decoded as
    they are needed (ImageNet).
    """
    normalisation: Literal["own", "cifar10", "cifar100", "imagenet"] = "own"
    """Mean and deviation of the channels: those of the training images, or published ones."""
    jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """Augmentation of the folder loader: brightness, contrast, saturation and hue vary by these
    shares.
    """

    def __post_init__(self) -> None:
        require(
            min(self.jitter) >= 0 and self.jitter[3] <= 0.5,
            "jitter >= 0, hue <= 0.5",
            "Use 0.4 0.4 0.4 0.2, or 0 0 0 0 for none.",
            jitter=self.jitter,
        )
        require(
            not any(self.jitter) or self.loader == "folder",
            "jitter == 0 with loader memory",
            "Only the folder loader varies colours: use --jitter 0 0 0 0.",
            jitter=self.jitter,
        )
        require(
            self.crop is None or self.loader == "memory",
            "crop with loader memory",
            "The folder loader crops at random sizes.",
            crop=self.crop,
        )


@dataclass(frozen=True)
class NetworkOptions:
    """What is built from the cells."""

    cells: int = 20
    """Cells in the network."""
    channels: int = 36
    """Channels of a node in the first cells."""
    fit_params: int | None = None
    """In place of --channels: the largest even number with no more parameters than this."""
    fit_macs: int | None = None
    """The same of multiply-adds, of which the mobile setting allows 600000000 (Amended-DARTS, 4.3);
    with both, the largest that keeps to both.
    """
    stem: Literal["auto", "cifar", "imagenet"] = "auto"
    """What stands before the first cell; auto: that of NAS-Bench-201 for its cells, else that of
    CIFAR.
    """
    pool_norm: bool = False
    """BatchNorm after pooling operations (StacNAS)."""
    auxiliary_norm: bool = True
    """The second BatchNorm of the auxiliary head for ImageNet (P-DARTS; DARTS has none)."""

    def __post_init__(self) -> None:
        at_least(1, fit_params=self.fit_params, fit_macs=self.fit_macs)

    @property
    def fits(self) -> dict[str, int]:
        """What the width is fitted to, by name."""
        given = {"fit_params": self.fit_params, "fit_macs": self.fit_macs}
        return {name: most for name, most in given.items() if most is not None}


@dataclass(frozen=True)
class RetrainConfig(RunOptions):
    """A whole retraining."""

    genotype: Annotated[Macro | None, tyro.conf.Suppress, tyro.conf.Fixed] = None
    """What is trained; recipes leave it open."""

    data: RetrainData = field(default_factory=RetrainData)
    network: NetworkOptions = field(default_factory=NetworkOptions)
    train: TrainConfig = CELL_TRAINING
    epochs: int = 50
    """Passes over the training images."""
    workers: WorkersConfig = field(default_factory=WorkersConfig)
    recipe: Annotated[str, tyro.conf.Suppress] = "quick"
    """The recipe that the flags were over."""
    export: Literal["last", "best", "average"] = "last"
    """Which weights are exported: of the last epoch, of the epoch best on the test part
    (optimistic), or their average (--ema).
    """
    seed: int = 0

    def __post_init__(self) -> None:
        train, size = self.train, self.workers.workers
        require(0 <= self.seed < 2**31, "0 <= seed < 2**31", "Use a small number.", seed=self.seed)
        at_least(1, epochs=self.epochs)
        fitting = max(1, round(train.batch_size / size)) * size
        require(
            train.batch_size % size == 0,
            "batch_size is a multiple of workers",
            f"Use --batch-size {fitting}, or another number of workers.",
            batch_size=train.batch_size,
            workers=size,
        )
        require(
            self.export != "average" or train.ema > 0,
            "ema > 0 with export average",
            "Add --ema 0.999.",
            ema=train.ema,
        )
        require(
            not self.data.cutout or self.data.loader == "memory",
            "cutout == 0 with loader folder",
            "The folder loader has none: use --cutout 0.",
            cutout=self.data.cutout,
        )

    def on(self, data: DataConfig) -> Self:
        """The same on other images, with its own cutout and normalisation. Raises InvalidInput for
        a setting whose images are decoded as they are needed.
        """
        require(
            self.data.loader == "memory",
            "loader memory for the images of a search",
            "Train one genotype by `fade-ray retrain` with a setting that reads a folder.",
            recipe=self.recipe,
            loader=self.data.loader,
        )
        own = {name: getattr(self.data, name) for name in ("cutout", "normalisation")}
        return replace(self, data=RetrainData(**vars(data) | own))

    def of_cells(self, macro: Macro) -> Self:
        """The same of cells like those of `macro`: unshared ones keep their number."""
        if macro.stack.shared:
            return self
        return replace(self, network=replace(self.network, cells=macro.depth))

    def network_config(self, macro: Macro) -> CellNetworkConfig:
        """How the network of `macro` is built."""
        options = self.network
        return CellNetworkConfig(
            channels=options.channels,
            stem=macro.stack.stems[0] if options.stem == "auto" else options.stem,
            pool_norm=options.pool_norm,
            auxiliary=self.train.auxiliary,
            auxiliary_norm=options.auxiliary_norm,
        )


def upgrade(values: Mapping[str, Any]) -> dict[str, Any]:
    """A stored configuration in its present form: "workers" was called "run", and "epochs" and
    "cutout" were of the training.
    """
    train = values.get("train", {})
    named = {("workers" if key == "run" else key): value for key, value in values.items()}
    if "epochs" in train:
        data = {**values.get("data", {}), "cutout": train["cutout"]}
        named |= {"epochs": train["epochs"], "data": data}
    return named | {"train": upgraded_training(train)}
