"""Architecture gradients: dL/d alpha' of the expected validation loss under hard draws, by several
estimators (FaDE 2.1, 2.2).

An estimator maps one architecture batch to a gradient [d, w] and leaves the network bitwise as it
was.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from fade_ray.nn import Chain, Draw, Path, architecture_weights, gumbel_softmax, still
from fade_ray.nn.relaxations import draw_path
from fade_ray.training.train_config import ArchitectureConfig
from spaces.errors import require


@dataclass(frozen=True)
class Estimate:
    """`grad` [d, w] on the host; `loss` and `correct` (images classified right, per drawn path) on
    the device, not yet synchronised.

    `multiply_adds` of all passes that were run, over all images of the batch.
    """

    grad: Tensor
    loss: Tensor
    correct: Tensor
    multiply_adds: int


Batch = tuple[Tensor, Tensor]
"""Images [batch, channels, side, side] and labels [batch]."""

Estimator = Callable[
    [
        Chain,
        Batch,
        Tensor,
        Tensor,
        Callable[[Tensor], Tensor],
        ArchitectureConfig,
        torch.Generator,
    ],
    Estimate,
]


def straight_through(
    network: Chain,
    batch: Batch,
    logits: Tensor,
    mask: Tensor,
    penalty: Callable[[Tensor], Tensor],
    config: ArchitectureConfig,
    generator: torch.Generator,
    *,
    others: bool,
) -> Estimate:
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
    images, labels = batch
    leaf = logits.detach().requires_grad_(True)
    sample = gumbel_softmax(leaf, mask, config.temperature, generator)
    with still(network):
        path = sample.path
        draw = Draw(path, sample.hard.to(images.device), others)
        scores = network(images, draw).main
        loss = F.cross_entropy(scores, labels)
        extra = penalty(sample.soft)
        (grad,) = torch.autograd.grad(loss + extra.to(loss.device), leaf, allow_unused=True)
    beside = network.multiply_adds_beside(path) if others else 0
    cost = 2 * network.multiply_adds(path) + beside
    return Estimate(
        grad.masked_fill(~mask, 0.0), loss.detach(), _correct(scores, labels), cost * len(labels)
    )


@dataclass(frozen=True)
class PathLosses:
    """Mean losses [m] of m paths, each on its images, the number of images of each [m], and what an
    `Estimate` says of them together.
    """

    losses: Tensor
    images: Tensor
    loss: Tensor
    correct: Tensor
    multiply_adds: int


def on_the_same_images(network: Chain, batch: Batch, paths: Sequence[Path]) -> PathLosses:
    """Every path sees the whole batch: m forward passes, less what the paths have in common at
    their beginning.
    """
    images, labels = batch
    scores = network.forward_paths(images, paths)
    losses = torch.stack([F.cross_entropy(score, labels) for score in scores])
    correct = torch.stack([_correct(score, labels) for score in scores]).float().mean()
    counts = torch.full((len(paths),), len(labels))
    return PathLosses(
        losses, counts, losses.mean(), correct, network.multiply_adds_paths(paths) * len(labels)
    )


def on_parts(network: Chain, batch: Batch, paths: Sequence[Path]) -> PathLosses:
    """Each path sees its own part of the batch: the cost of one forward pass. BatchNorm takes the
    statistics of the part.
    """
    losses, hits, counts, cost = [], [], [], 0
    for path, (images, labels) in zip(paths, split_batch(batch, len(paths)), strict=True):
        scores = network(images, Draw(path)).main
        losses.append(F.cross_entropy(scores, labels))
        hits.append(_correct(scores, labels))
        counts.append(len(labels))
        cost += network.multiply_adds(path) * len(labels)
    loss = torch.stack(
        [loss * (count / sum(counts)) for loss, count in zip(losses, counts, strict=True)]
    ).sum()
    return PathLosses(
        torch.stack(losses), torch.tensor(counts), loss, torch.stack(hits).sum(), cost
    )


def score_function(
    network: Chain,
    batch: Batch,
    logits: Tensor,
    mask: Tensor,
    penalty: Callable[[Tensor], Tensor],
    config: ArchitectureConfig,
    generator: torch.Generator,
    *,
    measure: Callable[[Chain, Batch, Sequence[Path]], PathLosses],
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
    leaf = logits.detach().requires_grad_(True)
    probabilities = draw(leaf.detach(), mask).to(leaf.dtype)
    paths = [draw_path(probabilities, generator) for _ in range(config.paths)]
    with still(network), torch.no_grad():
        measured = measure(network, batch, paths)
    losses = measured.losses.to("cpu", leaf.dtype)
    if permuted:
        losses = losses[torch.randperm(len(losses), generator=generator)]
    grad = leave_one_out(losses, measured.images, paths, probabilities)
    extra = penalty(architecture_weights(leaf, mask))
    if extra.requires_grad:
        grad = grad + torch.autograd.grad(extra, leaf)[0]
    return Estimate(
        grad.masked_fill(~mask, 0.0), measured.loss, measured.correct, measured.multiply_adds
    )


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
    """The batch in `parts` consecutive parts whose sizes differ by one image at most. InvalidInput
    where it has fewer images than that.
    """
    images, labels = batch
    rule, remedy = (
        "paths <= images of a batch",
        "Draw fewer paths per batch, or make the batches larger.",
    )
    require(parts <= len(labels), rule, remedy, paths=parts, images=len(labels))
    return list(zip(images.tensor_split(parts), labels.tensor_split(parts), strict=True))


def _correct(scores: Tensor, labels: Tensor) -> Tensor:
    return (scores.detach().argmax(dim=1) == labels).sum()


def uniform(logits: Tensor, mask: Tensor) -> Tensor:
    """The same probability for all candidates of a row, whatever their logits [d, w]."""
    return mask / mask.sum(dim=1, keepdim=True)


ESTIMATORS: dict[str, Estimator] = {
    "straight-through-exact": partial(straight_through, others=True),
    "straight-through-sampled": partial(straight_through, others=False),
    "score-function": partial(score_function, measure=on_the_same_images),
    "score-function-split": partial(score_function, measure=on_parts),
    "marginal": partial(score_function, measure=on_the_same_images, draw=uniform),
    "permuted": partial(score_function, measure=on_the_same_images, permuted=True),
}

PASSES: dict[str, Callable[[ArchitectureConfig, int], float]] = {
    "straight-through-exact": lambda config, width: 2 + (width - 1),
    "straight-through-sampled": lambda config, width: 2,
    "score-function": lambda config, width: config.paths,
    "score-function-split": lambda config, width: 1,
    "marginal": lambda config, width: config.paths,
    "permuted": lambda config, width: config.paths,
}
"""Forward passes of a whole path per image of an architecture batch, from the configuration and the
candidates per row; see `forward_passes`.
"""


def forward_passes(config: ArchitectureConfig, width: int) -> float:
    """What an architecture batch costs, in forward passes of a whole path over all its images, with
    `width` candidates per row.

    An upper bound to charge budgets with: equally expensive candidates, nothing shared between
    paths, and a backward pass into activations alone for one forward pass.
    """
    return PASSES[config.estimator](config, width)


# how the weight step draws its path: probabilities [d, w] from logits and mask
DRAWS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "weighted": architecture_weights,
    "uniform": uniform,
}
