"""What a training looks like: one object for the weights, one for the architecture logits."""

from dataclasses import dataclass
from typing import Literal

from spaces.errors import require

EstimatorName = Literal[
    "score-function",
    "score-function-split",
    "marginal",
    "permuted",
    "straight-through-exact",
    "straight-through-sampled",
]
DrawName = Literal["uniform", "weighted"]
PenaltyName = Literal["none", "max-norm", "max-norm-by-cell"]


@dataclass(frozen=True)
class TrainConfig:
    """Training of network weights; the same object serves hyper-architectures, evaluations and the
    retraining.
    """

    batch_size: int = 64
    """Images per batch."""
    learning_rate: float = 1e-3
    """Adam's learning rate at the start."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Learning rate over the epochs: constant (the paper) or cosine down to 0."""
    beta1: float = 0.9
    beta2: float = 0.999
    """Adam's betas. FaDE prints 0.1 and 1e-3, the complements of the defaults; its code uses the
    defaults.
    """
    epsilon: float = 1e-8
    weight_decay: float = 1e-4
    """L2 penalty inside Adam, per step."""
    clip: float = 10.0
    """Gradients are clipped to [-clip, clip] by value; 0 turns it off."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Mixed precision: auto is bfloat16 on CUDA devices that have it, float32 elsewhere."""
    compile: bool = False
    """torch.compile for each cell: minutes of compilation, worth trying on a GPU only."""

    def __post_init__(self) -> None:
        require(self.batch_size >= 1, "batch_size >= 1", "Try 128.", batch_size=self.batch_size)
        require(
            self.learning_rate > 0,
            "learning_rate > 0",
            "Try 1e-3.",
            learning_rate=self.learning_rate,
        )
        require(0 <= self.beta1 < 1, "0 <= beta1 < 1", "Try 0.9.", beta1=self.beta1)
        require(0 <= self.beta2 < 1, "0 <= beta2 < 1", "Try 0.999.", beta2=self.beta2)
        require(self.epsilon > 0, "epsilon > 0", "Try 1e-8.", epsilon=self.epsilon)
        require(
            self.weight_decay >= 0, "weight_decay >= 0", "Try 1e-4.", weight_decay=self.weight_decay
        )
        require(self.clip >= 0, "clip >= 0", "Use 10, or 0 to turn it off.", clip=self.clip)


@dataclass(frozen=True)
class ArchitectureConfig:
    """Training of the architecture logits of a hyper-architecture (FaDE 2.1, 2.2)."""

    estimator: EstimatorName = "score-function"
    """Architecture gradient: see `fade_ray.training.estimators`."""
    draw: DrawName = "uniform"
    """How the weight step draws its candidates: uniformly, or by the architecture weights (the
    paper).
    """
    paths: int = 6
    """Paths per architecture batch, of the score functions only; split, each sees its own part of
    the images.
    """
    weight_paths: int = 1
    """Paths among which each weight batch is split; their gradients are averaged over the images.
    """
    temperature: float = 10.0
    """Gumbel-softmax temperature tau, of the straight-through estimators only."""
    logit_std: float = 0.0
    """Standard deviation of the initial architecture logits."""
    architecture_learning_rate: float = 1e-2
    """Adam's learning rate for the logits, constant."""
    architecture_weight_decay: float = 0.0
    """Pulls the rows towards uniform."""
    warm_up: int = 0
    """Epochs in which the weights train alone before the logits move."""
    penalty: PenaltyName = "none"
    """Penalty of eq. 4 on the largest weight of each row, from +scale to -scale over the epochs; by
    cell: shallow rows first (Fig. 2a).
    """
    penalty_scale: float = 1.0

    def __post_init__(self) -> None:
        require(
            self.paths >= 2,
            "paths >= 2",
            "The leave-one-out baseline needs two paths; try 6.",
            paths=self.paths,
        )
        require(
            self.weight_paths >= 1, "weight_paths >= 1", "Use 1.", weight_paths=self.weight_paths
        )
        require(self.temperature > 0, "temperature > 0", "Try 10.", temperature=self.temperature)
        require(self.logit_std >= 0, "logit_std >= 0", "Try 0.5.", logit_std=self.logit_std)
        require(
            self.architecture_learning_rate > 0,
            "architecture_learning_rate > 0",
            "Try 1e-3.",
            architecture_learning_rate=self.architecture_learning_rate,
        )
        require(
            self.architecture_weight_decay >= 0,
            "architecture_weight_decay >= 0",
            "Try 0.",
            architecture_weight_decay=self.architecture_weight_decay,
        )
        require(self.warm_up >= 0, "warm_up >= 0", "Try 0.", warm_up=self.warm_up)
        require(
            self.penalty_scale >= 0,
            "penalty_scale >= 0",
            "Try 1.",
            penalty_scale=self.penalty_scale,
        )
