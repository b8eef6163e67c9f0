"""The architecture side of a training: what a search learns beside the network weights."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from fade_ray.data import AnyBatches
from fade_ray.nn.draw import Draw
from fade_ray.training.objectives import Batch
from fade_ray.training.updates import Unroll

if TYPE_CHECKING:
    from fade_ray.training.network_problem import NetworkProblem


@dataclass(frozen=True)
class Step:
    """A step of the logits, before it is taken.

    `logits`: gradient of each of them. `loss` on the device, detached, and `measures`, sums over
    `count` parts of an epoch's mean: images, or the step itself. `images` that it saw.
    `multiply_adds` that the problem has not counted. `weights`: gradients of the weight step where
    the step has them.
    """

    logits: Sequence[Tensor]
    loss: Tensor
    count: int
    images: int
    measures: Mapping[str, Tensor] = field(default_factory=dict)
    multiply_adds: int = 0
    weights: Sequence[Tensor] | None = None


class Architecture(Protocol):
    """Logits under training: rows of candidates, or edges of cells."""

    @property
    def batches(self) -> AnyBatches | None:
        """Held-out images that the logits learn from; None where they learn from the weights'."""

    @property
    def generator(self) -> torch.Generator:
        """Of the start, and of all draws; on the CPU."""

    @property
    def leaves(self) -> Sequence[Tensor]:
        """The logits that the loss of a pass is differentiable in."""

    def begin(self, epoch: int, epochs: int, learning_rate: float) -> None:
        """Before `epoch`, counted from 0; `learning_rate` is that of the weights."""

    def moves(self, epoch: int, epochs: int) -> bool:
        """Whether the logits are trained in `epoch`: not during a warm-up."""

    def steps(self, batches: int) -> int:
        """Steps of an epoch in which the logits move, of `batches` batches for the weights."""

    def draws(self) -> Sequence[Draw]:
        """What the next weight step runs, each on its part of the batch."""

    def estimate(
        self,
        problem: "NetworkProblem",
        train: Batch,
        held_out: Batch | None,
        unroll: Callable[[], Unroll],
    ) -> Step:
        """The next step of the logits. Raises TrainingFailed where it is not finite."""

    def move(self, step: Step) -> None:
        """Take it."""

    def metrics(self) -> dict[str, Any]:
        """What is known of the logits after an epoch, JSON-able."""

    def state_dict(self) -> dict[str, Any]:
        """Everything the next epoch depends on, the generator included."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...
