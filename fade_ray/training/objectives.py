"""What a network is trained for: the loss of a batch, what is measured of it, and the score."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor
from torch.nn import functional as F

from fade_ray.nn import Draw, Scores
from spaces.choices import Choice
from spaces.errors import require

Batch = tuple[Tensor, Tensor]
"""Inputs and targets: images [batch, channels, side, side] and labels [batch]."""


class Objective(Choice):
    """A task. A user's own is a frozen dataclass `class Mine(Objective, name="mine")` with `loss`,
    `measured` and `score`.

    A state may be carried from each batch to the next of its epoch: `first_state` and `forward` are
    for those that have one, such as a recurrent network's hidden state, detached.
    """

    higher_is_better: ClassVar[Mapping[str, bool]] = {}
    """What `measured` measures, by name."""

    @abstractmethod
    def loss(self, scores: Scores, batch: Batch, *, training: bool) -> Tensor:
        """Mean over the batch's examples; `training`: with all that regularises it."""

    @abstractmethod
    def measured(self, scores: Scores, batch: Batch) -> dict[str, Tensor]:
        """Sum over the batch's examples of each measure, in the order of `higher_is_better`."""

    @abstractmethod
    def score(self, means: Mapping[str, float]) -> float:
        """What is to be maximised, from the mean loss and measures of held-out examples."""

    def count(self, batch: Batch) -> int:
        """The examples in a batch."""
        return len(batch[1])

    def first_state(self, batch: Batch) -> Any:
        """The state before the first batch of an epoch."""

    def forward(
        self, network: Callable[..., Scores], batch: Batch, draw: Draw, state: Any
    ) -> tuple[Scores, Any]:
        """One pass over a batch, and the state for the next one."""
        return network(batch[0], draw), state


@dataclass(frozen=True)
class Classification(Objective, name="classification"):
    """Cross-entropy of the class; the score is the accuracy."""

    label_smoothing: float = 0.0
    """Share of the target that is spread over all classes."""
    auxiliary_weight: float = 0.0
    """Weight of the auxiliary head's loss; above 0 a network of cells has one."""

    higher_is_better: ClassVar[Mapping[str, bool]] = {"accuracy": True}

    def __post_init__(self) -> None:
        smoothing, weight = self.label_smoothing, self.auxiliary_weight
        rule = "0 <= label_smoothing < 1"
        require(0 <= smoothing < 1, rule, "Use 0 to turn it off.", label_smoothing=smoothing)
        rule = "auxiliary_weight >= 0"
        require(weight >= 0, rule, "Use 0 to turn it off.", auxiliary_weight=weight)

    def loss(self, scores: Scores, batch: Batch, *, training: bool) -> Tensor:
        """Of training batches with label smoothing and the auxiliary head's loss."""
        labels, smoothing = batch[1], self.label_smoothing if training else 0.0
        loss = F.cross_entropy(scores.main, labels, label_smoothing=smoothing)
        if not training or scores.auxiliary is None:
            return loss
        beside = F.cross_entropy(scores.auxiliary, labels, label_smoothing=smoothing)
        return loss + self.auxiliary_weight * beside

    def measured(self, scores: Scores, batch: Batch) -> dict[str, Tensor]:
        """How many examples have their label's score as the largest."""
        return {"accuracy": (scores.main.detach().argmax(dim=1) == batch[1]).sum()}

    def score(self, means: Mapping[str, float]) -> float:
        return means["accuracy"]
