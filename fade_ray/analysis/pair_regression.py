"""What architectures score that nobody trained: a regression on pairs of choices."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Choices = npt.NDArray[np.intp]

PENALTY = 1.0
"""Of the squared weights, beside squared errors in standard deviations of the targets."""


@dataclass(frozen=True, eq=False)
class PairRegression:
    """A score is a constant, a part of each row's candidate and one of each two rows' candidates,
    so that the mean over all architectures of a hyper-architecture has a closed form.
    """

    constant: float
    single: Array
    """[d, n]: by row and candidate."""
    double: Array
    """[d, d, n, n]: of row r before row s; 0 elsewhere."""
    left_out: Array
    """[N]: of each architecture that it was fitted to, what it is predicted without it."""

    @classmethod
    def fit(cls, choices: Choices, targets: Array, attributes: Array) -> Self:
        """Ridge regression of `targets` [N] on the attributes of each row's candidate and their
        products in pairs, `choices` [N, d] being places in `attributes` [n, a], whose values count
        as names. Predictions without a row are those of `PENALTY` and the mean kept as they are.
        """
        mean, spread = float(targets.mean()), float(targets.std())
        rows = [_contrasts(attributes, row) for row in choices.T]  # [n, q_r] and its attributes
        parts = [contrasts[row] for (contrasts, _), row in zip(rows, choices.T, strict=True)]
        single = np.concatenate(parts, axis=1)
        owner = [(r, name) for r, (_, names) in enumerate(rows) for name in names]
        pairs = [
            (i, j)
            for i in range(len(owner))
            for j in range(i + 1, len(owner))
            if owner[i] != owner[j]
        ]
        left, right = np.array(pairs).T
        design = np.concatenate([single, single[:, left] * single[:, right]], axis=1)
        inverse = np.linalg.inv(design.T @ design + PENALTY * np.eye(design.shape[1]))
        weights = inverse @ (design.T @ ((targets - mean) / spread)) * spread
        errors = targets - mean - design @ weights
        # of ridge regression exactly: the error over 1 - its own leverage
        leverage = np.einsum("ni,ij,nj->n", design, inverse, design, optimize=True)
        left_out = targets - errors / (1 - leverage)
        first, second = _by_row(rows, weights, pairs)
        return cls(mean, first, second, left_out)

    def __call__(self, choices: Choices) -> Array:
        """[N, d] -> [N]."""
        d = len(self.single)
        scores: Array = self.constant + self.single[range(d), choices].sum(-1)
        for r in range(d):
            for s in range(r + 1, d):
                scores = scores + self.double[r, s][choices[:, r], choices[:, s]]
        return scores

    def marginals(self, rows: Sequence[Sequence[int]]) -> list[Array]:
        """[d][n_i] -> [d][n_i]: the mean of all architectures with a candidate in a row, of those
        that take row i from `rows[i]`, distinct places.
        """
        d, known = len(rows), [list(row) for row in rows]
        single = [self.single[r][known[r]] for r in range(d)]
        between = {
            (r, s): self.double[r, s][np.ix_(known[r], known[s])]
            for r in range(d)
            for s in range(r + 1, d)
        }
        whole = self.constant + sum(part.mean() for part in single)
        whole += sum(part.mean() for part in between.values())
        found = []
        for r in range(d):
            own = single[r] - single[r].mean()
            for (a, b), part in between.items():
                if r in (a, b):
                    own = own + part.mean(axis=1 if r == a else 0) - part.mean()
            found.append(whole + own)
        return found


def _contrasts(attributes: Array, row: Choices) -> tuple[Array, list[int]]:
    """One column per value of an attribute but the first, with mean 0 over a row's choices: [n, q],
    and the attribute of each.
    """
    columns, names = [], []
    for name, values in enumerate(attributes.T):
        for value in np.unique(values[row])[1:]:
            equal = (values == value).astype(float)
            columns.append(equal - equal[row].mean())
            names.append(name)
    return np.stack(columns, axis=1), names


def _by_row(
    rows: Sequence[tuple[Array, list[int]]], weights: Array, pairs: Sequence[tuple[int, int]]
) -> tuple[Array, Array]:
    """The parts of `PairRegression`, of the weights of columns and of pairs of columns."""
    d, n = len(rows), len(rows[0][0])
    counts = [contrasts.shape[1] for contrasts, _ in rows]
    ends = np.cumsum(counts)
    q = int(ends[-1])
    products = np.zeros((q, q))
    for (i, j), weight in zip(pairs, weights[q:], strict=True):
        products[i, j] = weight
    at = [slice(end - count, end) for end, count in zip(ends, counts, strict=True)]
    single, double = np.zeros((d, n)), np.zeros((d, d, n, n))
    for r, (mine, _) in enumerate(rows):
        single[r] = mine @ weights[at[r]] + ((mine @ products[at[r], at[r]]) * mine).sum(-1)
        for s in range(r + 1, d):
            double[r, s] = mine @ products[at[r], at[s]] @ rows[s][0].T
    return single, double
