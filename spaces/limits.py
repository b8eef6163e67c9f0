"""Limits on what an architecture may cost, where costs add up over the rows of a chain."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from spaces.candidates import Candidate
from spaces.errors import InvalidInput
from spaces.hyper import HyperArchitecture

Whole = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RowCosts:
    """A cost in whole numbers, so that sums are exact: `fixed`, and what each cell adds in its row.

    `name`: in words, "parameters". `unit`: how many of it a user counts as one.
    """

    name: str
    fixed: int
    rows: tuple[Mapping[Candidate, int], ...] = field(repr=False)
    """[row]: cell -> what it costs there."""
    unit: int = 1

    def of(self, architecture: HyperArchitecture) -> int:
        """What an architecture costs."""
        rows = zip(self.rows, architecture.rows, strict=True)
        return self.fixed + sum(row[cells[0]] for row, cells in rows)

    @cached_property
    def least(self) -> int:
        """What the cheapest architecture costs."""
        return self.fixed + sum(min(row.values()) for row in self.rows)

    @cached_property
    def enough(self) -> int:
        """The smallest limit that leaves something to choose in each row that has a choice."""
        rows = (sorted(row.values())[:2] for row in self.rows)
        return self.least + max(row[-1] - row[0] for row in rows)

    def text(self, cost: int) -> str:
        """In the unit of a user, no less than it is, to be typed."""
        if self.unit == 1:
            return str(cost)
        return f"{math.ceil(cost * 10_000 / self.unit) / 10_000:g}"


@dataclass(frozen=True)
class Limit:
    """At most `most` of a cost. `flag`: how a user sets it, "--max-params"."""

    flag: str
    most: int
    cost: RowCosts


@dataclass(frozen=True)
class Limits:
    """All that an architecture has to keep to; () for nothing. [c] of them below."""

    limits: tuple[Limit, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.limits)

    def __str__(self) -> str:
        return ", ".join(f"{cost.name} <= {cost.text(most)}" for _, most, cost in self._told)

    @property
    def _told(self) -> list[tuple[str, int, RowCosts]]:
        return [(limit.flag, limit.most, limit.cost) for limit in self.limits]

    @cached_property
    def room(self) -> Whole:
        """[c]: what the cells may cost together."""
        return np.array([limit.most - limit.cost.fixed for limit in self.limits], np.int64)

    def costs(self, row: int, cells: Sequence[Candidate]) -> Whole:
        """[n, c] of cells [n] in a row."""
        each = [[limit.cost.rows[row][cell] for limit in self.limits] for cell in cells]
        return np.array(each, np.int64)

    def fit(self, costs: Whole, others: Whole) -> npt.NDArray[np.bool_]:
        """[n]: which of some costs [n, c] keep to the limits beside one of `others` [m, c]."""
        return fits(costs, others, self.room)

    def others(self, rows: Sequence[Sequence[Candidate]]) -> list[Whole]:
        """[d] of [m, c]: the least that the other rows can cost together, where row i takes one of
        `rows[i]`.
        """
        costs = [undominated(self.costs(row, cells)) for row, cells in enumerate(rows)]
        kinds = len(self.limits)
        return [front((*costs[:row], *costs[row + 1 :]), kinds) for row in range(len(rows))]

    def leave(self, rows: Sequence[Sequence[Candidate]]) -> list[list[Candidate]]:
        """Of each row those that an architecture of such rows can hold."""
        others = self.others(rows)
        kept = [self.fit(self.costs(row, cells), others[row]) for row, cells in enumerate(rows)]
        return [
            [cell for cell, fit in zip(cells, those, strict=True) if fit]
            for cells, those in zip(rows, kept, strict=True)
        ]

    def allow(self, hyper: HyperArchitecture) -> bool:
        """Whether each candidate is part of an architecture in `hyper` that keeps to the limits; of
        an architecture, whether it does.
        """
        if hyper.is_architecture:
            return all(limit.cost.of(hyper) <= limit.most for limit in self.limits)
        return not self.limits or self.leave(hyper.distinct()) == [*map(list, hyper.distinct())]

    def check(self, rows: Sequence[Sequence[Candidate]]) -> list[list[Candidate]]:
        """What they leave of the rows of a space. InvalidInput where that is fewer than two of a
        row that has so many.
        """
        left = self.leave(rows)
        few = [row for row, cells in enumerate(left) if len(cells) < min(2, len(rows[row]))]
        if few:
            row = few[0]
            told = ", ".join(
                f"{flag} {cost.text(most)} (the cheapest architecture has {cost.text(cost.least)} "
                f"{cost.name})"
                for flag, most, cost in self._told
            )
            enough = " and ".join(
                f"{flag} {cost.text(cost.enough)}" for flag, _, cost in self._told
            )
            together = " or more, each by itself" if len(self.limits) > 1 else " or more"
            raise InvalidInput(
                f"Limits must leave two candidates in every row, but {told} leave "
                f"{len(left[row])} of {len(rows[row])} in row {row + 1}. Give {enough}{together}, "
                "or make the network narrower."
            )
        return left


def fits(costs: Whole, others: Whole, room: Whole) -> npt.NDArray[np.bool_]:
    """[n]: which of some costs [n, c] keep to `room` [c] beside one of `others` [m, c]."""
    return np.asarray((costs[:, None] + others <= room).all(axis=-1).any(axis=-1))


def front(rows: Sequence[Whole], kinds: int) -> Whole:
    """[m, c]: of the sums of one cost [c] of each row [n_i, c], those that none undercuts; c is the
    number of `kinds`.
    """
    sums = np.zeros((1, kinds), np.int64)
    for row in rows:
        sums = undominated((sums[:, None] + row).reshape(-1, kinds))
    return sums


def undominated(costs: Whole) -> Whole:
    """Of [n, c] those that no other is at most as large as in every cost; each once."""
    if costs.shape[1] == 1:
        return np.asarray(costs.min(axis=0, keepdims=True))
    ordered, kept = np.unique(costs, axis=0), np.zeros((0, costs.shape[1]), np.int64)
    if costs.shape[1] == 2:  # what undercuts one comes before it
        below = np.minimum.accumulate(ordered[:, 1])
        return np.asarray(ordered[np.concatenate([[True], below[1:] < below[:-1]])])
    for each in ordered:
        if not (kept <= each).all(axis=1).any():
            kept = np.vstack([kept, each])
    return kept


UNLIMITED = Limits()
