"""Architecture gradients: dL/d alpha' of the expected validation loss under hard draws, by three estimators (FaDE 2.1, 2.2).

An estimator maps one architecture batch to a gradient [d, w] and leaves the network bitwise as it was.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from fade_ray.nn import Chain, architecture_weights, gumbel_softmax, still
from fade_ray.nn.relaxations import draw_path

from .config import ArchitectureConfig


@dataclass(frozen=True)
class Estimate:
    """`grad` [d, w] on the host; `loss` and `correct` (images classified right, per drawn path) on the device, not yet synchronised.

    `multiply_adds` per image of all passes that were run.
    """

    grad: Tensor
    loss: Tensor
    correct: Tensor
    multiply_adds: int


Estimator = Callable[
    [
        Chain,
        tuple[Tensor, Tensor],
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
    batch: tuple[Tensor, Tensor],
    logits: Tensor,
    mask: Tensor,
    penalty: Callable[[Tensor], Tensor],
    config: ArchitectureConfig,
    generator: torch.Generator,
    *,
    others: bool,
) -> Estimate:
    """Straight-through gradient of one hard Gumbel-softmax draw (FaDE eq. 3 and 4).

    dL/dz_j = <dL/d out, y_j>, then through z to the logits. With `others` for every candidate j: the outputs of those not drawn are computed
    forward-only, at the operating point of the drawn path, which is what the dense form gives. Without, for the drawn candidate alone, the
    others' terms being left out (the saving of GDAS; its code instead adds the others' zero weights as bare scalars, so they receive the
    plain sum of dL/d out, which says nothing about them): cheaper, and another estimator.

    The penalty sees the soft draw y: its largest entry is the drawn one, and the hard draw's would be 1 in value whatever the logits.
    """
    images, labels = batch
    leaf = logits.detach().requires_grad_(True)
    sample = gumbel_softmax(leaf, mask, config.temperature, generator)
    with still(network):
        gates = sample.hard.to(images.device)
        scores = network(images, sample.path, gates, others)
        loss = F.cross_entropy(scores, labels)
        extra = penalty(sample.soft)
        (grad,) = torch.autograd.grad(loss + extra.to(loss.device), leaf, allow_unused=True)
    cost = 2 * network.multiply_adds(sample.path) + (network.multiply_adds_beside(sample.path) if others else 0)
    return Estimate(grad.masked_fill(~mask, 0.0), loss.detach(), _correct(scores, labels), cost)


def score_function(
    network: Chain,
    batch: tuple[Tensor, Tensor],
    logits: Tensor,
    mask: Tensor,
    penalty: Callable[[Tensor], Tensor],
    config: ArchitectureConfig,
    generator: torch.Generator,
) -> Estimate:
    """Score function with leave-one-out baseline: unbiased for the gradient of E_path[L(path)], forward passes only.

    With m paths drawn from softmax(alpha') and all losses taken on the same batch,
    grad_i = 1/m sum_p (L_p - mean_{q != p} L_q) (onehot(k_i^p) - softmax(alpha'_i)).
    Not in the paper: ours, since it asks whether the validation loss is lower when a candidate is drawn, which the straight-through
    gradient does not. The penalty acts on the weights without noise.
    """
    images, labels = batch
    leaf = logits.detach().requires_grad_(True)
    weights = architecture_weights(leaf, mask)
    paths = [draw_path(weights.detach(), generator) for _ in range(config.paths)]
    with still(network), torch.no_grad():
        scores = network.forward_paths(images, paths)
        losses = torch.stack([F.cross_entropy(score, labels) for score in scores])
        correct = torch.stack([_correct(score, labels) for score in scores]).float().mean()
    host = losses.to("cpu", weights.dtype)
    advantage = (host - host.mean()) * len(paths) / (len(paths) - 1)  # L_p minus the mean of the others
    onehots = torch.stack([F.one_hot(torch.tensor(path), logits.shape[1]) for path in paths]).to(weights.dtype)
    grad = ((onehots - weights.detach()) * advantage[:, None, None]).mean(dim=0)
    extra = penalty(weights)
    if extra.requires_grad:
        grad = grad + torch.autograd.grad(extra, leaf)[0]
    cost = network.multiply_adds_paths(paths)
    return Estimate(grad.masked_fill(~mask, 0.0), losses.mean(), correct, cost)


def _correct(scores: Tensor, labels: Tensor) -> Tensor:
    return (scores.detach().argmax(dim=1) == labels).sum()


ESTIMATORS: dict[str, Estimator] = {
    "straight-through-exact": partial(straight_through, others=True),
    "straight-through-sampled": partial(straight_through, others=False),
    "score-function": score_function,
}

# how the weight step draws its path: probabilities [d, w] from logits and mask
DRAWS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "weighted": architecture_weights,
    "uniform": lambda logits, mask: mask / mask.sum(dim=1, keepdim=True),
}
