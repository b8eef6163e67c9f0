"""The loss of a batch as a function of network weights and logits: the `Problem` of the updates."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from fade_ray.nn import AnyNetwork, Draw, DropPath, Scores
from fade_ray.training.architecture import Architecture
from fade_ray.training.device import Placement, without_tf32
from fade_ray.training.estimators import split_batch
from fade_ray.training.objectives import Batch, Objective


@dataclass(frozen=True)
class Pass:
    """A pass over a batch or a part of it, its loss times the `share` of the batch's examples."""

    loss: Tensor
    scores: Scores
    batch: Batch
    share: float = 1.0


@dataclass
class Stream:
    """Batches in a row: the present one, the state that the objective carries to it, and what the
    last pass over it gave, with the state for the next.
    """

    batch: Batch | None = None
    state: Any = None
    passes: tuple[Pass, ...] = ()
    next_state: Any = None


class NetworkProblem:
    """`module` is called for `network`; `drop_path` gives the masks of one forward pass."""

    def __init__(
        self,
        network: AnyNetwork,
        module: nn.Module,
        objective: Objective,
        placement: Placement,
        architecture: Architecture | None,
        generator: torch.Generator,
        drop_path: Callable[[], DropPath | None],
    ) -> None:
        self.network, self.module, self.objective = network, module, objective
        self.placement, self.architecture, self.drop_path = placement, architecture, drop_path
        self.weights: Sequence[Tensor] = [p for p in network.parameters() if p.requires_grad]
        self.logits: Sequence[Tensor] = [] if architecture is None else architecture.leaves
        drawn = [] if architecture is None else [architecture.generator]
        self.generators: Sequence[torch.Generator] = [generator, *drawn]
        self.restart()

    def begin(self, train: Batch, held_out: Batch | None) -> None:
        """The next batches of both streams."""
        for stream, batch in ((self.train, train), (self.held_out, held_out)):
            stream.state = stream.next_state
            stream.batch, stream.passes = batch, ()

    def restart(self) -> None:
        """No batch, and the first state in both streams: an epoch begins. `images` are those that
        were trained on; `multiply_adds` of all passes, each with two for its backward passes.
        """
        self.train, self.held_out = Stream(), Stream()
        self.images = self.multiply_adds = 0

    @contextmanager
    def exact(self) -> Iterator[None]:
        """Within, passes run in float32 and without TF32."""
        placement = self.placement
        self.placement = replace(placement, autocast=None)
        try:
            with without_tf32():
                yield
        finally:
            self.placement = placement

    def loss(self, batch: Batch) -> Tensor:
        """Mean loss of a training pass over `batch`, with noise and drop path drawn anew."""
        losses = [part.loss for part in self.parts(batch)]
        return losses[0] if len(losses) == 1 else torch.stack(losses).sum()

    def parts(self, batch: Batch) -> Iterator[Pass]:
        """A training pass over `batch`, part by part: one for each of the architecture's draws."""
        stream = next((s for s in (self.train, self.held_out) if s.batch is batch), Stream())
        with self.placement.precision():
            draws = [Draw()] if self.architecture is None else self.architecture.draws()
        parts = [batch] if len(draws) == 1 else split_batch(batch, len(draws))
        stream.passes, count = (), self.objective.count
        for draw, part in zip(draws, parts, strict=True):
            made = self._pass(draw, part, count(part) / count(batch), stream)
            stream.passes += (replace(made, loss=made.loss.detach()),)
            yield made

    def _pass(self, draw: Draw, batch: Batch, share: float, stream: Stream) -> Pass:
        objective = self.objective
        state = objective.first_state(batch) if stream.state is None else stream.state
        with self.placement.precision():
            draw = replace(draw, drop_path=self.drop_path(), noise=self.generators[0])
            scores, stream.next_state = objective.forward(self.module, batch, draw, state)
            loss = objective.loss(scores, batch, training=True)
            penalty = None if stream is self.held_out else objective.penalty(scores)
            if penalty is not None:
                loss = loss + penalty
            if share != 1:
                loss = loss * share
        self.multiply_adds += 3 * self.network.multiply_adds(draw.path) * objective.count(batch)
        return Pass(loss, Scores(scores.main.detach()), batch, share)
