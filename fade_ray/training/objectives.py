"""What a network is trained for: the loss of a batch, what is measured of it, and the score."""

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor
from torch.nn import functional as F

from fade_ray.nn import Draw, Scores
from fade_ray.nn.language_network import Dropouts
from fade_ray.records.measures import MEASURES, Measure
from spaces.choices import Choice
from spaces.errors import require

Batch = tuple[Tensor, Tensor]
"""Inputs and targets: images [batch, channels, side, side] and labels [batch]; or words [batch,
time] and those that follow them.
"""


@dataclass(frozen=True)
class Objective(Choice):
    """A task. A user's own is a frozen dataclass `class Mine(Objective, name="mine")` with `loss`,
    `measured` and `higher_is_better`; its first measure is the score, unless it has a `score` of
    its own.

    A state may be carried from each batch to the next of its epoch: `first_state` and `forward` are
    for those that have one, such as a recurrent network's hidden state, detached.
    """

    task: ClassVar[str] = "images"
    """What its networks are given: images, or text."""
    target: ClassVar[str] = "class"
    """What is asked of each image: a name in `fade_ray.data.targets.TARGETS`."""
    higher_is_better: ClassVar[Mapping[str, bool]] = {}
    """What `measured` measures, by name."""

    def __init_subclass__(cls, name: str | None = None, **rest: Any) -> None:
        super().__init_subclass__(name, **rest)
        if name is not None and not cls.__module__.startswith("fade_ray."):
            MEASURES[name] = cls._measure()

    @classmethod
    def _measure(cls) -> Measure:
        """What its scores are told as: as those of what it was made from, if they are the same."""
        for base in cls.__mro__[1:]:
            named = MEASURES.get(getattr(base, "name", ""))
            held = getattr(base, "score", None), getattr(base, "higher_is_better", None)
            if named is not None and held == (cls.score, cls.higher_is_better):
                return named
        first = next(iter(cls.higher_is_better.items()), None)
        if first is None or cls.score is not Objective.score:
            return Measure()
        return Measure(first[0].replace("_", " "), scale=1.0 if first[1] else -1.0)

    @property
    def measure(self) -> Measure:
        """What its scores are told as."""
        return MEASURES.get(getattr(self, "name", ""), Measure())

    @abstractmethod
    def loss(self, scores: Scores, batch: Batch, *, training: bool) -> Tensor:
        """Mean over the batch's examples; `training`: with all that regularises it."""

    def penalty(self, scores: Scores) -> Tensor | None:
        """What is added to the loss of passes over the batches of the weights; None for nothing."""

    @abstractmethod
    def measured(self, scores: Scores, batch: Batch) -> dict[str, Tensor]:
        """Sum over the batch's examples of each measure, in the order of `higher_is_better`; of
        several numbers, such as counts of each class, where `told` makes one of their means.
        """

    def score(self, means: Mapping[str, float]) -> float:
        """What is to be maximised, from the mean loss and measures of held-out examples as they are
        told: by default the first measure.
        """
        name, higher = next(iter(self.higher_is_better.items()))
        return means[name] if higher else -means[name]

    def told(self, means: Mapping[str, Any]) -> dict[str, float]:
        """The mean loss and measures as they are told."""
        return dict(means)

    def count(self, batch: Batch) -> int:
        """The examples in a batch."""
        return len(batch[1])

    def pace(self, batch: Batch) -> float:
        """The share of the learning rate at which this batch is stepped on."""
        return 1.0

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


@dataclass(frozen=True)
class LanguageModel(Dropouts, Objective, name="language-model"):
    """Cross-entropy of the next word; the score is minus the perplexity. The defaults are those of
    DARTS's search on PTB (algorithms B.5).
    """

    bptt: int = 35
    """Words of a sequence, through which gradients go back."""
    spread: float = 0.0
    """Standard deviation of the length of sequences in training; 0: all are `bptt` long, but one
    in twenty half of it.
    """
    slowness: float = 1e-3
    """Penalty of the squared change of the cell's output from word to word (TAR)."""
    activation: float = 0.0
    """Penalty of its square, behind dropout (AR)."""

    task: ClassVar[str] = "text"
    higher_is_better: ClassVar[Mapping[str, bool]] = {"perplexity": False}

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.bptt >= 2, "bptt >= 2", "Use 35.", bptt=self.bptt)
        for name in ("spread", "slowness", "activation"):
            value = getattr(self, name)
            require(value >= 0, f"{name} >= 0", "Use 0 to turn it off.", **{name: value})

    def loss(self, scores: Scores, batch: Batch, *, training: bool) -> Tensor:
        return F.cross_entropy(scores.main.flatten(0, 1), batch[1].flatten())

    def penalty(self, scores: Scores) -> Tensor | None:
        """On the text of the weights alone, also where an update looks ahead on it; DARTS's code
        has it in the step of the weights only.
        """
        if (
            scores.outputs is None
            or scores.dropped is None
            or not (self.slowness or self.activation)
        ):
            return None
        changes = scores.outputs.diff(dim=1)
        slowness = changes.square().mean() if changes.numel() else 0.0
        return self.slowness * slowness + self.activation * scores.dropped.square().mean()

    def measured(self, scores: Scores, batch: Batch) -> dict[str, Tensor]:
        """The sum of -log p; `told` makes the perplexity of its mean."""
        scored = scores.main.detach().flatten(0, 1)
        return {"perplexity": F.cross_entropy(scored, batch[1].flatten(), reduction="sum")}

    def told(self, means: Mapping[str, Any]) -> dict[str, float]:
        """exp of the mean -log p, at most 1e300, which JSON can hold."""
        return {**means, "perplexity": math.exp(min(means["perplexity"], math.log(1e300)))}

    def count(self, batch: Batch) -> int:
        """Words."""
        return batch[1].numel()

    def pace(self, batch: Batch) -> float:
        """Shorter sequences take shorter steps: their length over `bptt` (algorithms B.5)."""
        return batch[1].shape[1] / self.bptt

    def forward(
        self, network: Callable[..., Any], batch: Batch, draw: Draw, state: Any
    ) -> tuple[Scores, Any]:
        """`state` is what the network calls by that name, None for zeros."""
        scores, after = network(batch[0], draw, state, self)
        return scores, after
