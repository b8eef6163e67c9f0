"""What a training of network weights looks like, whatever the network is."""

from dataclasses import dataclass
from typing import Literal

from fade_ray.training import image_objectives as image_objectives  # enters them by name
from fade_ray.training.objectives import Classification, Objective
from fade_ray.training.optimisers import SGD, Adam, Optimiser
from spaces.errors import require


@dataclass(frozen=True)
class TrainConfig:
    """Training of network weights; one object serves searches, evaluations and retrainings."""

    batch_size: int = 64
    """Images per batch; over all workers where there are several."""
    optimiser: Optimiser = Adam()  # noqa: RUF009, frozen
    """How the weights are stepped: adam, sgd, asgd or sgd-then-asgd."""
    objective: Objective = Classification()  # noqa: RUF009, frozen
    """What is trained for: classification, multi-label, regression or segmentation of images, or
    language-model.
    """
    drop_path: float = 0.0
    """Probability, at the last epoch, of dropping the output of an operation in a cell for one
    image; it rises linearly from 0.
    """
    ema: float = 0.0
    """Decay per step of a moving average of the weights, evaluated beside them; 0: none."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Mixed precision: auto is bfloat16 on CUDA devices that have it, float32 elsewhere."""
    compile: bool = False
    """torch.compile for each cell: minutes of compilation, worth trying on a GPU only."""

    def __post_init__(self) -> None:
        require(self.batch_size >= 1, "batch_size >= 1", "Try 128.", batch_size=self.batch_size)
        for name in ("drop_path", "ema"):
            value = getattr(self, name)
            require(0 <= value < 1, f"0 <= {name} < 1", "Use 0 to turn it off.", **{name: value})

    def dropped(self, epoch: int, epochs: int) -> float:
        """The drop-path rate of `epoch`, counted from 0: p * e / E (algorithms B.4)."""
        return self.drop_path * epoch / max(1, epochs)

    def check_task(self, task: str) -> None:
        """Raises InvalidInput for an objective of other networks than of `task`: images, text."""
        known = ", ".join(n for n, each in Objective.table.items() if each.task == task)
        rule, remedy = f"an objective of {task}", f"Use --objective {known}."
        objective = getattr(self.objective, "name", type(self.objective).__name__)
        require(self.objective.task == task, rule, remedy, objective=objective)

    def check_classes(self) -> None:
        """Raises InvalidInput for an objective that asks for anything but classes."""
        rule, remedy = "an objective of classes", "Others are for search, compare and rank-study."
        target = self.objective.target
        require(target == "class", rule, remedy, objective=self.objective.name, target=target)

    def check_rows(self) -> None:
        """Raises InvalidInput for what networks of rows do not have."""
        self.check_task("images")
        rule, remedy = "drop_path == 0 in networks of rows", "Only networks of cells have it."
        require(not self.drop_path, rule, remedy, drop_path=self.drop_path)
        weight = getattr(self.objective, "auxiliary_weight", 0.0)
        rule = "auxiliary_weight == 0 in networks of rows"
        require(not weight, rule, "They have no auxiliary head.", auxiliary_weight=weight)

    @property
    def auxiliary(self) -> bool:
        """Whether the objective asks for an auxiliary head."""
        return getattr(self.objective, "auxiliary_weight", 0.0) > 0


CELL_TRAINING = TrainConfig(optimiser=SGD())
"""How networks of cells are trained unless told otherwise."""
