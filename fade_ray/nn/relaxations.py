"""From architecture logits to architecture weights and drawn paths (FaDE 2.1, eq. 3)."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot


@dataclass(frozen=True)
class GumbelSample:
    """One Gumbel-softmax draw of every row. `soft` [d, w]: the relaxed weights y, rows on the
    simplex; `drawn` [d]: the index of the largest.
    """

    soft: Tensor
    drawn: Tensor

    @property
    def path(self) -> list[int]:
        """The drawn index of each row."""
        return self.drawn.tolist()

    @property
    def hard(self) -> Tensor:
        """z = onehot(argmax y) - stopgrad(y) + y [d, w]: one-hot in value, exactly 0 or 1 in every
        float format, as y - stopgrad(y) is 0; with the gradient of `soft` (FaDE eq. 3).
        """
        onehot = one_hot(self.drawn, self.soft.shape[1]).to(self.soft.dtype)
        return onehot + (self.soft - self.soft.detach())


def initial_logits(mask: Tensor, std: float, generator: torch.Generator) -> Tensor:
    """Architecture logits alpha' [d, w] ~ N(0, std^2); FaDE 3: N(0; 0.5), read as standard
    deviation. Places that hold no candidate are 0.
    """
    noise = torch.randn(mask.shape, generator=generator, dtype=torch.float32)
    return torch.where(mask, std * noise, torch.zeros(()))


def architecture_weights(logits: Tensor, mask: Tensor) -> Tensor:
    """softmax(alpha') of each row [d, w]; a masked candidate has weight exactly 0 and no gradient."""
    return logits.masked_fill(~mask, -torch.inf).softmax(dim=1)


def gumbel_noise(shape: torch.Size, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    """Standard Gumbel draws -log(-log U); the exponential draw keeps clear of log(0)."""
    return -torch.empty(shape, dtype=dtype).exponential_(generator=generator).log()


def perturbed(logits: Tensor, mask: Tensor, generator: torch.Generator) -> Tensor:
    """alpha' + g with Gumbel noise g, drawn on the host; -inf where masked."""
    return logits.masked_fill(~mask, -torch.inf) + gumbel_noise(
        logits.shape, generator, logits.dtype
    ).to(logits.device)


def gumbel_softmax(
    logits: Tensor, mask: Tensor, temperature: float, generator: torch.Generator
) -> GumbelSample:
    """y = softmax((alpha' + g) / tau) of each row [d, w] (FaDE eq. 3)."""
    noisy = perturbed(logits, mask, generator)
    return GumbelSample((noisy / temperature).softmax(dim=1), noisy.argmax(dim=1))


def draw_path(weights: Tensor, generator: torch.Generator) -> list[int]:
    """One candidate per row, drawn with the probabilities `weights` [d, w]."""
    return torch.multinomial(weights, 1, generator=generator).squeeze(1).tolist()


def entropy(weights: Tensor) -> Tensor:
    """Entropy of each row of `weights` [d, w] as a share of that of the uniform row over its
    candidates, in [0, 1]; 0 for one candidate.
    """
    used = (weights > 0).sum(dim=1)
    value = -(weights * weights.clamp_min(1e-30).log()).sum(dim=1)
    return torch.where(used > 1, value / used.clamp_min(2).log(), torch.zeros(()))
