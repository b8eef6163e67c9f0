"""Architecture gradients: dL/d alpha' of the expected validation loss under hard draws, by several
estimators (FaDE 2.1, 2.2).

An estimator maps one architecture batch to a gradient [d, w] and leaves the network bitwise as it
was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from fade_ray.nn import (
    Chain,
    Draw,
    Path,
    Scores,
    architecture_weights,
    gumbel_softmax,
    still,
)
from fade_ray.nn.relaxations import draw_path
from fade_ray.training.objectives import Batch, Objective
from spaces.errors import require

if TYPE_CHECKING:
    from fade_ray.training.row_architecture import ArchitectureConfig


@dataclass(frozen=True)
class RowProblem:
    """What an estimator looks at: a network of rows, what its held-out images are judged by, the
    logits [d, w] with the places in use `mask` [d, w], on the host, and what all of them draw from.
    """

    network: Chain
    objective: Objective
    logits: Tensor
    mask: Tensor
    penalty: Callable[[Tensor], Tensor]
    config: ArchitectureConfig
    generator: torch.Generator


@dataclass(frozen=True)
class Estimate:
    """`grad` [d, w] on the host; `loss`, and `measures` (the objective's, summed over the images of
    each drawn path), on the device, not yet synchronised.

    `multiply_adds` of all passes that were run, over all images of the batch.
    """

    grad: Tensor
    loss: Tensor
    measures: Mapping[str, Tensor]
    multiply_adds: int


def straight_through(problem: RowProblem, batch: Batch, *, others: bool) -> Estimate:
    """Straight-through gradient of one hard Gumbel-softmax draw (FaDE eq. 3 and 4).

    dL/dz_j = <dL/d out, y_j>, then through z to the logits. With `others` for every candidate j:
    the outputs of those not drawn are computed forward-only, at the operating point of the drawn
    path, which is what the dense form gives. Without, for the drawn candidate alone, the others'
    terms being left out (the saving of GDAS; its code instead adds the others' zero weights as bare
    scalars, so they receive the plain sum of dL/d out, which says nothing about them): cheaper, and
    another estimator.

    The penalty sees the soft draw y: its largest entry is the drawn one, and the hard draw's would
    be 1 in value whatever the logits.
    """
    network, mask = problem.network, problem.mask
    leaf = problem.logits.detach().requires_grad_(True)
    sample = gumbel_softmax(leaf, mask, problem.config.temperature, problem.generator)
    with still(network):
        gates = sample.hard.to(batch[0].device, non_blocking=True)
        scores = network(batch[0], Draw(sample.path, gates, others))
        loss = problem.objective.loss(scores, batch, training=False)
        roots = [t for t in (loss, problem.penalty(sample.soft)) if t.requires_grad]
        (grad,) = torch.autograd.grad(roots, leaf)  # eq. 4; the penalty stays on the host
    beside = network.multiply_adds_beside(sample.path) if others else 0
    cost = (2 * network.multiply_adds(sample.path) + beside) * problem.objective.count(batch)
    measures = problem.objective.measured(scores, batch)
    return Estimate(grad.masked_fill(~mask, 0.0), loss.detach(), measures, cost)


@dataclass(frozen=True)
class PathLosses:
    """Of m paths: mean losses [m], images of each [m], and what an `Estimate` says of all."""

    losses: Tensor
    images: Tensor
    loss: Tensor
    measures: Mapping[str, Tensor]
    multiply_adds: int


def on_the_same_images(problem: RowProblem, batch: Batch, paths: Sequence[Path]) -> PathLosses:
    """Every path sees the whole batch: m passes, less what paths share at their beginning."""
    network, objective, images = problem.network, problem.objective, problem.objective.count(batch)
    scores = [Scores(main) for main in network.forward_paths(batch[0], paths)]
    losses = torch.stack([objective.loss(score, batch, training=False) for score in scores])
    each = [objective.measured(score, batch) for score in scores]
    measures = {name: torch.stack([m[name] for m in each]).float().mean(0) for name in each[0]}
    counts = torch.full((len(paths),), images)
    cost = network.multiply_adds_paths(paths) * images
    return PathLosses(losses, counts, losses.mean(), measures, cost)


def on_parts(problem: RowProblem, batch: Batch, paths: Sequence[Path]) -> PathLosses:
    """Each path sees a part of the batch, with the part's BatchNorm statistics: one pass."""
    network, objective = problem.network, problem.objective
    losses, each, counts, cost = [], [], [], 0
    for path, part in zip(paths, split_batch(batch, len(paths)), strict=True):
        scores = network(part[0], Draw(path))
        losses.append(objective.loss(scores, part, training=False))
        each.append(objective.measured(scores, part))
        counts.append(objective.count(part))
        cost += network.multiply_adds(path) * counts[-1]
    total = sum(counts)
    shares = [loss * (count / total) for loss, count in zip(losses, counts, strict=True)]
    measures = {name: torch.stack([m[name] for m in each]).sum(0) for name in each[0]}
    return PathLosses(
        torch.stack(losses), torch.tensor(counts), torch.stack(shares).sum(), measures, cost
    )


def score_function(
    problem: RowProblem,
    batch: Batch,
    *,
    measure: Callable[[RowProblem, Batch, Sequence[Path]], PathLosses],
    draw: Callable[[Tensor, Tensor], Tensor] = architecture_weights,
    permuted: bool = False,
) -> Estimate:
    """Score function with leave-one-out baseline: unbiased for the gradient of E_path[L(path)],
    forward passes only.

    m paths are drawn from `draw` of the logits, softmax(alpha') unless told otherwise, and their
    losses taken as `measure` does; see `leave_one_out`. Drawn uniformly, the gradient is the one at
    equal weights, wherever the logits are: mean over the other rows' candidates of the loss with
    this candidate, less the row's mean, times 1/w. It does not fade for candidates that have fallen
    behind, and logits that follow it add up these marginal losses over the steps, as psi adds them
    up over the rows.

    `permuted` gives each path the loss of a random one: steps of the same size and price whose
    expectation is 0, a control for everything that is said to follow the ranks. Not in the paper:
    ours, since it asks whether the validation loss is lower when a candidate is drawn, which the
    straight-through gradient does not. The penalty acts on the weights without noise.

    On the same images the losses differ by their paths alone. On parts they differ by their images
    too: as unbiased, noisier per drawn path, and m times cheaper, so that at equal cost m times as
    many batches are seen (or the step costs less).
    """
    mask, generator = problem.mask, problem.generator
    leaf = problem.logits.detach().requires_grad_(True)
    probabilities = draw(leaf.detach(), mask).to(leaf.dtype)
    paths = [draw_path(probabilities, generator) for _ in range(problem.config.paths)]
    with still(problem.network), torch.no_grad():
        measured = measure(problem, batch, paths)
    losses = measured.losses.to("cpu", leaf.dtype)
    if permuted:
        losses = losses[torch.randperm(len(losses), generator=generator)]
    grad = leave_one_out(losses, measured.images, paths, probabilities)
    extra = problem.penalty(architecture_weights(leaf, mask))
    if extra.requires_grad:
        grad = grad + torch.autograd.grad(extra, leaf)[0]
    grad = grad.masked_fill(~mask, 0.0)
    return Estimate(grad, measured.loss, measured.measures, measured.multiply_adds)


def leave_one_out(losses: Tensor, images: Tensor, paths: Sequence[Path], weights: Tensor) -> Tensor:
    """grad_i = sum_p n_p / n (L_p - mean_{q != p} L_q) (onehot(k_i^p) - weights_i), [d, w].

    `losses` [m] L_p of paths p drawn from `weights` [d, w], on n_p = `images` [m] images each: the
    gradient in logits whose softmax those are. The baseline of a path is made of the other paths,
    which are independent of it, so it leaves the expectation as it is.
    """
    m, counts = len(paths), images.to(losses.dtype)
    advantage = (losses - losses.mean()) * m / (m - 1)  # L_p minus the mean of the others
    # the factor is 1 where all have equally many images
    advantage = advantage * (counts * m / counts.sum())
    onehots = torch.stack([F.one_hot(torch.tensor(path), weights.shape[1]) for path in paths]).to(
        weights.dtype
    )
    return ((onehots - weights) * advantage[:, None, None]).mean(dim=0)


def split_batch(batch: Batch, parts: int) -> list[Batch]:
    """Consecutive parts of almost equal size. InvalidInput where there are fewer images."""
    images, labels = batch
    rule, remedy = (
        "paths <= images of a batch",
        "Draw fewer paths per batch, or make the batches larger.",
    )
    require(parts <= len(labels), rule, remedy, paths=parts, images=len(labels))
    return list(zip(images.tensor_split(parts), labels.tensor_split(parts), strict=True))


def uniform(logits: Tensor, mask: Tensor) -> Tensor:
    """The same probability for all candidates of a row, whatever their logits [d, w]."""
    return mask / mask.sum(dim=1, keepdim=True)


@dataclass(frozen=True)
class Estimator:
    """An entry of ESTIMATORS. `passes`: what an architecture batch costs, in forward passes of a
    whole path over all its images, from the configuration and the candidates per row.

    `splits`: each path sees a part of the batch. `of_scale`: the gradient is made of the scale of
    the drawn candidates' outputs alone, which a BatchNorm behind the row undoes.
    """

    estimate: Callable[[RowProblem, Batch], Estimate]
    passes: Callable[[ArchitectureConfig, int], float]
    splits: bool = False
    of_scale: bool = False


def _each_path(config: ArchitectureConfig, width: int) -> float:
    return config.paths


_SAME = partial(score_function, measure=on_the_same_images)

ESTIMATORS: dict[str, Estimator] = {
    "straight-through-exact": Estimator(
        partial(straight_through, others=True), lambda config, width: 2 + (width - 1)
    ),
    "straight-through-sampled": Estimator(
        partial(straight_through, others=False), lambda config, width: 2, of_scale=True
    ),
    "score-function": Estimator(_SAME, _each_path),
    "score-function-split": Estimator(
        partial(score_function, measure=on_parts), lambda config, width: 1, splits=True
    ),
    "marginal": Estimator(partial(_SAME, draw=uniform), _each_path),
    "permuted": Estimator(partial(_SAME, permuted=True), _each_path),
}


def forward_passes(config: ArchitectureConfig, width: int) -> float:
    """What an architecture batch costs, in forward passes of a whole path over all its images, with
    `width` candidates per row.

    An upper bound to charge budgets with: equally expensive candidates, nothing shared between
    paths, and a backward pass into activations alone for one forward pass.
    """
    return ESTIMATORS[config.estimator].passes(config, width)


DRAWS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "weighted": architecture_weights,
    "uniform": uniform,
}
"""How the weight step draws its path: probabilities [d, w] from logits and mask."""
