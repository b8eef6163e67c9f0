"""Which searches a gradient study makes."""

import difflib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fade_ray.cells.cells_config import ArchitectureOptions, CellsConfig, GridConfig
from fade_ray.data.data_config import DataConfig
from fade_ray.run.run_config import RunConfig, RunOptions
from fade_ray.training.optimisers import SGD
from fade_ray.training.train_config import TrainConfig
from spaces.errors import InvalidInput, require

SPACE = "nasbench201"
RECIPES = {
    ("first-order", "softmax"): "darts-1st",
    ("first-order", "sigmoid"): "darts-1st-sigmoid",
    ("joint", "softmax"): "single-level-softmax",
    ("joint", "sigmoid"): "single-level",
}
"""(update, relaxation) -> the recipe of that search."""
UPDATE_TEXT = {"first-order": "bilevel", "joint": "single-level"}


@dataclass(frozen=True)
class GradientStudy(RunOptions):
    """Gradient correlation (eq. 13) and dL/dp in searches on NAS-Bench-201, bilevel and
    single-level: Figs. 1 to 9 of single-level DARTS on a network of your size. All combinations of
    update, relaxation, learning rate and seed are searched, one after the other.

    Raises InvalidInput for unknown names and numbers out of range.
    """

    data: DataConfig = field(default_factory=DataConfig)
    update: tuple[str, ...] = ("first-order", "joint")
    """first-order: bilevel, the logits learn from held-out images; joint: single-level, both learn
    from one batch.
    """
    relaxation: tuple[str, ...] = ("softmax",)
    """softmax, or sigmoid, where operations do not compete."""
    learning_rate: tuple[float, ...] = (0.025,)
    """Of weights and logits, at the start of the cosine. The paper has 0.001, 0.005 and 0.025 for
    50 epochs of 390 steps.
    """
    seeds: tuple[int, ...] = (0, 1, 2)
    """One search per seed, of images, start and batches; the same for all settings, so that they
    can be compared in pairs.
    """
    cells: int = 3
    """Cells of the network, a multiple of 3; the paper's has 15."""
    channels: int = 8
    """Channels of the first cells; the paper's network has 16."""
    epochs: int = 20
    """Of each search."""
    batch_size: int = 64
    """Images per batch."""
    pairs: int = 4
    """Pairs of batches that each correlation is the mean of."""
    run: RunConfig = field(default_factory=lambda: RunConfig(engine="local"))

    def __post_init__(self) -> None:
        for name, known in (("update", UPDATE_TEXT), ("relaxation", ("softmax", "sigmoid"))):
            for value in getattr(self, name):
                _check_name(name, value, list(known))
        for name in ("update", "relaxation", "learning_rate", "seeds"):
            values = getattr(self, name)
            once = len(values) == len(set(values)) > 0
            require(once, f"{name} holds each entry once", "Name at least one.", **{name: values})
        require(self.pairs >= 1, "pairs >= 1", "Use 1 or more.", pairs=self.pairs)
        for setting in self.settings:
            self.search_config(setting)  # checks what belongs to it

    @property
    def settings(self) -> list["Setting"]:
        """All combinations but for the seeds."""
        return [
            Setting(*one)
            for one in itertools.product(self.learning_rate, self.relaxation, self.update)
        ]

    def search_config(self, setting: "Setting") -> CellsConfig:
        """The searches of a setting, as `fade-ray cells` has them."""
        return CellsConfig(
            data=self.data,
            grid=GridConfig(
                recipes=(setting.recipe,),
                spaces=(SPACE,),
                seeds=self.seeds,
                epochs=self.epochs,
                cells=self.cells,
                channels=self.channels,
                lower_rate=False,
            ),
            # algorithms E.2: the paper says SGD for both and no more; the weights' learning rate
            # and schedule, no momentum, no decay
            architecture=ArchitectureOptions(
                architecture_optimizer="sgd", architecture_weight_decay=0.0
            ),
            train=TrainConfig(
                batch_size=self.batch_size,
                # the end of the schedule is not stated
                optimiser=SGD(learning_rate=setting.learning_rate, final_learning_rate=0.0),
            ),
            run=self.run,
        )


@dataclass(frozen=True)
class Setting:
    """What searches of the same name differ in, but for the seed."""

    learning_rate: float
    relaxation: str
    update: str

    @property
    def recipe(self) -> str:
        return RECIPES[self.update, self.relaxation]

    @property
    def name(self) -> str:
        """For files: "first-order-softmax-0.025"."""
        return f"{self.update}-{self.relaxation}-{self.learning_rate!r}"

    @property
    def text(self) -> str:
        """For people: "bilevel, softmax, learning rate 0.025"."""
        return (
            f"{UPDATE_TEXT[self.update]}, {self.relaxation}, learning rate {self.learning_rate!r}"
        )


def _check_name(field_name: str, value: str, known: list[str]) -> None:
    if value not in known:
        near = difflib.get_close_matches(value, known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise InvalidInput(
            f"`{field_name}` must be of {', '.join(known)}, but got {value!r}.{hint}"
        )


def upgrade(values: Mapping[str, Any]) -> dict[str, Any]:
    """A stored configuration in its present form: once it said itself how it was carried out."""
    here = {"device": values.get("device"), "cpus_per_trial": values.get("threads")}
    if None in here.values():
        return dict(values)
    kept = {name: value for name, value in values.items() if name not in ("device", "threads")}
    return {**kept, "run": {"engine": "local", **here}}
