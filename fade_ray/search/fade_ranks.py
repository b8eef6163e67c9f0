"""FaDE-ranks: what a trained hyper-architecture says of its architectures (FaDE 2.3)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from searchers.paths import best_paths
from spaces import HyperArchitecture


@dataclass(frozen=True)
class FadeRanks:
    """Architecture weights alpha of a trained hyper-architecture.

    `weights` [d][distinct candidates]: one row on the simplex per row of the hyper-architecture.
    psi(k) = prod_i alpha_{i, k_i} (FaDE 2.3) is a probability over the distinct architectures; it
    is handled as a sum of logs.
    """

    hyper: HyperArchitecture
    weights: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        expected, widths = (
            [len(row) for row in it] for it in (self.hyper.distinct(), self.weights)
        )
        if widths != expected:
            raise ValueError(f"`weights` needs {expected} values per row, but got {widths}.")
        if not all(abs(math.fsum(row) - 1) <= 1e-4 and min(row) >= 0 for row in self.weights):
            rule = "Every row of `weights` must lie on the simplex"
            raise ValueError(f"{rule}, but got {self.weights}.")

    @property
    def log_weights(self) -> list[list[float]]:
        """[d][distinct]; weights that underflowed stand at the smallest positive float."""
        return [[min(0.0, math.log(max(weight, 1e-38))) for weight in row] for row in self.weights]

    def credited(self) -> tuple[tuple[float, ...], ...]:
        """Log weight of each place [d][w]: duplicates have the whole weight of their candidate."""
        return tuple(
            tuple(row[index] for index in places)
            for row, places in zip(self.log_weights, self.hyper.places(), strict=True)
        )

    def log_psi(self, choice: Sequence[int]) -> float:
        """log psi of the architecture that takes distinct candidate `choice[i]` in row i."""
        return math.fsum(row[index] for row, index in zip(self.log_weights, choice, strict=True))

    def best(self, k: int) -> list[tuple[HyperArchitecture, float]]:
        """The `k` architectures of largest psi with log psi, best first, without enumeration."""
        return [
            (self.hyper.architecture(choice), log_psi)
            for choice, log_psi in best_paths(self.log_weights, k)
        ]


NEAR_CHANCE = 0.1  # share of the way from chance to 1 below which an accuracy says little
NEAR_UNIFORM = 0.02  # largest |log(weight / uniform)| of a row that has not moved
SATURATED = 0.95  # weight of one candidate that leaves no order among the others


def misgivings(
    ranks: FadeRanks, start: FadeRanks, accuracy: float | None, classes: int
) -> list[str]:
    """Why these ranks should be read with care, in words; [] if nothing speaks against them.

    `start`: the ranks of the initial logits; `accuracy`: of the best path of the
    hyper-architecture, on the architecture split, where the objective measures one.
    """
    reasons, chance = [], 1 / classes
    if accuracy is not None and accuracy < chance + NEAR_CHANCE * (1 - chance):
        reasons.append(
            f"the hyper-architecture's accuracy {accuracy:.3f} is near chance ({chance:.3f}), so "
            "its ranks say little: train longer (--rank-epochs), raise --learning-rate or turn a "
            "norm on (--norm row)"
        )
    choices = [(number, row) for number, row in enumerate(ranks.weights, start=1) if len(row) > 1]
    flat = [i for i, row in choices if _furthest_from_uniform(row) < NEAR_UNIFORM]
    if flat:
        reasons.append(
            f"the weights of row {_listed(flat)} are still near uniform, so the anchors barely "
            "move there: train longer (--rank-epochs) or raise --architecture-learning-rate"
        )
    unmoved = [i for i, _ in choices if i not in flat and _mostly_initial(ranks, start, i - 1)]
    if unmoved:
        reasons.append(
            f"the order in row {_listed(unmoved)} is mostly that of the random initial logits: "
            "train longer (--rank-epochs), raise --architecture-learning-rate or lower --logit-std"
        )
    full = [i for i, row in choices if max(row) > SATURATED]
    if full:
        reasons.append(
            f"row {_listed(full)} has saturated on one candidate, so the order of the others is "
            "lost: train shorter, lower --architecture-learning-rate or --penalty-scale"
        )
    return reasons


def _furthest_from_uniform(row: Sequence[float]) -> float:
    """The largest |log(weight / uniform)|."""
    return max(abs(math.log(max(weight, 1e-38) * len(row))) for weight in row)


def _mostly_initial(ranks: FadeRanks, start: FadeRanks, row: int) -> bool:
    """Whether training moved log weights by less than half of what they differed by."""
    before, after = start.log_weights[row], ranks.log_weights[row]
    moved = max(abs(a - b) for a, b in zip(after, before, strict=True))
    return moved < (max(before) - min(before)) / 2


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))
