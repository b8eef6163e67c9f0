"""Penalties on the architecture weights over the epochs (FaDE eq. 4, Fig. 2a)."""

from collections.abc import Callable

from torch import Tensor

Penalty = Callable[[Tensor, float], Tensor]  # (weights [d, w], t in [0, 1]) -> scalar


def factors(depth: int, t: float) -> list[float]:
    """r_i(t) of the cell-dependent penalty, i = 1..d: from +1 to -1, earlier for shallow cells.

    r_i(t) = 1 - 2 t^{p_i} with p_i = 2^{(2i - d - 1) / (d - 1)}. FaDE gives Fig. 2a alone; this
    family is ours: its ends, order and symmetry around the straight line are those of the figure.
    """
    if depth == 1:
        return [1 - 2 * t]
    powers = (2 ** ((2 * i - depth - 1) / (depth - 1)) for i in range(1, depth + 1))
    return [1 - 2 * t**power for power in powers]


def no_penalty(weights: Tensor, t: float) -> Tensor:
    """Zero."""
    return weights.new_zeros(())


def max_norm(weights: Tensor, t: float) -> Tensor:
    """r(t) * sum_i max_j alpha_ij with r(t) = 1 - 2t (eq. 4, cell-independent).

    The sum of row maxima instead of one maximum over all rows: that would push a single row per
    step, and the cell-dependent form needs rows.
    """
    return (1 - 2 * t) * weights.amax(dim=1).sum()  # eq. 4


def max_norm_by_cell(weights: Tensor, t: float) -> Tensor:
    """sum_i r_i(t) * max_j alpha_ij (eq. 4 with the cell-dependent factors of Fig. 2a)."""
    return (weights.new_tensor(factors(len(weights), t)) * weights.amax(dim=1)).sum()


PENALTIES: dict[str, Penalty] = {
    "none": no_penalty,
    "max-norm": max_norm,
    "max-norm-by-cell": max_norm_by_cell,
}


def scaled(penalty: Penalty, scale: float, t: float) -> Callable[[Tensor], Tensor]:
    """The penalty at time `t` as a function of the weights alone."""
    return lambda weights: scale * penalty(weights, t)
