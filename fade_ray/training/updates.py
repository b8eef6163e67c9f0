"""Architecture gradients of the cell searches: joint, bilevel first order, bilevel second order
(DARTS), amended (Amended-DARTS).

An update maps a problem and its two batches to gradients and leaves the network as it was: weights
and logits bitwise, `requires_grad`, `.grad`. It takes no step. The two second-order estimators
differ only in the vector that meets the mixed derivative J = d^2 L_train / (da dw): DARTS takes J v
at v = grad_w L_valid of the unrolled weights, Amended-DARTS takes J H v, each product being one
difference of gradients.

Noise: the passes of one difference draw the same noise, since a mask that differs would be divided
by the tiny step. Afterwards the generators stand where the passes without repetition leave them:
one over the train batch (joint), one over the valid batch (first order), one over each (second
order: train first; amended: valid first). When a pass raises, they stand where they stood before.

Cost in forward passes F, backward passes to the inputs I and to the weights W, each update with the
weight step that follows it:

| update | estimate | weight step | with F = I = W |
|---|---|---|---|
| joint | F+I+W | none: both gradients come from one backward | 3 |
| first-order | F+I | F+I+W | 5 |
| second-order | 4F+4I+2W | F+I+W | 13 |
| second-order, forward | 3F+3I+2W | none | 8 |
| amended | 5F+5I+3W | F+I+W | 16 |
| amended, forward | 4F+4I+3W | none | 11 |

Memory beside a training step's: one copy of the weights, and up to four gradients of their size.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from spaces.errors import require


class Problem(Protocol):
    """What is trained: network weights w and architecture logits a, leaf tensors that the loss is
    differentiable in.

    Every tensor of both counts as trained, whatever its `requires_grad` says.
    """

    @property
    def weights(self) -> Sequence[Tensor]: ...

    @property
    def logits(self) -> Sequence[Tensor]: ...

    @property
    def generators(self) -> Sequence[torch.Generator]:
        """All that `loss` draws from (drop path, Gumbel noise)."""

    def loss(self, batch: Any) -> Tensor:
        """Scalar loss of one pass, its graph built from `weights` and `logits` at each call.

        In the bilevel updates it must leave BatchNorm's buffers alone (batch statistics, as under
        `fade_ray.nn.still`): those passes estimate, at weights that are not the network's, and do
        not train.
        """


@dataclass(frozen=True)
class Unroll:
    """The weight step that second order looks ahead to (DARTS eq. 6 and its code)."""

    learning_rate: float
    """xi: the weights' learning rate now."""
    momentum: float = 0.0
    weight_decay: float = 0.0
    buffers: Sequence[Tensor | None] = ()
    """SGD's momentum buffer of each weight, None for none yet; () before the first step."""


@dataclass(frozen=True)
class UpdateConfig:
    """How the second-order terms are taken; `joint` and `first-order` have none and ignore it."""

    eta: float = 0.1
    """Amending coefficient (Amended-DARTS eq. 5)."""
    unroll_momentum: bool = True
    """Momentum in the unrolled step, as in DARTS's code; its paper writes none."""
    renormalise: bool = False
    """Amended: perturb along H v by `radius` too. Off, as in the paper: by radius * |Hv| / |v|,
    which may leave the linear range.
    """
    hessian_weight_decay: float = 0.0
    """Amended: this multiple of v is added to H v, as if L_train held the decay. The paper does not
    say; 0 = Hessian of the data loss.
    """
    radius: float = 0.01
    """Length |R v| of a perturbation of all weights (0.01 in both papers)."""
    difference: Literal["central", "forward"] = "central"
    """Central as in both papers, error O(radius^2). "forward" is ours: one side is taken at the
    weights themselves, error O(radius), and the weight gradient found there serves the weight step,
    which then sees the logits before their step.
    """
    clip: float = 0.0
    """Second order: bound of the norm of the unrolled step's gradient, and of v; 0: none. DARTS on
    PTB clips both to the 0.25 of its weight steps (algorithms B.5).
    """
    cap: bool = True
    """Whether the coefficient of that clipping, which multiplies the implicit term, is 1 at most.
    DARTS's code has it above 1 where the norm is below the bound, which amplifies the term.
    """

    def __post_init__(self) -> None:
        require(self.radius > 0, "radius > 0", "The papers take 0.01.", radius=self.radius)
        require(self.clip >= 0, "clip >= 0", "Use 0 for none.", clip=self.clip)
        known = ("central", "forward")
        require(
            self.difference in known,
            f"difference in {known}",
            "Choose one of them.",
            difference=self.difference,
        )


@dataclass(frozen=True)
class Gradients:
    """Shaped as the tensors they belong to; the caller's own, free to be changed in place."""

    architecture: tuple[Tensor, ...]
    weights: tuple[Tensor, ...] | None
    """Of L_train at the weights and logits given, where the update has it (joint, "forward"): no
    other pass is needed for the weight step.
    """
    loss: Tensor
    """Detached: of the batch of the (direct) gradient; second order: at the unrolled weights."""


Estimate = Callable[[Problem, Any, Any, Unroll, UpdateConfig], Gradients]
"""(problem, train batch, valid batch, unroll, config) -> gradients."""


@dataclass(frozen=True)
class Update:
    """An estimate, called as it is, and what the loop must know of it."""

    estimate: Estimate
    held_out: bool = True
    """Whether it uses the valid batch; else it learns from the batches of the weights, and gets
    None for the other one.
    """
    by_differences: bool = False
    """Whether it divides differences of gradients by a small step, and so takes its passes in
    float32: those of bfloat16 or TF32 are their rounding, in DARTS's cells off by 1.1 to 1.3 times
    their size.
    """

    def __call__(
        self, problem: Problem, train: Any, valid: Any, unroll: Unroll, config: UpdateConfig
    ) -> Gradients:
        return self.estimate(problem, train, valid, unroll, config)


def joint(
    problem: Problem, train_batch: Any, valid_batch: Any, unroll: Unroll, config: UpdateConfig
) -> Gradients:
    """Both gradients of L_train(w, a) from one backward (StacNAS; single-level eq. 3, whose "+=" is
    read as descent).

    The valid batch is not used. This pass trains: BatchNorm's buffers may move in it.
    """
    loss, found = gradients(problem, train_batch, [*problem.logits, *problem.weights])
    count = len(problem.logits)
    return Gradients(_own(found[:count]), _own(found[count:]), loss)


def first_order(
    problem: Problem, train_batch: Any, valid_batch: Any, unroll: Unroll, config: UpdateConfig
) -> Gradients:
    """grad_a L_valid(w, a) (DARTS with xi = 0). The train batch is not used."""
    loss, found = gradients(problem, valid_batch, problem.logits)
    return Gradients(_own(found), None, loss)


def second_order(
    problem: Problem, train_batch: Any, valid_batch: Any, unroll: Unroll, config: UpdateConfig
) -> Gradients:
    """grad_a L_valid(w', a) - xi J v with w' = w - xi (momentum buf + grad_w L_train + decay w), v
    = grad_w' L_valid (DARTS eq. 7, 8).

    J v is taken around w, not around w', as paper and code both say.
    """
    weights, logits = list(problem.weights), list(problem.logits)
    forward = config.difference == "forward"
    with _restored(problem) as origin:
        train = _Around(problem, train_batch, origin, generator_states(problem))
        here = train.gradients([*weights, *logits] if forward else weights)
        slope, base = here[: len(weights)], here[len(weights) :]
        step, share = _clipped(slope, config)
        _step(weights, step, unroll, config)
        loss, found = gradients(problem, valid_batch, [*logits, *weights])
        direct, (v, _) = found[: len(logits)], _clipped(found[len(logits) :], config)
        after = generator_states(problem)
        implicit = train.difference(logits, v, config.radius / _norm(v), base)  # J v, eq. 8
        rewind(problem, after)
    # eq. 7
    architecture = tuple(
        d - unroll.learning_rate * share * h for d, h in zip(direct, implicit, strict=True)
    )
    return Gradients(architecture, _own(slope) if forward else None, loss)


def amended(
    problem: Problem, train_batch: Any, valid_batch: Any, unroll: Unroll, config: UpdateConfig
) -> Gradients:
    """grad_a L_valid(w, a) - eta J H v with v = grad_w L_valid(w, a), H = d^2 L_train / dw^2
    (Amended-DARTS eq. 5, 14, 15).

    All is taken at the weights as they are: they stand for the optimum w*(a) of the paper, and
    there is no unrolled step. The paper's claim that <J H v, J H^-1 v> >= 0 (its A.3) does not hold
    in general, see `scripts/_toys.py`.
    """
    weights, logits = list(problem.weights), list(problem.logits)
    forward = config.difference == "forward"
    with _restored(problem) as origin:
        loss, found = gradients(problem, valid_batch, [*logits, *weights])
        direct, v = found[: len(logits)], found[len(logits) :]
        train = _Around(problem, train_batch, origin, generator_states(problem))
        here = train.gradients([*weights, *logits]) if forward else ()
        slope, base = here[: len(weights)], here[len(weights) :]
        step = config.radius / _norm(v)
        hv = train.difference(weights, v, step, slope)  # eq. 14
        if config.hessian_weight_decay:
            hv = tuple(torch._foreach_add(hv, v, alpha=config.hessian_weight_decay))
        # w3, w4 = w +- D/2 = w +- step H v with the same step, D being the difference of eq. 14
        step = config.radius / _norm(hv) if config.renormalise else step
        implicit = train.difference(logits, hv, step, base)  # J H v, eq. 15
    architecture = tuple(d - config.eta * h for d, h in zip(direct, implicit, strict=True))  # eq. 5
    return Gradients(architecture, _own(slope) if forward else None, loss)


UPDATES: dict[str, Update] = {
    "joint": Update(joint, held_out=False),
    "first-order": Update(first_order),
    "second-order": Update(second_order, by_differences=True),
    "amended": Update(amended, by_differences=True),
}


def gradients(
    problem: Problem, batch: Any, wanted: Sequence[Tensor]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """One pass: the loss, detached, and its gradient in the `wanted` weights or logits alone; zeros
    in what it does not depend on.
    """
    with asking(problem, wanted), _rewound_on_error(problem):
        loss = problem.loss(batch)
        if not loss.requires_grad:
            return loss, tuple(torch.zeros_like(tensor) for tensor in wanted)
        return loss.detach(), torch.autograd.grad(loss, wanted, materialize_grads=True)


@contextmanager
def asking(problem: Problem, wanted: Sequence[Tensor]) -> Iterator[None]:
    """Within, only the `wanted` weights and logits ask for gradients."""
    tensors = [*problem.weights, *problem.logits]
    before = [tensor.requires_grad for tensor in tensors]
    chosen = {id(tensor) for tensor in wanted}
    try:
        for tensor in tensors:
            tensor.requires_grad_(id(tensor) in chosen)
        with torch.enable_grad():
            yield
    finally:
        for tensor, asked in zip(tensors, before, strict=True):
            tensor.requires_grad_(asked)


@dataclass(frozen=True)
class _Around:
    """Passes over one batch around `origin`, each with the noise of the states `noise`."""

    problem: Problem
    batch: Any
    origin: list[Tensor]
    noise: Sequence[Tensor]

    def gradients(
        self, wanted: Sequence[Tensor], direction: tuple[Tensor, ...] = (), step: float = 0.0
    ) -> tuple[Tensor, ...]:
        """In `wanted`, at weights origin + step * direction, where they are left."""
        weights = list(self.problem.weights)
        with torch.no_grad():
            torch._foreach_copy_(weights, self.origin)
            if direction:
                torch._foreach_add_(weights, direction, alpha=step)
        rewind(self.problem, self.noise)
        return gradients(self.problem, self.batch, wanted)[1]

    def difference(
        self,
        wanted: Sequence[Tensor],
        direction: tuple[Tensor, ...],
        step: float,
        base: tuple[Tensor, ...] = (),
    ) -> tuple[Tensor, ...]:
        """Derivative along `direction` of the gradient in `wanted`: central, or forward from
        `base`, the gradient at the origin.
        """
        ahead = self.gradients(wanted, direction, step)
        behind, width = (
            (base, step) if base else (self.gradients(wanted, direction, -step), 2 * step)
        )
        return tuple((a - b) / width for a, b in zip(ahead, behind, strict=True))


@contextmanager
def _restored(problem: Problem) -> Iterator[list[Tensor]]:
    """Yields a copy of the weights, the one copy an update makes; afterwards they are put back from
    it, bitwise.

    Subtracting what was added would leave rounding errors.
    """
    weights = list(problem.weights)
    origin = [weight.detach().clone() for weight in weights]
    try:
        with _rewound_on_error(problem):
            yield origin
    finally:
        with torch.no_grad():
            torch._foreach_copy_(weights, origin)


@contextmanager
def _rewound_on_error(problem: Problem) -> Iterator[None]:
    states = generator_states(problem)
    try:
        yield
    except BaseException:
        rewind(problem, states)
        raise


def _step(
    weights: list[Tensor], slope: tuple[Tensor, ...], unroll: Unroll, config: UpdateConfig
) -> None:
    """w <- w - xi (momentum buf + slope + decay w) (DARTS's code; eq. 7 has the slope alone)."""
    xi, momentum = unroll.learning_rate, unroll.momentum if config.unroll_momentum else 0.0
    buffers = list(unroll.buffers) or [None] * len(weights)
    moving = [
        (weight, buffer)
        for weight, buffer in zip(weights, buffers, strict=True)
        if buffer is not None
    ]
    with torch.no_grad():
        torch._foreach_mul_(weights, 1 - xi * unroll.weight_decay)
        torch._foreach_add_(weights, slope, alpha=-xi)
        if moving and momentum:
            moved, pushed = zip(*moving, strict=True)
            torch._foreach_add_(moved, pushed, alpha=-xi * momentum)


def _clipped(slope: tuple[Tensor, ...], config: UpdateConfig) -> tuple[tuple[Tensor, ...], float]:
    """`slope`, of norm `config.clip` at most, and what it was multiplied by (see `cap`)."""
    if not config.clip:
        return slope, 1.0
    share = config.clip / (_norm(slope) + 1e-6)  # as torch's clip_grad_norm_
    clipped = tuple(torch._foreach_mul(slope, share)) if share < 1 else slope
    return clipped, min(share, 1.0) if config.cap else share


def _norm(vector: tuple[Tensor, ...]) -> float:
    """Of all entries; 1 for a zero vector, along which every difference is 0."""
    return float(torch.stack(torch._foreach_norm(vector)).norm()) or 1.0


def _own(found: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Copies: two gradients may be one tensor in memory, and the caller may clip in place."""
    return tuple(tensor.clone() for tensor in found)


def generator_states(problem: Problem) -> list[Tensor]:
    """For `rewind`."""
    return [generator.get_state() for generator in problem.generators]


def rewind(problem: Problem, states: Sequence[Tensor]) -> None:
    """What follows draws the noise that followed `states`."""
    for generator, state in zip(problem.generators, states, strict=True):
        generator.set_state(state)
